"""Everything that is generated and committed: JSON schemas, config/README.md, the parts of README.md between marks.

`headworks docs` writes them; a test compares them with what the code says now and prints that command.
"""

import json
import re
import shutil
import subprocess
import sys
import typing
from collections import Counter
from importlib import import_module
from pathlib import Path

import yaml
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from headworks import claim_spec, config, monitor_spec, spec, view_spec
from headworks.digest import ROOT
from headworks.measured import block, measure
from headworks.page import picture
from headworks.plan import Plan
from headworks.verdicts import markdown_table, read

REPOSITORY = ROOT.parent.parent
FIX = "headworks docs"


VERDICTS = Path("docs/verdicts.json")
"""The verdicts of the latest laptop-scale run, which the README shows."""
MEASURED = Path("docs/measured.json")
"""What that run took."""
PICTURES = {
    "docs/coperturbation.png": "results/olsson2022/figures/coperturbation.png",
    "docs/subcircuits.png": "results/singh2024/figures/subcircuits.png",
    "docs/interpolation.png": "results/wu2024/figures/interpolation.png",
}


def generated(repository: Path = REPOSITORY) -> dict[Path, str]:
    """Path, relative to the repository, to the text it must hold."""
    return {
        Path("workflow/schemas/config.json"): schema(config.Config),
        Path("workflow/schemas/study.json"): schema(config.StudyConfig),
        Path("config/README.md"): config_readme(),
        Path("README.md"): readme((repository / "README.md").read_text(encoding="utf-8"), repository),
    }


def readme(text: str, repository: Path) -> str:
    """README.md with its verdict table and rule graph brought up to date."""
    results = json.loads((repository / VERDICTS).read_text(encoding="utf-8"))
    counts = Counter(result["verdict"] for result in results)
    summary = ", ".join(
        f"{count} {verdict}" for verdict, count in sorted(counts.items(), key=lambda item: -item[1])
    )
    scales = "/".join(sorted({result["scale"] for result in results}))
    table = f"{len(results)} claims at the {scales} scale: {summary}.\n\n{markdown_table(results)}"
    taken = json.loads((repository / MEASURED).read_text(encoding="utf-8"))
    text = between(text, "measured", block(taken))
    return between(between(text, "verdicts", table), "rules", rule_graph(repository))


def rule_graph(repository: Path) -> str:
    """The rules as Snakemake draws them, as a Mermaid diagram."""
    command = [sys.executable, "-m", "snakemake", "--rulegraph", "mermaid-js", "--forceall", "--quiet"]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=repository).stdout
    names = dict(re.findall(r"(id\d+)\[([^\]]+)\]", found))
    edges = sorted({(names[a], names[b]) for a, b in re.findall(r"(id\d+) --> (id\d+)", found)})
    return "\n".join(["```mermaid", "flowchart LR", *(f"    {a} --> {b}" for a, b in edges), "```"])


def take_results(repository: Path = REPOSITORY) -> None:
    """Copy the verdicts, the README's pictures and what the jobs took from results/.

    Raises HeadworksError without a Chromium to take the picture of the claims page, after all else is copied.
    """
    plan = Plan(
        config.load(
            yaml.safe_load((repository / "config/config.yaml").read_text()), repository / "config/studies"
        )
    )
    paths = [path for study in plan.selected for path in plan.paths(study, "claims")]
    results = [read(repository / path) for path in paths]
    (repository / VERDICTS).parent.mkdir(exist_ok=True)
    (repository / VERDICTS).write_text(
        json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    taken = measure(repository / "results", plan.selected)
    (repository / MEASURED).write_text(json.dumps(taken, indent=1) + "\n", encoding="utf-8")
    for target, source in PICTURES.items():
        shutil.copyfile(repository / source, repository / target)
    picture.take(repository / "results/index.html", repository / "docs/page.png")


def write(repository: Path = REPOSITORY) -> list[Path]:
    """Bring every generated file up to date; returns those that changed."""
    changed = []
    for path, text in generated(repository).items():
        target = repository / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def schema(model: type[BaseModel]) -> str:
    return json.dumps(model.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def between(text: str, mark: str, content: str) -> str:
    """`text` with what stands between <!-- mark --> and <!-- /mark --> replaced by `content`."""
    pattern = re.compile(rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"no marks <!-- {mark} --> … <!-- /{mark} --> found")
    return pattern.sub(lambda found: f"{found[1]}{content.rstrip()}\n{found[2]}", text)


def config_readme() -> str:
    """Every key of the config, from the models that validate it."""
    parts = [
        "# The config\n",
        "`config.yaml` holds what all studies share, `studies/<study>.yaml` one paper each, readable from top to bottom as its",
        "table of experiments. `scales/*.yaml` are overlays: `snakemake --configfile config/scales/paper.yaml` lays one over",
        "both, key by key; `null` takes a key away. Your own overlay works the same way, under `studies: <study>:`. Unknown",
        "keys, values out of bounds and names that lead nowhere stop the run before anything is computed. Values on the",
        "command line (`--config`) arrive as text: use an overlay file for numbers.\n",
        "Science is here, runtime is in `profiles/`: no key of this folder changes with the machine. The device is chosen when",
        "a job runs: CUDA when it is there; `HEADWORKS_DEVICE=cpu` or `=cuda` insists.\n",
        "This file is generated from the models that check the config: `headworks docs`.\n",
    ]
    sections = [
        ("config/config.yaml", [config.Config]),
        (
            "config/studies/<study>.yaml",
            [
                config.StudyConfig,
                config.Paper,
                config.DatasetConfig,
                config.RunConfig,
                config.StartConfig,
                config.ActivationsConfig,
                config.ProbeConfig,
                config.ExperimentConfig,
                config.FigureConfig,
                view_spec.ViewSpec,
                view_spec.ViewScores,
                view_spec.ViewPhases,
                monitor_spec.ReadingSpec,
            ],
        ),
        (
            "Models and training: `runs.<run>.model`, `.train`",
            [spec.ModelSpec, spec.SmearSpec, spec.TrainSpec, spec.SnapshotSpec],
        ),
        (
            "Claims: `claims.<claim>`",
            [claim_spec.ClaimSpec, claim_spec.ControlSpec, claim_spec.Bounds, *claim_spec.STATISTICS],
        ),
    ]
    for title, models in sections:
        parts.append(f"## {title}\n")
        parts += [_documented(model) for model in models]
    for study in sorted(path.stem for path in (ROOT / "studies").iterdir() if (path / "options.py").exists()):
        options = import_module(f"headworks.studies.{study}.options")
        parts.append(f"## Options of {study}\n")
        if hasattr(options, "Clamp"):
            parts.append(_documented(options.Clamp, "runs: `clamps.<condition>`"))
        for room, classes in (
            ("datasets", options.DATASETS),
            ("experiments", options.EXPERIMENTS),
            ("figures", options.FIGURES),
        ):
            parts += [_documented(model, f"{room}: kind `{kind}`") for kind, model in classes.items()]
    return "\n".join(parts)


def _documented(model: type[BaseModel], title: str | None = None) -> str:
    text = " ".join((model.__doc__ or "").split())
    rows = [f"### {title or model.__name__}\n", text, ""]
    if model.model_fields:
        rows += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else _code(_default(field))
        rows.append(
            f"| `{field.alias or name}` | {_cell(_type(field))} | {default} | {_cell(field.description or '')} |"
        )
    return "\n".join(rows) + "\n"


def _default(field) -> object:
    value = field.default if field.default is not PydanticUndefined else field.default_factory()
    return value.model_dump() if isinstance(value, BaseModel) else value


def _type(field) -> str:
    text = _plain(field.annotation)
    bounds = [
        str(item)
        for item in field.metadata
        if "ge=" in str(item) or "gt=" in str(item) or "le=" in str(item) or "lt=" in str(item)
    ]
    found = re.findall(r"(ge|gt|le|lt)=([-\d.]+)", " ".join(bounds))
    signs = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    return text + "".join(f" {signs[kind]} {value}" for kind, value in dict.fromkeys(found))


def _plain(annotation) -> str:
    """A type as people write it."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " / ".join(f"`{value}`" for value in arguments)
    if origin is typing.Annotated:
        return _plain(arguments[0])
    if origin in (dict, list, tuple):
        return f"{origin.__name__} of {', '.join(dict.fromkeys(_plain(x) for x in arguments if x is not Ellipsis))}"
    if arguments:
        return " or ".join(dict.fromkeys(_plain(x) for x in arguments if x is not type(None)))
    return getattr(annotation, "__name__", str(annotation))


def _code(value: object) -> str:
    return "none" if value is None else f"`{json.dumps(value, ensure_ascii=False)}`"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
