"""Small tables of the shapes that the experiments of Singh 2024 write, for the tests of its figures.

Curves are closed forms; `timing` and `toy` are the real experiments on small inputs.
"""

from singh_curve_tables import (
    HEADS,
    RUNS,
    SEEDS,
    UNCLAMPED,
    curves,
    diversity,
    diversity_curves,
    emergence,
    evaluation,
    grafts,
    grafts_curves,
    prediction,
    progress,
    sources,
    strengths,
    strengths_curves,
    strengths_timing,
    timing,
    toy,
)
from singh_head_tables import heads, patterns, routes, subsets, wiring

__all__ = ["HEADS", "RUNS", "SEEDS", "UNCLAMPED"]

BUILDERS = (curves, grafts_curves, strengths_curves, diversity_curves, timing, grafts, strengths_timing)
BUILDERS += (diversity, evaluation, strengths, emergence, progress, prediction, sources, toy)
BUILDERS += (heads, subsets, routes, wiring, patterns)
