"""Verdicts for people: the terminal's table, the report's CSV, the README's Markdown."""

import json
from pathlib import Path

import pandas as pd

from headworks.errors import ArtefactError

SHAPES = {"reproduced": "●", "not reproduced": "✕", "inconclusive": "◐", "underpowered": "◌", "unsound": "⊘"}
WIDTH = 120


def verdict_table(results: list[dict]) -> str:
    """Verdicts as plain text of at most 120 columns, grouped by study."""
    if not results:
        return "No claims."
    header = ["claim", "verdict", "value [interval]", "criterion", "control", "seeds"]
    rows = [(result["study"], _cells(result)) for result in results]
    widths = [max(map(len, column)) for column in zip(header, *(cells for _, cells in rows), strict=True)]
    room = WIDTH - 2 * len(widths) - sum(widths[1:])
    widths[0] = max(len(header[0]), min(widths[0], room))
    lines = []
    for study in dict.fromkeys(study for study, _ in rows):
        lines += [f"{study} ({_scales(results, study)})", _line(header, widths)]
        lines += [_line(cells, widths) for of, cells in rows if of == study] + [""]
    lines.append(_totals(results))
    if any(result["beyond_paper"] for result in results):
        lines.append("* ours, not the paper's")
    return "\n".join(line.rstrip() for line in lines)


def read(path: Path) -> dict:
    """A claim file. Raises ArtefactError for anything else."""
    try:
        result = json.loads(Path(path).read_text(encoding="utf-8"))
        result["study"], result["claim"], result["verdict"]
    except FileNotFoundError:
        raise ArtefactError(f"{path} does not exist. Run: snakemake --cores all {path}") from None
    except (json.JSONDecodeError, KeyError, TypeError, UnicodeDecodeError):
        raise ArtefactError(
            f"{path} is not a claim file. To make it anew: rm {path} && snakemake --cores all {path}"
        ) from None
    return result


def csv_table(results: list[dict]) -> str:
    """Verdicts as CSV, one row a claim."""
    rows = [
        {
            "claim": result["claim"],
            "statement": result["statement"],
            "verdict": result["verdict"],
            "value": _value(result["value"], result["interval"]),
            "criterion": result["criterion"]["text"],
            "control": f"{result['control']['is']}: {_value(result['control']['value'], result['control']['interval'])}",
            "reported": result["reported"],
            "source": result["source"],
            "figure": result["figure"],
        }
        for result in results
    ]
    return pd.DataFrame(rows).to_csv(index=False, lineterminator="\n")


def markdown_table(results: list[dict]) -> str:
    """Verdicts as a Markdown table, one row a claim."""
    rows = [["study", "statement", "paper", "ours", "criterion", "control", "verdict"], ["---"] * 7]
    for result in results:
        control = result["control"]
        statement = result["statement"] + (" (beyond the paper)" if result["beyond_paper"] else "")
        rows.append(
            [
                result["study"],
                statement,
                f"{result['reported']} ({result['source']})",
                _value(result["value"], result["interval"]),
                result["criterion"]["text"],
                f"{control['is']}: {_value(control['value'], control['interval'])}, {control['state']}",
                f"{SHAPES[result['verdict']]} {result['verdict']}",
            ]
        )
    return "\n".join("| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in rows)


def _cells(result: dict) -> list[str]:
    n_seeds = len(result["seeds"])
    return [
        result["claim"] + ("*" if result["beyond_paper"] else ""),
        f"{SHAPES[result['verdict']]} {result['verdict']}",
        _value(result["value"], result["interval"]),
        result["criterion"]["text"],
        f"{_number(result['control']['value'])} {result['control']['state']}",
        f"{n_seeds - len(result['missing'])}/{n_seeds}" if result["missing"] else str(n_seeds),
    ]


def _line(cells: list[str], widths: list[int]) -> str:
    return "".join("  " + _fitted(cell, width) for cell, width in zip(cells, widths, strict=True))


def _fitted(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else cell[: width - 1] + "…"


def _scales(results: list[dict], study: str) -> str:
    found = dict.fromkeys(result["scale"] for result in results if result["study"] == study)
    return ", ".join(f"{scale} scale" for scale in found)


def _totals(results: list[dict]) -> str:
    counts = {verdict: sum(result["verdict"] == verdict for result in results) for verdict in SHAPES}
    parts = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    return f"{len(results)} claim{'s' if len(results) != 1 else ''}: {parts}"


def _value(value: float | None, interval: list) -> str:
    ends = "" if None in interval else f" [{_number(interval[0])}, {_number(interval[1])}]"
    return _number(value) + ends


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _escaped(cell: str) -> str:
    return " ".join(cell.split()).replace("|", "\\|")
