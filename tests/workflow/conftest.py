"""One finished run of the toy study for all tests; each test that changes something gets a copy of it."""

from pathlib import Path

import pytest
from harness import Checkout


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.workflow)


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Checkout:
    """The code and config as they were when the tests began. Not to be changed."""
    return Checkout(tmp_path_factory.mktemp("pristine")).install()


@pytest.fixture(scope="session")
def finished(pristine, tmp_path_factory) -> Checkout:
    """A working directory in which everything was made. Not to be changed."""
    checkout = pristine.copy_to(tmp_path_factory.mktemp("finished") / "checkout")
    checkout.snakemake()
    return checkout


@pytest.fixture
def checkout(finished, tmp_path) -> Checkout:
    """A finished working directory to change."""
    return finished.copy_to(tmp_path / "checkout")


@pytest.fixture
def fresh(pristine, tmp_path) -> Checkout:
    """A working directory in which nothing was made."""
    return pristine.copy_to(tmp_path / "checkout")
