"""The options of this study's datasets, experiments, figures and conditions, as the YAML may give them."""

from typing import Annotated, Literal, get_args

from pydantic import Field, PositiveInt

from headworks.names import Name
from headworks.spec import Spec
from headworks.studies.wu2024.figure_options import FIGURES
from headworks.studies.wu2024.objective import Clamp
from headworks.studies.wu2024.spec import DATASETS

__all__ = ["DATASETS", "EXPERIMENTS", "FIGURES", "Clamp"]

Seed = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(gt=0, lt=1)]
Kind = Literal[
    "replace",
    "shift",
    "interchange",
    "same_task",
    "agreeing",
    "random",
    "partition",
    "orthogonal",
    "erase",
    "erase_random",
]


class States(Spec):
    """Which cached states an experiment looks at."""

    activations: Name = Field(
        "states", description="Entry of `activations` with the probe `evaluation`: states and logits."
    )
    snapshots: PositiveInt | Literal["all", "ends"] = Field(
        "ends", description="all; ends: the first and the last; a number: evenly spaced, both ends included."
    )


class Accuracy(States):
    """Loss and accuracy by split, beside what chance and the input alone give."""

    snapshots: PositiveInt | Literal["all", "ends"] = Field("all", description="As of every experiment.")


class Clusters(States):
    """k-means clusters of states against tasks, regular expressions and outputs."""

    snapshots: PositiveInt | Literal["all", "ends"] = Field("all", description="As of every experiment.")
    restarts: PositiveInt = Field(2, description="Starts of k-means, of which the tightest is kept.")
    permutations: PositiveInt = Field(
        1000, description="Permutations of tasks among regular expressions behind the null distribution."
    )
    seed: Seed = Field(0, description="Seed of k-means and of the permutations.")


class Structure(States):
    """Every other way to say how clustered states are, first and last snapshot."""

    restarts: PositiveInt = Field(4, description="Starts of k-means, of which the tightest is kept.")
    repeats: PositiveInt = Field(5, description="k-means with other seeds, for its stability.")
    most_clusters: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Largest k tried when k is not given; twice the number of tasks when left out."
    )
    neighbours: PositiveInt = Field(20, description="Neighbours asked for their label.")
    components: PositiveInt = Field(50, description="Principal components of the variant on few dimensions.")
    seed: Seed = Field(0, description="Seed of k-means and of the probe.")


class Within(States):
    """Whether tasks are told apart where both input and output are the same."""

    permutations: PositiveInt = Field(20, description="Permutations of tasks behind the control.")
    seed: Seed = Field(0, description="Seed of the permutations.")


class Merging(States):
    """Whether the regular expressions of one task lie together."""


class Pairs(States):
    """Whether any two tasks are told apart by the nearer centroid."""

    seed: Seed = Field(0, description="Seed of the permuted tasks of the control.")


class Margins(States):
    """Whether instructions far from other tasks' centroids are answered better."""

    seed: Seed = Field(0, description="Seed of the permuted tasks of the control.")


class Guard(States):
    """Refusing forbidden tasks by the nearest centroid, against a detector that counts symbols."""

    forbidden: PositiveInt = Field(2, description="Tasks forbidden at a time.")
    draws: PositiveInt = Field(20, description="Sets of forbidden tasks.")
    seed: Seed = Field(0, description="Seed of the sets.")


class Steering(Spec):
    """Interventions on states of the residual stream: does the answer follow?"""

    snapshots: PositiveInt | Literal["all", "ends"] = Field("ends", description="As of every experiment.")
    kinds: list[Kind] = Field(
        list(get_args(Kind)),
        min_length=1,
        description="Interventions; the table's docstring says what each does.",
    )
    layers: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="States by layer, 0 the embedding; all when empty."
    )
    prompts: PositiveInt = Field(
        300, description="Prompts of unseen instructions, each with one target task."
    )
    seed: Seed = Field(0, description="Seed of the prompts, target tasks and random directions.")


class Interpolation(Spec):
    """From one task's centroid to another's, step by step."""

    layers: list[Annotated[int, Field(ge=0)]] = Field(
        [], description="States by layer, 0 the embedding; all when empty."
    )
    steps: Annotated[int, Field(ge=3)] = Field(11, description="Points from one centroid to the other.")
    prompts: PositiveInt = Field(
        300, description="Prompts of unseen instructions, each with one target task."
    )
    seed: Seed = Field(0, description="Seed of the prompts and target tasks.")


class Dynamics(Spec):
    """How scores move over training: rising, saturating, falling, before or after the accuracy."""

    clusters: Name = Field("clusters", description="Role: table of kind clusters.")
    accuracy: Name = Field("accuracy", description="Role: table of kind accuracy.")
    after: Annotated[int, Field(ge=0)] = Field(100, description="Step from which a rise is judged.")
    tail: Share = Field(0.2, description="Share of training, its end, in which the slope must be small.")
    tolerance: Share = Field(0.05, description="Within this share of its final value a score has saturated.")


class Across(Spec):
    """One row a network and step: how clustered, how steerable, how well it combines."""

    clusters: Name = Field("clusters", description="Role: table of kind clusters.")
    accuracy: Name = Field("accuracy", description="Role: table of kind accuracy.")
    steering: Name = Field("steering", description="Role: table of kind steering over training.")


class Aid(Spec):
    """Whether an auxiliary loss makes a network learn sooner or combine better."""

    accuracy: Name = Field("accuracy", description="Role: table of kind accuracy.")
    threshold: Share = Field(0.95, description="Accuracy on unseen instructions that counts as learned.")


class Projection(States):
    """States of one network in the plane of their first two principal components."""

    snapshots: PositiveInt | Literal["all", "ends"] = Field(1, description="As of every experiment.")
    replica_seed: Seed | None = Field(None, description="Seed of the network; the run's first when left out.")


EXPERIMENTS = {
    "accuracy": Accuracy,
    "clusters": Clusters,
    "structure": Structure,
    "within": Within,
    "merging": Merging,
    "pairs": Pairs,
    "margins": Margins,
    "guard": Guard,
    "steering": Steering,
    "interpolation": Interpolation,
    "dynamics": Dynamics,
    "across": Across,
    "aid": Aid,
    "projection": Projection,
}
