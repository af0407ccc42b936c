"""The options of this study's figures. A role names one table of the figure, or several to be put together.

A run under several conditions counts as several networks: `aid` under `task` is called `aid-task`.
"""

from typing import Annotated, Literal

from pydantic import Field

from headworks.roles import Arms, OptionalTables, Runs, Tables

Layer = Annotated[int, Field(ge=0)]
Position = Literal["SEP", "INP", "LAST", "WORD"]
Places = Literal["SEP", "INP", "LAST", "WORD", "all"]
Split = Literal["train", "val", "held_out"]


class Ari(Runs):
    """How well clusters of states agree with tasks over training, a panel a layer."""

    clusters: Tables = Field(description="Role: tables of kind clusters at many snapshots.")
    positions: list[Position] = Field(
        ["SEP", "LAST"],
        min_length=1,
        description="Rows of every run; where the input is known, scores are taken within each input.",
    )


class States(Runs):
    """One network's states in a plane, coloured by task, by regular expression and by output."""

    projection: Tables = Field(description="Role: tables of kind projection; their last snapshot is shown.")
    positions: list[Position] = Field(["SEP", "LAST"], min_length=1, description="Rows of every run.")
    layer: Layer | None = Field(
        None, description="Layer, 0 the embedding; the one below the highest of the table when left out."
    )
    split: Split = Field("val", description="Which instructions.")
    seed: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Seed of the network; the first of the table when left out."
    )


class Switch(Runs):
    """What the network answers after interventions on its states, a row a kind, controls in grey."""

    steering: Tables = Field(description="Role: tables of kind steering; their last snapshot is shown.")
    positions: list[Places] = Field(
        ["SEP", "all"], min_length=1, description="Where the states are changed, a mark each."
    )
    layer: Layer | None = Field(
        None,
        description="Layer, 0 the embedding; of each run the best below the highest of the table, by the "
        "switches of `replace` at the first of the positions, when left out.",
    )


class Transfer(Arms):
    """Accuracy on held-out combinations, and switches, against how clustered instructions are."""

    across: Tables = Field(description="Role: tables of kind across; their last snapshot is shown.")


class Interpolation(Runs):
    """Answers on the way from one task's centroid to another's."""

    interpolation: Tables = Field(
        description="Role: tables of kind interpolation; their last snapshot is shown."
    )
    layer: Layer | None = Field(
        None,
        description="Layer, 0 the embedding; of each run the best below the highest of the table, by the "
        "switches at the end of the way, when left out.",
    )


class Confounds(Runs):
    """Agreement of clusters with tasks, expressions and outputs by layer, after and before training."""

    clusters: Tables = Field(description="Role: tables of kind clusters; first and last snapshot are shown.")
    structure: OptionalTables = Field(
        [], description="Role: tables of kind structure, for the number of clusters found in place of given."
    )
    positions: list[Position] = Field(["SEP", "LAST"], min_length=1, description="Rows of every run.")
    split: Split = Field("val", description="Which instructions.")


class Margins(Runs):
    """Accuracy on unseen instructions by whether the nearest centroid is right, and the margin's AUC."""

    margins: Tables = Field(description="Role: tables of kind margins; their last snapshot is shown.")
    splits: list[Split] = Field(
        ["val", "held_out"], min_length=1, description="Which instructions, a row each."
    )
    layer: Layer | None = Field(
        None,
        description="Layer, 0 the embedding; of each run the one below the highest when left out.",
    )


class Course(Runs):
    """Clusters, accuracy and switches over training on one axis, a panel a run."""

    clusters: Tables = Field(description="Role: tables of kind clusters at many snapshots.")
    accuracy: Tables = Field(description="Role: tables of kind accuracy at many snapshots.")
    across: OptionalTables = Field([], description="Role: tables of kind across, for the switches.")


FIGURES = {
    "ari": Ari,
    "states": States,
    "switch": Switch,
    "transfer": Transfer,
    "interpolation": Interpolation,
    "confounds": Confounds,
    "margins": Margins,
    "course": Course,
}
"""Kind → its options."""
