"""Writing activations: an HDF5 artefact through headworks.store against the same bytes by numpy.save.

    python -m benchmarks.store [--rounds 10] [--folder FOLDER]

Both write beside the final name, flush to disk, and rename. Times are on the clock, and the disk is whatever
FOLDER lies on; the files are removed.
"""

import argparse
import os
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.timing import facts, interleaved, one_thread, report, wall_seconds
from headworks.job import Job
from headworks.store import put, replacing, writing

SNAPSHOTS, REPLICAS, SEQUENCES, POSITIONS, WIDTH = 20, 4, 32, 105, 64
SITES = ("resid_pre", "attn_out", "resid_post")
AXES = ("snapshot", "replica", "sequence", "position", "model")
STORE, RAW = "headworks.store, HDF5", "numpy.save"
TARGET = 0.7


def write_store(path: Path, arrays: dict[str, np.ndarray], job: Job) -> None:
    with writing(path, job) as file:
        for name, array in arrays.items():
            put(file, name, array, AXES)


def write_raw(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with replacing(path) as beside, open(beside, "wb") as file:
        for array in arrays.values():
            np.save(file, array)
        file.flush()
        os.fsync(file.fileno())


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent, help="where to write")
    arguments = parser.parse_args()
    one_thread()
    generator, shape = np.random.default_rng(0), (SNAPSHOTS, REPLICAS, SEQUENCES, POSITIONS, WIDTH)
    arrays = {name: generator.standard_normal(shape, np.float32) for name in SITES}
    megabytes = sum(array.nbytes for array in arrays.values()) / 1e6
    job = Job("benchmark", "activations", "written", "activations", {}, (), "none", "none")
    about = facts(threads=1, rounds=arguments.rounds, megabytes=round(megabytes), clock="wall")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        contestants = {
            STORE: wall_seconds(lambda: write_store(Path(folder) / "store.h5", arrays, job)),
            RAW: wall_seconds(lambda: write_raw(Path(folder) / "raw.npy", arrays)),
        }
        seconds = interleaved(contestants, arguments.rounds)
    best = {name: min(times) for name, times in seconds.items()}
    share = best[RAW] / best[STORE]
    about["targets"] = [f"{share:.0%} of numpy.save: target 70% {'met' if share >= TARGET else 'missed'}"]
    rows = [
        {
            "store": name,
            "MB/s, best round": megabytes / best[name],
            "MB/s, median round": megabytes / float(np.median(seconds[name])),
            "share of numpy.save": best[RAW] / best[name],
        }
        for name in best
    ]
    report("store", about, rows)


if __name__ == "__main__":
    main()
