"""Generated files say what the code says: schemas, config/README.md, README.md."""

import difflib
import json

import pytest

from headworks import docs
from headworks.config import load


@pytest.mark.parametrize(
    "path", ["workflow/schemas/config.json", "workflow/schemas/study.json", "config/README.md", "README.md"]
)
def test_generated_files_are_up_to_date(path):
    generated = {str(name): text for name, text in docs.generated().items()}
    found = (docs.REPOSITORY / path).read_text(encoding="utf-8")
    changes = difflib.unified_diff(
        found.splitlines(), generated[path].splitlines(), path, "generated", lineterm="", n=1
    )
    assert found == generated[path], "run: " + docs.FIX + "\n" + "\n".join(list(changes)[:40])


def test_the_shown_verdicts_are_of_the_claims_as_they_are_now():
    """A claim that changed since the verdicts were taken would show a verdict on another statement."""
    studies = load({}, docs.REPOSITORY / "config/studies").studies
    shown = json.loads((docs.REPOSITORY / docs.VERDICTS).read_text(encoding="utf-8"))
    now = {(study, name): claim for study, body in studies.items() for name, claim in body.claims.items()}
    assert {(result["study"], result["claim"]) for result in shown} == set(now)
    for result in shown:
        claim = now[result["study"], result["claim"]]
        assert result["scale"] == "laptop"
        assert (result["statement"], result["criterion"]["text"]) == (claim.statement, str(claim.criterion))


def test_between_replaces_only_what_is_marked():
    text = "a\n<!-- x -->\nold\n<!-- /x -->\nb\n"
    assert docs.between(text, "x", "new") == "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n"
    with pytest.raises(ValueError, match="no marks"):
        docs.between(text, "y", "new")
