"""Regular expressions that instructions are drawn from: grammar, random expressions, random strings.

Light imports only: the options are checked with this grammar.
"""

import re
from collections.abc import Container
from dataclasses import dataclass
from string import ascii_lowercase as LETTERS

import numpy as np

SHORTEST, LONGEST = 5, 14
"""Symbols of an instruction."""
TRIES = 4000
RANGES = [(1, 1), (1, 1), (1, 2), (0, 1), (1, 3)]
"""Repeats of a slot of a drawn expression, equally likely."""
CLASS_SIZES, CLASS_CHANCES = [1, 2, 3], [1 / 2, 1 / 4, 1 / 4]
SLOT = re.compile(
    r"(?:\[(?P<members>[a-z]+)\]|(?P<symbol>[a-z]))(?:\{(?P<least>\d+),(?P<most>\d+)\}|(?P<may>\?))?"
)


@dataclass(frozen=True)
class Slot:
    """Between `least` and `most` symbols of `members`, each drawn anew."""

    members: str
    least: int = 1
    most: int = 1

    def __str__(self) -> str:
        one = self.members if len(self.members) == 1 else f"[{self.members}]"
        if (self.least, self.most) == (1, 1):
            return one
        return one + ("?" if (self.least, self.most) == (0, 1) else f"{{{self.least},{self.most}}}")


def write(slots: list[Slot]) -> str:
    """The expression in the grammar, which is also Python's: 'a[bc]{1,2}d?'."""
    return "".join(map(str, slots))


def parse(expression: str, n_symbols: int) -> list[Slot]:
    """The slots of an expression over the first `n_symbols` letters.

    Raises ValueError for one outside the grammar, or one without a string of SHORTEST to LONGEST symbols.
    """
    slots, end = [], 0
    while end < len(expression):
        found = SLOT.match(expression, end)
        slot = found and _slot(found)
        if not slot or slot.least > slot.most:
            raise ValueError(
                f"expressions: found {expression!r}, of which {expression[end:]!r} is not in the grammar; allowed "
                f"are symbols and [classes], each with a ? or a {{least,most}} or neither, as in 'a[bc]{{1,2}}d?'"
            )
        slots.append(slot)
        end = found.end()
    foreign = sorted({symbol for slot in slots for symbol in slot.members} - set(LETTERS[:n_symbols]))
    if foreign:
        raise ValueError(
            f"expressions: found {foreign[0]!r} in {expression!r}; n_symbols {n_symbols} allow a to "
            f"{LETTERS[n_symbols - 1]}"
        )
    shortest, longest = sum(slot.least for slot in slots), sum(slot.most for slot in slots)
    if longest < SHORTEST or shortest > LONGEST:
        raise ValueError(
            f"expressions: strings of {expression!r} have {shortest} to {longest} symbols; an instruction has "
            f"{SHORTEST} to {LONGEST}"
        )
    return slots


def _slot(found: re.Match) -> Slot:
    members = "".join(dict.fromkeys(found["members"] or found["symbol"]))
    if found["may"]:
        return Slot(members, 0, 1)
    return Slot(members, int(found["least"] or 1), int(found["most"] or 1))


def draw_expression(n_symbols: int, generator: np.random.Generator) -> list[Slot]:
    """5 to 7 slots of 1 to 3 symbols each, with repeats of RANGES (this study's choice: the paper has none in
    print)."""
    slots = []
    for _ in range(generator.integers(5, 8)):
        size = generator.choice(CLASS_SIZES, p=CLASS_CHANCES)
        members = generator.choice(n_symbols, size, replace=False)
        least, most = RANGES[generator.integers(len(RANGES))]
        slots.append(Slot("".join(LETTERS[i] for i in sorted(members)), least, most))
    return slots


def draw_string(slots: list[Slot], generator: np.random.Generator) -> str:
    """A string of the expression, of any length: repeats and symbols are uniform."""
    return "".join(
        slot.members[i]
        for slot in slots
        for i in generator.integers(len(slot.members), size=generator.integers(slot.least, slot.most + 1))
    )


def draw_strings(
    slots: list[Slot], n: int, taken: Container[str], generator: np.random.Generator
) -> list[str]:
    """`n` distinct strings of SHORTEST to LONGEST symbols, none of them `taken`, in random order; fewer if TRIES
    draws (or 50 n) do not find as many."""
    found: dict[str, None] = {}
    for _ in range(max(TRIES, 50 * n)):
        string = draw_string(slots, generator)
        if SHORTEST <= len(string) <= LONGEST and string not in taken:
            found[string] = None
            if len(found) == n:
                break
    # in the order of drawing, likely strings would come first, and the split that takes them would be easier
    return generator.permutation(list(found)).tolist()
