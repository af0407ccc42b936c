"""How a figure's options name the tables it reads: by role, one table or several to be put together."""

from typing import Annotated

from pydantic import BeforeValidator, Field

from headworks.names import Name


def _listed(value):
    return [value] if isinstance(value, str) else value


Tables = Annotated[list[Name], BeforeValidator(_listed), Field(min_length=1)]
OptionalTables = Annotated[list[Name], BeforeValidator(_listed)]
