"""The picture of the page for the README, and what is said where there is no browser to take it."""

import pytest
from PIL import Image

from headworks.errors import HeadworksError
from headworks.page import picture


def test_a_picture_has_the_size_asked_for(chromium, built, tmp_path):
    picture.take(built, tmp_path / "page.png", width=800, height=600)
    with Image.open(tmp_path / "page.png") as image:
        assert image.size == (800, 600)
        assert len(image.convert("RGB").getcolors(2**20)) > 10


def test_without_a_browser_it_is_said_how_to_get_one(built, tmp_path, monkeypatch):
    monkeypatch.delenv("HEADWORKS_CHROMIUM", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert picture.browser() is None
    with pytest.raises(HeadworksError, match="apt-get install chromium"):
        picture.take(built, tmp_path / "page.png")


def test_a_named_browser_is_taken_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("HEADWORKS_CHROMIUM", str(tmp_path / "nothing"))
    assert picture.browser() is None
    program = tmp_path / "my-chromium"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("HEADWORKS_CHROMIUM", str(program))
    assert picture.browser() == str(program)
