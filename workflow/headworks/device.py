"""Which device a job runs on: CUDA where there is one, each job on a GPU of its own, else the CPU."""

import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from headworks.errors import HeadworksError

NAMES = ("auto", "cpu", "cuda", "mps")
WAIT_SECONDS = 1.0


def pick_device(name: str = "auto") -> torch.device:
    """The device of that name; auto is CUDA if there is one, else the CPU."""
    if name not in NAMES:
        raise HeadworksError(f"device: {name} is not known; allowed are auto, cpu and cuda.")
    if name == "mps":
        raise HeadworksError(
            "device: mps (Apple's GPU) is refused: PyTorch is known to return wrong matrix products there "
            "without an error. Use cpu."
        )
    if name == "cuda" and not torch.cuda.is_available():
        raise HeadworksError("device: cuda was asked for, but PyTorch finds no CUDA device. Use auto or cpu.")
    return torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")


@contextmanager
def claim_device(name: str = "auto") -> Iterator[torch.device]:
    """`pick_device`; of several visible GPUs one that no other job holds, for as long as the block lasts.

    Slurm gives each job its own GPUs; elsewhere jobs of one machine agree through locked files.
    """
    device = pick_device(name)
    if device.type == "cpu" or torch.cuda.device_count() == 1 or "SLURM_JOB_ID" in os.environ:
        yield device
        return
    with free_slot(visible_devices(), Path(tempfile.gettempdir())) as index:
        yield torch.device("cuda", index)


def visible_devices() -> list[str]:
    """One name a visible GPU, the same for every job that sees it."""
    return [str(torch.cuda.get_device_properties(i).uuid) for i in range(torch.cuda.device_count())]


@contextmanager
def free_slot(devices: list[str], folder: Path) -> Iterator[int]:
    """The index of the first device that nobody holds, waiting for one; the lock falls with its process."""
    while True:
        for index, device in enumerate(devices):
            with open(folder / f"headworks-{os.getuid()}-{device}.slot", "w") as slot:
                if _locked(slot):
                    yield index
                    return
        time.sleep(WAIT_SECONDS)


def _locked(file) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
