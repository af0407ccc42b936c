"""What identifies a result: code by what it does, not by how it is written; values by what they are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headworks import digest as digests
from headworks.digest import canonical, code_digest, digest, reached

FILES = {
    "__init__.py": "",
    "errors.py": "class Wrong(Exception): ...\n",
    "base.py": "from headworks.errors import Wrong\n\nX = 1\n",
    "train.py": '"""Training."""\n\nimport math\n\nfrom headworks import base\n\n\ndef go(x: int) -> int:\n    """Go."""\n    return x + base.X\n',
    "lazy.py": "def go():\n    import headworks.train\n\n    return headworks.train\n",
    "typed.py": "from typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from headworks import base\n\n\ndef go(x: 'base.X'): ...\n",
    "studies/__init__.py": "",
    "studies/toy/__init__.py": "",
    "studies/toy/figures/__init__.py": "",
    "studies/toy/figures/curve.py": "from headworks.studies.toy import options\n",
    "studies/toy/options.py": "from headworks.base import X\n\nY = Field(X, description='The Y.')\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A small project in the place of the real one, and a function that rewrites one of its files."""

    def rewrite(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
        digests._tree.cache_clear()
        digests._statements.cache_clear()

    monkeypatch.setattr(digests, "ROOT", tmp_path)
    for path, text in FILES.items():
        rewrite(path, text)
    yield rewrite
    digests._tree.cache_clear()
    digests._statements.cache_clear()


def test_reached_follows_imports_of_every_form(package):
    own = {"headworks.train", "headworks.base", "headworks.errors", "headworks"}
    assert reached("headworks.train") == own
    assert reached("headworks.lazy") == own | {"headworks.lazy"}
    assert reached("headworks.studies.toy.figures.curve") == {
        "headworks.studies.toy.figures.curve",
        "headworks.studies.toy",
        "headworks.studies.toy.options",
        "headworks.base",
        "headworks.errors",
    }


def test_imports_for_type_checkers_are_not_followed(package):
    assert reached("headworks.typed") == {"headworks.typed"}


def test_relative_imports_are_refused(package):
    package("lazy.py", "from . import base\n")
    with pytest.raises(ValueError, match="relative imports hide"):
        reached("headworks.lazy")


TRAIN = FILES["train.py"]
SAME = {
    "comment": TRAIN + "# a remark\n",
    "docstring": TRAIN.replace('"""Go."""', '"""Go on."""'),
    "no docstring of the module": TRAIN.replace('"""Training."""', '"""Other."""'),
    "layout": TRAIN.replace("return x + base.X", "return (\n        x\n        + base.X\n    )"),
    "blank lines": TRAIN.replace("\n\n\n", "\n\n\n\n\n"),
}
OTHER = {
    "operator": TRAIN.replace("x + base.X", "x - base.X"),
    "new function": TRAIN + "\n\ndef more(): ...\n",
    "string that is used": TRAIN.replace("base.X", "len('a')"),
    "import": TRAIN.replace("import math", "import cmath"),
}


@pytest.mark.parametrize("text", SAME.values(), ids=SAME)
def test_how_code_is_written_does_not_matter(package, text):
    before = code_digest("headworks.train")
    assert text != TRAIN
    package("train.py", text)
    assert code_digest("headworks.train") == before


@pytest.mark.parametrize("text", OTHER.values(), ids=OTHER)
def test_what_code_does_matters(package, text):
    before = code_digest("headworks.train")
    package("train.py", text)
    assert code_digest("headworks.train") != before


def test_code_that_is_reached_matters_and_no_other(package):
    before = {name: code_digest(f"headworks.{name}") for name in ("train", "lazy", "typed", "errors")}
    package("base.py", FILES["base.py"].replace("X = 1", "X = 2"))
    after = {name: code_digest(f"headworks.{name}") for name in before}
    assert {name for name in before if before[name] != after[name]} == {"train", "lazy"}


def test_descriptions_of_config_fields_do_not_matter_but_defaults_do(package):
    name, text = "headworks.studies.toy.options", FILES["studies/toy/options.py"]
    before = code_digest(name)
    package("studies/toy/options.py", text.replace("The Y.", "What Y is."))
    assert code_digest(name) == before
    package("studies/toy/options.py", text.replace("Field(X", "Field(2"))
    assert code_digest(name) != before


def test_the_same_code_in_another_module_is_another_digest(package):
    package("lazy.py", TRAIN)
    assert code_digest("headworks.lazy") != code_digest("headworks.train")


def test_a_stage_does_not_depend_on_later_stages():
    """Of the real code: restyling figures or judging claims must never retrain."""
    later = {
        "headworks.figures",
        "headworks.claims",
        "headworks.rooms",
        "headworks.plan",
        "headworks.__main__",
    }
    assert not reached("headworks.train") & (later | {"headworks.activations"})
    assert not reached("headworks.activations") & later
    assert "headworks.model" in reached("headworks.train")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_the_order_of_keys_does_not_matter(value):
    def turned(value):
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return [turned(item) for item in value] if isinstance(value, list) else value

    assert digest(turned(value)) == digest(value)


@given(VALUES, VALUES)
def test_different_values_have_different_digests(first, second):
    assert (digest(first) == digest(second)) == (canonical(first) == canonical(second))


def test_the_digest_of_a_file_is_that_of_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert digests.file_digest(tmp_path / "a") == "ba7816bf8f01cfea"
