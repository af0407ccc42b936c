"""Two made-up studies as `gather` would leave them: every verdict, a claim without a value, markup in the words."""

from headworks.claims import rounded

WIDE, NARROW = (1400, 900), (390, 844)
"""Windows, in pixels."""
FIGURE = '<g><rect id="{prefix}box" x="10" y="10" width="80" height="30" fill="#1f7dbd"/></g>'
SCRIPT = "<script>document.title = 'taken over'</script> is shown as it is written & not run."
CLAIMS = {
    "first": [
        ("appears", "reproduced", "Heads that match prefixes appear.", 0.86, (0.82, 0.91), {"at_least": 0.4}, 0.85),
        ("stays-low", "not reproduced", "The loss stays low.", 2.1, (1.8, 2.4), {"at_most": 1.5}, None),
        ("escaped", "inconclusive", SCRIPT, 0.5, (0.1, 0.9), {"between": [0.4, 0.6]}, None),
        ("nothing", "underpowered", "A head completes abstract patterns.", None, (None, None), {"above": 0.5}, 0.65),
    ],
    "second": [
        ("copies", "unsound", "The copy waits for the match.", 3.0, (2.5, 3.5), {"at_least": 1}, 2.9),
        ("many", "reproduced", "Many seeds agree.", 1.0, (0.9, 1.1), {"at_least": 0.5}, None),
    ],
}  # fmt: skip
CONTROLS = {"copies": (2.0, "passed"), "nothing": (None, "undefined"), "stays-low": (-40.0, "failed")}


def claim(study: str, row: tuple) -> dict:
    name, verdict, statement, value, interval, criterion, reported = row
    control, state = CONTROLS.get(name, (0.05, "failed"))
    n = 12 if name == "many" else 3
    spread = [None if value is None else value + 0.01 * (i - n // 2) for i in range(n)]
    near = [None, None] if control is None else [control - 0.02, control + 0.02]
    return {
        "study": study,
        "claim": name,
        "statement": statement,
        "source": "Fig. 2",
        "reported": f"About {reported}." if reported else "By eye.",
        "reported_value": reported,
        "verdict": verdict,
        "reason": "Because it is so.",
        "value": value,
        "interval": list(interval),
        "level": 0.95,
        "statistic": {"name": "mean", "column": "score"},
        "replicas": "seed",
        "seeds": [{"seed": seed, "value": x} for seed, x in enumerate(spread)],
        "missing": [] if value is not None else [0, 1, 2],
        "criterion": criterion | {"text": _said(criterion)},
        "control": {
            "is": "a one-layer model",
            "table": "scores",
            "changes": {},
            "value": control,
            "interval": near,
            "passed": state == "passed",
            "state": state,
            "seeds": [{"seed": seed, "value": control} for seed in range(n)],
            "missing": [],
        },
        "figure": "curve",
        "table": "scores",
        "scale": "test",
        "beyond_paper": name == "many",
        "note": "A remark beside the claim." if name == "copies" else None,
        "provenance": {
            "key": "c" * 16,
            "code": "d" * 16,
            "tables": {"scores": {"key": "a" * 16, "sha256": "e" * 16}},
            "versions": {"python": "3.11.7", "torch": "2.13.0"},
            "criterion_commit": "0123456789abcdef0123456789abcdef01234567",
        },
        "path": f"results/claims/{study}.{name}.json",
        "config": {
            "path": f"config/studies/{study}.yaml",
            "first": 7,
            "last": 9,
            "text": f"{name}:\n  statement: {statement}",
        },
        "criterion_date": "2026-01-02",
        "command": f"snakemake --cores all results/claims/{study}.{name}.json",
        "jobs": list(_jobs(study)),
        "seconds": 75.5,
        "memory": 512.0,
        "devices": ["cpu"],
    }


def study(name: str, note: str | None = None, monitor: list | None = None) -> dict:
    """A gathered study."""
    prefix = f"{name}.curve."
    return rounded(
        {
            "study": name,
            "scale": "test",
            "paper": {
                "title": f"The {name} paper",
                "authors": "Nobody, Else",
                "year": 2024,
                "url": "https://example.org",
                "note": note,
            },
            "claims": [claim(name, row) for row in CLAIMS[name]],
            "figures": {
                "curve": {
                    "name": "curve",
                    "path": f"results/{name}/figures/curve.svg",
                    "caption": "Scores over training.",
                    "viewbox": "0 0 100 50",
                    "content": FIGURE.format(prefix=prefix),
                }
            },
            "jobs": _jobs(name),
            "monitor": monitor or [],
        }
    )


def studies() -> list[dict]:
    return [
        study("first", monitor=[reading()]),
        study("second", note="A conceptual replication: other networks, the same question."),
    ]


def reading() -> dict:
    """One reading of two heads, as `monitor.reading` gives it."""
    return {
        "name": "heads",
        "question": "heads",
        "title": "Prefix-matching score of every head",
        "watch": "Show random tokens twice.",
        "table": "scores",
        "rows": [
            {"label": "1st", "value": 0.8, "interval": [0.7, 0.9], "values": [0.75, 0.85], "without": 0},
            {"label": "2nd", "value": 0.1, "interval": [0.0, 0.2], "values": [0.1], "without": 1},
        ],
        "replicas": 2,
        "effective": [{"label": "", "value": 1.25}],
    }


def _jobs(study: str) -> dict[str, dict]:
    run, table = f"results/{study}/runs/small.h5", f"results/{study}/tables/scores.csv"
    common = {"on_disk": True, "code": "b" * 16}
    return {
        run: common
        | {
            "path": run,
            "room": "runs",
            "name": "small",
            "inputs": [],
            "key": "f" * 16,
            "device": "cpu",
            "seeds": [0, 1, 2],
            "versions": {"torch": "2.13.0"},
            "seconds": 75.0,
            "memory": 512.0,
        },
        table: common
        | {
            "path": table,
            "room": "tables",
            "name": "scores",
            "inputs": [run],
            "key": "a" * 16,
            "seconds": 0.5,
            "memory": None,
        },
    }


def _said(criterion: dict) -> str:
    ((how, end),) = criterion.items()
    if how == "between":
        return f"{end[0]} to {end[1]}"
    return f"{ {'at_least': '≥', 'above': '>', 'at_most': '≤', 'below': '<'}[how] } {end}"
