"""Choosing a device, and one job a GPU."""

import subprocess
import sys

import pytest
import torch

from headworks import device
from headworks.errors import HeadworksError


def test_names():
    assert device.pick_device("cpu") == torch.device("cpu")
    with pytest.raises(HeadworksError, match=r"mps .* wrong matrix products"):
        device.pick_device("mps")
    with pytest.raises(HeadworksError, match="tpu is not known; allowed are auto, cpu and cuda"):
        device.pick_device("tpu")


def test_without_cuda(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert device.pick_device("auto").type == "cpu"
    with pytest.raises(HeadworksError, match="finds no CUDA device"):
        device.pick_device("cuda")
    with device.claim_device() as claimed:
        assert claimed.type == "cpu"


@pytest.fixture
def two_gpus(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(device, "visible_devices", lambda: ["GPU-a", "GPU-b"])
    monkeypatch.setattr(device.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def test_jobs_get_a_gpu_each_and_give_it_back(two_gpus):
    with device.claim_device() as first, device.claim_device() as second:
        assert [first, second] == [torch.device("cuda", 0), torch.device("cuda", 1)]
    with device.claim_device() as again:
        assert again == torch.device("cuda", 0)


def test_under_slurm_the_scheduler_chooses(two_gpus, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    with device.claim_device() as first, device.claim_device() as second:
        assert first == second == torch.device("cuda")


def test_a_job_waits_for_a_slot(tmp_path, monkeypatch):
    """The holder leaves while the other sleeps."""
    holder = device.free_slot(["GPU-a"], tmp_path)
    holder.__enter__()
    monkeypatch.setattr(device.time, "sleep", lambda _: holder.__exit__(None, None, None))
    with device.free_slot(["GPU-a"], tmp_path) as index:
        assert index == 0


def test_a_dead_job_holds_nothing(tmp_path):
    """Another process takes the slot and is killed."""
    code = (
        "import sys, time; from pathlib import Path; from headworks.device import free_slot\n"
        "with free_slot(['GPU-a'], Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with device.free_slot(["GPU-a", "GPU-b"], tmp_path) as index:
            assert index == 1
        other.kill()
        other.wait()
        with device.free_slot(["GPU-a", "GPU-b"], tmp_path) as index:
            assert index == 0
