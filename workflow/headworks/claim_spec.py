"""What a claim is, as data: a statement, a statistic of one table, a criterion and a control.

The docstrings of the statistic classes are their documentation. No pandas: the Snakefile imports this.
"""

import math
from typing import Annotated, Any, ClassVar, Literal, get_args

from pydantic import ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from headworks.names import Name
from headworks.spec import Spec

Scalar = bool | int | float | str
Reduction = Literal["mean", "median", "maximum", "minimum"]


class Bounds(Spec):
    """A stretch of the number line. At most one lower and one upper end; NaN lies in none."""

    at_least: float | None = Field(None, description="Lower end, included.")
    above: float | None = Field(None, description="Lower end, excluded.")
    at_most: float | None = Field(None, description="Upper end, included.")
    below: float | None = Field(None, description="Upper end, excluded.")
    between: tuple[float, float] | None = Field(None, description="Both ends, included.")

    @model_validator(mode="after")
    def _one_stretch(self):
        lows = [x for x in (self.at_least, self.above, self.between and self.between[0]) if x is not None]
        highs = [x for x in (self.at_most, self.below, self.between and self.between[1]) if x is not None]
        if len(lows) > 1 or len(highs) > 1 or not lows + highs:
            raise ValueError("give at_least or above, at_most or below, one of each, or between: [low, high]")
        if any(math.isnan(x) for x in lows + highs):
            raise ValueError("an end is not a number")
        if lows and highs and not lows[0] <= highs[0]:
            raise ValueError(f"the lower end {lows[0]:g} lies above the upper end {highs[0]:g}")
        return self

    @property
    def low(self) -> float:
        ends = (self.at_least, self.above, self.between and self.between[0])
        return next((x for x in ends if x is not None), -math.inf)

    @property
    def high(self) -> float:
        ends = (self.at_most, self.below, self.between and self.between[1])
        return next((x for x in ends if x is not None), math.inf)

    def contains(self, x):
        """Whether x lies within: a bool for a number, elementwise for an array or a column."""
        over = (x >= self.low) if self.above is None else (x > self.low)
        under = (x <= self.high) if self.below is None else (x < self.high)
        return over & under

    def misses(self, low: float, high: float) -> bool:
        """Whether no point of [low, high] lies within."""
        under = high < self.low if self.above is None else high <= self.low
        over = low > self.high if self.below is None else low >= self.high
        return under or over

    def __str__(self) -> str:
        if self.between:
            return f"{self.low:.6g} to {self.high:.6g}"
        signs = {"at_least": "≥", "above": ">", "at_most": "≤", "below": "<"}
        ends = ((sign, getattr(self, key)) for key, sign in signs.items())
        return " and ".join(f"{sign} {end:.6g}" for sign, end in ends if end is not None)


def _kind(condition) -> str:
    if isinstance(condition, dict | Bounds):
        return "bounds"
    return "values" if isinstance(condition, list | tuple) else "value"


Condition = Annotated[
    Annotated[Scalar, Tag("value")]
    | Annotated[list[Scalar], Tag("values")]
    | Annotated[Bounds, Tag("bounds")],
    Discriminator(_kind),
]
Where = Annotated[
    dict[str, Condition],
    Field(
        description="Conditions by column, all of which a row meets: a value, a list of values, bounds, or, "
        "in a column of numbers, `first` or `last`: its smallest or largest value within each replica, among "
        "the rows that meet the other conditions; `step` and `tokens` are sought before other such columns."
    ),
]
SELECTIONS = ("where", "over", "minus", "condition")


class Statistic(Spec):
    """What every statistic has: the rows it looks at, and the range that its values cannot leave."""

    limits: ClassVar[tuple[float, float]] = (-math.inf, math.inf)
    where: Where = Field({})


class Summary(Statistic):
    """The mean, median, maximum or minimum of a column in each replica."""

    name: Reduction
    column: str


class Difference(Statistic):
    """A column's value in one selection minus its value in another, in the same replica.

    The second selection is `where` with the conditions of `minus` put in place: `where: {run: two-layer,
    phase: after}`, `minus: {phase: before}`. A replica found in only one selection is undefined.
    """

    name: Literal["difference"]
    column: str
    minus: Where = Field(min_length=1)
    reduce: Reduction = Field("mean", description="How the rows of a selection become one number.")


class Ratio(Statistic):
    """A column's value in one selection divided by its value in another, in the same replica.

    The second selection is `where` with the conditions of `over` put in place. Undefined over zero.
    """

    name: Literal["ratio"]
    column: str
    over: Where = Field(min_length=1)
    reduce: Reduction = Field("mean", description="How the rows of a selection become one number.")


class Spread(Statistic):
    """The largest over the smallest of the means of a column by group, in magnitude, in each replica.

    At most 1.5 where all groups agree within a factor of 1.5. Undefined where signs differ or one is 0.
    """

    name: Literal["spread"]
    column: str
    group: str


class Order(Statistic):
    """1 in a replica in which the means of a column by group ascend strictly in the given order, else 0.

    The claim's value is the fraction of replicas in order. Ties are out of order. Write `inf` in a table for
    what never happened, and it comes last.
    """

    limits = (0, 1)
    name: Literal["order"]
    column: str
    group: str
    order: list[Scalar] = Field(min_length=2, description="Values of `group`, the smallest mean first.")


class ColumnOrder(Statistic):
    """1 in a replica in which the means of several columns ascend strictly in the given order, else 0.

    The claim's value is the fraction of replicas in order. Ties are out of order.
    """

    limits = (0, 1)
    name: Literal["column_order"]
    columns: list[str] = Field(min_length=2, description="The smallest first.")


class Fraction(Statistic):
    """The share of a replica's rows that meet `condition`; of one row a replica, the fraction of replicas."""

    limits = (0, 1)
    name: Literal["fraction"]
    condition: Where = Field(min_length=1)


class Count(Statistic):
    """How many of a replica's rows meet `condition`. No rows at all are undefined, not zero."""

    limits = (0, math.inf)
    name: Literal["count"]
    condition: Where = Field(min_length=1)


class Share(Statistic):
    """The sum of a column over the rows that meet `condition`, over its sum over all rows, in each replica.

    Where terms differ in sign this can leave 0 to 1; see `positive_share`.
    """

    name: Literal["share"]
    column: str
    condition: Where = Field(min_length=1)


class PositiveShare(Statistic):
    """As `share`, of the positive part of the column: negative values count as zero."""

    limits = (0, 1)
    name: Literal["positive_share"]
    column: str
    condition: Where = Field(min_length=1)


class Auc(Statistic):
    """How well a column ranks the rows that meet `condition` above the others, in each replica.

    The area under the ROC curve: the chance that one of the former exceeds one of the latter, ties counting
    half. Undefined where there are none of either.
    """

    limits = (0, 1)
    name: Literal["auc"]
    column: str
    condition: Where = Field(min_length=1)


class Correlation(Statistic):
    """The correlation of two columns over a replica's rows. Undefined for two rows or a constant."""

    limits = (-1, 1)
    name: Literal["correlation"]
    columns: tuple[str, str]
    kind: Literal["spearman", "pearson"] = "spearman"


AnyStatistic = (
    Summary
    | Difference
    | Ratio
    | Spread
    | Order
    | ColumnOrder
    | Fraction
    | Count
    | Share
    | PositiveShare
    | Auc
    | Correlation
)
STATISTICS = get_args(AnyStatistic)
StatisticSpec = Annotated[AnyStatistic, Field(discriminator="name")]


class ControlSpec(Spec):
    """A measurement that must fail the criterion: the claim's statistic, with the keys given here changed.

    `where`, `minus`, `over` and `condition` are changed column by column (null lifts a condition); any other
    key of the statistic is replaced.
    """

    model_config = ConfigDict(extra="allow", frozen=True, populate_by_name=True)

    is_: str = Field(alias="is", description="The control in plain words: one-layer model.")
    table: Name | None = Field(None, description="Its table; the claim's when left out.")

    @property
    def changes(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class ClaimSpec(Spec):
    """One statement of a paper and how it is decided. Criterion and control are fixed before the measurement.

    Put the criterion between the effect and the control: a control expected on the edge of the criterion
    meets it half the time, and the verdict is then unsound.
    """

    statement: str = Field(description="What is claimed, in plain words.")
    source: str = Field(description="Where the paper says so: Fig. 5b.")
    reported: str = Field(description="What the paper reports, as text.")
    reported_value: float | None = Field(None, description="The paper's number on our scale, for drawing.")
    figure: Name = Field(description="The figure that shows it.")
    table: Name = Field(description="The table it is measured on.")
    statistic: StatisticSpec
    criterion: Bounds = Field(description="Where the value lies if the statement holds.")
    control: ControlSpec
    replicas: str = Field("seed", description="The column whose values are independent repetitions.")
    seeds: int = Field(3, ge=2, description="Replicas with a defined value below which it is underpowered.")
    level: float = Field(0.95, gt=0.5, lt=1, description="Coverage of the interval.")
    beyond_paper: bool = Field(False, description="Ours, not the paper's.")
    note: str | None = Field(None, description="Where the paper contradicts itself, or where we depart.")

    @model_validator(mode="after")
    def _control_is_another_measurement(self):
        if self.control_statistic == self.statistic and self.control_table == self.table:
            raise ValueError("control: it changes nothing; change the table, where or another key")
        return self

    @model_validator(mode="after")
    def _reachable(self):
        at_an_end = self.criterion.low >= 1 or self.criterion.high <= 0
        if at_an_end and isinstance(self.statistic, Order | ColumnOrder):
            raise ValueError(
                f"criterion: {self.criterion} is out of reach: the exact interval of a fraction of replicas "
                "never shrinks to 0 or 1; ask for less, such as at_least: 0.5 of 6 replicas"
            )
        return self

    @property
    def control_table(self) -> str:
        return self.control.table or self.table

    @property
    def control_statistic(self) -> Statistic:
        return changed(self.statistic, self.control.changes)


def changed(statistic: Statistic, changes: dict[str, Any]) -> Statistic:
    """The statistic with keys replaced, its selections column by column; null lifts a condition."""
    if "name" in changes:
        raise ValueError("control.name: a control keeps the claim's statistic; change its other keys")
    keys = statistic.model_dump(exclude_unset=True)
    for key, change in changes.items():
        if key in SELECTIONS and isinstance(change, dict):
            conditions = {**keys.get(key, {}), **change}
            keys[key] = {column: held for column, held in conditions.items() if held is not None}
        else:
            keys[key] = change
    try:
        return type(statistic).model_validate(keys)
    except ValidationError as error:
        faults = (f"control.{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise ValueError("; ".join(faults)) from None
