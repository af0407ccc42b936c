"""A picture of the page, as a reader sees it, taken with whatever Chromium there is."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from headworks.errors import HeadworksError

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
MISSING = (
    "no Chromium found: install the package chromium (Debian, Ubuntu: apt-get install chromium) or name one in "
    "HEADWORKS_CHROMIUM"
)


def browser() -> str | None:
    """The Chromium to use: HEADWORKS_CHROMIUM, or the first found on PATH."""
    named = os.environ.get("HEADWORKS_CHROMIUM")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, PROGRAMS)), None)


def take(page: Path, out: Path, width: int = 1280, height: int = 1120) -> None:
    """Write a PNG of the top of a page. Raises HeadworksError without a Chromium or without a picture."""
    program = browser()
    if program is None:
        raise HeadworksError(f"{out}: {MISSING}")
    with tempfile.TemporaryDirectory() as folder:
        shot = Path(folder) / "page.png"
        command = [
            program,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            f"--user-data-dir={folder}/profile",
            f"--window-size={width},{height}",
            f"--screenshot={shot}",
            Path(page).resolve().as_uri(),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if not shot.exists():
            raise HeadworksError(f"{out}: {program} took no picture of {page}: {done.stderr[-400:]}")
        shutil.move(shot, out)
