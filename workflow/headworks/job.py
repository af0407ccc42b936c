"""A job: what makes one artefact, as data. Snakemake tracks it, the command line reads it, the file keeps it."""

import json
from dataclasses import asdict, dataclass

from headworks.digest import canonical


@dataclass(frozen=True)
class Input:
    """An artefact that a job reads, and the key the config says it must have."""

    room: str
    name: str
    path: str
    key: str


@dataclass(frozen=True)
class Job:
    """One artefact to make.

    `key` identifies the result: the specification, the code of the stage and the keys of the inputs, digested.
    """

    study: str
    room: str
    name: str
    kind: str
    spec: dict
    inputs: tuple[Input, ...]
    code: str
    key: str

    def dump(self) -> str:
        return canonical(asdict(self))

    @classmethod
    def load(cls, text: str) -> "Job":
        fields = json.loads(text)
        return cls(**fields | {"inputs": tuple(Input(**item) for item in fields["inputs"])})

    def inputs_of(self, room: str) -> dict[str, Input]:
        """The inputs from one room, by name."""
        return {item.name: item for item in self.inputs if item.room == room}
