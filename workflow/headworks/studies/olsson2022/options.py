"""The options of this study's datasets, experiments and figures, as the YAML may give them."""

from typing import Annotated

from pydantic import Field, PositiveFloat, PositiveInt

from headworks.names import Name
from headworks.spec import Spec
from headworks.studies.olsson2022.figure_options import FIGURES
from headworks.studies.olsson2022.spec import DATASETS

__all__ = ["DATASETS", "EXPERIMENTS", "FIGURES"]

Share = Annotated[float, Field(ge=0, le=1)]


class Curves(Spec):
    """Training curves of every replica, from cached activations."""

    activations: Name = Field(
        "probes", description="Entry of `activations` with the probes 'corpus', 'patterns' and 'repeated'."
    )
    width: int = Field(
        2,
        ge=0,
        description="Neighbours averaged on either side of the two indices of the in-context-learning score.",
    )


class Heads(Spec):
    """Scores of every head at chosen snapshots."""

    activations: Name = Field(
        "probes", description="Entry of `activations` with the probes 'corpus', 'patterns' and 'repeated'."
    )
    snapshots: PositiveInt = Field(2, description="Snapshots, evenly spaced, first and last included.")
    examples: PositiveInt = Field(10, description="Sequences of the copying probe.")
    copying_tokens: PositiveInt = Field(25, description="Random tokens in each of them.")
    seed: int = Field(0, ge=0, description="Seed of the copying probe.")


class Phases(Spec):
    """The phase change of every replica, read from tables of curves."""

    floor: PositiveFloat = Field(
        0.1, description="Change of the in-context-learning score, in nats, below which there is no window."
    )
    score_floor: PositiveFloat = Field(
        0.05, description="Change of a head score below which it never happened."
    )
    onset: PositiveFloat = Field(0.1, description="In-context learning in nats that counts as its onset.")
    after: int = Field(
        0,
        ge=0,
        description="Tokens of training before which a curve is not read: on text, later tokens are easier "
        "as soon as single tokens are learned, which is no phase change.",
    )
    span: PositiveInt = Field(3, description="Snapshots on either side between which the bump is measured.")
    reference: Name | None = Field(
        None, description="Run in whose window the bump is measured for replicas without one."
    )


class Positions(Spec):
    """Loss by position and its slope in the log of the position, over training."""

    activations: Name = Field("probes", description="Entry of `activations` with the probe 'corpus'.")
    bins: PositiveInt = Field(16, description="Log-spaced bins of the position.")


class Paths(Spec):
    """Per-token-loss PCA of several runs together, and the angle at which each path turns."""

    activations: Name = Field("probes", description="Entry of `activations` with the probe 'corpus'.")
    phases: Name = Field(description="The table of phase changes, for the window.")
    reference: Name = Field(description="Run whose window serves for runs without one.")


class Fingerprint(Spec):
    """Change of the loss over the window by class of token: repeated, broken, new."""

    activations: Name = Field("probes", description="Entry of `activations` with the probe 'corpus'.")
    phases: Name = Field(description="The table of phase changes, for the window.")
    reference: Name = Field(description="Run whose window serves for runs without one.")


class Ablation(Spec):
    """Zero-ablation of every head, one at a time, full and pattern-preserving."""

    activations: Name = Field(
        "probes", description="Entry of `activations` with the probes 'corpus', 'patterns' and 'repeated'."
    )
    phases: Name = Field(description="The table of phase changes, for the before-and-after projection.")
    snapshots: PositiveInt = Field(1, description="Snapshots, evenly spaced, the last included.")
    examples: PositiveInt = Field(256, description="Evaluation sequences.")
    width: int = Field(2, ge=0, description="As in curves.")
    induction: PositiveFloat = Field(
        4.0,
        description="A head with a prefix-matching score of this many times chance counts as an induction head.",
    )
    previous: Share = Field(
        0.3, description="A head with at least this previous-token score counts as a previous-token head."
    )


class Joint(Spec):
    """Ablation of all induction heads together, and of random sets of the same size from the same layers."""

    activations: Name = Field(
        "probes", description="Entry of `activations` with the probes 'corpus', 'patterns' and 'repeated'."
    )
    examples: PositiveInt = Field(256, description="Evaluation sequences.")
    width: int = Field(2, ge=0, description="As in curves.")
    induction: PositiveFloat = Field(4.0, description="As in ablation.")
    draws: PositiveInt = Field(4, description="Random sets.")
    seed: int = Field(0, ge=0, description="Seed of the random sets.")


class Rescue(Spec):
    """Ablation of one head, then only its cached pattern or only its cached value restored."""

    activations: Name = Field(
        "probes", description="Entry of `activations` with the probes 'corpus', 'patterns' and 'repeated'."
    )
    examples: PositiveInt = Field(256, description="Evaluation sequences.")
    width: int = Field(2, ge=0, description="As in curves.")


class Mechanism(Spec):
    """Patterns replaced by what the theory says they should be: an exact shift, exact matches."""

    activations: Name = Field(
        "probes", description="Entry of `activations` with the probes 'corpus', 'patterns' and 'repeated'."
    )
    examples: PositiveInt = Field(256, description="Evaluation sequences.")
    width: int = Field(2, ge=0, description="As in curves.")


class Composition(Spec):
    """K-, Q- and V-composition of every pair of heads with the random baseline."""

    activations: Name = Field(
        "probes", description="Entry of `activations` with the probes 'corpus', 'patterns' and 'repeated'."
    )
    samples: PositiveInt = Field(256, description="Random pairs of the baseline.")
    seed: int = Field(0, ge=0, description="Seed of the baseline.")


class Abstract(Spec):
    """Where heads look from the colon of a line: at lines of the same category? (Argument 4)."""

    activations: Name = Field(
        "probes", description="Entry of `activations` with the probes 'patterns' and 'repeated'."
    )
    examples: PositiveInt = Field(256, description="Evaluation sequences.")
    seed: int = Field(
        0, ge=0, description="Seed of the repeated lines, and of the shuffled categories, the control."
    )


class Corpus(Spec):
    """Whether induction pays on a dataset: how often tokens and their continuations recur."""

    windows: PositiveInt = Field(2000, description="Windows looked at, evenly spaced over each split.")


class Floor(Spec):
    """Loss by position of the Bayes-optimal predictor and of one that knows the bigram table only."""


class Gaps(Spec):
    """Distance of trained models from the Bayes-optimal predictor."""

    activations: Name = Field("probes", description="Entry of `activations` with the probe 'corpus'.")


EXPERIMENTS = {
    "curves": Curves,
    "heads": Heads,
    "phases": Phases,
    "positions": Positions,
    "paths": Paths,
    "fingerprint": Fingerprint,
    "ablation": Ablation,
    "joint": Joint,
    "rescue": Rescue,
    "mechanism": Mechanism,
    "composition": Composition,
    "abstract": Abstract,
    "corpus": Corpus,
    "floor": Floor,
    "gaps": Gaps,
}
