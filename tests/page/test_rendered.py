"""The page as text: what it may run, what it may not, and that everything is in the one file. No browser needed."""

import base64
import hashlib
import itertools
import json
import re
from html.parser import HTMLParser

import made_up
import pytest

from headworks.page import render


class Read(HTMLParser):
    """Every element's attributes, and the text of scripts and style sheets."""

    def __init__(self, text: str):
        super().__init__()
        self.elements, self.inside, self.texts = [], None, {"script": [], "style": []}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag in self.texts:
            self.inside = tag
            self.texts[tag].append("")

    def handle_endtag(self, tag):
        if tag == self.inside:
            self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.texts[self.inside][-1] += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def text() -> str:
    return render.render(made_up.studies(), [])


@pytest.fixture(scope="module")
def read(text) -> Read:
    return Read(text)


@pytest.fixture(scope="module")
def policy(read) -> dict[str, str]:
    (content,) = [x["content"] for x in read.all("meta") if x.get("http-equiv") == "Content-Security-Policy"]
    return dict(rule.split(" ", 1) for rule in content.split("; "))


def source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def test_the_policy_admits_exactly_the_inlined_scripts_and_styles(read, policy):
    assert policy["default-src"] == "'none'"
    assert policy["script-src"].split() == [source(text) for text in read.texts["script"]]
    assert policy["style-src"].split() == [source(text) for text in read.texts["style"]]
    assert "unsafe" not in str(policy)


def test_nothing_needs_what_the_policy_refuses(read):
    """No style attribute and no handler, which it would block; no address to load from."""
    for tag, attributes in read.elements:
        assert not [name for name in attributes if name == "style" or name.startswith("on")], (
            tag,
            attributes,
        )
        assert "src" not in attributes
        assert tag not in ("link", "iframe", "object", "embed", "base")


def test_words_are_escaped_wherever_they_stand(text, read):
    assert "<script>document" not in text
    assert len(read.all("script")) == 1
    assert text.count("&lt;script&gt;document.title") >= 2  # the statement, and the config block


def test_ids_are_unique_and_references_lead_somewhere(read):
    ids = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in read.elements:
        for name in ("aria-labelledby", "for", "href"):
            value = attributes.get(name, "")
            if name == "href" and not (value.startswith("#") and "=" not in value):
                continue
            assert not value or value.removeprefix("#") in ids, value


def test_headings_descend_one_step_at_a_time(read):
    levels = [int(tag[1]) for tag, _ in read.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))


def test_every_claim_is_there_once_and_counted(text, read):
    shown = [x["data-claim"] for x in read.all("details") if "data-claim" in x]
    assert shown == [f"first.{row[0]}" for row in made_up.CLAIMS["first"]] + ["second.copies", "second.many"]
    assert "such claims of\n    2 papers" in text
    assert "with 3 to 12 random seeds" in text


def test_a_studys_note_stands_at_the_study_and_at_each_of_its_claims(text):
    assert text.count("A conceptual replication: other networks") == 1 + len(made_up.CLAIMS["second"])


def test_a_page_of_one_study_without_readings_has_no_empty_view():
    read = Read(render.render([made_up.study("second")], []))
    assert [x["data-view"] for x in read.all("a") if "data-view" in x] == ["claims"]


def test_data_in_a_script_element_cannot_end_it():
    value = {"text": "</script><script>alert(1)</script>", "n": [1, None]}
    embedded = str(render.embedded(value))
    assert "<" not in embedded
    assert json.loads(embedded) == value


def test_views_come_with_their_viewer():
    """The viewer's data stand in the page under the name that its script looks for."""
    view = {"study": "first", "name": "heads", "data": {"title": "Heads <b>"}}
    text = render.render(made_up.studies(), [view])
    read = Read(text)
    assert (
        '<script type="application/json" id="view-first-heads">{"title":"Heads \\u003cb>"}</script>' in text
    )
    assert len([x for x in read.all("script") if "type" not in x]) == 1 + len(render.VIEWER_SCRIPTS)
    assert [x["data-view"] for x in read.all("a") if "data-view" in x] == ["claims", "heads", "monitor"]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(None, "not measured"), (0.4, "0 s"), (42.2, "42 s"), (840, "14 min"), (7500, "2 h 5 min")],
)
def test_durations(seconds, said):
    assert render.duration(seconds) == said


@pytest.mark.parametrize(
    ("path", "link"), [("results/claims/a.json", "claims/a.json"), ("config/a.yaml", "../config/a.yaml")]
)
def test_links_start_at_the_page(path, link):
    assert render.from_page(path) == link
