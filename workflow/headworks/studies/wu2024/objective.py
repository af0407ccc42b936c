"""What may be added to the loss while a network trains, as data. Light imports only: the Snakefile reads this file."""

from typing import Annotated, Literal

from pydantic import Field

from headworks.spec import ModelSpec, Spec


class Clamp(Spec):
    """One condition of a run: an auxiliary loss that pulls states of one label together (supervised contrastive)."""

    weight: Annotated[float, Field(ge=0)] = Field(
        0.0, description="What the contrastive loss is multiplied by; 0: the network as it is."
    )
    label: Literal["task", "permuted"] = Field(
        "task",
        description="What counts as alike: instructions of one task, or, as a control, of one set of as many "
        "regular expressions drawn without regard to tasks.",
    )
    layer: Annotated[int, Field(ge=0)] = Field(
        1, description="Block whose output is pulled, at the separator that ends the instruction."
    )
    temperature: Annotated[float, Field(gt=0)] = Field(
        0.1, description="Divides the cosines of the contrastive loss."
    )

    def mistake(self, model: ModelSpec) -> str | None:
        """What is wrong with this condition for a model: the key, what was found, what is allowed."""
        if self.weight and self.layer >= model.n_layers - 1:
            return (
                f"layer: {self.layer} of a model of {model.n_layers} blocks, but only states that a later block "
                f"reads can be pulled; allowed: 0 to {model.n_layers - 2}"
            )
        return None
