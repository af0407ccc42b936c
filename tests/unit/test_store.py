"""Artefacts: whole or not at all, self-describing, checked when opened, with errors that say what to run."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from headworks import store
from headworks.errors import ArtefactError, HeadworksError
from headworks.job import Input, Job

JOB = Job(
    study="toy",
    room="runs",
    name="learner",
    kind="run",
    spec={"train": {"lr": 0.01}},
    inputs=(Input("data", "ring", "results/toy/data/ring.h5", "d0"),),
    code="c0",
    key="k0",
)
EXPECTED = Input("runs", "learner", "results/toy/runs/learner.h5", "k0")
TABLE = pd.DataFrame({"run": ["a", "b"], "value": [1 / 3, np.nan]})


def write(path: Path) -> Path:
    with store.writing(path, JOB) as file:
        store.put(file, "steps", np.arange(4), ("snapshot",), "updates")
    return path


def fill_half(file: h5py.File) -> None:
    """One array that can be stored, and one that cannot."""
    store.put(file, "yes", np.zeros(9), ("x",))
    store.put(file, "no", np.zeros(9), ("x", "y"))


def left_beside(path: Path) -> list[str]:
    return [item.name for item in path.parent.iterdir() if item != path]


# Writing


def test_what_was_written_is_read(tmp_path):
    with store.opening(write(tmp_path / "deep/learner.h5"), EXPECTED) as file:
        assert file["steps"][()].tolist() == [0, 1, 2, 3]
        assert file["steps"].attrs["axes"].tolist() == ["snapshot"]
        assert file["steps"].attrs["units"] == "updates"


def test_an_artefact_says_what_it_is(tmp_path):
    with store.opening(write(tmp_path / "learner.h5")) as file:
        assert {file.attrs[name] for name in ("study", "room", "name", "kind")} == {
            "toy",
            "runs",
            "learner",
            "run",
        }
        assert (file.attrs["key"], file.attrs["code"]) == ("k0", "c0")
        assert store.text_attribute(file, "spec") == JOB.spec
        assert store.text_attribute(file, "inputs") == {"results/toy/data/ring.h5": "d0"}
        assert store.text_attribute(file, "versions")["h5py"] == h5py.__version__


def test_writing_twice_gives_the_same_bytes(tmp_path):
    assert write(tmp_path / "a.h5").read_bytes() == write(tmp_path / "b.h5").read_bytes()


def test_an_interrupted_write_leaves_what_was_there(tmp_path):
    path = write(tmp_path / "learner.h5")
    before = path.read_bytes()
    with pytest.raises(ValueError, match="no: 1 dimensions"), store.writing(path, JOB) as file:
        fill_half(file)
    assert path.read_bytes() == before
    assert left_beside(path) == []


def test_arrays_are_chunked_along_the_first_axis(tmp_path):
    """A reader of one snapshot of a large array loads one chunk; small arrays are one block."""
    with store.writing(tmp_path / "x.h5", JOB) as file:
        large = store.put(file, "large", np.zeros((3, 1200, 1000), np.float32), ("snapshot", "x", "y"))
        many = store.put(file, "many", np.zeros((3000, 1000), np.float32), ("step", "x"))
        small = store.put(file, "small", np.zeros((3, 4)), ("snapshot", "x"))
        assert large.chunks == (1, 1200, 1000)
        assert many.chunks == (store.CHUNK_BYTES // 4000, 1000)
        assert small.chunks is None


def test_axes_must_be_named(tmp_path):
    with (
        pytest.raises(ValueError, match=r"x: 2 dimensions, axes \('a',\)"),
        store.writing(tmp_path / "x", JOB) as f,
    ):
        store.put(f, "x", np.zeros((2, 2)), ("a",))


def test_tables_keep_nine_digits_and_missing_values(tmp_path):
    path = tmp_path / "curve.csv"
    store.write_table(path, TABLE, JOB)
    pd.testing.assert_frame_equal(store.read_table(path, EXPECTED), TABLE, rtol=1e-9)
    first, second, *_ = path.read_text().splitlines()
    assert json.loads(first.removeprefix("# "))["key"] == "k0"
    assert second == "run,value"


# A full disk


FILL = """
import resource, signal, sys
import numpy as np, pandas as pd
from pathlib import Path
from headworks import store
from headworks.errors import HeadworksError
from headworks.job import Job
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
job = Job("toy", "runs", "learner", "run", {}, (), "c0", "k0")
out, noise = Path(sys.argv[1]), np.random.default_rng(0).random(NUMBERS)
try:
    if out.suffix == ".csv":
        store.write_table(out, pd.DataFrame({"x": noise}), job)
    else:
        with store.writing(out, job) as file:
            store.put(file, "x", noise, ("x",))
except HeadworksError as error:
    print(error)
    sys.exit(3)
"""


@pytest.mark.parametrize("size", [12_000, 1_000_000], ids=["a little over", "far over"])
@pytest.mark.parametrize("name", ["learner.h5", "curve.csv"])
def test_a_full_disk_leaves_no_half_artefact(tmp_path, name, size):
    """The kernel lets no file grow beyond 100 kB, as a full disk would; the earlier artefact is what stays."""
    path = tmp_path / name
    path.write_text("earlier")
    command = [sys.executable, "-c", FILL.replace("NUMBERS", str(size)), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stderr
    assert f"{path}: the disk is full" in done.stdout
    assert "free some space and run the same command again" in done.stdout
    assert path.read_text() == "earlier"
    assert left_beside(path) == []


def test_no_space_for_a_text(tmp_path, monkeypatch):
    def fail(self, text, encoding):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_text", fail)
    with pytest.raises(HeadworksError, match="the disk is full"):
        store.write_text(tmp_path / "claim.json", "{}")
    assert list(tmp_path.iterdir()) == []


def test_other_errors_of_writing_keep_their_name(tmp_path):
    with pytest.raises(PermissionError), store.replacing(tmp_path / "x"):
        raise PermissionError(errno.EACCES, "no")


# Reading


def test_a_missing_artefact_says_what_to_run(tmp_path):
    for read in (lambda path: store.opening(path).__enter__(), store.read_table):
        path = tmp_path / "learner.h5"
        with pytest.raises(ArtefactError, match=f"{path} does not exist. Run: snakemake --cores all {path}"):
            read(path)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(tmp_path, share):
    path = write(tmp_path / "learner.h5")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(
        ArtefactError, match=f"{path} cannot be read as HDF5 .* truncated.*rm {path} && snakemake"
    ):
        store.opening(path).__enter__()


def test_a_foreign_hdf5_is_refused(tmp_path):
    path = tmp_path / "learner.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(ArtefactError, match=f"{path} was not written by this project"):
        store.opening(path).__enter__()


@pytest.mark.parametrize("content", [b"run,value\na,1\n", b"1\n2\n", b"", b"\x89PNG\r\n\xff\xfe\x00"])
def test_a_foreign_table_is_refused(tmp_path, content):
    path = tmp_path / "curve.csv"
    path.write_bytes(content)
    with pytest.raises(ArtefactError, match=f"{path} was not written by this project"):
        store.read_table(path)


def test_a_stale_artefact_is_refused(tmp_path):
    path = write(tmp_path / "learner.h5")
    later = Input("runs", "learner", str(path), "k1")
    with pytest.raises(
        ArtefactError, match=f"{path} is stale: its key is k0, .* give k1.*rm {path} && snakemake"
    ):
        store.opening(path, later).__enter__()


def test_a_stale_table_is_refused(tmp_path):
    path = tmp_path / "curve.csv"
    store.write_table(path, TABLE, JOB)
    with pytest.raises(ArtefactError, match=f"{path} is stale"):
        store.read_table(path, Input("runs", "learner", str(path), "k1"))


def test_an_artefact_under_anothers_name_is_refused(tmp_path):
    path = write(tmp_path / "still.h5")
    with pytest.raises(ArtefactError, match="it holds runs 'learner', expected runs 'still'"):
        store.opening(path, Input("runs", "still", str(path), "k1")).__enter__()
