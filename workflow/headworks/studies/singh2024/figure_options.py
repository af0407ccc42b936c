"""The options of this study's figures. A role names one table of the figure, or several to be put together."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from headworks.names import Name
from headworks.roles import OptionalTables, Tables
from headworks.spec import Spec


class Conditions(Spec):
    """Which conditions a figure shows and what it calls them."""

    conditions: list[Name] = Field(
        [], description="Conditions in the order drawn; all of the tables when empty."
    )
    controls: list[Name] = Field([], description="Conditions drawn in grey.")
    labels: dict[Name, str] = Field(
        {}, description="Condition → what the figure calls it; its name when left out."
    )


# heads and patterns

Seed = Annotated[int, Field(ge=0)]
ClampName = Literal["none", "attend", "layer1", "match", "copy", "layer1-copy", "readout", "readout-copy"]


class Network(Spec):
    """Of which networks a figure of heads is: one run under one condition, all its seeds."""

    run: Name | None = Field(None, description="Run; the first of the table when left out.")
    condition: Name | None = Field(None, description="Condition; the first of that run when left out.")


class Circuit(Spec):
    """The induction circuit, which parts of it each clamp hands over, and when what is left is learned."""

    timing: Tables = Field(description="Role: tables of kind timing.")
    runs: list[Name] = Field([], description="Runs whose times are shown; all of the table when empty.")
    conditions: dict[ClampName, Name] = Field(
        {}, description="Clamp → the condition it was trained under; the clamp's own name when left out."
    )
    reference: OptionalTables = Field(
        [], description="Role: the authors' midpoints, columns condition (a clamp) and midpoint."
    )


class Patterns(Network):
    """Attention of the main head of each layer before, during and after the change."""

    patterns: Tables = Field(description="Role: tables of kind patterns.")
    seed: Seed | None = Field(None, description="Seed shown by itself; the first when left out.")


class Heads(Network):
    """Accuracy of each head alone, and of all the others, against its strength (Fig. 4a and 18)."""

    heads: Tables = Field(description="Role: tables of kind heads.")
    reference: OptionalTables = Field(
        [], description="Role: the authors' heads, columns seed, head, strength and solo_accuracy."
    )
    chance: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="Accuracy of guessing among all labels, 1 / n_labels."
    )


class Subsets(Network):
    """Heads of layer 2 switched on one by one, and whether they add up over all subsets (Fig. 14)."""

    subsets: Tables = Field(description="Role: tables of kind subsets.")
    seed: Seed | None = Field(
        None, description="Seed whose subsets are shown one by one; the first when left out."
    )


class Routes(Network):
    """What cutting the direct paths costs over training, and which route the heads of layer 1 serve (Table 1)."""

    routes: Tables = Field(description="Role: tables of kind routes.")
    reference: OptionalTables = Field(
        [], description="Role: the authors' accuracies, columns ablated, preserved and accuracy."
    )
    scale: Literal["linear", "log"] = Field("linear", description="Axis of training sequences.")


class Wiring(Network):
    """Which head of layer 1 feeds which of layer 2, and whether their weights tell (Fig. 11)."""

    wiring: Tables = Field(description="Role: tables of kind wiring.")
    seed: Seed | None = Field(None, description="Seed of the maps; the first when left out.")


class Copying(Network):
    """How well heads copy: with a perfect match, where the strongest fails, and label by label (Fig. 16)."""

    heads: Tables = Field(description="Role: tables of kind heads.")
    chance: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.2, description="Accuracy of guessing among all labels, and the share of one label: 1 / n_labels."
    )


# curves and times

Time = Literal["midpoint", "learned", "finished"]


class Emergence(Network):
    """Loss, accuracy and heads of one network over training: induction heads emerge in a phase change (Fig. 3)."""

    evaluation: Tables = Field(description="Role: tables of kind evaluation at many snapshots.")
    emergence: Tables = Field(description="Role: tables of kind emergence.")
    reference: OptionalTables = Field(
        [], description="Role: the authors' losses, columns sequences and loss; split, or training sequences."
    )
    seed: Seed | None = Field(
        None, description="Seed whose heads are shown one by one; the first when left out."
    )


class Subcircuits(Conditions):
    """Loss by clamp, when it has fallen, and whether in a phase change (Fig. 5b and c)."""

    curves: Tables = Field(description="Role: tables of kind curves.")
    timing: Tables = Field(description="Role: tables of kind timing of the same runs.")
    reference: OptionalTables = Field(
        [], description="Role: the authors' midpoints, columns condition and midpoint."
    )
    reference_curves: OptionalTables = Field(
        [], description="Role: the authors' losses, columns condition, sequences and loss."
    )
    until: PositiveInt = Field(400000, description="Training sequences at which the curves are cut.")


class Toy(Spec):
    """The toy model of three factors: curves, half times and progress measures (Fig. 5a and 9)."""

    toy: Tables = Field(description="Role: tables of kind toy.")
    reference: OptionalTables = Field(
        [],
        description="Role: half times read elsewhere, columns clamped, quantity, source, percentile and iterations.",
    )


class Progress(Spec):
    """Loss with a clamp in training against the same clamp in evaluation alone, a progress measure (Fig. 10)."""

    progress: Tables = Field(description="Role: tables of kind progress.")
    curves: Tables = Field(
        description="Role: tables of kind curves of runs trained with the clamps that the measures are called by."
    )
    reference: OptionalTables = Field(
        [], description="Role: the authors' losses, columns condition, clamped, sequences and loss."
    )
    measures: list[Name] = Field([], description="Measures, one a panel; all of the table when empty.")
    until: PositiveInt = Field(600000, description="Training sequences at which the curves are cut.")
    labels: dict[Name, str] = Field(
        {}, description="Measure → what the figure calls it; its name when left out."
    )


class Grafts(Spec):
    """Grafted first layers, and heads made previous-token heads: curves and times (Fig. 7 and 8)."""

    curves: Tables = Field(description="Role: tables of kind curves.")
    timing: Tables = Field(description="Role: tables of kind timing of the same runs.")
    reference: OptionalTables = Field(
        [], description="Role: the authors' midpoints, columns series and midpoint."
    )
    grafts: list[Name] = Field(
        ["full", "graft-own", "graft-other"],
        min_length=1,
        description="Conditions of the first row; a run without clamps goes by its own name.",
    )
    previous: list[Name] = Field(
        ["none", "attend", "attend-three", "attend-all"],
        min_length=1,
        description="Conditions of the second row.",
    )
    until: PositiveInt = Field(800000, description="Training sequences at which the curves are cut.")
    labels: dict[Name, str] = Field(
        {}, description="Condition → what the figure calls it; its name when left out."
    )


class Strengths(Conditions):
    """One head's match clamped to a strength: training loss, and losses at the end by strength (Fig. 15)."""

    curves: Tables = Field(description="Role: tables of kind curves.")
    evaluation: Tables = Field(description="Role: tables of kind evaluation; their last snapshot is shown.")
    matches: dict[Name, Annotated[float, Field(ge=0, le=1)]] = Field(
        min_length=1,
        description="Condition → attention clamped to the correct label; the strength is twice this less one.",
    )


class Diversity(Conditions):
    """Times by the number of classes and of labels for each clamp, a line a seed (Fig. 6)."""

    timing: Tables = Field(description="Role: tables of kind timing.")
    reference: OptionalTables = Field(
        [],
        description="Role: the authors' times, columns condition, seed, head, varied, n_classes and n_labels.",
    )
    times: list[Time] = Field(
        ["midpoint", "finished"], min_length=1, description="Columns of timing, one a row of panels."
    )
    fixed: dict[Name, str] = Field(
        {},
        description="Run → what it keeps fixed, such as the width of the softmax: a control beside the lines.",
    )


class Factorial(Conditions):
    """The combinations of parts given and learned: curves by the number of parts left, and times."""

    curves: Tables = Field(description="Role: tables of kind curves.")
    timing: Tables = Field(description="Role: tables of kind timing of the same runs.")
    given: dict[Name, str] = Field(
        {
            "none": "",
            "layer1": "A",
            "readout": "B",
            "copy": "C",
            "match": "AB",
            "layer1-copy": "AC",
            "readout-copy": "BC",
        },
        min_length=1,
        description="Condition → the parts handed over, of A (layer 1), B (the match) and C (the copy).",
    )


class Prediction(Spec):
    """Times of the whole foretold from those of its parts, against the observed ones."""

    prediction: Tables = Field(description="Role: tables of kind prediction.")


class Sources(Spec):
    """Likeness of drawings within and between classes, by dataset."""

    sources: Tables = Field(description="Role: tables of kind sources.")
    labels: dict[Name, str] = Field(
        {}, description="Dataset → what the figure calls it; its name when left out."
    )


FIGURES = {
    # heads and patterns
    "circuit": Circuit,
    "patterns": Patterns,
    "heads": Heads,
    "subsets": Subsets,
    "routes": Routes,
    "wiring": Wiring,
    "copying": Copying,
    # curves and times
    "emergence": Emergence,
    "subcircuits": Subcircuits,
    "toy": Toy,
    "progress": Progress,
    "grafts": Grafts,
    "strengths": Strengths,
    "diversity": Diversity,
    "factorial": Factorial,
    "prediction": Prediction,
    "sources": Sources,
}
"""Kind → its options."""
