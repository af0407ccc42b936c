"""What stands behind a claim: the jobs, what each took, its block of the config, and when its criterion was fixed."""

import json
import subprocess
from functools import cache
from pathlib import Path

import h5py
import yaml


def behind(path: str, known: dict[str, dict], root: Path = Path()) -> list[dict]:
    """The artefacts that the one at `path` was made from, however far, itself last; each as `described`.

    Read from what the files say of themselves, so that the page tells what was used and not what was planned.
    `known` holds those already described, and gets the others.
    """
    ordered: dict[str, dict] = {}

    def visit(name: str) -> None:
        if name in ordered:
            return
        if name not in known:
            known[name] = described(name, root)
        for needed in known[name]["inputs"]:
            visit(needed)
        ordered[name] = known[name]

    visit(path)
    return list(ordered.values())


def described(path: str, root: Path = Path()) -> dict:
    """What a table or an HDF5 artefact says of itself, and what its benchmark file measured.

    `seconds` is wall time, `memory` the peak in MB; null where not measured, and
    `on_disk` is false for an artefact that was deleted after use.
    """
    room, name = Path(path).parent.name, Path(path).stem
    about = {"path": path, "room": room, "name": name, "on_disk": (root / path).exists(), "inputs": []}
    if about["on_disk"]:
        about |= _identity(root / path)
    return about | benchmark(path, root)


def _identity(path: Path) -> dict:
    if path.suffix == ".csv":
        with open(path, "rb") as file:
            said = json.loads(file.readline().removeprefix(b"# "))
        return {"key": said["key"], "code": said["code"], "inputs": list(json.loads(said["inputs"]))}
    with h5py.File(path, "r") as file:
        found = {
            "key": file.attrs["key"],
            "code": file.attrs["code"],
            "inputs": list(json.loads(file.attrs["inputs"])),
            "versions": json.loads(file.attrs["versions"]),
        }
        if "device" in file.attrs:
            found["device"] = str(file.attrs["device"])
        if "seeds" in file:
            found["seeds"] = sorted({int(seed) for seed in file["seeds"][:]})
    return found


def benchmark(path: str, root: Path = Path()) -> dict:
    """What Snakemake measured of the job that made `path`, in seconds and MB."""
    artefact = Path(path)
    file = root / artefact.parents[1] / "benchmarks" / artefact.parent.name / f"{artefact.stem}.jsonl"
    taken = {"seconds": None, "memory": None}
    lines = file.read_text(encoding="utf-8").strip().splitlines() if file.exists() else []
    if lines:
        measured = json.loads(lines[-1])
        for ours, theirs in (("seconds", "s"), ("memory", "max_rss")):
            value = measured.get(theirs)
            taken[ours] = float(value) if isinstance(value, int | float) else None
    return taken


def config_blocks(folder: Path, study: str) -> dict[str, dict]:
    """Claim → its block in the study's file: path, first and last line, and the text as it stands there."""
    for path in sorted(folder.glob("*.y*ml")):
        text = path.read_text(encoding="utf-8")
        body = _pairs(yaml.compose(text, Loader=_Loader))
        if body.get("study") is not None and body["study"][1].value == study and "claims" in body:
            lines = text.splitlines()
            claims = body["claims"][1].value
            starts = [key.start_mark.line for key, _ in claims]
            ends = [*starts[1:], body["claims"][1].end_mark.line]
            return {
                key.value: _block(path, lines, start, end)
                for (key, _), start, end in zip(claims, starts, ends, strict=True)
            }
    return {}


_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def _pairs(node: yaml.Node | None) -> dict[str, tuple]:
    return {pair[0].value: pair for pair in node.value} if isinstance(node, yaml.MappingNode) else {}


def _block(path: Path, lines: list[str], start: int, end: int) -> dict:
    """Without the blank lines and comments before the next entry, which belong to that one."""
    while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
        end -= 1
    indent = len(lines[start]) - len(lines[start].lstrip())
    return {
        "path": path.as_posix(),
        "first": start + 1,
        "last": end,
        "text": "\n".join(line[indent:] for line in lines[start:end]),
    }


@cache
def commit_date(commit: str | None) -> str | None:
    """The day on which a commit was made, YYYY-MM-DD; None for no commit or without git."""
    if commit is None or commit == "uncommitted":
        return None
    command = ["git", "show", "--no-patch", "--format=%cs", commit]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() or None
    except (OSError, subprocess.CalledProcessError):
        return None
