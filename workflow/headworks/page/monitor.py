"""What to monitor: the readings that a study declares, taken from its tables."""

import math

import numpy as np
import pandas as pd

from headworks.errors import HeadworksError
from headworks.monitor_spec import ReadingSpec
from headworks.statistics import mean_interval, meets

LEVEL = 0.95
ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}


def reading(spec: ReadingSpec, table: pd.DataFrame, origin: str) -> dict:
    """A reading's rows for the page: label, value, interval (95 %), values by replica and how many have none.

    `origin` opens error messages. Raises HeadworksError if the table lacks a column or no row meets `where`.
    """
    _check(spec, table, origin)
    rows = table[meets(table, spec.where, spec.replicas)]
    if rows.empty:
        raise HeadworksError(f"{origin}: where: no row of the table {spec.table!r} meets it")
    everyone = sorted(rows[spec.replicas].unique().tolist())
    return {
        "question": spec.question,
        "title": spec.title,
        "watch": spec.watch,
        "table": spec.table,
        "rows": [_row(label, values, everyone, spec) for label, values in _groups(spec, rows)],
        "replicas": len(everyone),
        "effective": _effective(spec, rows) if spec.rank == spec.column else None,
    }


def effective_number(scores) -> float:
    """How many heads share a total: (sum of s)^2 / (sum of s^2) of the positive scores [h], the participation ratio.

    1 where one head has all of it, h where h heads have equal parts; NaN where none is positive.
    """
    scores = np.clip(np.asarray(scores, float), 0, None)
    return float(scores.sum() ** 2 / (scores**2).sum()) if (scores > 0).any() else math.nan


def _groups(spec: ReadingSpec, rows: pd.DataFrame):
    """Label and rows of each row of the page, in the order of the table or of the ranks."""
    keys = list(spec.by)
    if spec.rank:
        within = rows.groupby([spec.replicas, *keys], sort=False)[spec.rank]
        rows = rows.assign(rank_=within.rank(method="first", ascending=False))
        group = rows.groupby(keys, sort=False).ngroup() if keys else 0
        rows = rows.assign(group_=group).sort_values(["group_", "rank_"], kind="stable")
        rows = rows[rows["rank_"] <= spec.most]
        keys = [*keys, "rank_"]
    if not keys:
        return [(spec.title, rows)]
    found = []
    for values, part in rows.groupby(keys, sort=False):
        *named, last = values
        shown = (*named, ordinal(int(last))) if spec.rank else values
        found.append((spec.label(shown), part))
    return found


def ordinal(n: int) -> str:
    return ORDINALS.get(n, f"{n}th")


def _row(label: str, part: pd.DataFrame, everyone: list, spec: ReadingSpec) -> dict:
    values = part.groupby(spec.replicas)[spec.column].mean().reindex(everyone).astype(float)
    finite = values[np.isfinite(values)]
    low, high = mean_interval(finite, LEVEL)
    return {
        "label": label,
        "value": finite.mean(),
        "interval": [low, high],
        "values": finite.tolist(),
        "without": len(values) - len(finite),
    }


def _effective(spec: ReadingSpec, rows: pd.DataFrame) -> list[dict]:
    """The effective number of heads of each group, replica by replica."""
    groups = rows.groupby(spec.by, sort=False) if spec.by else [((), rows)]
    found = []
    for values, part in groups:
        numbers = [effective_number(of[spec.column]) for _, of in part.groupby(spec.replicas)]
        numbers = [x for x in numbers if math.isfinite(x)]
        label = spec.label(values) if values else ""
        found.append({"label": label, "value": float(np.mean(numbers)) if numbers else None})
    return found


def _check(spec: ReadingSpec, table: pd.DataFrame, origin: str) -> None:
    needed = [spec.column, *spec.by, *spec.where, spec.replicas, *([spec.rank] if spec.rank else [])]
    for column in needed:
        if column not in table:
            raise HeadworksError(
                f"{origin}: the table {spec.table!r} has no column {column!r}; it has {', '.join(table)}"
            )
    for column in filter(None, (spec.column, spec.rank)):
        if not pd.api.types.is_numeric_dtype(table[column]):
            raise HeadworksError(f"{origin}: column {column!r} holds text; a reading needs numbers")
