"""From the config to the jobs: which artefact needs which, and the key that each must carry.

Every key digests the artefact's specification, the code of its stage and the keys of what it reads. The rules
hand these jobs to Snakemake as `params`, which is how an edit reruns what depends on it and nothing else.
"""

from collections.abc import Callable
from dataclasses import asdict
from functools import cached_property
from importlib import import_module
from pathlib import Path

from headworks.claim_spec import ClaimSpec
from headworks.config import Config, StudyConfig
from headworks.digest import code_digest, digest
from headworks.errors import HeadworksError
from headworks.job import Input, Job

ROOMS = {
    "data": "results/{study}/data/{name}.h5",
    "runs": "results/{study}/runs/{name}.h5",
    "activations": "results/{study}/activations/{name}.h5",
    "tables": "results/{study}/tables/{name}.csv",
    "figures": "results/{study}/figures/{name}.svg",
    "views": "results/{study}/views/{name}.json",
    "claims": "results/claims/{study}.{name}.json",
}
"""Where each room keeps its artefacts."""


class Plan:
    """All jobs of a config."""

    def __init__(self, config: Config):
        self.config = config
        self._jobs: dict[tuple[str, str, str], Job] = {}

    @cached_property
    def selected(self) -> list[str]:
        """The studies that the default target makes."""
        return list(self.config.only or self.config.studies)

    def names(self, study: str, room: str) -> list[str]:
        """The artefacts of one room of a study."""
        entries = self.config.studies[study]
        if room == "activations":
            return [f"{name}-{run}" for name, entry in entries.activations.items() for run in entry.runs]
        return list(getattr(entries, {"data": "datasets", "tables": "experiments"}.get(room, room)))

    def paths(self, study: str, room: str) -> list[str]:
        return [self.path(study, room, name) for name in self.names(study, room)]

    def path(self, study: str, room: str, name: str) -> str:
        return ROOMS[room].format(study=study, name=name)

    def strays(self, root: Path = Path()) -> list[str]:
        """Figures and claims below `root` of the config's studies that no job makes: renamed or removed entries."""
        found = []
        for study in self.config.studies:
            known = {*self.paths(study, "figures"), *self.paths(study, "claims")}
            known |= {path.removesuffix("svg") + "png" for path in known}
            for pattern in (f"results/{study}/figures/*", f"results/claims/{study}.*.json"):
                found += [path.relative_to(root).as_posix() for path in root.glob(pattern)]
            found = [path for path in found if path not in known]
        return sorted(found)

    def figure_caption(self, study: str, name: str) -> str:
        """A figure's caption with its {options} filled in."""
        figure = self.config.studies[study].figures[name]
        try:
            return figure.caption.format(**figure.options)
        except (KeyError, IndexError, ValueError) as error:
            raise HeadworksError(
                f"config/studies/{study}.yaml: figures.{name}.caption: {error} is not an option of the figure; "
                f"allowed in braces: {', '.join(sorted(figure.options))}"
            ) from None

    def job(self, study: str, room: str, name: str) -> Job:
        """The job that makes one artefact. Raises HeadworksError if the config has none of that name."""
        if study not in self.config.studies:
            raise HeadworksError(
                f"there is no study {study!r}; allowed: {', '.join(sorted(self.config.studies))}"
            )
        known = self.names(study, room)
        if name not in known:
            raise HeadworksError(
                f"config/studies/{study}.yaml has no {room} {name!r}; allowed: {', '.join(sorted(known))}"
            )
        if (study, room, name) not in self._jobs:
            self._jobs[study, room, name] = self._make(study, room, name)
        return self._jobs[study, room, name]

    def training_effort(self, study: str, run: str) -> float:
        """About how long a run trains, in no unit: positions are left out, which only its dataset knows."""
        entry = self.config.studies[study].runs[run]
        replicas = len(entry.seeds) * max(1, len(entry.clamps))
        return entry.train.steps * entry.train.batch * replicas * entry.model.n_layers * entry.model.d_model

    def _make(self, study: str, room: str, name: str) -> Job:
        build: Callable = getattr(self, f"_{room}")
        kind, modules, spec, needs = build(self.config.studies[study], name)
        inputs = tuple(self._input(study, *need) for need in dict.fromkeys(needs))
        code = code_digest(*modules)
        # the order of inputs is the order of the config: a table lists its runs as the config does
        key = digest([study, room, name, kind, spec, code, [asdict(item) for item in inputs]])
        return Job(study, room, name, kind, spec, inputs, code, key)

    def _input(self, study: str, room: str, name: str) -> Input:
        return Input(room, name, self.path(study, room, name), self.job(study, room, name).key)

    def _data(self, study: StudyConfig, name: str):
        entry = study.datasets[name]
        kinds = import_module(f"headworks.studies.{study.study}.options").DATASETS
        try:
            fingerprint = kinds[entry.kind].model_validate(entry.options).fingerprint()
        except HeadworksError as error:
            raise HeadworksError(
                f"config/studies/{study.study}.yaml: datasets.{name}.options.{error}"
            ) from None
        spec = {"options": entry.options} | ({"sources": fingerprint} if fingerprint else {})
        return entry.kind, [f"headworks.studies.{study.study}.datasets"], spec, []

    def _runs(self, study: StudyConfig, name: str):
        entry = study.runs[name]
        spec = entry.model_dump(mode="json", exclude={"dataset"})
        needs = [("data", entry.dataset)]
        modules = ["headworks.train"]
        if entry.start:
            needs += [("data", study.runs[entry.start.run].dataset), ("runs", entry.start.run)]
            modules.append("headworks.starts")
        if entry.clamps:
            modules.append(f"headworks.studies.{study.study}.clamps")
        return "run", modules, spec, needs

    def _activations(self, study: StudyConfig, name: str):
        entry, run = next(
            (entry, run)
            for base, entry in study.activations.items()
            for run in entry.runs
            if f"{base}-{run}" == name
        )
        spec = entry.model_dump(mode="json", exclude={"runs"})
        return (
            "activations",
            ["headworks.activations"],
            spec,
            [("data", study.runs[run].dataset), ("runs", run)],
        )

    def _tables(self, study: StudyConfig, name: str):
        entry = study.experiments[name]
        needs = [("data", dataset) for dataset in entry.datasets]
        needs += [("data", study.runs[run].dataset) for run in entry.runs] + [
            ("runs", run) for run in entry.runs
        ]
        needs += [("activations", f"{base}-{run}") for base in entry.activations for run in entry.runs]
        needs += [("tables", table) for table in entry.tables]
        return entry.kind, [f"headworks.studies.{study.study}.experiments.{entry.kind}"], entry.options, needs

    def _figures(self, study: StudyConfig, name: str):
        entry = study.figures[name]
        needs = [("tables", table) for table in entry.tables]
        return entry.kind, [f"headworks.studies.{study.study}.figures.{entry.kind}"], entry.options, needs

    def _views(self, study: StudyConfig, name: str):
        view = study.views[name]
        spec = view.job_spec(study.activations[view.activations].runs)
        runs = spec["runs"]
        needs = [("data", study.runs[run].dataset) for run in runs] + [("runs", run) for run in runs]
        needs += [("activations", f"{view.activations}-{run}") for run in runs]
        needs += [("tables", part.table) for part in (view.scores, view.phases) if part]
        return "view", ["headworks.page.views"], spec, needs

    def _claims(self, study: StudyConfig, name: str):
        claim: ClaimSpec = study.claims[name]
        spec = {"claim": claim.model_dump(mode="json"), "scale": self.config.scale}
        return (
            "claim",
            ["headworks.claims"],
            spec,
            [("tables", table) for table in [claim.table, claim.control_table]],
        )
