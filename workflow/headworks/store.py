"""HDF5 artefacts and tables: written whole or not at all, self-describing, checked when opened.

A writer fills a file beside the final one and renames it. A reader states the key it expects; a truncated,
foreign or stale artefact stops with an error that says which file, what differs and what to run.
"""

import errno
import io
import json
import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import h5py
import numpy as np
import pandas as pd

from headworks.digest import canonical
from headworks.errors import ArtefactError, HeadworksError
from headworks.job import Input, Job

FORMAT = "headworks-1"
PACKAGES = ("headworks", "torch", "numpy", "h5py", "pandas", "scipy", "tokenizers")
CHUNK_BYTES = 4 * 2**20


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it at the end; removed if anything goes wrong."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield beside
        os.replace(beside, path)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error):
            raise HeadworksError(
                f"{path}: the disk is full ({error}). Nothing was kept under that name and earlier results are as they "
                "were; free some space and run the same command again."
            ) from error
        raise
    finally:
        beside.unlink(missing_ok=True)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that numbers depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def identity(job: Job) -> dict[str, str]:
    """What every artefact says of itself."""
    return {
        "format": FORMAT,
        "study": job.study,
        "room": job.room,
        "name": job.name,
        "kind": job.kind,
        "key": job.key,
        "code": job.code,
        "spec": canonical(job.spec),
        "inputs": canonical({item.path: item.key for item in job.inputs}),
    }


@contextmanager
def writing(path: Path, job: Job) -> Iterator[h5py.File]:
    """An HDF5 file to fill, which takes its final name only when the block ends well."""
    with replacing(path) as beside:
        # h5py raises OSError for a full disk in both writing and closing
        with h5py.File(beside, "w", libver="latest") as file:
            file.attrs.update(identity(job) | {"versions": canonical(versions())})
            yield file
        _flush(beside)


def _flush(path: Path) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def put(group: h5py.Group, name: str, array, axes: Sequence[str], units: str = "") -> h5py.Dataset:
    """Store one array with the names of its axes, chunked along the first: readers walk that one."""
    array = np.asarray(array)
    if array.ndim != len(axes):
        raise ValueError(f"{name}: {array.ndim} dimensions, axes {tuple(axes)}")
    if array.dtype.kind == "U":
        array = array.astype(h5py.string_dtype())
    dataset = group.create_dataset(name, data=array, chunks=_chunks(array))
    dataset.attrs["axes"] = list(axes)
    dataset.attrs["units"] = units
    return dataset


def _chunks(array: np.ndarray) -> tuple[int, ...] | None:
    """One step of the first axis a chunk, several where a step is small; none for small arrays."""
    if array.ndim < 2 or array.nbytes < CHUNK_BYTES or array.dtype.kind == "O":
        return None
    step = max(1, array[0].nbytes)
    return (max(1, min(len(array), CHUNK_BYTES // step)), *array.shape[1:])


@contextmanager
def opening(path: Path, expected: Input | None = None) -> Iterator[h5py.File]:
    """An artefact to read. Raises ArtefactError if it is missing, truncated, foreign or not the expected one."""
    path = Path(path)
    if not path.exists():
        raise ArtefactError(f"{path} does not exist. Run: snakemake --cores all {path}")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise ArtefactError(
            f"{path} cannot be read as HDF5 ({error}); it is truncated or is some other kind of file. {_again(path)}"
        ) from error
    with file:
        _check(path, dict(file.attrs), expected)
        yield file


def _again(path: Path) -> str:
    return f"To make it anew: rm {path} && snakemake --cores all {path}"


def _check(path: Path, found: dict, expected: Input | None) -> None:
    if found.get("format") != FORMAT:
        raise ArtefactError(
            f"{path} was not written by this project: its attribute 'format' is {found.get('format')!r}, "
            f"expected {FORMAT!r}. {_again(path)}"
        )
    if expected is None or found["key"] == expected.key:
        return
    if (found["room"], found["name"]) != (expected.room, expected.name):
        what = f"it holds {found['room']} {found['name']!r}, expected {expected.room} {expected.name!r}"
    else:
        what = (
            f"its key is {found['key']}, but the present config and code give {expected.key}: its settings, its code "
            "or something it was made from has changed since"
        )
    raise ArtefactError(f"{path} is stale: {what}. {_again(path)}")


def text_attribute(file: h5py.File, name: str):
    """A JSON attribute of an artefact, decoded."""
    return json.loads(file.attrs[name])


def write_table(path: Path, frame: pd.DataFrame, job: Job) -> None:
    """A tidy table as CSV. The first line, a comment, holds the identity; floats keep 9 significant digits."""
    buffer = io.StringIO()
    buffer.write(f"# {canonical(identity(job))}\n")
    frame.to_csv(buffer, index=False, float_format="%.9g", lineterminator="\n")
    write_text(path, buffer.getvalue())


def write_text(path: Path, text: str) -> None:
    """A text file, whole or not at all."""
    with replacing(path) as beside:
        beside.write_text(text, encoding="utf-8")


def read_table(path: Path, expected: Input | None = None) -> pd.DataFrame:
    """A table written by `write_table`; raises ArtefactError like `opening`."""
    path = Path(path)
    if not path.exists():
        raise ArtefactError(f"{path} does not exist. Run: snakemake --cores all {path}")
    with open(path, "rb") as file:
        try:
            found = json.loads(file.readline().removeprefix(b"# "))
        except ValueError:
            found = None
        _check(path, found if isinstance(found, dict) else {}, expected)
        return pd.read_csv(file)
