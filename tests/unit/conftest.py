"""What the tests of Olsson 2022's experiments share: runs of wired heads, made once and only read."""

from contextlib import ExitStack

import pytest
from olsson_inputs import opened, wired_bench


@pytest.fixture(scope="session")
def bench(tmp_path_factory):
    return wired_bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def inputs(bench):
    """inputs("wired", ...): of these runs."""
    with ExitStack() as stack:
        yield lambda *runs: opened(bench, stack, runs)
