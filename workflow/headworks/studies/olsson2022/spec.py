"""Options of the study's datasets, as data. Light imports only: the Snakefile reads this file."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from headworks.digest import digest, file_digest
from headworks.errors import HeadworksError
from headworks.spec import DatasetOptions

Seed = Annotated[int, Field(ge=0, lt=2**32)]


class PermSpec(DatasetOptions):
    """Corpus PERM: a fresh mapping of the vocabulary in each sequence, mixed with one global bigram table."""

    d_vocab: Annotated[int, Field(ge=4, le=512)] = Field(
        32, description="Tokens, the start token 0 included."
    )
    n_context: Annotated[int, Field(ge=8, le=4096)] = Field(64, description="Predicted tokens of a sequence.")
    p_repeat: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5, description="Probability that the next token is the sequence's own image of the current one."
    )
    mapping: Literal["permutation", "function"] = Field(
        "permutation",
        description="How a sequence's images are drawn: without repetition, "
        "or each on its own, which makes the Bayes-optimal loss exact.",
    )
    concentration: Annotated[float, Field(ge=0.01, le=100)] = Field(
        1.0, description="Dirichlet concentration of the bigram table's rows; small means peaked rows."
    )
    table_seed: Seed = Field(0, description="Seed of the global bigram table.")
    n_train: PositiveInt = Field(60000, description="Training sequences.")
    n_evaluation: PositiveInt = Field(512, description="Evaluation sequences.")
    seed: Seed = Field(0, description="Seed of the sequences.")


class TextSpec(DatasetOptions):
    """Natural text or code, cut into tokens by a byte-level BPE that is trained on the training documents."""

    source: Literal["stdlib", "enwik8", "folder"] = Field(
        "stdlib",
        description="stdlib: Python's standard library without tests, no download. enwik8: 2006 Wikipedia, "
        "downloaded and cleaned to article text. folder: your own UTF-8 text files.",
    )
    folder: str | None = Field(None, description="The folder of text files, for source: folder.")
    pattern: str = Field("**/*", description="Which files of the folder are read, e.g. '**/*.txt'.")
    max_bytes: Annotated[int, Field(ge=1000)] | None = Field(
        None, description="Use this many bytes of text at most; all when left out."
    )
    d_vocab: Annotated[int, Field(ge=257, le=65536)] = Field(
        1024, description="Tokens: the start token, 256 bytes, and merges of them."
    )
    n_context: Annotated[int, Field(ge=8, le=8192)] = Field(128, description="Predicted tokens of a window.")
    evaluation_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.1, description="Share of the documents that is kept from training."
    )
    n_evaluation: PositiveInt = Field(256, description="Evaluation windows.")
    windows_per_document: PositiveInt = Field(8, description="Evaluation windows from one document, at most.")
    seed: Seed = Field(0, description="Seed of the choice of evaluation documents and windows.")

    @model_validator(mode="after")
    def _folder_goes_with_source(self):
        if (self.source == "folder") != (self.folder is not None):
            raise ValueError(
                f"folder: found {self.folder!r} with source: {self.source}; only source: folder has one"
            )
        return self

    def fingerprint(self) -> str:
        """Digest of the names and contents of a user's text files: editing one makes the dataset anew."""
        if self.folder is None:
            return ""
        root = Path(self.folder)
        if not root.is_dir():
            raise HeadworksError(f"folder: {root} is not a folder; give the path of a folder with text files")
        files = sorted(path for path in root.glob(self.pattern) if path.is_file())
        return digest({str(path.relative_to(root)): file_digest(path) for path in files})


class ClassesSpec(DatasetOptions):
    """Lines 'word word : label' whose label depends on the hidden classes of the words (Argument 4)."""

    n_lines: Annotated[int, Field(ge=2, le=256)] = Field(
        16, description="Lines of a sequence, 5 tokens each."
    )
    classes_per_slot: Annotated[int, Field(ge=2, le=4)] = Field(
        2, description="Hidden classes for the first and for the second word; each sequence uses two and two."
    )
    words_per_class: Annotated[int, Field(ge=4, le=64)] = Field(16, description="Words of one hidden class.")
    n_labels: Annotated[int, Field(ge=4, le=256)] = Field(
        16, description="Label tokens; each sequence draws four of them for its four categories."
    )
    held_out_share: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.2, description="Share of word combinations that only the evaluation sequences contain."
    )
    repeat_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5,
        description="Share of the lines of a training sequence that copy an earlier line: literal induction.",
    )
    n_train: PositiveInt = Field(40000, description="Training sequences.")
    n_evaluation: PositiveInt = Field(512, description="Evaluation sequences.")
    seed: Seed = Field(0, description="Seed of the held-out combinations and of the sequences.")

    @property
    def held_out_partners(self) -> int:
        """Held-out partners of each word in each class of the other slot, one at least."""
        return max(1, round(self.held_out_share * self.words_per_class))

    @model_validator(mode="after")
    def _enough_combinations(self):
        combinations = 4 * self.words_per_class * self.held_out_partners
        if self.n_lines > combinations:
            raise ValueError(
                f"n_lines: {self.n_lines} lines need as many held-out combinations; words_per_class "
                f"{self.words_per_class} and held_out_share {self.held_out_share} give {combinations}"
            )
        return self


DATASETS = {"perm": PermSpec, "text": TextSpec, "classes": ClassesSpec}
