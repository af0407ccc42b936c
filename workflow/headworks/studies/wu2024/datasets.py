"""The study's datasets: instructions in invented languages, and questions about cities."""

import numpy as np

from headworks.dataset import Dataset
from headworks.errors import HeadworksError
from headworks.studies.wu2024 import places as geography
from headworks.studies.wu2024 import references
from headworks.studies.wu2024.expressions import LETTERS, LONGEST, draw_expression, draw_strings, parse, write
from headworks.studies.wu2024.prompts import Pairs, Prompts, Tokens, assemble
from headworks.studies.wu2024.spec import InstructionsSpec, PlacesSpec
from headworks.studies.wu2024.templates import PLACE, words

# Every role has random numbers of its own, so that the options of one leave the others as they are.
FUNCTIONS, STRINGS, HOLDING_OUT, PERMUTING, SHUFFLING = range(5)
FUNCTION_TRIES = 20_000
EXPRESSION_TRIES = 100


def instructions(spec: InstructionsSpec) -> Dataset:
    """Rows (PAD ..., instruction, SEP, input, ARR, output): the output is the task's function of the input, and the
    task is known by the instruction alone (Wu & Varshney 2024, figure 1; sizes are this study's).

    A task has n_regexes regular expressions, each with n_strings training and n_new_strings new strings of 5 to 14
    symbols; no string occurs twice. Of every regular expression training lacks one input, which other regular
    expressions of the task show. Rows of `train` hold every training prompt once and end with `MARKS`.
    `evaluation` has three splits:
        train     training prompts: n_eval_strings strings of each regular expression, one input each, in turn;
        val       every new string with an input that its regular expression was trained with;
        held_out  every new string with the input that its regular expression was never trained with.
    Arrays [sequence] of `evaluation`: `split`, `task`, `regex` (task * n_regexes + its number in the task),
    `permuted_task`, `string` (regular expression by regular expression, training strings first), `input`, `output`
    (counted from the first output token), `lengths` in symbols, `edit_distance` to the nearest training string of
    the regular expression. Further: `functions` [task, input], which the control `shuffled` does not follow;
    `held_out_input` [regex], -1 unless it is one; `held_out` [regex, input]; `permuted_tasks` [regex], see references.
    Facts: `chance`: `uniform` over all output tokens; `input_only` and `task_only`, by split, the accuracy of the
    answer that is most frequent for the input, or for the task, over all training strings and inputs, held-out
    combinations included. `output_oracle_ari` and `output_oracle_given_input` by split, see references. A split
    without rows is left out of these.
    Raises HeadworksError if functions or strings run out.
    """
    functions = draw_functions(spec)
    expressions, strings = draw_instructions(spec)
    tokens = Tokens(list(LETTERS[: spec.n_symbols]), _names("x", spec.n_inputs), _outputs(spec))
    if spec.outputs == "disjoint":
        functions = functions + spec.n_outputs * np.arange(spec.n_tasks)[:, None]
    prompts = Prompts(
        instructions=_instruction_tokens(
            [[ord(symbol) - ord("a") for symbol in s] for s in strings], LONGEST, tokens
        ),
        tails=np.array(
            [[tokens.separator, tokens.first_input + x, tokens.arrow] for x in range(spec.n_inputs)]
        ),
        regex=np.repeat(np.arange(len(expressions)), spec.n_strings + spec.n_new_strings),
        functions=functions,
        answers=_answers(spec, functions),
        held_out=_held_out_inputs(spec),
        permuted_tasks=references.permuted_tasks(spec.n_tasks, spec.n_regexes, _generator(spec, PERMUTING)),
    )
    trained, asked = _asked_instructions(spec, prompts)
    facts = {
        "positions": ["SEP", "INP", "LAST"],
        "separator": LONGEST,
        "tasks": _names("task ", spec.n_tasks),
        "expressions": expressions,
    }
    return assemble(prompts, tokens, trained, asked, spec.loss_on, facts)


def places(spec: PlacesSpec) -> Dataset:
    """Rows (PAD ..., instruction with a city, SEP, ARR, answer), in words: what a city's country, continent,
    language, currency or hemisphere is (see places.load for what counts).

    As `instructions`, with these differences. A regular expression is a family of wordings (task * families +
    family), a string is a wording with a city, the input is the city, which has one token; the last three positions
    are the instruction's last word, SEP and ARR. Answers of all tasks are output tokens. Every city is trained on,
    since the answer for one never shown could not be known: what is new is a wording, or a family with a city.
        train     training prompts: every city in every family, wordings in turn;
        val       the last wording of each family, which training lacks, with every city that the family was
                  trained with;
        held_out  every wording of a family with the cities that it was never trained with, a share for each task.
    A family's held-out cities are several, so see `held_out`. Lengths and distances count words. `expressions` are
    the families' wordings; `untrained_words` occur in no training prompt.
    Raises HeadworksError if there are too few cities.
    """
    cities = geography.load(spec.n_cities, spec.cities_per_country)
    answers = [cities.answers[task] for task in spec.wordings]
    outputs = list(dict.fromkeys(answer for task in answers for answer in task))
    families = [ways for task in spec.wordings.values() for ways in task.values()]
    ways = [words(way) for family in families for way in family]
    tokens = Tokens(sorted({word for way in ways for word in way} - {PLACE}), cities.names, outputs)
    functions = np.array([[outputs.index(answer) for answer in task] for task in answers])
    n_tasks, n_families = len(answers), len(families) // len(answers)
    sentences = [_sentence(way, city, tokens) for way in ways for city in range(spec.n_cities)]
    regex = np.repeat(np.arange(len(families)), [len(family) * spec.n_cities for family in families])
    prompts = Prompts(
        instructions=_instruction_tokens(sentences, max(map(len, ways)), tokens),
        tails=np.array([[tokens.separator, tokens.arrow]] * spec.n_cities),
        regex=regex,
        functions=functions,
        answers=functions[regex // n_families],
        held_out=_held_out_cities(spec, n_families),
        permuted_tasks=references.permuted_tasks(n_tasks, n_families, _generator(spec, PERMUTING)),
    )
    trained, asked = _asked_places(spec, prompts, [len(family) for family in families])
    shown = {word for family in families for way in family[:-1] for word in words(way)}
    facts = cities.facts | {
        "positions": ["WORD", "SEP", "LAST"],
        "separator": prompts.instructions.shape[1],
        "tasks": list(spec.wordings),
        "expressions": [" | ".join(family) for family in families],
        "untrained_words": sorted(set(tokens.symbols) - shown),
    }
    return assemble(prompts, tokens, trained, asked, spec.loss_on, facts)


def draw_functions(spec: InstructionsSpec) -> np.ndarray:
    """[task, input] outputs of one task, 0 to n_outputs - 1: uniform draws, of which those are kept that differ from
    all kept before in least_difference inputs. Raises HeadworksError if there are not enough."""
    generator = _generator(spec, FUNCTIONS)
    kept = np.empty((0, spec.n_inputs), dtype=int)
    for _ in range(FUNCTION_TRIES):
        drawn = generator.integers(spec.n_outputs, size=spec.n_inputs)
        if ((kept != drawn).sum(1) >= spec.least_difference).all():
            kept = np.vstack([kept, drawn])
        if len(kept) == spec.n_tasks:
            return kept
    raise HeadworksError(
        f"n_tasks: found {spec.n_tasks}; only {len(kept)} functions from {spec.n_inputs} inputs to "
        f"{spec.n_outputs} outputs could be made that differ in {spec.least_difference} inputs: fewer n_tasks, more "
        f"n_inputs or n_outputs, or a smaller least_difference"
    )


def draw_instructions(spec: InstructionsSpec) -> tuple[list[str], list[str]]:
    """The expressions and, expression by expression, their training and new strings; no string occurs twice.

    An expression with too few strings is drawn anew, unless it is the user's. Raises HeadworksError if strings run
    out.
    """
    given = [expression for task in spec.expressions or [] for expression in task]
    wanted = spec.n_strings + spec.n_new_strings
    expressions: list[str] = []
    strings: dict[str, None] = {}
    for regex in range(spec.n_tasks * spec.n_regexes):
        generator = _generator(spec, STRINGS, *divmod(regex, spec.n_regexes))
        for _ in range(1 if given else EXPRESSION_TRIES):
            slots = (
                parse(given[regex], spec.n_symbols) if given else draw_expression(spec.n_symbols, generator)
            )
            found = draw_strings(slots, wanted, strings, generator)
            if len(found) == wanted:
                break
        else:
            raise HeadworksError(
                f"n_strings: {wanted} training and new strings are asked of each regular expression; of "
                f"{write(slots)!r}, number {regex + 1}, {len(found)} were found that no other has: fewer n_strings "
                f"or n_new_strings, or {'a richer expression' if given else 'more n_symbols'}"
            )
        expressions.append(given[regex] if given else write(slots))
        strings |= dict.fromkeys(found)
    return expressions, list(strings)


def _generator(spec: InstructionsSpec | PlacesSpec, *role: int) -> np.random.Generator:
    return np.random.default_rng([spec.seed, *role])


def _names(prefix: str, n: int) -> list[str]:
    return [f"{prefix}{i}" for i in range(n)]


def _outputs(spec: InstructionsSpec) -> list[str]:
    return _names("y", spec.n_outputs * (spec.n_tasks if spec.outputs == "disjoint" else 1))


def _answers(spec: InstructionsSpec, functions: np.ndarray) -> np.ndarray:
    """[string, input] outputs: the task's, or each string's own, drawn from the task's outputs."""
    own = np.repeat(functions, spec.n_regexes * (spec.n_strings + spec.n_new_strings), axis=0)
    if not spec.shuffled:
        return own
    first = own // spec.n_outputs * spec.n_outputs
    return first + _generator(spec, SHUFFLING).integers(spec.n_outputs, size=own.shape)


def _held_out_inputs(spec: InstructionsSpec) -> np.ndarray:
    """[regex, input] bool: one input of each regular expression, the inputs of a task in a drawn order, in turn."""
    held_out = np.zeros((spec.n_tasks, spec.n_regexes, spec.n_inputs), dtype=bool)
    if spec.held_out:
        generator = _generator(spec, HOLDING_OUT)
        for task in held_out:
            order = generator.permutation(spec.n_inputs)
            task[np.arange(spec.n_regexes), order[np.arange(spec.n_regexes) % spec.n_inputs]] = True
    return held_out.reshape(-1, spec.n_inputs)


def _held_out_cities(spec: PlacesSpec, n_families: int) -> np.ndarray:
    """[regex, city] bool: for each task n_held_out cities, the families in turn."""
    held_out = np.zeros((len(spec.wordings), n_families, spec.n_cities), dtype=bool)
    generator = _generator(spec, HOLDING_OUT)
    for task in held_out:
        cities = generator.permutation(spec.n_cities)[: spec.n_held_out]
        task[np.arange(spec.n_held_out) % n_families, cities] = True
    return held_out.reshape(-1, spec.n_cities)


def _instruction_tokens(instructions: list[list[int]], width: int, tokens: Tokens) -> np.ndarray:
    """[string, position], left padded."""
    return np.array([[tokens.pad] * (width - len(each)) + each for each in instructions])


def _sentence(way: list[str], city: int, tokens: Tokens) -> list[int]:
    return [tokens.first_input + city if word == PLACE else tokens.symbols.index(word) for word in way]


def _asked_instructions(spec: InstructionsSpec, prompts: Prompts) -> tuple[Pairs, list[Pairs]]:
    """Training prompts, and the evaluation's by split."""
    n_regexes = len(prompts.held_out)
    kept = np.nonzero(~prompts.held_out)[1].reshape(n_regexes, -1)
    strings = np.arange(len(prompts.regex)).reshape(n_regexes, -1)
    old, new = np.split(strings, [spec.n_strings], axis=1)
    every = np.stack(np.broadcast_arrays(old[:, :, None], kept[:, None]), axis=-1)
    lacking = np.nonzero(prompts.held_out)
    held_out = [
        np.stack([new[regex], np.full(len(new[regex]), x)], axis=1) for regex, x in zip(*lacking, strict=True)
    ]
    return every.reshape(-1, 2), [
        _in_turn(old[:, : spec.n_eval_strings], kept),
        _in_turn(new, kept),
        np.concatenate([np.empty((0, 2), int), *held_out]),
    ]


def _in_turn(strings: np.ndarray, kept: np.ndarray) -> Pairs:
    """Each of the strings [regex, number] with one of the inputs [regex, input] that are kept, in turn."""
    inputs = kept[:, np.arange(strings.shape[1]) % kept.shape[1]]
    return np.stack([strings, inputs], axis=-1).reshape(-1, 2)


def _asked_places(spec: PlacesSpec, prompts: Prompts, sizes: list[int]) -> tuple[Pairs, list[Pairs]]:
    """Training prompts, and the evaluation's by split; `sizes` [regex] counts the wordings of each family."""
    string = np.arange(len(prompts.regex))
    way, city = np.divmod(string, spec.n_cities)
    size = np.repeat(sizes, sizes)[way]
    number = way - np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)[way]
    held_out = prompts.held_out[prompts.regex, city]
    last = number == size - 1
    pairs = np.stack([string, city], axis=1)
    chosen = [~held_out & (number == city % (size - 1)), ~held_out & last, held_out]
    return pairs[~held_out & ~last], [pairs[rows] for rows in chosen]
