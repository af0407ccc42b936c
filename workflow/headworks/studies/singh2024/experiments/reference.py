"""The authors' numbers, from the tables in `reference/`, to be drawn and judged beside our own."""

from importlib.resources import files

import pandas as pd

from headworks.errors import HeadworksError

FOLDER = files("headworks.studies.singh2024") / "reference"


def table(options, inputs) -> pd.DataFrame:
    """The table `options.name` of the authors' numbers.

    Its columns are those of `reference/<name>.csv`, whose first lines say where the numbers come from and their
    units; times are in training sequences seen, infinite for what did not come, NaN for what was not read.
    Raises HeadworksError if there is no such table.
    """
    if options.name not in names():
        raise HeadworksError(
            f"options.name: found {options.name!r}; the tables of the authors' numbers are {', '.join(names())}"
        )
    with (FOLDER / f"{options.name}.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file, comment="#", float_precision="round_trip")


def names() -> list[str]:
    """The tables there are."""
    return sorted(
        entry.name.removesuffix(".csv") for entry in FOLDER.iterdir() if entry.name.endswith(".csv")
    )
