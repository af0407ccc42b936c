"""What may be clamped of the induction circuit, as data. Light imports only: the Snakefile reads this file."""

from typing import Annotated, Literal

from pydantic import Field

from headworks.spec import ModelSpec, Spec

Head = Annotated[int, Field(ge=0)]


class Clamp(Spec):
    """One condition of a run: which parts of the circuit are handed over, ideal, while the rest learns.

    Singh et al. 2024, sec. 4.2 and App. D. Layer 1 and 2 are the paper's names of blocks 0 and 1.
    """

    heads: list[Head] | None = Field(
        None, description="Heads of layer 2 that stay active; the others are zero. All when left out."
    )
    attend: list[Head] = Field(
        [], description="Heads of layer 1 that attend to the previous token alone (step 1)."
    )
    layer1: Literal["learned", "ideal", "ideal_with_labels"] = Field(
        "learned",
        description="ideal: layer 2 gets its queries and keys from the embeddings of the previous tokens and its "
        "values from the tokens' own (steps 1 and 2). ideal_with_labels: the keys hold their own label besides.",
    )
    match: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None,
        description="Attention of the query to the correct label in the active heads of layer 2; the rest goes "
        "to the other label (steps 1, 2, 3qk, 4). Learned when left out.",
    )
    match_heads: list[Head] | None = Field(
        None, description="Heads whose match is clamped; all active heads when left out."
    )
    match_random: bool = Field(
        False, description="Clamp the match to a label drawn at random: a control of the same entropy."
    )
    readout: Literal["learned", "ideal"] = Field(
        "learned",
        description="ideal: layer 2 attends by the likeness of what layer 1 wrote at a label to the query's "
        "embedding: a perfect match on whatever layer 1 delivers.",
    )
    copy_heads: list[Head] = Field(
        [],
        description="Heads of layer 2 whose mean score for a label is that label's logit; labels not in the "
        "context are ruled out (steps 3v, 5). Learned when empty.",
    )
    detach: bool = Field(False, description="No gradient flows through what is clamped.")
    release: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Step from which nothing is clamped any more; active heads stay as they are."
    )
    outputs: Annotated[int, Field(ge=2)] | None = Field(
        None, description="Labels that are not ruled out in advance; all when left out."
    )

    def mistake(self, model: ModelSpec) -> str | None:
        """What is wrong with this condition for a model: the key, what was found, what is allowed."""
        if model.n_layers != 2:
            return f"heads: clamps are for models of 2 layers; found {model.n_layers}"
        for key in ("heads", "attend", "match_heads", "copy_heads"):
            for head in getattr(self, key) or []:
                if head >= model.n_heads:
                    return f"{key}: {head} is not a head of the model; allowed: 0 to {model.n_heads - 1}"
        for key in ("match_heads", "copy_heads"):
            inactive = set(getattr(self, key) or []) - set(
                range(model.n_heads) if self.heads is None else self.heads
            )
            if inactive:
                return f"{key}: {min(inactive)} is not among the active heads {self.heads}"
        if self.match is not None and self.readout == "ideal":
            return "readout: a clamped match leaves nothing to read out; give match or readout, not both"
        if self.match is not None and self.copy_heads:
            return "copy_heads: copied are the scores of the heads, which a clamped match leaves unread; give match or copy_heads, not both"
        if self.layer1 != "learned" and self.attend:
            return f"attend: {self.attend}, but with layer1: {self.layer1} nothing reads layer 1; give attend or layer1, not both"
        if self.detach and (self.copy_heads or self.readout == "ideal"):
            return "detach: gradients reach the network through copy_heads and an ideal readout alone, so nothing would learn; allowed: false"
        if self.match is None and (self.match_random or self.match_heads):
            return "match: left out, although match_random or match_heads is given; allowed: 0 to 1"
        return None
