"""Do the times of isolated parts foretell when the whole learns?

Singh 2024, section 5, suggests that they might. A product model (`threefactor`) turns three isolated times
into that of the whole. It has one constant, the common start, which is fitted on some seeds and used on the
others.
"""

import math

import numpy as np
import pandas as pd

from headworks.errors import HeadworksError
from headworks.measures.learning import LEARNED
from headworks.studies.singh2024.threefactor import FACTORS, fit_start, predicted_time, rate

DATA = ["n_classes", "n_labels"]
TIMES = [f"{factor}_time" for factor in FACTORS]


def table(options, inputs) -> pd.DataFrame:
    """One row per seed and data (classes and labels) that the whole was trained on; times are learning
    times, in training sequences seen, infinite for what was never learned and NaN for what was not run.

    Columns: run (of the whole), seed, n_classes, n_labels, held_out, fold, start (fitted), a_time, b_time,
    c_time, predicted, observed, censored (1: the whole did not learn), log_error (|log(predicted /
    observed)|, NaN where censored), baseline_log_error (the geometric mean of the observed times of the fit
    instead), shuffled_log_error (predicted from the isolated times of another seed of the same data, a
    control).

    held_out: seeds, for the data of the first run of the whole in the table: its constant is fitted on the
    other folds' seeds. classes, labels or both, for other data, which no fit has seen; a seed gets the
    constant of the fit without it.
    """
    times = paired(options, inputs)
    base = (times[DATA] == times[DATA].iloc[0]).all(axis=1)
    seeds = np.sort(times["seed"].unique())
    folds = dict(zip(seeds, np.arange(len(seeds)) % options.folds, strict=True))
    times["fold"] = times["seed"].map(folds)
    times["held_out"] = [_held_out(row, times.iloc[0]) for _, row in times.iterrows()]
    times["start"] = times["baseline"] = math.nan
    for fold in sorted(set(folds.values())):
        seen = times[base & (times["fold"] != fold)]
        times.loc[times["fold"] == fold, ["start", "baseline"]] = fitted(seen)
    times["predicted"] = predicted(times, times[TIMES])
    others = times.groupby(DATA, sort=False)[TIMES].transform(_of_the_next)
    errors = {
        "log_error": times["predicted"],
        "baseline_log_error": times["baseline"],
        "shuffled_log_error": predicted(times, others),
    }
    for name, foretold in errors.items():
        times[name] = log_error(foretold, times["observed"])
    times["censored"] = np.isinf(times["observed"]).astype(int)
    order = ["run", "seed", *DATA, "held_out", "fold", "start", *TIMES, "predicted", "observed", "censored"]
    return times[order + list(errors)]


def paired(options, inputs) -> pd.DataFrame:
    """Isolated and observed times, one row per data and seed of the whole, in the order of the table."""
    if len(inputs.tables) != 1:
        raise HeadworksError(
            f"tables: found {', '.join(inputs.tables) or 'none'}; needed is one of kind timing"
        )
    if set(options.isolated) != set(FACTORS):
        raise HeadworksError(f"options.isolated: found {', '.join(options.isolated)}; needed are a, b and c")
    (timing,) = inputs.tables.values()
    found = _learned(timing, options.full, "options.full")[["run", *DATA, "seed", "learned"]]
    found = found.rename(columns={"learned": "observed"})
    for factor, column in zip(FACTORS, TIMES, strict=True):
        part = _learned(timing, options.isolated[factor], f"options.isolated.{factor}")
        part = part[[*DATA, "seed", "learned"]].rename(columns={"learned": column})
        found = found.merge(part, on=[*DATA, "seed"], how="left")
    return found


def _learned(timing: pd.DataFrame, condition: str, key: str) -> pd.DataFrame:
    rows = timing[timing["condition"] == condition]
    if not len(rows):
        known = ", ".join(sorted(timing["condition"].unique()))
        raise HeadworksError(f"{key}: the table has no condition {condition}; there are {known}")
    twice = rows.duplicated([*DATA, "seed"])
    if twice.any():
        runs = " and ".join(rows["run"].unique())
        raise HeadworksError(
            f"{key}: {runs} have the condition {condition} with the same seeds, classes and labels; which "
            "counts is not clear, so leave one out of the table"
        )
    return rows


def _held_out(row: pd.Series, base: pd.Series) -> str:
    classes, labels = (row[name] != base[name] for name in DATA)
    if classes and labels:
        return "both"
    return "classes" if classes else "labels" if labels else "seeds"


def fitted(seen: pd.DataFrame) -> tuple[float, float]:
    """The product model's start, and the geometric mean of the observed times; NaN if not known."""
    learned = seen["observed"][np.isfinite(seen["observed"])]
    baseline = math.exp(np.log(learned).mean()) if len(learned) else math.nan
    if not np.isfinite(seen[[*TIMES, "observed"]]).all(axis=1).any():
        return math.nan, baseline
    return fit_start(seen[TIMES].to_numpy(), seen["observed"].to_numpy(), LEARNED), baseline


def predicted(times: pd.DataFrame, isolated: pd.DataFrame) -> pd.Series:
    """Times of the whole from `isolated` [row, factor] with each row's start; NaN without one."""
    found = pd.Series(math.nan, times.index)
    for start, rows in times.groupby("start").groups.items():
        rates = rate(isolated.loc[rows].to_numpy(), start, LEARNED)
        found[rows] = predicted_time(rates, start, LEARNED)
    return found


def log_error(foretold: pd.Series, observed: pd.Series) -> pd.Series:
    """|log(foretold / observed)|; NaN where the observed time is not finite."""
    known = observed.where(np.isfinite(observed))
    return (np.log(foretold) - np.log(known)).abs()


def _of_the_next(column: pd.Series) -> pd.Series:
    """Each seed gets the next one's value, the last the first's; NaN for a single seed."""
    rolled = np.roll(column.to_numpy(float), -1)
    return pd.Series(rolled if len(column) > 1 else math.nan, column.index)
