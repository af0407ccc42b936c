"""The command line behind the rules: `headworks make JOB OUT`, `headworks verdicts`, `headworks page`, `headworks docs`.

Researchers type `snakemake`; this is what its rules call, and what to call to debug one job by hand.
"""

import argparse
import json
import os
import sys
import traceback
from pathlib import Path

from headworks import progress
from headworks.errors import HeadworksError


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    terminal = _redirect(options.log) if getattr(options, "log", None) else sys.stderr
    try:
        options.run(options)
    except HeadworksError as error:
        for stream in {sys.stderr, terminal}:
            print(f"headworks: {error}", file=stream, flush=True)
        return 1
    except Exception as error:
        if _out_of_memory(error):
            text = "headworks: out of memory; lower the number of seeds, the batch or the probe's examples"
            for stream in {sys.stderr, terminal}:
                print(text, file=stream, flush=True)
            return 1
        traceback.print_exc()
        where = getattr(options, "log", None) or "above"
        print(f"headworks: failed with an error nobody foresaw; traceback: {where}", file=terminal)
        return 1
    return 0


def _out_of_memory(error: Exception) -> bool:
    """Python's error, the CPU allocator's or CUDA's; told by their text, since importing torch takes seconds."""
    said = str(error)
    return isinstance(error, MemoryError) or "can't allocate memory" in said or "CUDA out of memory" in said


def _redirect(log: Path):
    """Send this process's output to a log file, native libraries' included; returns the terminal's stderr.

    The terminal goes on getting errors and plain lines of progress.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    terminal = progress.mirror = os.fdopen(os.dup(2), "w")
    with open(log, "w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    return terminal


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headworks", description=__doc__)
    commands = parser.add_subparsers(required=True)

    make = commands.add_parser("make", help="make one artefact from a job, as the rules do")
    make.add_argument("job", help="the job, as JSON")
    make.add_argument("out", type=Path)
    make.add_argument("--log", type=Path)
    make.set_defaults(run=_make)

    verdicts = commands.add_parser("verdicts", help="print the verdict table")
    verdicts.add_argument("claims", type=Path, nargs="+", help="claim files")
    verdicts.add_argument("--csv", type=Path, help="write them to this file instead")
    verdicts.set_defaults(run=_verdicts)

    page = commands.add_parser("page", help="make the claims page: gather each study, then render")
    steps = page.add_subparsers(required=True)
    gather = steps.add_parser("gather", help="one study as one JSON file")
    gather.add_argument("about", help="what no file says of the study, as JSON")
    gather.add_argument("claims", type=Path, nargs="*", help="claim files, in the order of the page")
    gather.add_argument("--out", type=Path, required=True)
    gather.add_argument("--log", type=Path)
    gather.set_defaults(run=_page_gather)
    render = steps.add_parser("render", help="the HTML file from gathered studies")
    render.add_argument("studies", type=Path, nargs="+", help="gathered studies, in the order of the page")
    render.add_argument("--views", type=Path, nargs="*", default=[], help="what the head viewer shows")
    render.add_argument("--out", type=Path, required=True)
    render.add_argument("--log", type=Path)
    render.set_defaults(run=_page_render)
    picture = steps.add_parser("picture", help="a picture of the page, taken with Chromium")
    picture.add_argument("page", type=Path)
    picture.add_argument("out", type=Path, help="a PNG")
    picture.set_defaults(run=_page_picture)

    docs = commands.add_parser(
        "docs", help="bring generated files up to date: schemas, config/README.md, README.md"
    )
    docs.add_argument("--results", action="store_true", help="take verdicts and figures from results/ first")
    docs.set_defaults(run=_docs)
    return parser


def _docs(options: argparse.Namespace) -> None:
    from headworks.docs import take_results, write

    if options.results:
        take_results()
    for path in write():
        print(f"wrote {path}")


def _make(options: argparse.Namespace) -> None:
    from headworks.job import Job
    from headworks.memory import keep_freed_memory
    from headworks.rooms import ROOMS

    keep_freed_memory()
    job = Job.load(options.job)
    ROOMS[job.room](job, options.out)


def _page_gather(options: argparse.Namespace) -> None:
    from headworks.page.gather import write

    write(json.loads(options.about), options.claims, options.out)


def _page_render(options: argparse.Namespace) -> None:
    from headworks.page.render import write

    write(options.studies, options.views, options.out)


def _page_picture(options: argparse.Namespace) -> None:
    from headworks.page.picture import take

    take(options.page, options.out)


def _verdicts(options: argparse.Namespace) -> None:
    from headworks.store import write_text
    from headworks.verdicts import csv_table, read, verdict_table

    claims = [read(path) for path in options.claims]
    if options.csv:
        write_text(options.csv, csv_table(claims))
    else:
        print(verdict_table(claims))


if __name__ == "__main__":
    sys.exit(main())
