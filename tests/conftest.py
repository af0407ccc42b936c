"""What all tests share: one thread, no screen, and the toy study as if it were one of the project's own."""

import sys
from pathlib import Path

import matplotlib
import pytest
import torch
import yaml

matplotlib.use("Agg")
torch.set_num_threads(1)

TOY = Path(__file__).parent / "workflow" / "toy"


@pytest.fixture
def toy_study(monkeypatch) -> dict:
    """The config of the toy study, whose package can be imported and digested while the test runs."""
    import headworks.studies
    from headworks import digest

    inside = digest.source_of

    def source_of(module: str) -> Path | None:
        toy = module.removeprefix("headworks.studies.")
        if toy == module or toy.split(".")[0] != "toy":
            return inside(module)
        base = TOY.parent.joinpath(*toy.split("."))
        return next(
            (path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None
        )

    monkeypatch.setattr(headworks.studies, "__path__", [*headworks.studies.__path__, str(TOY.parent)])
    monkeypatch.setattr(digest, "source_of", source_of)
    yield yaml.safe_load((TOY / "toy.yaml").read_text(encoding="utf-8"))
    for name in [name for name in sys.modules if name.startswith("headworks.studies.toy")]:
        del sys.modules[name]
