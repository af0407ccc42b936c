"""The one pattern of every name: of studies, datasets, runs, tables, figures and claims."""

from typing import Annotated

from pydantic import StringConstraints

NAME = r"[a-z0-9]+(?:-[a-z0-9]+)*"

Name = Annotated[str, StringConstraints(pattern=f"^{NAME}$")]
