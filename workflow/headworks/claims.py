"""From a claim and its tables to a verdict.

The rules, in the order in which they decide:

1. underpowered: fewer replicas with a defined value than `seeds`, or more than a third without one.
2. not reproduced: the interval lies outside the criterion.
3. unsound: the claim's value meets the criterion, and so does the control's.
4. underpowered: the interval straddles an end of the criterion, and so few replicas could not do better.
5. inconclusive: the interval straddles an end of the criterion, or lies inside while the control's straddles.
6. reproduced: the interval lies inside the criterion, and the control's outside it.

Replicas without a defined value are named under `missing`. In a fraction of replicas (order, column_order, or
fraction of one row each) they count, as the outcome that is farther from the criterion. A control that is
undefined in every replica (no head passes the threshold in one layer) does not meet the criterion: it has not
passed, and its state says "undefined".
"""

import json
import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from headworks.claim_spec import Bounds, ClaimSpec, Statistic
from headworks.errors import HeadworksError
from headworks.statistics import exact_interval, is_yes_or_no, mean_interval, per_replica

DIGITS = 6
MOST_MISSING = 1 / 3
MOST_REPLICAS = 200


@dataclass(frozen=True)
class Measurement:
    """A statistic's values by replica, their mean and its interval."""

    values: pd.Series
    value: float
    interval: tuple[float, float]
    is_fraction: bool

    @property
    def missing(self) -> list:
        return self.values.index[self.values.isna()].tolist()

    @property
    def n_defined(self) -> int:
        return int(self.values.notna().sum())


def evaluate(
    study: str,
    name: str,
    claim: ClaimSpec,
    tables: dict[str, pd.DataFrame],
    *,
    scale: str,
    provenance: dict,
) -> dict:
    """The verdict and all that it rests on, ready for JSON. `tables`: the claim's and its control's."""
    origin = f"claim {study}.{name}"
    measured = _measure(claim, claim.statistic, claim.table, tables, origin)
    control = _measure(claim, claim.control_statistic, claim.control_table, tables, f"{origin}, control")
    verdict, reason = decide(claim, measured, control)
    return rounded(
        {
            "study": study,
            "claim": name,
            "statement": claim.statement,
            "source": claim.source,
            "reported": claim.reported,
            "reported_value": claim.reported_value,
            "verdict": verdict,
            "reason": reason,
            "value": measured.value,
            "interval": list(measured.interval),
            "level": claim.level,
            "statistic": claim.statistic.model_dump(mode="json", exclude_unset=True),
            "replicas": claim.replicas,
            "seeds": _seeds(measured),
            "missing": measured.missing,
            "criterion": {**claim.criterion.model_dump(exclude_none=True), "text": str(claim.criterion)},
            "control": _control(claim, control),
            "figure": claim.figure,
            "table": claim.table,
            "scale": scale,
            "beyond_paper": claim.beyond_paper,
            "note": claim.note,
            "provenance": provenance,
        }
    )


def _control(claim: ClaimSpec, control: Measurement) -> dict:
    state = control_state(claim.criterion, control)
    return {
        "is": claim.control.is_,
        "table": claim.control_table,
        "changes": claim.control.changes,
        "value": control.value,
        "interval": list(control.interval),
        "passed": state == "passed",
        "state": state,
        "seeds": _seeds(control),
        "missing": control.missing,
    }


def _measure(claim: ClaimSpec, statistic: Statistic, table: str, tables: dict, origin: str) -> Measurement:
    if table not in tables:
        raise HeadworksError(f"{origin}: table {table} was not given; given: {', '.join(tables) or 'none'}.")
    values = per_replica(statistic, tables[table], f"{origin}, table {table}", claim.replicas)
    defined = values.dropna()
    is_fraction = is_yes_or_no(statistic, tables[table], claim.replicas)
    if len(defined) == 0:
        return Measurement(values, math.nan, (math.nan, math.nan), is_fraction)
    if is_fraction:
        counted = values.fillna(_farther_outcome(claim.criterion))
        low, high = exact_interval(counted.sum(), len(counted), claim.level)
        return Measurement(values, float(counted.mean()), (float(low), float(high)), is_fraction)
    low, high = np.clip(mean_interval(defined, claim.level), *statistic.limits)
    return Measurement(values, float(defined.mean()), (float(low), float(high)), is_fraction)


def _farther_outcome(criterion: Bounds) -> float:
    """Of the outcomes 0 and 1, the one farther from the criterion."""
    return 0.0 if criterion.low > 1 - criterion.high else 1.0


def decide(claim: ClaimSpec, measured: Measurement, control: Measurement) -> tuple[str, str]:
    """The verdict and the reason for it in a sentence, by the rules that open this module."""
    criterion, (low, high) = claim.criterion, measured.interval
    n, n_missing = measured.n_defined, len(measured.missing)
    state = control_state(criterion, control)
    if n < claim.seeds:
        return "underpowered", f"Only {n} of the {claim.seeds} replicas needed gave a value."
    if n_missing > MOST_MISSING * len(measured.values):
        return "underpowered", f"{n_missing} of {len(measured.values)} replicas, over a third, gave no value."
    if criterion.misses(low, high):
        return "not reproduced", "The interval lies outside the criterion."
    if state == "passed" and criterion.contains(measured.value):
        return "unsound", "The control meets the criterion too, so meeting it tells nothing."
    if not (criterion.contains(low) and criterion.contains(high)):
        if measured.is_fraction and not _attainable(criterion, len(measured.values), claim.level):
            return "underpowered", _replicas_needed(criterion, claim.level)
        return "inconclusive", "The interval straddles an end of the criterion."
    if state == "unclear":
        return "inconclusive", "The interval lies inside the criterion, but the control's not outside."
    how = "is undefined" if state == "undefined" else "fails it"
    return "reproduced", f"The interval lies inside the criterion and the control {how}."


def control_state(criterion: Bounds, control: Measurement) -> str:
    """passed: its value meets the criterion; failed: its interval lies outside; unclear; or undefined."""
    if control.n_defined == 0:
        return "undefined"
    if criterion.contains(control.value):
        return "passed"
    return "failed" if criterion.misses(*control.interval) else "unclear"


def _attainable(criterion: Bounds, n: int, level: float) -> bool:
    """Whether the exact interval of some number of successes in n lies inside the criterion."""
    low, high = exact_interval(np.arange(n + 1), n, level)
    return bool((criterion.contains(low) & criterion.contains(high)).any())


def _replicas_needed(criterion: Bounds, level: float) -> str:
    enough = (n for n in range(1, MOST_REPLICAS + 1) if _attainable(criterion, n, level))
    needed = next(enough, f"more than {MOST_REPLICAS}")
    return f"No outcome of so few replicas has its exact interval inside the criterion: {needed} are needed."


# JSON


def rounded(value):
    """The value with floats at six significant digits, Python's own types, null for NaN and infinities."""
    if isinstance(value, dict):
        return {str(key): rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    if isinstance(value, np.generic):
        return rounded(value.item())
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") + 0.0 if math.isfinite(value) else None
    return value


def dump(result: dict) -> str:
    """The same bytes for the same result, key order included."""
    return json.dumps(rounded(result), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _seeds(measured: Measurement) -> list[dict]:
    return [{"seed": seed, "value": value} for seed, value in measured.values.items()]


# Tables for people
