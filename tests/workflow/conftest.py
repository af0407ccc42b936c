"""One finished run of the toy study for all tests; each test that changes something gets a copy of it."""

from pathlib import Path

import pytest
from harness import Checkout


def pytest_collection_modifyitems(items):
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.workflow)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """A working directory in which everything was made. Not to be changed."""
    checkout = Checkout(tmp_path_factory.mktemp("finished")).install()
    checkout.snakemake()
    return checkout


@pytest.fixture
def checkout(finished, tmp_path) -> Checkout:
    """A finished working directory to change."""
    return finished.copy_to(tmp_path / "checkout")


@pytest.fixture
def fresh(tmp_path) -> Checkout:
    """A working directory in which nothing was made."""
    return Checkout(tmp_path).install()
