"""A private copy of the workflow with the toy study in it, and `snakemake` run there as a user would."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TOY = Path(__file__).parent / "toy"
STUDIES = Path("workflow/headworks/studies")
STUDY = STUDIES / "toy"
ALL = {
    "results/toy/data/ring.h5",
    "results/toy/runs/learner.h5",
    "results/toy/runs/still.h5",
    "results/toy/activations/probes-learner.h5",
    "results/toy/tables/curve.csv",
    "results/toy/tables/probe.csv",
    "results/toy/figures/curve.svg",
    "results/claims/toy.learns.json",
    "results/claims/toy.generalises.json",
    "results/claims/toy.csv",
}
PAGE = {"results/toy/page.json", "results/index.html"}
"""What follows from all of these and tells how long each took: left out of comparisons, see test_page.py."""


class Checkout:
    """A working directory holding the workflow, and nothing that a run leaves behind unless it was run."""

    def __init__(self, root: Path):
        self.root = root

    def __truediv__(self, path) -> Path:
        return self.root / path

    def install(self) -> "Checkout":
        """Copy the code and the config as the repository has them now."""
        for folder in ("rules", "profiles", "workflow/report", "workflow/schemas"):
            if (REPOSITORY / folder).exists():
                _copy(REPOSITORY / folder, self.root / folder)
        package = shutil.ignore_patterns("__pycache__", "studies")
        _copy(REPOSITORY / "workflow/headworks", self.root / "workflow/headworks", package)
        _copy(TOY, self.root / STUDY, shutil.ignore_patterns("__pycache__", "*.yaml"))
        (self.root / "config/studies").mkdir(parents=True, exist_ok=True)
        _write(REPOSITORY / STUDIES / "__init__.py", self / STUDIES / "__init__.py")
        _write(REPOSITORY / "Snakefile", self / "Snakefile")
        _write(REPOSITORY / "config/config.yaml", self / "config/config.yaml")
        _write(TOY / "toy.yaml", self / "config/studies/toy.yaml")
        return self

    def copy_to(self, root: Path) -> "Checkout":
        """This working directory as it is now, results, file times and .snakemake included."""
        shutil.copytree(self.root, root)
        return Checkout(root)

    def edit(self, path, old: str, new: str) -> None:
        """Replace one passage of a file, which must be there exactly once."""
        text = (self.root / path).read_text(encoding="utf-8")
        assert text.count(old) == 1, f"{path} has {text.count(old)} times {old!r}"
        (self.root / path).write_text(text.replace(old, new), encoding="utf-8")

    def environment(self, **extra: str) -> dict[str, str]:
        return environment(PYTHONPATH=str(self.root / "workflow"), **extra)

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen:
        """`snakemake` with these arguments, in the background; its output goes to the file `console`."""
        with open(self.root / "console", "w") as console:
            return subprocess.Popen(
                snakemake(*arguments),
                cwd=self.root,
                env=self.environment(**extra),
                stdout=console,
                stderr=console,
            )

    def snakemake(self, *arguments: str, fails: bool = False, **extra: str) -> str:
        """Run `snakemake` and return all it said; asserts that it succeeds, or that it fails."""
        return call(snakemake(*arguments), self.root, self.environment(**extra), fails)

    def planned(self, *arguments: str) -> set[str]:
        """The outputs of the jobs that a dry run would execute."""
        return outputs(self.snakemake("-n", *arguments))

    def file_bytes(self, pattern: str = "results/**/*") -> dict[str, bytes]:
        """Contents of the artefacts, by path: all but logs, benchmarks and hidden files."""
        paths = [path for path in self.root.glob(pattern) if path.is_file() and path.name[0] != "."]
        names = {path.relative_to(self.root).as_posix(): path for path in paths}
        aside = {"logs", "benchmarks"}
        return {n: p.read_bytes() for n, p in names.items() if n not in PAGE and not aside & set(p.parts)}


def environment(**extra: str) -> dict[str, str]:
    """The environment of a subprocess: one thread, no GPU, and no profile but the workflow's own."""
    dropped = ("SNAKEMAKE", "HEADWORKS", "CUDA", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(dropped)}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | {"PATH": path, "OMP_NUM_THREADS": "1", "HEADWORKS_DEVICE": "cpu"} | extra


def snakemake(*arguments: str) -> list[str]:
    """The command; two cores unless the arguments say otherwise."""
    own = {"-n", "--cores", "--lint", "--unlock", "--report", "--workflow-profile"} & set(arguments)
    return [sys.executable, "-m", "snakemake", *arguments, *([] if own else ["--cores", "2"])]


def call(command: list[str], folder: Path, env: dict[str, str], fails: bool = False) -> str:
    done = subprocess.run(
        command, cwd=folder, env=env, capture_output=True, text=True, timeout=240, check=False
    )
    said = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, f"{' '.join(command)}: exit status {done.returncode}\n{said}"
    return said


def outputs(said: str) -> set[str]:
    """The artefacts named by the `output:` lines of what Snakemake printed, but for the page."""
    return {path for path in all_outputs(said) if not path.endswith(".png")} - PAGE


def all_outputs(said: str) -> set[str]:
    lines = re.findall(r"^ +output: (.+)$", said, flags=re.MULTILINE)
    return {path for line in lines for path in line.split(", ")}


def nothing_to_do(said: str) -> bool:
    return "Nothing to be done" in said


def _copy(source: Path, target: Path, ignore=None) -> None:
    shutil.copytree(source, target, ignore=ignore, dirs_exist_ok=True, copy_function=shutil.copyfile)


def _write(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
