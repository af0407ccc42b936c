"""From prompts, pairs of an instruction and an input, to a dataset: rows, marks, arrays and facts."""

from dataclasses import dataclass

import numpy as np

from headworks.dataset import Dataset
from headworks.studies.wu2024 import references

SPLITS = ["train", "val", "held_out"]
MARKS = ("task", "regex", "permuted_task", "string", "input")
AXES = {name: ("sequence",) for name in ("split", *MARKS, "output", "lengths", "edit_distance")} | {
    "functions": ("task", "input"),
    "held_out_input": ("regex",),
    "held_out": ("regex", "input"),
    "permuted_tasks": ("regex",),
}

Pairs = np.ndarray
"""[prompt, 2]: string and input."""


@dataclass(frozen=True)
class Tokens:
    """The vocabulary, in this order: symbols (or words) of instructions, SEP, ARR, PAD, inputs, outputs."""

    symbols: list[str]
    inputs: list[str]
    outputs: list[str]

    @property
    def separator(self) -> int:
        return len(self.symbols)

    @property
    def arrow(self) -> int:
        return len(self.symbols) + 1

    @property
    def pad(self) -> int:
        return len(self.symbols) + 2

    @property
    def first_input(self) -> int:
        return len(self.symbols) + 3

    @property
    def first_output(self) -> int:
        return self.first_input + len(self.inputs)

    @property
    def vocabulary(self) -> list[str]:
        return [*self.symbols, "SEP", "ARR", "PAD", *self.inputs, *self.outputs]


@dataclass(frozen=True)
class Prompts:
    """All instructions and their answers; a prompt is a pair (string, input)."""

    instructions: np.ndarray
    """[string, position] tokens, left padded."""
    tails: np.ndarray
    """[input, position] tokens between an instruction and its answer."""
    regex: np.ndarray
    """[string] number of the regular expression, task * n_regexes + its number in the task."""
    functions: np.ndarray
    """[task, input] output."""
    answers: np.ndarray
    """[string, input] output."""
    held_out: np.ndarray
    """[regex, input] whether training lacks the combination."""
    permuted_tasks: np.ndarray
    """[regex] labels that cut across tasks."""

    @property
    def n_regexes(self) -> int:
        """Of one task."""
        return len(self.held_out) // len(self.functions)


def assemble(
    prompts: Prompts, tokens: Tokens, trained: Pairs, asked: list[Pairs], loss_on: str, facts: dict
) -> Dataset:
    """Rows, arrays and facts of training prompts and of the evaluation's by split."""
    pairs = np.concatenate(asked)
    columns = _columns(prompts, pairs) | {"split": np.repeat(np.arange(len(SPLITS)), list(map(len, asked)))}
    evaluation = _rows(prompts, tokens, pairs)
    train_columns = _columns(prompts, trained)
    marks = np.stack([train_columns[name] for name in MARKS], axis=1)
    one = prompts.held_out.sum(1) == 1
    arrays = columns | {
        "lengths": (prompts.instructions != tokens.pad).sum(1)[pairs[:, 0]],
        "edit_distance": _distances(prompts, tokens, trained, pairs),
        "functions": prompts.functions,
        "held_out_input": np.where(one, prompts.held_out.argmax(1), -1),
        "held_out": prompts.held_out,
        "permuted_tasks": prompts.permuted_tasks,
    }
    return Dataset(
        layout="draws",
        predicts="every" if loss_on == "all" else "last",
        train=np.concatenate([_rows(prompts, tokens, trained), marks], axis=1).astype(np.uint16),
        evaluation=evaluation.astype(np.uint16),
        d_vocab=len(tokens.vocabulary),
        n_context=evaluation.shape[1] - 1,
        bos=-1,
        vocabulary=tokens.vocabulary,
        arrays={name: array.astype(np.int16) for name, array in arrays.items()},
        axes=AXES,
        facts=facts
        | _references(prompts, trained, columns, len(tokens.outputs))
        | {
            "splits": SPLITS,
            "n_tasks": len(prompts.functions),
            "n_regexes": prompts.n_regexes,
            "n_symbols": len(tokens.symbols),
            "first_input": tokens.first_input,
            "first_output": tokens.first_output,
            "pad": tokens.pad,
        },
    )


def _rows(prompts: Prompts, tokens: Tokens, pairs: Pairs) -> np.ndarray:
    """[prompt, n_context + 1] tokens."""
    string, x = pairs.T
    target = tokens.first_output + prompts.answers[string, x]
    return np.concatenate([prompts.instructions[string], prompts.tails[x], target[:, None]], axis=1)


def _columns(prompts: Prompts, pairs: Pairs) -> dict[str, np.ndarray]:
    """What there is to know of each prompt, [prompt] each."""
    string, x = pairs.T
    regex = prompts.regex[string]
    return {
        "task": regex // prompts.n_regexes,
        "regex": regex,
        "permuted_task": prompts.permuted_tasks[regex],
        "string": string,
        "input": x,
        "output": prompts.answers[string, x],
    }


def _distances(prompts: Prompts, tokens: Tokens, trained: Pairs, pairs: Pairs) -> np.ndarray:
    """[prompt] edits between its instruction and the nearest training instruction of the same regular expression."""
    nearest = np.zeros(len(prompts.regex), dtype=int)
    old, asked = np.unique(trained[:, 0]), np.setdiff1d(pairs[:, 0], trained[:, 0])
    for regex in range(len(prompts.held_out)):
        mine, theirs = (strings[prompts.regex[strings] == regex] for strings in (asked, old))
        if len(mine):
            rows = (prompts.instructions[strings] for strings in (mine, theirs))
            nearest[mine] = references.edit_distances(*rows, tokens.pad).min(1)
    return nearest[pairs[:, 0]]


def _references(prompts: Prompts, trained: Pairs, columns: dict[str, np.ndarray], n_outputs: int) -> dict:
    """Facts `chance`, `output_oracle_ari` and `output_oracle_given_input`; splits without rows are left out."""
    old = np.unique(trained[:, 0])
    string, x = (
        axis.ravel() for axis in np.meshgrid(old, np.arange(prompts.answers.shape[1]), indexing="ij")
    )
    table = _columns(prompts, np.stack([string, x], axis=1))
    chance = {"uniform": 1 / n_outputs, "input_only": {}, "task_only": {}}
    oracles = {"output_oracle_ari": {}, "output_oracle_given_input": {}}
    for number, split in enumerate(SPLITS):
        rows = columns["split"] == number
        if not rows.any():
            continue
        task, x, output = (columns[name][rows] for name in ("task", "input", "output"))
        for known, asked in (("input", x), ("task", task)):
            chance[f"{known}_only"][split] = references.majority_accuracy(
                asked, output, table[known], table["output"]
            )
        oracles["output_oracle_ari"][split] = references.output_oracle_ari(task, output)
        oracles["output_oracle_given_input"][split] = references.output_oracle_given_input(task, output, x)
    return {"chance": chance} | oracles
