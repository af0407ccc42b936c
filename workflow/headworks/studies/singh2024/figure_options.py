"""The options of this study's figures. A role names one table of the figure, or several to be put together."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from headworks.names import Name
from headworks.spec import Spec


def _listed(value):
    return [value] if isinstance(value, str) else value


Tables = Annotated[list[Name], BeforeValidator(_listed), Field(min_length=1)]
OptionalTables = Annotated[list[Name], BeforeValidator(_listed)]


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
}
"""Kind → its options."""
