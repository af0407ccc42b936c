"""Attention patterns, scores and losses of a few runs over training, packed small for the page's head viewer.

Patterns become greyscale PNGs, one a run, seed and sequence: a row of tiles a snapshot, a tile a head, heads layer by
layer. A pixel is one weight of a pattern, its query by row and its key by column: 255 is an attention of 1, so that
rounding moves no weight by more than 1/510.
"""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from PIL import Image

from headworks.errors import HeadworksError

if TYPE_CHECKING:
    from headworks.readers import ActivationsReader, DatasetReader, Inputs, RunReader

FULL = 255
"""The pixel of an attention of 1."""
LOSSES = 240
"""Points of a loss curve, means of as many stretches of training."""


def export(spec: dict, inputs: Inputs, where: str) -> dict:
    """All that the viewer shows of one view (`ViewSpec`, as a dict with its runs listed), ready for JSON.

    Times are in steps; `clock_per_step` of a run turns them into tokens or sequences. `where` names the view in
    errors: HeadworksError if a table lacks a declared column.
    """
    return {key: spec[key] for key in ("title", "about", "clock", "first_layer")} | {
        "full": FULL,
        "scores": [label for _, label in spec["scores"]["columns"]] if spec["scores"] else [],
        "runs": [_run(name, spec, inputs, where) for name in spec["runs"]],
    }


def _run(name: str, spec: dict, inputs: Inputs, where: str) -> dict:
    run, cached = inputs.runs[name], inputs.activations[spec["activations"]][name]
    rows = thinned(len(cached.snapshots), spec["snapshots"])
    steps = [run.steps[cached.snapshots[row]] for row in rows]
    seeds = spec["seeds"] or run.seeds[:1]
    replicas = [run.seeds.index(seed) for seed in seeds]
    probes = [
        {"label": label, "sequences": sequences(run.dataset, cached.tokens(probe), spec)}
        for probe, label in spec["probes"]
    ]
    sheets = [_sheets(cached, probe, rows, replicas, spec) for probe, _ in spec["probes"]]
    return {
        "name": name,
        "label": spec["labels"][name],
        "layers": run.model_spec.n_layers,
        "heads": run.model_spec.n_heads,
        "clock_per_step": clock_per_step(run, spec["clock"]),
        "steps": steps,
        "probes": probes,
        "seeds": [
            _seed(run, replica, spec, inputs, where) | {"sheets": [probe[row] for probe in sheets]}
            for row, replica in enumerate(replicas)
        ],
    }


def _seed(run: RunReader, replica: int, spec: dict, inputs: Inputs, where: str) -> dict:
    """What is drawn beside the patterns of one replica."""
    about = {
        "seed": run.seeds[replica],
        "diverged": int(run.diverged[replica]) if run.diverged[replica] >= 0 else None,
        "loss": loss_curve(run.loss()[:, replica]),
        "scores": None,
        "window": None,
    }
    if spec["scores"]:
        rows = _of_replica(inputs, spec["scores"]["table"], run, replica, f"{where}.scores")
        about["scores"] = head_scores(rows, spec, run, f"{where}.scores")
    if spec["phases"]:
        rows = _of_replica(inputs, spec["phases"]["table"], run, replica, f"{where}.phases")
        about["window"] = phase_window(rows, spec, run, f"{where}.phases")
    return about


def thinned(count: int, most: int) -> list[int]:
    """At most `most` of the indices below `count`, evenly, with the first and, unless `most` is 1, the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def clock_per_step(run: RunReader, clock: str) -> float:
    """Tokens or sequences that one update shows a replica."""
    tokens = run.train_spec.batch * run.dataset.n_context
    return tokens if clock == "tokens" else tokens / run.dataset.n_context


def sequences(dataset: DatasetReader, tokens: np.ndarray, spec: dict) -> list[dict]:
    """The texts of the tokens [sequence, position + 1] that a reader sees, and of the one that follows them."""
    shown = tokens[: spec["sequences"]]
    length = min(shown.shape[1] - 1, spec["positions"] or shown.shape[1])
    texts = [token_texts(dataset, row[: length + 1]) for row in shown]
    return [{"tokens": text[:-1], "next": text[-1]} for text in texts]


def token_texts(dataset: DatasetReader, tokens: np.ndarray) -> list[str]:
    """What tokens [position] read as; vectors, which have no text, as letters in their order of appearance."""
    letters: dict[int, str] = {}
    texts = []
    for token in tokens.tolist():
        if token < dataset.d_vocab:
            texts.append(dataset.vocabulary[token])
        else:
            texts.append(letters.setdefault(token, _letter(len(letters))))
    return texts


def _letter(index: int) -> str:
    """A to Z, then A1 and so on."""
    return chr(ord("A") + index % 26) + (str(index // 26) if index >= 26 else "")


def _sheets(
    cached: ActivationsReader, probe: str, rows: list[int], replicas: list[int], spec: dict
) -> list[list[str]]:
    """Sheets by replica and sequence."""
    until = slice(spec["positions"])
    chosen = slice(spec["sequences"])
    layers = [
        np.stack(
            [
                cached.get(probe, f"blocks.{layer}.attn.pattern", row)[replicas, chosen, :, until, until]
                for row in rows
            ]
        )
        for layer in range(cached.n_layers)
    ]
    patterns = np.concatenate(layers, axis=3).transpose(1, 2, 0, 3, 4, 5)
    return [[sheet(sequence) for sequence in replica] for replica in patterns]


def sheet(patterns: np.ndarray) -> str:
    """Patterns [snapshot, head, query, key] within 0 and 1 as one PNG, in base64; NaN, of a diverged replica, as 0."""
    snapshots, heads, queries, keys = patterns.shape
    pixels = (np.nan_to_num(patterns).clip(0, 1) * FULL).round().astype(np.uint8)
    tiled = pixels.transpose(0, 2, 1, 3).reshape(snapshots * queries, heads * keys)
    buffer = io.BytesIO()
    Image.fromarray(tiled).save(buffer, "PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def loss_curve(losses: np.ndarray) -> dict[str, list]:
    """Losses [step] in nats as means of at most `LOSSES` stretches, each at its middle step."""
    parts = np.array_split(np.arange(1, len(losses) + 1), min(LOSSES, len(losses)))
    return {
        "steps": [float(part.mean()) for part in parts],
        "values": [short(losses[part - 1].mean()) for part in parts],
    }


def head_scores(rows: pd.DataFrame, spec: dict, run: RunReader, key: str) -> dict:
    """Scores of one replica: `steps`, and `values` [score][head], heads layer by layer, a number or None a step.

    Raises HeadworksError naming `key` if the table lacks a column or has several rows for a head and step.
    """
    table, columns = spec["scores"]["table"], [column for column, _ in spec["scores"]["columns"]]
    _check_columns(rows, [*columns, "step", "layer", "head"], key, table)
    layer, per_layer = rows["layer"] - spec["first_layer"], run.model_spec.n_heads
    # rows about a whole replica may stand beside those of its heads, with numbers that no head has
    of_heads = layer.between(0, run.model_spec.n_layers - 1) & rows["head"].between(0, per_layer - 1)
    rows = rows.assign(index=layer * per_layer + rows["head"])[of_heads]
    if rows.duplicated(["index", "step"]).any():
        raise HeadworksError(f"{key}: {table!r} has several rows a head and step of {run.name}; allowed: one")
    steps = sorted(rows["step"].unique().tolist())
    heads = range(run.model_spec.n_layers * per_layer)
    wide = [rows.pivot(index="index", columns="step", values=column) for column in columns]
    return {
        "steps": steps,
        "values": [
            [[short(value) for value in head] for head in one.reindex(index=heads, columns=steps).to_numpy()]
            for one in wide
        ],
    }


def phase_window(rows: pd.DataFrame, spec: dict, run: RunReader, key: str) -> list[float] | None:
    """First and last step of the phase change of one replica; None where the table has none.

    Raises HeadworksError naming `key` if the table lacks a column or has several rows for the replica.
    """
    columns = [spec["phases"]["start"], spec["phases"]["end"]]
    _check_columns(rows, columns, key, spec["phases"]["table"])
    if len(rows) > 1:
        raise HeadworksError(
            f"{key}: {spec['phases']['table']!r} has {len(rows)} rows a seed of {run.name}; allowed: one"
        )
    times = rows[columns].to_numpy(float).ravel()
    if not len(times) or not np.isfinite(times).all():
        return None
    return [short(time / clock_per_step(run, spec["clock"])) for time in times]


def _of_replica(inputs: Inputs, table: str, run: RunReader, replica: int, key: str) -> pd.DataFrame:
    """The rows of a table about one replica."""
    frame = inputs.tables[table]
    _check_columns(frame, ["run", "seed"], key, table)
    rows = frame[(frame["run"] == run.name) & (frame["seed"] == run.seeds[replica])]
    return rows[rows["condition"] == run.conditions[replica]] if "condition" in frame else rows


def _check_columns(frame: pd.DataFrame, wanted: list[str], key: str, table: str) -> None:
    if missing := [column for column in wanted if column not in frame]:
        raise HeadworksError(
            f"{key}: {missing[0]!r} is not a column of the table {table!r}; allowed: {', '.join(frame.columns)}"
        )


def short(value: float) -> float | None:
    """A number to four digits; None for what is not a number, which JSON has no word for."""
    return float(f"{value:.4g}") if math.isfinite(value) else None
