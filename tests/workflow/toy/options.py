"""The options of this study's datasets, experiments and figures."""

from pydantic import Field, PositiveInt

from headworks.spec import DatasetOptions, Spec


class Ring(DatasetOptions):
    """Sequences that count round a ring of tokens, each from a place drawn at random."""

    size: PositiveInt = Field(8, description="Tokens on the ring.")
    n_context: PositiveInt = Field(12, description="Tokens the model reads.")
    n_train: PositiveInt = Field(64, description="Training sequences.")
    n_evaluation: PositiveInt = Field(16, description="Evaluation sequences.")
    seed: int = Field(0, ge=0, description="Seed of the places.")


class Curve(Spec):
    """Training loss of every replica."""

    every: PositiveInt = Field(5, description="Steps averaged to one row.")


class Probe(Spec):
    """Loss and attention on the evaluation rings, at the first and the last snapshot."""

    activations: str = Field("probes", description="Entry of `activations` with the probe 'rings'.")


class CurveFigure(Spec):
    """The loss over training."""

    title: str = Field("", description="Above the axes.")


DATASETS = {"ring": Ring}
EXPERIMENTS = {"curve": Curve, "probe": Probe}
FIGURES = {"curve": CurveFigure}
