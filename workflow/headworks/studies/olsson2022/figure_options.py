"""The options of this study's figures. A role names one table of the figure, or several to be put together."""

from typing import Annotated, Literal

from pydantic import Field, PositiveFloat

from headworks.names import Name
from headworks.roles import Arms, OptionalTables, Runs, Tables
from headworks.spec import Spec

Scale = Literal["linear", "log"]
Seed = Annotated[int, Field(ge=0)]


class Analysis(Arms):
    """The model analysis table: a column a run, a row a measure; rows without a table are left out."""

    curves: Tables = Field(description="Role: tables of kind curves (rows loss and in-context learning).")
    paths: OptionalTables = Field([], description="Role: kind paths (row PCA path).")
    positions: OptionalTables = Field([], description="Role: kind positions (both heat maps).")
    heads: OptionalTables = Field(
        [], description="Role: kind heads at many snapshots (rows prefix matching and QK trace)."
    )
    ablation: OptionalTables = Field(
        [], description="Role: kind ablation at many snapshots (the two last rows)."
    )
    phases: OptionalTables = Field([], description="Role: kind phases (window shading).")
    seed: Seed | None = Field(
        None, description="Seed whose heat maps and heads are shown; the first when left out."
    )
    scale: Scale = Field("linear", description="Axis of training tokens.")


class Coperturbation(Arms):
    """In-context learning and prefix matching of several arms over training (Argument 2)."""

    curves: Tables = Field(description="Role: tables of kind curves.")
    phases: OptionalTables = Field([], description="Role: kind phases (window shading, in the arm's colour).")
    scale: Scale = Field("log", description="Axis of training tokens.")


class Smears(Arms):
    """Smear controls over training, and the onset of in-context learning against the initial alpha."""

    curves: Tables = Field(description="Role: tables of kind curves.")
    phases: OptionalTables = Field([], description="Role: kind phases (dose and response).")
    alphas: dict[Name, float] = Field(
        {}, description="Run → its initial alpha; these runs make the dose-response panel."
    )
    unsmeared: list[Name] = Field(
        [], description="Runs without smearing, shown at the end of the dose-response panel."
    )
    scale: Scale = Field("log", description="Axis of training tokens.")


class Ablation(Runs):
    """Change of in-context learning against a head's score, one point a head (Argument 3)."""

    ablation: Tables = Field(description="Role: tables of kind ablation; their last snapshot is shown.")
    score: Literal["prefix", "previous", "prefix_over_chance"] = Field(
        "prefix", description="Score on the x axis."
    )


class Joint(Runs):
    """In-context learning removed by ablating all induction heads together, against random sets."""

    joint: Tables = Field(description="Role: tables of kind joint.")


class Rescue(Arms):
    """What restoring an ablated head's pattern or value brings back, and what idealised patterns can do."""

    rescue: OptionalTables = Field([], description="Role: tables of kind rescue.")
    mechanism: OptionalTables = Field([], description="Role: tables of kind mechanism.")


class Paths(Arms):
    """Paths of runs through the plane of per-token losses, and the angles at which they turn."""

    paths: Tables = Field(description="Role: tables of kind paths.")
    seeds: list[Seed] = Field(
        [], description="Seeds whose planes are shown, one a panel; the first two when empty."
    )


class Fingerprint(Runs):
    """Change of the loss over the window by class of token, with shuffled classes."""

    fingerprint: Tables = Field(description="Role: tables of kind fingerprint.")
    value: Literal["change", "excess"] = Field(
        "change", description="Change of the loss, or its excess over new tokens."
    )


class Composition(Spec):
    """Composition of heads against chance, and behaviour against weights (Argument 5)."""

    composition: Tables = Field(description="Role: tables of kind composition.")
    heads: OptionalTables = Field([], description="Role: kind heads (correlations; last snapshot).")
    run: Name | None = Field(
        None, description="Run of the composition panels; the first of the table when left out."
    )
    runs: list[Name] = Field([], description="Runs of the correlation panels; all of the table when empty.")
    labels: dict[Name, str] = Field({}, description="Run → what the figure calls it.")


class Ladder(Arms):
    """Final in-context learning and the time of the change over sizes (Argument 6)."""

    phases: Tables = Field(description="Role: tables of kind phases.")
    series: dict[Name, str] = Field({}, description="Run → the series it belongs to, one colour each.")
    sizes: dict[Name, PositiveFloat] = Field(
        {}, description="Run → its size on the x axis; the number of layers when empty."
    )
    size_label: str = Field("layers", description="Label of the x axis.")
    within: PositiveFloat = Field(
        0.2, description="Half-width of the band of in-context learning, as a share of its median."
    )
    factor: Annotated[float, Field(gt=1)] = Field(
        1.5, description="Ratio of the longest to the shortest time of the band."
    )


class Order(Runs):
    """When previous-token, prefix-matching and in-context scores reach half of their change, seed by seed."""

    phases: Tables = Field(description="Role: tables of kind phases.")
    scale: Scale = Field("log", description="Axis of training tokens.")


class Abstract(Runs):
    """Attention to lines of the same category against prefix matching, head by head (Argument 4)."""

    abstract: Tables = Field(description="Role: tables of kind abstract.")
    snapshots: list[Literal["first", "last"]] = Field(
        ["first", "last"], min_length=1, description="Snapshots, one a column."
    )


class Corpus(Arms):
    """Whether induction pays on the datasets, and how close models come to what is possible."""

    corpus: Tables = Field(description="Role: tables of kind corpus.")
    positions: OptionalTables = Field(
        [], description="Role: kind positions (loss by position; last snapshot)."
    )
    floor: OptionalTables = Field([], description="Role: kind floor (Bayes-optimal and bigram losses).")
    split: Literal["train", "evaluation"] = Field(
        "evaluation", description="Split whose statistics are shown."
    )
    dataset: Name | None = Field(
        None, description="Dataset of the floor; the first of its table when left out."
    )


class Curves(Arms):
    """Training curves of any runs."""

    curves: Tables = Field(description="Role: tables of kind curves.")
    phases: OptionalTables = Field([], description="Role: kind phases (window shading).")
    floor: OptionalTables = Field([], description="Role: kind floor (lines in the panel of the loss).")
    dataset: Name | None = Field(
        None, description="Dataset of the floor; the first of its table when left out."
    )
    quantities: list[Literal["loss", "icl", "prefix", "previous", "copy_gain"]] = Field(
        ["loss", "icl", "prefix", "previous"], min_length=1, description="Columns of curves, one a panel."
    )
    scale: Scale = Field("log", description="Axis of training tokens.")


FIGURES = {
    "analysis": Analysis,
    "coperturbation": Coperturbation,
    "smears": Smears,
    "ablation": Ablation,
    "joint": Joint,
    "rescue": Rescue,
    "paths": Paths,
    "fingerprint": Fingerprint,
    "composition": Composition,
    "ladder": Ladder,
    "order": Order,
    "abstract": Abstract,
    "corpus": Corpus,
    "curves": Curves,
}
