"""The study's dataset: two-way one-shot episodes over exemplars of many classes."""

import numpy as np

from headworks.dataset import Dataset
from headworks.studies.singh2024 import encoders, exemplars
from headworks.studies.singh2024.spec import EpisodesSpec, Pair

N_CONTEXT = 5
AXES = {
    "vectors": ("vector", "feature"),
    "class_of_vector": ("vector",),
    "drawing_of_vector": ("vector",),
    "train_pairs": ("pair", "side"),
    "held_out_pairs": ("pair", "side"),
    "class_names": ("class",),
    "split": ("sequence",),
}
SPLITS = ["train", "test_class", "held_out_pairs", "drawings"]


def episodes(spec: EpisodesSpec) -> Dataset:
    """Rows (exemplar, label, exemplar, label, query, target): the query is of one exemplar's class, and the target
    is that exemplar's label (Singh 2024, section 2.1).

    Labels are tokens 0 to d_vocab - 1; the exemplar vectors[i] is token d_vocab + i. `train` holds every training
    sequence once (appendix C counts them), so that a uniform draw from it draws classes, order and labels as the
    paper does. `evaluation` has n_evaluation sequences of each of `SPLITS`, in this order (figure 3a; the last is
    in the authors' code, not in the paper):
        train           training classes and pairs of labels;
        test_class      classes that training lacks, training pairs;
        held_out_pairs  training classes, pairs of labels that training lacks;
        drawings        training classes and pairs; match, distractor and query are each one of the drawings that
                        training lacks. In the other three the query is its match, bit for bit.
    Arrays: `vectors` [vector, feature]: drawing 0 of the training classes, drawing 0 of the test classes, then the
    other drawings of the training classes, class by class; `class_of_vector` (test classes count on from
    n_classes) and `drawing_of_vector` [vector]; `class_names` [class]; `train_pairs` and `held_out_pairs`
    [pair, side]; `split` [sequence], an index into SPLITS.
    Raises HeadworksError for a source or an encoder that cannot be had, read or used.
    """
    shown = exemplars.load(spec)
    vectors, measured = _features(spec, shown.values)
    class_of_vector, drawing_of_vector = _places(spec)
    return Dataset(
        layout="draws",
        predicts="last",
        train=every_sequence(spec),
        evaluation=_evaluation(spec),
        d_vocab=spec.d_vocab,
        n_context=N_CONTEXT,
        bos=-1,
        vocabulary=[f"={i}" for i in range(spec.d_vocab)],
        arrays={
            "vectors": vectors,
            "class_of_vector": class_of_vector,
            "drawing_of_vector": drawing_of_vector,
            "train_pairs": np.array(spec.train_pairs, dtype=np.uint8),
            "held_out_pairs": np.array(spec.held_out_pairs, dtype=np.uint8),
            "class_names": np.array(shown.names),
            "split": np.repeat(np.arange(len(SPLITS), dtype=np.int8), spec.n_evaluation),
        },
        axes=AXES,
        facts=shown.facts
        | measured
        | {
            "encoder": spec.encoding,
            "splits": SPLITS,
            "n_classes": spec.n_classes,
            "n_test_classes": spec.n_test_classes,
            "n_labels": spec.n_labels,
            "unique_sequences": spec.unique_sequences,
        },
    )


def _features(spec: EpisodesSpec, shown: np.ndarray) -> tuple[np.ndarray, dict[str, float]]:
    """The vectors that become tokens, [vector, feature], and the mean cosines of all drawings' features.

    `shown` [class, drawing, ...] holds drawings or vectors.
    """
    n, n_drawings = shown.shape[:2]
    flat = encoders.encode(shown.reshape(n * n_drawings, *shown.shape[2:]), spec.encoding, spec.seed)
    features = flat.reshape(n, n_drawings, -1)
    within, between = encoders.mean_cosines(features)
    vectors = features[_places(spec)]
    if spec.norm != "none":
        vectors = encoders.rescale(vectors, spec.norm)
    return vectors, {"within_class_cosine": within, "between_class_cosine": between}


def _places(spec: EpisodesSpec) -> tuple[np.ndarray, np.ndarray]:
    """Class and drawing of every vector, [vector] each."""
    n_first, n_more = spec.n_classes + spec.n_test_classes, spec.n_drawings - 1
    classes = np.concatenate([np.arange(n_first), np.repeat(np.arange(spec.n_classes), n_more)])
    drawings = np.concatenate([np.zeros(n_first, int), np.tile(np.arange(1, n_more + 1), spec.n_classes)])
    return classes.astype(np.uint16), drawings.astype(np.uint8)


def every_sequence(spec: EpisodesSpec) -> np.ndarray:
    """[sequence, 6] uint16: all training sequences. The slowest index is the query's class, then come the other
    class, the labels, and the side of the match."""
    query, step = np.mgrid[: spec.n_classes, 1 : spec.n_classes].reshape(2, -1)
    other = (query + step) % spec.n_classes
    labels = _ordered(spec.train_pairs)
    match, distractor = (
        np.repeat(spec.d_vocab + x, len(labels) * 2).astype(np.uint16) for x in (query, other)
    )
    right, wrong = (np.tile(np.repeat(x, 2), len(query)).astype(np.uint16) for x in labels.T)
    match_first = np.tile([True, False], len(query) * len(labels))
    return _rows(match, distractor, match, right, wrong, match_first)


def _ordered(pairs: list[Pair]) -> np.ndarray:
    """Both orders of each pair, [2 n, 2]."""
    found = np.array(pairs)
    return np.concatenate([found, found[:, ::-1]])


def _rows(
    match: np.ndarray,
    distractor: np.ndarray,
    query: np.ndarray,
    right: np.ndarray,
    wrong: np.ndarray,
    match_first: np.ndarray,
) -> np.ndarray:
    """Rows of tokens from columns [sequence]."""
    columns = [
        np.where(match_first, match, distractor),
        np.where(match_first, right, wrong),
        np.where(match_first, distractor, match),
        np.where(match_first, wrong, right),
        query,
        right,
    ]
    return np.stack(columns, axis=1).astype(np.uint16, copy=False)


def _evaluation(spec: EpisodesSpec) -> np.ndarray:
    """[4 n_evaluation, 6]; each kind has random numbers of its own, so that options of one leave the others."""
    first_vector = np.arange(spec.n_classes + spec.n_test_classes)[:, None]
    trained, test = np.split(first_vector, [spec.n_classes])
    more = len(first_vector) + np.arange(spec.n_classes * (spec.n_drawings - 1)).reshape(spec.n_classes, -1)
    kinds = {
        "train": (trained, spec.train_pairs),
        "test_class": (test, spec.train_pairs),
        "held_out_pairs": (trained, spec.held_out_pairs),
        "drawings": (more, spec.train_pairs),
    }
    return np.concatenate(
        [
            _draw(*kinds[split], spec, np.random.default_rng([spec.evaluation_seed, number]))
            for number, split in enumerate(SPLITS)
        ]
    )


def _draw(
    vectors: np.ndarray, pairs: list[Pair], spec: EpisodesSpec, generator: np.random.Generator
) -> np.ndarray:
    """Rows over `vectors` [class, drawing]; a drawing is drawn anew for match, distractor and query."""
    n, labels = spec.n_evaluation, _ordered(pairs)
    n_classes, n_drawings = vectors.shape
    query_class = generator.integers(n_classes, size=n)
    other_class = (query_class + generator.integers(1, n_classes, size=n)) % n_classes
    right, wrong = labels[generator.integers(len(labels), size=n)].T
    match_first = generator.integers(2, size=n) == 0
    match, distractor, query = (
        spec.d_vocab + vectors[classes, generator.integers(n_drawings, size=n)]
        for classes in (query_class, other_class, query_class)
    )
    return _rows(match, distractor, query, right, wrong, match_first)
