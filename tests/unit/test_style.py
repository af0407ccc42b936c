"""The code reads one way: ruff and snakefmt find nothing to mend (`make format` mends it)."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "command",
    [["ruff", "check"], ["ruff", "format", "--check"], ["snakefmt", "--check", "Snakefile", "rules"]],
    ids=lambda command: " ".join(command[:2]),
)
def test_nothing_to_mend(command):
    program = Path(sys.executable).parent / command[0]
    found = subprocess.run(
        [program, *command[1:]], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert found.returncode == 0, "run: make format\n" + (found.stdout + found.stderr)[-3000:]
