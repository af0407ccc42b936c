"""`headworks make`: errors for people are one paragraph on the terminal and in the log; the rest has a traceback there."""

import pytest
import torch

from headworks import rooms
from headworks.__main__ import main
from headworks.errors import HeadworksError
from headworks.job import Job

JOB = Job("toy", "activations", "probes", "activations", {}, (), "c0", "k0")


def make(monkeypatch, error: BaseException) -> int:
    """The exit status of a job that raises `error`."""

    def fail(job, out):
        raise error

    monkeypatch.setitem(rooms.ROOMS, "activations", fail)
    return main(["make", JOB.dump(), "out.h5"])


def test_a_mistake_is_told_without_a_traceback(monkeypatch, capsys):
    assert make(monkeypatch, HeadworksError("config/x.yaml: a: wrong")) == 1
    assert capsys.readouterr().err.strip() == "headworks: config/x.yaml: a: wrong"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError(
            "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes."
        ),
        MemoryError(),
    ],
    ids=["cuda", "cpu", "python"],
)
def test_out_of_memory_says_what_to_lower(monkeypatch, capsys, error):
    assert make(monkeypatch, error) == 1
    said = capsys.readouterr().err
    assert "out of memory; lower the number of seeds, the batch or the probe's examples" in said
    assert "Traceback" not in said


def test_what_nobody_foresaw_keeps_its_traceback(monkeypatch, capsys):
    assert make(monkeypatch, RuntimeError("shapes differ")) == 1
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert "RuntimeError: shapes differ" in said
