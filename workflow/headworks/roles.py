"""How a figure's options name what it draws: tables by role, one or several to be put together, and their runs."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from headworks.names import Name
from headworks.spec import Spec


def _listed(value):
    return [value] if isinstance(value, str) else value


Tables = Annotated[list[Name], BeforeValidator(_listed), Field(min_length=1)]
OptionalTables = Annotated[list[Name], BeforeValidator(_listed)]


class Runs(Spec):
    """Which runs a figure shows and what it calls them."""

    runs: list[Name] = Field([], description="Runs in the order drawn; all of the tables when empty.")
    labels: dict[Name, str] = Field(
        {}, description="Run → what the figure calls it; the run's name when left out."
    )


class Arms(Runs):
    """The same, with some of the runs as controls."""

    controls: list[Name] = Field([], description="Runs drawn in grey.")
