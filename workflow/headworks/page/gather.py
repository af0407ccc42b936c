"""One study for the page: claims, figures, the jobs behind them and what to monitor, as one JSON file."""

import json
from dataclasses import asdict
from pathlib import Path

from headworks.claims import dump
from headworks.job import Input
from headworks.monitor_spec import QUESTIONS, ReadingSpec
from headworks.page import provenance
from headworks.page.monitor import reading
from headworks.page.svg import inlined
from headworks.store import read_table, write_text
from headworks.verdicts import read

STUDIES = Path("config/studies")


def gather(about: dict, claims: list[Path], root: Path = Path()) -> dict:
    """All that the page says of one study, ready for JSON.

    `about` is what the rule knows and no file says: study, paper, scale, captions (figure → text), monitor (name →
    reading) and tables (name → Input of the readings). Raises HeadworksError for a missing, stale or foreign file.
    """
    study = about["study"]
    blocks = provenance.config_blocks(root / STUDIES, study)
    results = [read(root / path) for path in claims]
    jobs: dict[str, dict] = {}
    shown = [_claim(result, blocks.get(result["claim"]), jobs, root) for result in results]
    return {
        "study": study,
        "paper": about["paper"],
        "scale": about["scale"],
        "claims": shown,
        "figures": {name: _figure(study, name, caption, root) for name, caption in about["captions"].items()},
        "jobs": jobs,
        "monitor": _monitor(about, root),
    }


def write(about: dict, claims: list[Path], out: Path) -> None:
    """Gather one study into `out`."""
    write_text(out, dump(gather(about, claims)))


def _claim(result: dict, block: dict | None, known: dict[str, dict], root: Path) -> dict:
    """A claim file with what is known of its making: the wall time of all jobs behind it, the memory of the largest."""
    study, name = result["study"], result["claim"]
    path = f"results/claims/{study}.{name}.json"
    tables = [f"results/{study}/tables/{table}.csv" for table in result["provenance"]["tables"]]
    behind = {job["path"]: job for table in tables for job in provenance.behind(table, known, root)}
    criterion_commit = result["provenance"].get("criterion_commit")
    return result | {
        "path": path,
        "config": _relative(block, root),
        "criterion_date": provenance.commit_date(criterion_commit),
        "command": command([path, f"results/{study}/figures/{result['figure']}.svg"], result["scale"]),
        "jobs": list(behind),
        "seconds": _total(behind, "seconds"),
        "memory": max((job["memory"] for job in behind.values() if job["memory"]), default=None),
        "devices": sorted({job["device"] for job in behind.values() if job.get("device")}),
    }


def command(paths: list[str], scale: str) -> str:
    """What makes artefacts anew, at the scale at which they were made."""
    overlay = "" if scale == "laptop" else f" --configfile config/scales/{scale}.yaml"
    return f"snakemake --cores all{overlay} {' '.join(paths)}"


def _total(jobs: dict[str, dict], what: str) -> float | None:
    known = [job[what] for job in jobs.values() if job[what] is not None]
    return sum(known) if known else None


def _relative(block: dict | None, root: Path) -> dict | None:
    return block and block | {"path": Path(block["path"]).relative_to(root).as_posix()}


def _figure(study: str, name: str, caption: str, root: Path) -> dict:
    path = f"results/{study}/figures/{name}.svg"
    drawing = inlined(root / path, f"{study}.{name}.")
    return {"name": name, "path": path, "caption": caption.strip()} | asdict(drawing)


def _monitor(about: dict, root: Path) -> list[dict]:
    """The readings of a study, in the order of the questions that they answer."""
    found = []
    for name, spec in about["monitor"].items():
        spec = ReadingSpec.model_validate(spec)
        item = Input(**about["tables"][spec.table])
        table = read_table(root / item.path, item)
        found.append({"name": name} | reading(spec, table, f"{about['study']}: monitor.{name}"))
    return sorted(found, key=lambda item: list(QUESTIONS).index(item["question"]))


def load(path: Path) -> dict:
    """A file that `write` wrote."""
    return json.loads(Path(path).read_text(encoding="utf-8"))
