"""The config as typed models: loading, overlays, validation. The JSON schema and config/README.md come from here."""

from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import yaml
from pydantic import Field, PositiveInt, StringConstraints, ValidationError, model_validator

from headworks.claim_spec import ClaimSpec
from headworks.errors import HeadworksError
from headworks.monitor_spec import ReadingSpec
from headworks.names import Name
from headworks.spec import ModelSpec, Spec, TrainSpec
from headworks.view_spec import ViewSpec, mistake

Kind = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
"""A function or module of a study's folder."""

Reduction = Literal["all", "batch_mean", "last_position", "last_three", "previous_mean"]


class Paper(Spec):
    """The paper a study reproduces."""

    title: str = Field(description="As published.")
    authors: str = Field(description="As cited.")
    year: int = Field(description="Of publication.")
    url: str = Field(description="Where to read it.")
    note: str | None = Field(None, description="One plain phrase shown wherever the study is.")


class DatasetConfig(Spec):
    """One dataset. `kind` names a function of the study's datasets.py; the other keys are its options."""

    kind: Kind = Field(description="How it is made; see the options of the study.")
    options: dict[str, Any] = Field({}, description="Options of that kind.")


class StartConfig(Spec):
    """Initial parameters taken from a trained run: replicas of equal seed, or, with `roll`, of another."""

    run: Name = Field(description="Entry of `runs`, its last snapshot.")
    parameters: Annotated[list[str], Field(min_length=1)] = Field(
        description="What is taken: parameters by name or by what their names start with, e.g. embed, blocks.0."
    )
    roll: Annotated[int, Field(ge=0)] = Field(
        0, description="Replica i takes those of seed i + roll, counted round: 0 its own, 1 its neighbour's."
    )
    frozen: bool = Field(True, description="They stay as they are.")


class RunConfig(Spec):
    """One trained ensemble. `like` names an entry of `settings` that the other keys are laid over."""

    dataset: Name = Field(description="Entry of `datasets` it learns from.")
    model: ModelSpec = Field(description="The transformer.")
    train: TrainSpec = Field(description="The optimisation.")
    seeds: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)] = Field(
        description="One replica each: its initial parameters and its data order. Equal seeds match across runs."
    )

    clamps: dict[Name, dict[str, Any]] = Field(
        {},
        description="Condition → what is clamped, or added to the loss, while it trains, options of the study's clamps; "
        "every condition is trained with every seed, all in one ensemble.",
    )
    start: StartConfig | None = Field(
        None, description="Parameters to start from; drawn from the seed when left out."
    )

    @model_validator(mode="after")
    def _seeds_differ(self):
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: {self.seeds} holds one seed twice")
        return self


class ProbeConfig(Spec):
    """A set of inputs and what to keep of the forward pass on them."""

    kind: Literal["evaluation", "repeated_tokens"] = Field(
        description="evaluation: sequences of the dataset's evaluation split. repeated_tokens: random tokens, repeated (Olsson 2022, head activation evaluators)."
    )
    examples: PositiveInt = Field(description="Sequences.")
    period: PositiveInt = Field(25, description="Tokens before the first repeat (repeated_tokens only).")
    repeats: Annotated[int, Field(ge=2)] = Field(
        4, description="Times the tokens are shown (repeated_tokens only)."
    )
    seed: Annotated[int, Field(ge=0)] = Field(0, description="Seed of the random tokens.")
    sites: dict[str, Reduction] = Field(
        description="Site → what is kept of it. Sites as in model.py; 'pattern' without a block means every block's; 'loss' is the loss per token."
    )

    @model_validator(mode="after")
    def _loss_has_no_width(self):
        if self.sites.get("loss", "all") not in ("all", "batch_mean"):
            raise ValueError(
                f"sites.loss: {self.sites['loss']!r} is not for losses; allowed: all, batch_mean"
            )
        return self


class ActivationsConfig(Spec):
    """Activations of several runs on the same probes; makes one file `<entry>-<run>.h5` per run."""

    runs: Annotated[list[Name], Field(min_length=1)] = Field(description="Entries of `runs`.")
    probes: dict[Name, ProbeConfig] = Field(description="Probe → its inputs and what is kept.")
    snapshots: Literal["all", "last"] = Field("all", description="Which snapshots of the runs.")


class ExperimentConfig(Spec):
    """One table. `kind` names a module of the study's experiments; what it reads is declared here."""

    kind: Kind = Field(description="What is measured; see the options of the study.")
    datasets: list[Name] = Field([], description="Entries of `datasets` it reads.")
    runs: list[Name] = Field([], description="Entries of `runs` it reads, with their datasets.")
    activations: list[Name] = Field(
        [], description="Entries of `activations`; the files of this experiment's runs are read."
    )
    tables: list[Name] = Field([], description="Entries of `experiments` whose tables it reads.")
    options: dict[str, Any] = Field({}, description="Options of that kind.")


class FigureConfig(Spec):
    """One figure, drawn from tables. `kind` names a module of the study's figures."""

    kind: Kind = Field(description="What is drawn; see the options of the study.")
    tables: Annotated[list[Name], Field(min_length=1)] = Field(
        description="Entries of `experiments` it reads."
    )
    caption: str = Field(description="What the reader sees; {name} is filled with an option of the figure.")
    options: dict[str, Any] = Field({}, description="Options of that kind.")


class StudyConfig(Spec):
    """One paper: its table of experiments, readable from top to bottom."""

    study: Name = Field(description="The study's name: that of its folder, its targets and its results.")
    paper: Paper = Field(description="What is reproduced.")
    settings: dict[Name, dict[str, Any]] = Field({}, description="Shared parts of runs, taken up by `like`.")
    datasets: dict[Name, DatasetConfig] = Field(description="What data generation makes.")
    runs: dict[Name, RunConfig] = Field(description="What is trained.")
    activations: dict[Name, ActivationsConfig] = Field({}, description="What is cached of the runs.")
    experiments: dict[Name, ExperimentConfig] = Field(description="What is measured, a table each.")
    figures: dict[Name, FigureConfig] = Field({}, description="What is drawn.")
    views: dict[Name, ViewSpec] = Field({}, description="What the head viewer of the page shows.")
    claims: dict[Name, ClaimSpec] = Field({}, description="What is claimed, and when it holds.")
    monitor: dict[Name, ReadingSpec] = Field({}, description="What people who run models may read off.")


class Config(Spec):
    """What all studies share, and the studies."""

    scale: Literal["laptop", "test", "paper"] = Field(
        "laptop", description="Named in every claim: how large the runs are."
    )
    only: list[Name] = Field([], description="Studies that the default target makes; all when empty.")
    studies: dict[Name, StudyConfig] = Field(
        description="In an overlay: changes to the study files, by study. Not in config.yaml itself."
    )


def load(settings: dict, folder: Path) -> Config:
    """The validated config: `settings` (config.yaml and overlays, merged) over the study files of `folder`.

    Raises HeadworksError naming file and key for anything unknown, missing or out of bounds.
    """
    settings = dict(settings)
    overlays = settings.pop("studies", None) or {}
    studies = _study_files(folder)
    if unknown := set(overlays) - set(studies):
        raise HeadworksError(
            f"config: studies.{min(unknown)}: no such study; allowed: {', '.join(sorted(studies))}"
        )
    raw = {name: (path, merge(body, overlays.get(name) or {})) for name, (path, body) in studies.items()}
    parsed = {name: _study(path, body) for name, (path, body) in raw.items()}
    config = _validated(Config, settings | {"studies": {}}, "config/config.yaml")
    if unknown := set(config.only) - set(parsed):
        raise HeadworksError(
            f"config/config.yaml: only: {min(unknown)!r} is not a study; allowed: {', '.join(sorted(parsed))}"
        )
    return config.model_copy(update={"studies": parsed})


def merge(base: dict, over: dict) -> dict:
    """`over` laid on `base`, key by key; null takes a key away."""
    merged = dict(base)
    for key, value in over.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict):
            below = merged.get(key)
            merged[key] = merge(below if isinstance(below, dict) else {}, value)
        else:
            merged[key] = value
    return merged


def _study_files(folder: Path) -> dict[str, tuple[Path, dict]]:
    found: dict[str, tuple[Path, dict]] = {}
    for path in sorted([*folder.glob("*.yaml"), *folder.glob("*.yml")]):
        try:
            body = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise HeadworksError(f"{path}: not valid YAML: {error}") from error
        if not isinstance(body, dict) or not isinstance(body.get("study"), str):
            raise HeadworksError(f"{path}: needs a key 'study' with the study's name")
        name = body["study"]
        if name in found:
            raise HeadworksError(
                f"{path}: study: {name!r} is already the name of {found[name][0]}; two studies need two names"
            )
        found[name] = (path, body)
    if not found:
        raise HeadworksError(f"{folder}: no study files (*.yaml) found")
    return found


def _study(path: Path, body: dict) -> StudyConfig:
    body = dict(body)
    settings = body.get("settings") or {}
    body["runs"] = {name: _like(path, name, run, settings) for name, run in (body.get("runs") or {}).items()}
    study = _validated(StudyConfig, body, path)
    _check_names(path, study)
    _check_circles(path, study)
    _check_activation_files(path, study)
    return _resolved_options(path, study)


def _like(path: Path, name: str, run: Any, settings: dict) -> Any:
    if not isinstance(run, dict) or "like" not in run:
        return run
    if run["like"] not in settings:
        raise HeadworksError(
            f"{path}: runs.{name}.like: {run['like']!r} is not an entry of settings; allowed: {_listed(settings)}"
        )
    return merge(settings[run["like"]], {key: value for key, value in run.items() if key != "like"})


def _check_names(path: Path, study: StudyConfig) -> None:
    """Every reference between entries must lead somewhere."""

    def known(where: str, names: list[str], entries: dict) -> None:
        for name in names:
            if name not in entries:
                raise HeadworksError(f"{path}: {where}: {name!r} does not exist; allowed: {_listed(entries)}")

    for name, run in study.runs.items():
        known(f"runs.{name}.dataset", [run.dataset], study.datasets)
        known(f"runs.{name}.start.run", [run.start.run] if run.start else [], study.runs)
    for name, entry in study.activations.items():
        known(f"activations.{name}.runs", entry.runs, study.runs)
    for name, entry in study.experiments.items():
        where = f"experiments.{name}"
        known(f"{where}.datasets", entry.datasets, study.datasets)
        known(f"{where}.runs", entry.runs, study.runs)
        known(f"{where}.activations", entry.activations, study.activations)
        known(f"{where}.tables", entry.tables, study.experiments)
        for activations in entry.activations:
            known(
                f"{where}.runs (kept by activations.{activations})",
                entry.runs,
                dict.fromkeys(study.activations[activations].runs),
            )
    for name, figure in study.figures.items():
        known(f"figures.{name}.tables", figure.tables, study.experiments)
    for name, claim in study.claims.items():
        known(f"claims.{name}.table", [claim.table, claim.control_table], study.experiments)
        known(f"claims.{name}.figure", [claim.figure], study.figures)
    for name, view in study.views.items():
        if found := mistake(view, study):
            raise HeadworksError(f"{path}: views.{name}.{found}")
    for name, reading in study.monitor.items():
        known(f"monitor.{name}.table", [reading.table], study.experiments)


def _check_circles(path: Path, study: StudyConfig) -> None:
    """No table and no run may need itself, however indirectly."""
    tables = {name: entry.tables for name, entry in study.experiments.items()}
    starts = {name: [run.start.run] for name, run in study.runs.items() if run.start}
    for room, key, what, needs in (
        ("experiments", "tables", "a table", tables),
        ("runs", "start", "a run", starts),
    ):
        try:
            TopologicalSorter(needs).prepare()
        except CycleError as error:
            circle = error.args[1]
            raise HeadworksError(
                f"{path}: {room}.{circle[0]}.{key}: {what} that needs itself cannot be made: {' → '.join(circle)}"
            ) from None


def _check_activation_files(path: Path, study: StudyConfig) -> None:
    """Entry `a` of run `b-c` and entry `a-b` of run `c` would be one file."""
    owners: dict[str, str] = {}
    for name, entry in study.activations.items():
        for run in entry.runs:
            file = f"{name}-{run}"
            if file in owners:
                raise HeadworksError(
                    f"{path}: activations.{name}: its file for run {run!r} would be {file}.h5, as one of "
                    f"activations.{owners[file]} already is; rename one of the two"
                )
            owners[file] = name


def _resolved_options(path: Path, study: StudyConfig) -> StudyConfig:
    """Validate the options of datasets, experiments and figures with the study's own classes."""
    options = _options_module(path, study.study)
    updates = {}
    for room, classes in (
        ("datasets", options.DATASETS),
        ("experiments", options.EXPERIMENTS),
        ("figures", options.FIGURES),
    ):
        entries = {}
        for name, entry in getattr(study, room).items():
            where = f"{room}.{name}"
            if entry.kind not in classes:
                raise HeadworksError(
                    f"{path}: {where}.kind: {entry.kind!r} does not exist; allowed: {_listed(classes)}"
                )
            parsed = _validated(classes[entry.kind], entry.options, path, f"{where}.options")
            entries[name] = entry.model_copy(update={"options": parsed.model_dump(mode="json")})
        updates[room] = entries
    updates["runs"] = {
        name: run.model_copy(update={"clamps": _clamps(path, name, run, options)})
        for name, run in study.runs.items()
    }
    return study.model_copy(update=updates)


def _clamps(path: Path, name: str, run: RunConfig, options: ModuleType) -> dict[str, dict]:
    if run.clamps and not hasattr(options, "Clamp"):
        raise HeadworksError(f"{path}: runs.{name}.clamps: this study has no clamps; leave the key out")
    checked = {}
    for condition, entry in run.clamps.items():
        where = f"runs.{name}.clamps.{condition}"
        clamp = _validated(options.Clamp, entry, path, where)
        if mistake := clamp.mistake(run.model):
            raise HeadworksError(f"{path}: {where}.{mistake}")
        checked[condition] = clamp.model_dump(mode="json")
    return checked


def _options_module(path: Path, study: str) -> ModuleType:
    module = f"headworks.studies.{study}.options"
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if not module.startswith(error.name):
            raise
        raise HeadworksError(
            f"{path}: study: {study!r} has no code: workflow/headworks/studies/{study}/options.py is missing"
        ) from None


def _validated(kind: type[Spec], body: Any, path: Path | str, prefix: str = "") -> Any:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise HeadworksError(explain(error, path, prefix)) from None


def explain(error: ValidationError, path: Path | str, prefix: str = "") -> str:
    """A pydantic error as one line a problem: file, key, what is wrong, what was found."""
    lines = []
    for item in error.errors():
        key = ".".join(str(part) for part in [prefix, *item["loc"]] if part != "" and part != "[key]")
        if item["type"] == "extra_forbidden":
            lines.append(f"{path}: {key}: unknown key")
        elif item["type"] == "string_pattern_mismatch":
            lines.append(f"{path}: {key}: {item['input']!r} is not a name; allowed: {item['ctx']['pattern']}")
        elif item["type"] == "missing":
            lines.append(f"{path}: {key}: missing")
        else:
            lines.append(
                f"{path}: {key}: {item['msg'].removeprefix('Value error, ')}, found {item['input']!r}"[:400]
            )
    return "\n".join(lines)


def _listed(names) -> str:
    return ", ".join(sorted(names)) or "none"
