"""What a study says to people who run models: readings of its tables, as data. No pandas: the Snakefile imports this."""

from typing import Literal

from pydantic import Field, PositiveInt, model_validator

from headworks.claim_spec import Scalar, Where
from headworks.names import Name
from headworks.spec import Spec

QUESTIONS = {
    "change": "When does the phase change come?",
    "heads": "Which heads carry it?",
    "redundancy": "How redundant are they?",
    "removal": "What happens when each is removed?",
}
"""What somebody who watches a training run wants to know, in the order of the page."""


class ReadingSpec(Spec):
    """One reading for people who run models: a column of a table, its mean over replicas, a row for each group.

    Heads have no identity across seeds: head 3 of one seed is not head 3 of another. With `rank` the rows of each
    replica are ordered by a column, the highest first, and the first of all replicas are shown together, then the
    second, and so on.
    """

    question: Literal["change", "heads", "redundancy", "removal"] = Field(description="What it answers.")
    title: str = Field(
        description="What is shown, with its unit: Prefix-matching score, by rank of the head."
    )
    watch: str | None = Field(None, description="What to log in a run of one's own to see the same.")
    table: Name = Field(description="Entry of `experiments`.")
    column: str = Field(description="What is read.")
    where: Where = Field({})
    by: list[str] = Field([], description="Columns whose values make a row each; one row when left out.")
    rank: str | None = Field(
        None, description="Column by which the rows of each replica and group are ranked."
    )
    most: PositiveInt = Field(8, description="Ranks shown.")
    labels: dict[str, str] = Field({}, description="Value of a `by` column → what the reader sees.")
    replicas: str = Field("seed", description="The column whose values are independent repetitions.")

    @model_validator(mode="after")
    def _replicas_are_averaged(self):
        if self.replicas in self.by:
            raise ValueError(f"by: {self.replicas!r} holds the replicas, which are averaged over")
        return self

    def label(self, values: tuple[Scalar, ...]) -> str:
        """The name of the row of these values of the `by` columns."""
        return ", ".join(self.labels.get(str(value), f"{value}") for value in values)
