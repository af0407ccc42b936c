"""The options of this study's datasets, clamps, experiments and figures, as the YAML may give them."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat, PositiveInt

from headworks.names import Name
from headworks.spec import Spec
from headworks.studies.singh2024.circuit import Clamp
from headworks.studies.singh2024.figure_options import FIGURES
from headworks.studies.singh2024.spec import DATASETS

__all__ = ["DATASETS", "EXPERIMENTS", "FIGURES", "Clamp"]

Share = Annotated[float, Field(ge=0, le=1)]


class Curves(Spec):
    """Training loss of every replica, averaged over stretches of fresh sequences."""

    width: PositiveInt = Field(5000, description="Training sequences of one average.")


class Timing(Spec):
    """When each replica learns, and whether its change is a phase change or smooth, read from tables of curves."""

    onset_after: PositiveInt = Field(
        30000, description="Training sequences before which the onset is not sought."
    )
    seed: int = Field(0, ge=0, description="Seed of the permutation of conditions, the control.")


class Evaluation(Spec):
    """Loss and accuracy of every replica on the four kinds of evaluation sequence, under its own clamps."""

    snapshots: PositiveInt = Field(2, description="Snapshots, evenly spaced, first and last included.")


class Emergence(Spec):
    """Strength of every head over training, from cached patterns: induction in layer 2, previous token in layer 1."""

    activations: Name = Field("episodes", description="Entry of `activations` with the probe 'episodes'.")


class Heads(Spec):
    """Every head of layer 2 after training: alone, left out, with a perfect match; on all training sequences."""

    examples: PositiveInt | None = Field(
        None, description="Use this many training sequences, evenly spaced; all when left out."
    )


class Subsets(Spec):
    """All subsets of layer 2's heads: does each add to the log-odds on its own?"""

    examples: PositiveInt | None = Field(
        None, description="Use this many training sequences, evenly spaced; all when left out."
    )


class Routes(Spec):
    """Heads of layer 1, or a whole layer, ablated with later patterns, values or both preserved."""

    snapshots: PositiveInt = Field(2, description="Snapshots, evenly spaced, first and last included.")
    examples: PositiveInt | None = Field(
        None, description="Use this many training sequences, evenly spaced; all when left out."
    )
    previous: Share = Field(
        0.6,
        description="Mean attention from labels to the token before from which a head counts as previous-token.",
    )


class Wiring(Spec):
    """One head of layer 1 and one of layer 2 at a time, and the composition of their weights."""

    examples: PositiveInt | None = Field(
        None, description="Use this many training sequences, evenly spaced; all when left out."
    )


class Progress(Spec):
    """Clamps put on snapshots of a run that trained without: progress measures (App. D.2)."""

    condition: Name = Field(description="Condition of the run whose snapshots are measured.")
    measures: dict[Name, Clamp] = Field(description="Measure → what is clamped when evaluating.")
    snapshots: PositiveInt = Field(40, description="Snapshots, evenly spaced, first and last included.")
    examples: PositiveInt = Field(4000, description="Training sequences, evenly spaced.")


class Patterns(Spec):
    """Mean attention patterns of the main heads before, during and after the change."""

    activations: Name = Field("episodes", description="Entry of `activations` with the probe 'episodes'.")


class Toy(Spec):
    """Rank-1 tensors fitted by gradient descent with none, one or two of three factors given (Fig. 5a, 9)."""

    seeds: PositiveInt = Field(60, description="Draws of truth and start.")
    dimension: PositiveInt = Field(20, description="Entries of a factor.")
    iterations: PositiveInt = Field(2000, description="Steps of gradient descent.")
    learning_rate: PositiveFloat = Field(1.0, description="Of plain gradient descent.")
    every: PositiveInt = Field(10, description="Iterations between rows of the curves.")


class Prediction(Spec):
    """Can the times of isolated parts foretell the whole? A product model with one fitted constant."""

    isolated: dict[Name, str] = Field(
        description="Part → condition that leaves it alone to learn; parts are a, b and c."
    )
    full: Name = Field(description="Condition that leaves everything to learn.")
    folds: PositiveInt = Field(4, description="Parts of the seeds, each held out once from the fit.")


class Sources(Spec):
    """What the drawings are like: likeness within and between classes."""


class Reference(Spec):
    """The authors' numbers, printed or read off their figures; kept in the package with their provenance."""

    name: Literal[
        "curves",
        "diversity",
        "ends",
        "grafts",
        "learning_times",
        "midpoints",
        "progress",
        "routes",
        "strengths",
        "toy",
    ] = Field(description="Which table.")


EXPERIMENTS = {
    "curves": Curves,
    "timing": Timing,
    "evaluation": Evaluation,
    "emergence": Emergence,
    "heads": Heads,
    "subsets": Subsets,
    "routes": Routes,
    "wiring": Wiring,
    "progress": Progress,
    "patterns": Patterns,
    "toy": Toy,
    "prediction": Prediction,
    "sources": Sources,
    "reference": Reference,
}
"""Kind → its options."""
