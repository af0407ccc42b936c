"""What the head viewer shows, as data: patterns of a few runs over training, with scores and the phase change.

No pandas: the Snakefile imports this.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveInt

from headworks.names import Name
from headworks.spec import Spec

if TYPE_CHECKING:
    from headworks.config import StudyConfig


class ViewScores(Spec):
    """A table with a row a run, seed, step, layer and head."""

    table: Name = Field(description="Entry of `experiments`.")
    columns: Annotated[dict[str, str], Field(min_length=1)] = Field(
        description="Column → what it is called. The head whose first one ends highest is pointed out."
    )


class ViewPhases(Spec):
    """A table with a row a run and seed that says when the phase change was; empty or infinite: there was none."""

    table: Name = Field(description="Entry of `experiments`.")
    start: str = Field("start", description="Column, in units of `clock`.")
    end: str = Field("end", description="Column, in units of `clock`.")


class ViewSpec(Spec):
    """Attention patterns over training for the page's head viewer. Of clamped runs, the first condition's."""

    title: str = Field(description="What the reader picks it by.")
    about: str = Field("", description="A sentence below the title.")
    activations: Name = Field(description="Entry of `activations` that keeps the patterns.")
    runs: list[Name] = Field([], description="Which of its runs; all when empty.")
    labels: dict[Name, str] = Field({}, description="Run → what it is called; its name when left out.")
    probes: Annotated[dict[Name, str], Field(min_length=1)] = Field(
        description="Probe → what it is called; those of `activations` that keep the whole `pattern`."
    )
    sequences: PositiveInt = Field(1, description="Sequences of each probe.")
    positions: PositiveInt | None = Field(
        None,
        description="First positions of longer sequences, which do not see what follows; all when left out.",
    )
    seeds: list[int] = Field([], description="Seeds; the first of each run when empty.")
    snapshots: PositiveInt = Field(
        40, description="Snapshots at most, evenly over those kept, the first and the last among them."
    )
    clock: Literal["tokens", "sequences"] = Field("tokens", description="What training is measured in.")
    first_layer: Annotated[int, Field(ge=0)] = Field(
        0, description="Number of the first layer, in the tables and for the reader."
    )
    scores: ViewScores | None = Field(None, description="Scores of every head over training.")
    phases: ViewPhases | None = Field(None, description="When the phase change was.")

    def job_spec(self, runs: list[str]) -> dict:
        """As a job carries it, where keys have no order: what the reader sees in order as lists. `runs` if it names none."""
        scores = self.scores and {"table": self.scores.table, "columns": list(self.scores.columns.items())}
        shown = self.runs or runs
        labels = {run: self.labels.get(run, run) for run in shown}
        ordered = {"runs": shown, "probes": list(self.probes.items()), "scores": scores}
        return self.model_dump(mode="json") | ordered | {"labels": labels}


def mistake(view: ViewSpec, study: StudyConfig) -> str | None:
    """The first thing in a view that its study has not: key, what was found, what is allowed; None if all is there."""
    if view.activations not in study.activations:
        return _unknown("activations", view.activations, study.activations)
    kept = study.activations[view.activations]
    source = f"activations.{view.activations}"
    whole = [name for name, probe in kept.probes.items() if probe.sites.get("pattern") == "all"]
    runs = view.runs or kept.runs
    checks: list[tuple[str, Iterable, Iterable]] = [
        (f"runs (kept by {source})", view.runs, kept.runs),
        ("labels", view.labels, study.runs),
        (f"probes (of {source}, with sites.pattern: all)", view.probes, whole),
        *((f"seeds (of runs.{run})", view.seeds, study.runs[run].seeds) for run in runs if run in kept.runs),
        ("scores.table", [view.scores.table] if view.scores else [], study.experiments),
        ("phases.table", [view.phases.table] if view.phases else [], study.experiments),
    ]
    for key, names, allowed in checks:
        for name in names:
            if name not in allowed:
                return _unknown(key, name, allowed)
    for name in view.probes:
        if view.sequences > kept.probes[name].examples:
            return (
                f"sequences: {view.sequences}, but {source}.probes.{name} keeps {kept.probes[name].examples}; "
                "allowed: as many or fewer"
            )
    return None


def _unknown(key: str, name: str | int, allowed: Iterable) -> str:
    return f"{key}: {name!r} does not exist; allowed: {', '.join(sorted(map(str, allowed))) or 'none'}"
