"""The study's corpora: PERM, text, and the pattern-matching task of Argument 4."""

import numpy as np

from headworks import corpora
from headworks.dataset import Dataset
from headworks.errors import HeadworksError
from headworks.studies.olsson2022.spec import ClassesSpec, PermSpec, TextSpec

START = 0
ROLES = {"table": 0, "train": 1, "evaluation": 2, "held_out": 3}


def _generator(seed: int, role: str) -> np.random.Generator:
    return np.random.default_rng([seed, ROLES[role]])


def _token_type(d_vocab: int) -> type:
    return np.uint8 if d_vocab <= 256 else np.uint16


# ---------------------------------------------------------------- PERM


def perm(spec: PermSpec) -> Dataset:
    """A fresh mapping pi of the non-start tokens in each sequence, mixed with a global bigram table.

    The next token is pi(previous) with probability p_repeat, else a draw from the previous token's row of the
    table. Tokens tell little about the sequence before a token returns, so only induction can pay.
    Arrays [sequence, position] in nats: `bayes_loss`, the floor for any model (see `perm_bayes`), and
    `bigram_loss` of a predictor that knows the table, p_repeat and the previous token, but no context.
    """
    table = bigram_table(spec)
    train = _perm_sequences(spec, table, spec.n_train, _generator(spec.seed, "train"))
    evaluation = _perm_sequences(spec, table, spec.n_evaluation, _generator(spec.seed, "evaluation"))
    uniform = np.full(table[1:].shape, 1 / (spec.d_vocab - 1))
    without_context = np.vstack([table[:1], spec.p_repeat * uniform + (1 - spec.p_repeat) * table[1:]])
    bayes_loss, entropy = perm_bayes(evaluation, table, spec.p_repeat, spec.mapping)
    bigram_loss = -np.log(without_context[evaluation[:, :-1], evaluation[:, 1:].astype(int) - 1])
    positions = ("sequence", "position")
    return Dataset(
        layout="sequences",
        train=train,
        evaluation=evaluation,
        d_vocab=spec.d_vocab,
        n_context=spec.n_context,
        bos=START,
        vocabulary=[corpora.BOS] + [str(token) for token in range(1, spec.d_vocab)],
        arrays={
            "bayes_loss": bayes_loss.astype(np.float32),
            "bigram_loss": bigram_loss.astype(np.float32),
            "table": table.astype(np.float32),
        },
        axes={"bayes_loss": positions, "bigram_loss": positions, "table": ("token", "next_token")},
        facts={
            "source": f"synthetic: {spec.mapping} over a bigram table",
            "bayes_method": "exact" if spec.mapping == "function" else "belief propagation for the permanent",
            "bayes_loss": float(bayes_loss.mean()),
            "bayes_calibration_gap": float((bayes_loss - entropy).mean()),
            "bigram_loss": float(bigram_loss.mean()),
        },
    )


def bigram_table(spec: PermSpec) -> np.ndarray:
    """[token, next token - 1]: Dirichlet rows over the non-start tokens; row 0 is for the first token."""
    width = spec.d_vocab - 1
    rows = _generator(spec.table_seed, "table").dirichlet(
        np.full(width, spec.concentration), size=spec.d_vocab
    )
    rows = np.maximum(rows, 1e-9)  # small concentrations underflow to zero, whose evidence would be infinite
    return rows / rows.sum(axis=1, keepdims=True)


def _perm_sequences(spec: PermSpec, table: np.ndarray, n: int, generator: np.random.Generator) -> np.ndarray:
    """[sequence, n_context + 1]. One search in the joined cumulative rows draws from all rows at once."""
    width = spec.d_vocab - 1
    if spec.mapping == "permutation":
        images = generator.permuted(np.tile(np.arange(1, spec.d_vocab, dtype=np.uint16), (n, 1)), axis=1)
    else:
        images = generator.integers(1, spec.d_vocab, size=(n, width), dtype=np.uint16)
    edges = (np.cumsum(table, axis=1) + np.arange(spec.d_vocab)[:, None]).ravel()
    tokens = np.zeros((n, spec.n_context + 1), dtype=_token_type(spec.d_vocab))
    rows, previous = np.arange(n), np.zeros(n, dtype=np.int64)
    for t in range(1, spec.n_context + 1):
        drawn = np.searchsorted(edges, previous + generator.random(n), side="right") - previous * width
        drawn = np.clip(drawn, 0, width - 1) + 1
        repeats = (generator.random(n) < spec.p_repeat) & (previous != START)
        previous = np.where(repeats, images[rows, previous - 1], drawn)
        tokens[:, t] = previous
    return tokens


def perm_bayes(
    tokens: np.ndarray, table: np.ndarray, p_repeat: float, mapping: str
) -> tuple[np.ndarray, np.ndarray]:
    """Loss and predictive entropy of the Bayes predictor, [sequence, position] each, nats.

    It knows table and p and infers pi:
        P(next = b | previous = a) = p P(pi(a) = b | history) + (1-p) table[a, b].
    An observed a->b multiplies the likelihood of every pi with pi(a) = b by 1 + p / ((1-p) table[a, b]), so
    the posterior of pi is proportional to prod_a W[a, pi(a)], W the product of these factors.
    "function": rows of W are independent, P(pi(a) = b) = W[a, b] / sum_c W[a, c]; exact.
    "permutation": P(pi(a) = b) is a ratio of permanents of W, approximated by `permutation_marginals`.
    Accuracy, as mean KL divergence of predictions at p = 0.5: from enumerated permutations 0.01-0.02 nats at
    7 or 8 non-start tokens, the worst case; from Monte Carlo sampling of permutations at 31 tokens less than
    the sampling's own noise of 0.0005 up to position 64, and 0.002 at position 128. A predictor that ignores
    that images differ is 0.08-0.12 away there. A wrong predictor loses more than the exact one on average,
    so the floor errs upwards, by these amounts.
    """
    chunk = 64  # small enough for the processor's cache
    parts = [
        _perm_bayes_chunk(tokens[i : i + chunk].astype(np.int64) - 1, table, p_repeat, mapping)
        for i in range(0, len(tokens), chunk)
    ]
    loss, entropy = (np.concatenate(part) for part in zip(*parts, strict=True))
    return loss, entropy


def _perm_bayes_chunk(
    tokens: np.ndarray, table: np.ndarray, p_repeat: float, mapping: str
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [sequence, position] count from 0 here, -1 is the start token."""
    n, width = len(tokens), table.shape[1]
    evidence = np.log1p(p_repeat / ((1 - p_repeat) * table[1:]))
    log_weights = np.zeros((n, width, width))
    messages = np.ones_like(log_weights)
    rows = np.arange(n)
    loss, entropy = np.zeros((2, n, tokens.shape[1] - 1))
    for t in range(tokens.shape[1] - 1):
        now, following = tokens[:, t], tokens[:, t + 1]
        if t == 0:
            predictive = table[np.zeros(n, dtype=int)]
        else:
            weights = np.exp(np.maximum(log_weights - log_weights.max(axis=2, keepdims=True), -80.0))
            if mapping == "permutation":
                marginals, messages = permutation_marginals(weights, messages)
            else:
                marginals = weights / weights.sum(axis=2, keepdims=True)
            predictive = p_repeat * marginals[rows, now] + (1 - p_repeat) * table[1:][now]
            log_weights[rows, now, following] += evidence[now, following]
        loss[:, t] = -np.log(predictive[rows, following])
        entropy[:, t] = -(predictive * np.log(predictive)).sum(axis=1)
    return loss, entropy


def permutation_marginals(
    weights: np.ndarray, messages: np.ndarray, tolerance: float = 1e-4, most: int = 60
) -> tuple[np.ndarray, np.ndarray]:
    """P(pi(a) = b) under P(pi) ~ prod_a weights[a, pi(a)], and the messages to start the next call from.

    [sequence, a, b] each. Belief propagation on the constraints "one image a row" and "one row an image"
    (Huang and Jebara 2009; the Bethe approximation), until beliefs move less than `tolerance`.
    """
    beliefs = np.zeros_like(weights)
    for _ in range(most):
        from_rows = 1 / _others(weights * messages, axis=2)
        messages = 1 / _others(weights * from_rows, axis=1)
        odds = weights * from_rows * messages
        before, beliefs = beliefs, odds / (1 + odds)
        if np.abs(beliefs - before).max() < tolerance:
            break
    return beliefs / beliefs.sum(axis=2, keepdims=True), messages


def _others(values: np.ndarray, axis: int) -> np.ndarray:
    """For each entry the sum of the other entries along `axis`, kept from rounding to zero."""
    total = values.sum(axis=axis, keepdims=True)
    return np.maximum(total - values, 1e-14 * total)


# ---------------------------------------------------------------- text


def text(spec: TextSpec) -> Dataset:
    """A stream of documents with the start token between them; evaluation windows come from other documents.

    Arrays: `tokenizer` (JSON), `document_names` (one a line), uint8 [byte]; `document_held_out` [document].
    """
    corpus = _read(spec)
    if len(corpus.texts) < 2 or corpus.facts["bytes"] <= spec.n_context:
        raise HeadworksError(
            f"{corpus.facts['source']}: {len(corpus.texts)} documents, {corpus.facts['bytes']} bytes found; "
            f"needed are two documents, one of them kept for evaluation, and more than one context "
            f"(n_context: {spec.n_context} tokens) of text in each part."
        )
    kept = corpora.held_out(corpus.names, spec.evaluation_share, spec.seed)
    training = [document for document, out in zip(corpus.texts, kept, strict=True) if not out]
    tokenizer = corpora.train_bpe(training, spec.d_vocab)
    encoded = corpora.encode(tokenizer, training)
    stream = np.concatenate([part for document in encoded for part in ([START], document)][1:]).astype(
        np.uint16
    )
    unseen = corpora.encode(
        tokenizer, [document for document, out in zip(corpus.texts, kept, strict=True) if out]
    )
    evaluation = _evaluation_windows(spec, unseen, corpus.facts["source"])
    if len(stream) < spec.n_context:
        raise HeadworksError(
            f"{corpus.facts['source']}: {len(stream)} training tokens found, fewer than one context "
            f"(n_context: {spec.n_context}); give more text or a smaller n_context."
        )
    return Dataset(
        layout="stream",
        train=stream,
        evaluation=evaluation,
        d_vocab=spec.d_vocab,
        n_context=spec.n_context,
        bos=START,
        vocabulary=corpora.readable_vocabulary(tokenizer),
        arrays={
            "tokenizer": corpora.as_bytes(tokenizer.to_str()),
            "document_names": corpora.as_bytes("\n".join(corpus.names)),
            "document_held_out": kept,
        },
        axes={"tokenizer": ("byte",), "document_names": ("byte",), "document_held_out": ("document",)},
        facts=corpus.facts
        | {
            "train_documents": len(training),
            "evaluation_documents": int(kept.sum()),
            "train_tokens": sum(len(document) for document in encoded),
            "bytes_per_token": sum(len(t.encode()) for t in training) / max(1, sum(map(len, encoded))),
        },
    )


def _read(spec: TextSpec) -> corpora.Corpus:
    if spec.source == "stdlib":
        return corpora.stdlib(spec.max_bytes)
    if spec.source == "enwik8":
        return corpora.enwik8(spec.max_bytes)
    return corpora.folder(spec.folder, spec.pattern, spec.max_bytes)


def _evaluation_windows(spec: TextSpec, documents: list[np.ndarray], source: str) -> np.ndarray:
    """[window, n_context + 1], disjoint stretches of documents no shorter than a context, bos before each."""
    generator = _generator(spec.seed, "evaluation")
    windows = []
    for document in documents:
        slots = len(document) // spec.n_context
        if slots:
            offset = generator.integers(len(document) - slots * spec.n_context + 1)
            stretches = document[offset : offset + slots * spec.n_context].reshape(slots, spec.n_context)
            chosen = generator.permutation(slots)[: spec.windows_per_document]
            windows += list(stretches[np.sort(chosen)])
    if len(windows) < spec.n_evaluation:
        raise HeadworksError(
            f"{source}: {len(windows)} evaluation windows of n_context {spec.n_context} tokens found in "
            f"{len(documents)} held-out documents; n_evaluation asks for {spec.n_evaluation}. Allowed: a "
            f"smaller n_evaluation or n_context, a larger evaluation_share or windows_per_document or text."
        )
    chosen = np.sort(generator.permutation(len(windows))[: spec.n_evaluation])
    return np.pad(np.stack([windows[i] for i in chosen]), ((0, 0), (1, 0)), constant_values=START)


# ---------------------------------------------------------------- classes

COLON, NEWLINE, FIRST_WORD = 1, 2, 3
LINE = 5
SLOT_CLASSES = (("month", "colour", "tool", "metal"), ("animal", "fruit", "vehicle", "country"))


def classes(spec: ClassesSpec) -> Dataset:
    """Lines `w1 w2 : label`; the classes of w1 and w2 decide the category, the sequence which label it has.

    A sequence uses two classes for each word, so four categories, 0..3 as the paper numbers them, with four
    different label tokens drawn for the sequence. Some lines of a training sequence (`repeat_share`) copy an
    earlier line, so that literal induction pays too and can form first. Evaluation lines never repeat and hold
    only combinations of words that no training line holds. Arrays [sequence, line] of the evaluation: `colon_positions` and `label_positions`
    (indices into the row), `category`, `label_seen` (an earlier line shows this category's label), and
    `label_bayes_loss` in nats: 0 for a seen label, else the log of the number of labels not yet used.
    """
    held = _held_out_pairs(spec)
    train, _ = _class_sequences(spec, ~held, spec.n_train, spec.repeat_share, _generator(spec.seed, "train"))
    evaluation, category = _class_sequences(
        spec, held, spec.n_evaluation, 0, _generator(spec.seed, "evaluation")
    )
    shown = np.cumsum(np.eye(4, dtype=int)[category], axis=1) - np.eye(4, dtype=int)[category]
    seen = np.take_along_axis(shown, category[..., None], axis=2)[..., 0] > 0
    unused = spec.n_labels - (shown > 0).sum(axis=2)
    colons = np.broadcast_to(3 + LINE * np.arange(spec.n_lines), category.shape)
    arrays = {
        "colon_positions": colons.astype(np.int32),
        "label_positions": colons.astype(np.int32) + 1,
        "category": category.astype(np.int8),
        "label_seen": seen,
        "label_bayes_loss": np.where(seen, 0.0, np.log(np.maximum(unused, 1))).astype(np.float32),
    }
    return Dataset(
        layout="sequences",
        train=train,
        evaluation=evaluation,
        d_vocab=_first_label(spec) + spec.n_labels,
        n_context=LINE * spec.n_lines,
        bos=START,
        vocabulary=_class_vocabulary(spec),
        arrays=arrays,
        axes={name: ("sequence", "line") for name in arrays},
        facts={"source": "synthetic: labels of pairs of hidden classes", "held_out_pairs": int(held.sum())},
    )


def _first_label(spec: ClassesSpec) -> int:
    return FIRST_WORD + 2 * spec.classes_per_slot * spec.words_per_class


def _class_vocabulary(spec: ClassesSpec) -> list[str]:
    names = [name for slot in SLOT_CLASSES for name in slot[: spec.classes_per_slot]]
    words = [f"{name}{i}" for name in names for i in range(spec.words_per_class)]
    return [corpora.BOS, ":", "\n", *words, *(f"={i}" for i in range(spec.n_labels))]


def _held_out_pairs(spec: ClassesSpec) -> np.ndarray:
    """[word 1, word 2] in any pair of classes: of a shuffled Latin square, so each word loses as many."""
    generator = _generator(spec.seed, "held_out")
    first, second = (generator.permutation(spec.words_per_class) for _ in range(2))
    return (first[:, None] + second[None, :]) % spec.words_per_class < spec.held_out_partners


def _class_sequences(
    spec: ClassesSpec, allowed: np.ndarray, n: int, repeat_share: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Tokens [sequence, n_context + 1] and categories [sequence, line]; only `repeat_share` makes a line twice."""
    parts = [
        _class_chunk(spec, np.argwhere(allowed), min(2048, n - start), repeat_share, generator)
        for start in range(0, n, 2048)
    ]
    tokens, category = (np.concatenate(part) for part in zip(*parts, strict=True))
    return tokens, category


def _class_chunk(
    spec: ClassesSpec, pairs: np.ndarray, n: int, repeat_share: float, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    keys = generator.random((n, 4 * len(pairs)), dtype=np.float32)
    smallest = np.argpartition(keys, spec.n_lines - 1, axis=1)[:, : spec.n_lines]
    order = np.argsort(np.take_along_axis(keys, smallest, axis=1), axis=1)
    chosen = np.take_along_axis(smallest, order, axis=1)
    for line in range(1, spec.n_lines):
        copied = np.flatnonzero(generator.random(n) < repeat_share)
        chosen[copied, line] = chosen[copied, generator.integers(line, size=len(copied))]
    category, pair = np.divmod(chosen, len(pairs))
    rows = np.arange(n)[:, None]
    slots = []
    for slot, class_in_sequence in enumerate((category // 2, category % 2)):
        used = _distinct(generator, n, spec.classes_per_slot, 2)
        number = slot * spec.classes_per_slot + used[rows, class_in_sequence]
        slots.append(FIRST_WORD + number * spec.words_per_class + pairs[pair, slot])
    label = _first_label(spec) + _distinct(generator, n, spec.n_labels, 4)[rows, category]
    lines = np.stack([*slots, np.full_like(label, COLON), label, np.full_like(label, NEWLINE)], axis=2)
    tokens = np.pad(lines.reshape(n, -1), ((0, 0), (1, 0)), constant_values=START)
    return tokens.astype(_token_type(_first_label(spec) + spec.n_labels)), category


def _distinct(generator: np.random.Generator, n: int, total: int, count: int) -> np.ndarray:
    """[n, count] different integers below `total` in each row."""
    return np.argsort(generator.random((n, total)), axis=1)[:, :count]
