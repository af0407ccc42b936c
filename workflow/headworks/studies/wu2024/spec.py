"""Options of the study's datasets, as data. Light imports only: the Snakefile reads this file."""

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from headworks.spec import DatasetOptions
from headworks.studies.wu2024.expressions import LETTERS, parse
from headworks.studies.wu2024.templates import FAMILIES, TEMPLATES, mistake

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(gt=0, lt=1)]

MOST_STRINGS = 2**15 - 1
"""Strings are numbered in int16."""


class InstructionsSpec(DatasetOptions):
    """Instructions drawn from regular expressions, several for each task, followed by an input; the answer is the
    task's function of the input (Wu & Varshney 2024, figure 1)."""

    n_tasks: Annotated[int, Field(ge=2, le=100)] = Field(10, description="Tasks, each with a function.")
    n_regexes: Annotated[int, Field(ge=1, le=50)] = Field(
        3,
        description="Regular expressions of each task. With 1, held_out must be false: held-out combinations "
        "need another regular expression of the task.",
    )
    n_strings: PositiveInt = Field(40, description="Training instructions of each regular expression.")
    n_new_strings: PositiveInt = Field(
        20, description="Instructions of each regular expression that only evaluation contains."
    )
    n_eval_strings: PositiveInt = Field(
        20, description="Training instructions of each regular expression that evaluation contains too."
    )
    outputs: Literal["shared", "disjoint"] = Field(
        "shared", description="shared: all tasks answer with the same tokens. disjoint: each with its own."
    )
    loss_on: Literal["answer", "all"] = Field(
        "answer", description="What is learned: the answer alone, or every token (a causal language model)."
    )
    shuffled: bool = Field(
        False,
        description="A control: every instruction has a random function of its own, so that there is no task to "
        "find; tasks stay as labels.",
    )
    held_out: bool = Field(
        True,
        description="Keep one input of each regular expression from training; the task's other regular "
        "expressions show it.",
    )
    n_symbols: Annotated[int, Field(ge=3, le=len(LETTERS))] = Field(
        26, description="Symbols of instructions, from a."
    )
    n_inputs: Annotated[int, Field(ge=2, le=50)] = Field(5, description="Inputs, shared by all tasks.")
    n_outputs: Annotated[int, Field(ge=2, le=100)] = Field(10, description="Outputs of one task.")
    least_difference: Annotated[int, Field(ge=1)] = Field(
        3, description="Inputs, at least, whose outputs differ between any two tasks."
    )
    expressions: list[list[str]] | None = Field(
        None,
        description="Your own regular expressions, a list of n_regexes for each task: symbols and [classes], each "
        "with a ? or a {least,most} or neither, such as 'a[bc]{1,2}d?'; drawn when left out.",
    )
    seed: Seed = Field(0, description="Seed of functions, expressions, instructions and held-out inputs.")

    @model_validator(mode="after")
    def _held_out_can_be_solved(self):
        if self.n_regexes == 1 and self.held_out:
            raise ValueError(
                "n_regexes: found 1 with held_out: true; held-out combinations need another regular expression "
                "of the task: n_regexes of 2 or more, or held_out: false"
            )
        return self

    @model_validator(mode="after")
    def _functions_can_differ(self):
        if self.least_difference > self.n_inputs:
            raise ValueError(
                f"least_difference: found {self.least_difference}; n_inputs {self.n_inputs} allow 1 to "
                f"{self.n_inputs}"
            )
        # Singleton's bound: any two functions still differ where least_difference - 1 inputs are left out.
        most = self.n_outputs ** (self.n_inputs - self.least_difference + 1)
        if self.n_tasks > most:
            raise ValueError(
                f"n_tasks: found {self.n_tasks}; of the functions from {self.n_inputs} inputs to {self.n_outputs} "
                f"outputs, at most {most} differ in {self.least_difference} inputs from one another"
            )
        return self

    @model_validator(mode="after")
    def _strings_can_be_numbered(self):
        if self.n_eval_strings > self.n_strings:
            raise ValueError(
                f"n_eval_strings: found {self.n_eval_strings}; n_strings allows 1 to {self.n_strings}"
            )
        n = self.n_tasks * self.n_regexes * (self.n_strings + self.n_new_strings)
        if n > MOST_STRINGS:
            raise ValueError(
                f"n_strings: {self.n_tasks * self.n_regexes} regular expressions with {self.n_strings} training "
                f"and {self.n_new_strings} new strings each make {n} strings; allowed are {MOST_STRINGS}"
            )
        return self

    @model_validator(mode="after")
    def _expressions_are_in_the_grammar(self):
        if self.expressions is None:
            return self
        found = [len(task) for task in self.expressions]
        if found != [self.n_regexes] * self.n_tasks:
            raise ValueError(
                f"expressions: found lists of {found} expressions; n_tasks {self.n_tasks} and n_regexes "
                f"{self.n_regexes} ask for {self.n_tasks} lists of {self.n_regexes}"
            )
        for task in self.expressions:
            for expression in task:
                parse(expression, self.n_symbols)
        return self


class PlacesSpec(DatasetOptions):
    """Questions, orders and gaps about cities, in words: a more realistic set of tasks with shared inputs."""

    n_cities: Annotated[int, Field(ge=5, le=500)] = Field(
        60,
        description="Cities, the most populous. Every city is trained on: one never shown would have no answer to "
        "learn.",
    )
    cities_per_country: PositiveInt = Field(
        2, description="Cities of one country, at most, so that no country is most of the answers."
    )
    held_out_share: Share = Field(
        0.2,
        description="Share of the cities that, for each task, are never asked about in one of the families of "
        "paraphrases.",
    )
    templates: dict[str, dict[str, list[str]]] | None = Field(
        None,
        description="Your own wordings with {place}: by task, then by family, at least two each, the last of "
        f"which is only evaluated. Tasks are among {', '.join(TEMPLATES)}; all have the same families. "
        f"When left out: 4 wordings in each of {', '.join(FAMILIES)}.",
    )
    loss_on: Literal["answer", "all"] = Field(
        "answer", description="What is learned: the answer alone, or every token (a causal language model)."
    )
    seed: Seed = Field(0, description="Seed of the held-out combinations.")

    @model_validator(mode="after")
    def _templates_are_complete(self):
        if found := mistake(self.wordings):
            raise ValueError(f"templates{found}")
        return self

    @model_validator(mode="after")
    def _cities_fit(self):
        if not self.n_held_out:
            raise ValueError(
                f"held_out_share: {self.held_out_share} of {self.n_cities} cities is none; give a larger share"
            )
        n = self.n_cities * sum(
            len(ways) for families in self.wordings.values() for ways in families.values()
        )
        if n > MOST_STRINGS:
            raise ValueError(f"n_cities: {self.n_cities} cities make {n} strings; allowed are {MOST_STRINGS}")
        return self

    @property
    def wordings(self) -> dict[str, dict[str, list[str]]]:
        """Templates by task and family, the user's or the study's."""
        return TEMPLATES if self.templates is None else self.templates

    @property
    def n_held_out(self) -> int:
        """Cities that a task leaves out in one of its families."""
        return round(self.held_out_share * self.n_cities)


DATASETS = {"instructions": InstructionsSpec, "places": PlacesSpec}
