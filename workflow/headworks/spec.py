"""What a model and a training run are, as data. No torch here: the Snakefile imports this file.

The classes are part of what identifies a run: they are stored, whole, in the run's file.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator


class Spec(BaseModel):
    """Base of every specification: unknown keys are errors, values do not change after construction."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DatasetOptions(Spec):
    """Base of a study's dataset options."""

    def fingerprint(self) -> str:
        """Digest of what the dataset is made from beside its options, such as a user's files; empty without any.

        Raises HeadworksError if it cannot be read.
        """
        return ""


class SmearSpec(Spec):
    """Smeared keys: k'_j = s_h k_j + (1 - s_h) k_{j-lag}, s_h = sigmoid(alpha_h) (Olsson 2022, Argument 2)."""

    of: Literal["keys", "values"] = Field(
        "keys", description="Which vectors are mixed with an earlier position's."
    )
    lag: PositiveInt = Field(1, description="How many positions earlier the mixed-in vector lies.")
    alpha: float = Field(0.0, description="Initial alpha of every head; sigmoid(0) = 0.5.")
    frozen: bool = Field(False, description="Keep alpha at its initial value (a control).")


class ModelSpec(Spec):
    """A decoder-only transformer. The vocabulary and context come from the dataset when left out."""

    n_layers: PositiveInt = Field(description="Number of blocks.")
    n_heads: PositiveInt = Field(description="Attention heads in each block.")
    d_model: PositiveInt = Field(description="Width of the residual stream.")
    d_head: PositiveInt | None = Field(
        None, description="Width of one head; d_model / n_heads when left out."
    )
    n_kv_heads: PositiveInt | None = Field(
        None, description="Key-value heads (grouped-query attention); n_heads when left out."
    )
    d_mlp: PositiveInt | None = Field(
        None, description="Hidden width of the MLP; attention-only when left out."
    )
    activation: Literal["gelu", "gelu_tanh", "relu", "swiglu"] = Field(
        "gelu", description="Non-linearity of the MLP."
    )
    norm: Literal["layernorm", "rmsnorm", "none"] = Field(
        "layernorm", description="Normalisation before each sub-layer and before the unembedding."
    )
    norm_eps: PositiveFloat = Field(1e-5, description="Added to the variance.")
    positions: Literal["learned", "rotary", "sinusoidal_qk", "none"] = Field(
        "sinusoidal_qk",
        description="Learned: added to the embedding. sinusoidal_qk: added to the inputs of queries and keys in each layer, never to the residual stream.",
    )
    position_base: PositiveFloat = Field(
        10000.0, description="Base of the frequencies of rotary and of sinusoidal positions."
    )
    rotary_dim: PositiveInt | None = Field(
        None, description="Rotated dimensions of each head; all when left out."
    )
    bias: bool = Field(False, description="Biases in attention and MLP.")
    end_biases: bool = Field(
        False, description="Biases where input vectors are embedded and where logits are read out."
    )
    barrier: PositiveInt | None = Field(
        None,
        description="Positions after this one attend to nothing before it, so that what came before reaches them through it alone; no barrier when left out.",
    )
    parallel: bool = Field(
        False,
        description="Attention and MLP read the same residual stream (GPT-NeoX) instead of one after the other.",
    )
    tied: bool = Field(False, description="Unembed with the transposed embedding.")
    smear: SmearSpec | None = Field(None, description="Smeared keys or values; none when left out.")
    embed_std: PositiveFloat | None = Field(
        None, description="Standard deviation of the initial token embedding; as init_std when left out."
    )
    init_std: PositiveFloat | None = Field(
        None, description="Standard deviation of initial weights; 1/sqrt(fan_in) when left out."
    )
    init: Literal["normal", "truncated"] = Field(
        "normal",
        description="truncated: initial weights within two standard deviations, of the same variance (LeCun's, in JAX).",
    )
    d_vocab: PositiveInt | None = Field(
        None, description="Tokens with an embedding of their own; the dataset's vocabulary when left out."
    )
    d_input: PositiveInt | None = Field(
        None,
        description="Width of the dataset's vectors, which are tokens too, from d_vocab on, embedded by one linear map; the dataset's when left out.",
    )
    d_out: PositiveInt | None = Field(None, description="Output logits; d_vocab when left out.")
    n_context: PositiveInt | None = Field(
        None, description="Longest input; the dataset's length when left out."
    )

    @model_validator(mode="after")
    def _consistent(self):
        if self.d_head is None and self.d_model % self.n_heads:
            raise ValueError(
                f"d_model {self.d_model} is not a multiple of n_heads {self.n_heads}; give d_head"
            )
        if self.n_kv_heads and self.n_heads % self.n_kv_heads:
            raise ValueError(f"n_heads {self.n_heads} is not a multiple of n_kv_heads {self.n_kv_heads}")
        if self.positions == "rotary" and (self.rotary_dim or self.head_width) % 2:
            raise ValueError(
                f"rotary positions need an even number of rotated dimensions, found {self.rotary_dim or self.head_width}"
            )
        if self.rotary_dim and self.rotary_dim > self.head_width:
            raise ValueError(f"rotary_dim {self.rotary_dim} exceeds the head's width {self.head_width}")
        if self.tied and self.d_input:
            raise ValueError("tied: a model of vector inputs has no embedding matrix to tie")
        return self

    @property
    def head_width(self) -> int:
        return self.d_head or self.d_model // self.n_heads

    @property
    def kv_heads(self) -> int:
        return self.n_kv_heads or self.n_heads


class SnapshotSpec(Spec):
    """When parameters are kept: step 0, every `every` steps, every `dense_every` within `dense`, at `at`, and the last step."""

    every: PositiveInt = Field(description="Steps between snapshots.")
    dense: tuple[int, int] | None = Field(
        None, description="First and last step of the stretch with denser snapshots."
    )
    dense_every: PositiveInt | None = Field(None, description="Steps between snapshots within `dense`.")
    at: tuple[PositiveInt, ...] = Field((), description="Further steps; those beyond the last are left out.")

    def steps(self, last: int) -> list[int]:
        """Ascending snapshot steps for a run of `last` updates; step n means after n updates."""
        chosen = {0, last} | set(range(0, last + 1, self.every)) | {step for step in self.at if step <= last}
        if self.dense and self.dense_every:
            first, end = self.dense
            chosen |= set(range(max(first, 0), min(end, last) + 1, self.dense_every))
        return sorted(chosen)


class TrainSpec(Spec):
    """Optimisation of one ensemble. Every replica has its own data order, clipping and, if given, learning rate."""

    steps: PositiveInt = Field(description="Updates.")
    batch: PositiveInt = Field(description="Sequences per update and replica.")
    lr: PositiveFloat = Field(description="Peak learning rate.")
    optimizer: Literal["adam", "adamw"] = Field("adamw", description="AdamW decays matrices only, decoupled.")
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = Field(
        (0.9, 0.98), description="Adam's averaging constants."
    )
    eps: PositiveFloat = Field(1e-8, description="Adam's epsilon.")
    weight_decay: Annotated[float, Field(ge=0)] = Field(
        0.01, description="Decoupled weight decay (adamw only)."
    )
    warmup: Annotated[int, Field(ge=0)] = Field(100, description="Steps of linear warm-up.")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="Learning rate after the warm-up; cosine ends at a tenth."
    )
    clip: PositiveFloat | Literal["none"] = Field(
        1.0, description="Largest gradient norm, per replica; none: as it comes."
    )
    precision: Literal["float32", "bf16"] = Field("float32", description="bf16: autocast, on CUDA only.")
    compile: Literal["auto", "never"] = Field(
        "never", description="auto: torch.compile where a C++ compiler is found."
    )
    snapshots: SnapshotSpec = Field(description="When parameters are kept.")
