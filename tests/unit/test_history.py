"""Which commit last touched a claim's criterion, asked of a real repository."""

import os
import subprocess
from pathlib import Path

import pytest

from headworks.history import criterion_commit

STUDY = """\
study: toy
claims:
  other:
    criterion: {at_least: 1}
  flow:
    statement: One line.
    criterion: {at_least: 0.5}
    control: {is: nothing}
  block:
    criterion:
      between:
        - 1
        - 2
    control: {is: nothing}
  bare:
    statement: No criterion.
"""


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """An empty repository, the working directory; `commit(text)` writes the study and commits it."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    now = iter(range(1_700_000_000, 1_800_000_000, 1000))

    def git(*words: str) -> str:
        who = ["-c", "user.name=Someone", "-c", "user.email=someone@example.org"]
        return subprocess.run(
            ["git", *who, *words], check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(text: str) -> str:
        monkeypatch.setenv("GIT_COMMITTER_DATE", f"{next(now)} +0000")
        write(text)
        git("add", ".")
        git("commit", "-q", "-m", "change")
        return git("rev-parse", "HEAD")

    def write(text: str) -> None:
        (tmp_path / "studies" / "toy.yaml").write_text(text)

    commit.write = write
    git("init", "-q")
    return commit


def asked(claim: str, folder: str = "studies", study: str = "toy"):
    return criterion_commit(Path(folder), study, claim)


def test_the_commit_is_that_of_the_criterion_alone(repository):
    first = repository(STUDY)
    assert asked("flow") == asked("block") == asked("other") == first
    second = repository(STUDY.replace("at_least: 0.5", "at_least: 0.6"))
    assert second != first
    assert asked("flow") == second
    assert asked("block") == asked("other") == first
    repository(STUDY.replace("at_least: 0.5", "at_least: 0.6").replace("One line.", "Another line."))
    assert asked("flow") == second


def test_a_block_ends_before_the_next_key(repository):
    first = repository(STUDY)
    changed = STUDY.replace(
        "        - 2\n    control: {is: nothing}", "        - 2\n    control: {is: something}"
    )
    repository(changed)
    assert asked("block") == first
    third = repository(changed.replace("- 2", "- 3"))
    assert asked("block") == third


def test_the_latest_of_several_commits_counts(repository):
    repository(STUDY)
    second = repository(STUDY.replace("- 2", "- 4"))
    assert asked("block") == second
    third = repository(STUDY.replace("- 2", "- 4").replace("- 1", "- 0"))
    assert asked("block") == third


def test_an_edit_that_nobody_committed_is_seen(repository):
    first = repository(STUDY)
    repository.write(STUDY.replace("at_least: 0.5", "at_least: 0.1"))
    assert asked("flow") == "uncommitted"
    assert asked("block") == first


def test_a_file_that_was_never_committed_is_uncommitted(repository):
    repository.write(STUDY)
    assert asked("flow") == "uncommitted"


def test_no_criterion_no_commit(repository):
    repository(STUDY)
    assert asked("bare") is None
    assert asked("absent") is None
    assert asked("flow", study="another") is None


def test_outside_a_repository_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.delenv("GIT_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "toy.yaml").write_text(STUDY)
    assert asked("flow") is None


def test_without_git_nothing_is_known(repository, monkeypatch):
    repository(STUDY)
    monkeypatch.setenv("PATH", "")
    assert asked("flow") is None
