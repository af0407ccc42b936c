"""Progress of a long loop: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator

from tqdm import tqdm

LINE_SECONDS = 15.0
mirror = None
"""A second stream for the plain lines: the terminal, when a job's own output goes to its log."""


class Progress:
    """Step, loss, tokens per second and time left of one job.

    On a terminal this is a bar. In a log file, and under Snakemake where several jobs share a terminal,
    it is one plain line every quarter of a minute.
    """

    def __init__(
        self, label: str, total: int, tokens_per_step: int = 0, start: int | None = None, stream=None
    ):
        self.label, self.total, self.tokens_per_step, self.start = label, total, tokens_per_step, start
        self.stream = stream or sys.stderr
        self.began = self.spoke = time.monotonic()
        self.bar = (
            tqdm(total=total, initial=start or 0, desc=label, file=self.stream)
            if self.stream.isatty()
            else None
        )

    def update(self, done: int, note: str = "") -> None:
        """Say that `done` of the steps are done; `note` is shown beside it."""
        if self.start is None:
            # a resumed job starts late: what an earlier process did must not count as speed
            self.start = done - 1
        if self.bar is not None:
            self.bar.set_postfix_str(f"{note} {self._rate(done)}".strip(), refresh=False)
            self.bar.update(done - self.bar.n)
        elif time.monotonic() - self.spoke >= LINE_SECONDS or done == self.total:
            self.spoke = time.monotonic()
            left = (self.spoke - self.began) / max(done - self.start, 1) * (self.total - done)
            line = f"{self.label}  {done}/{self.total}  {note}  {self._rate(done)}  {left:.0f} s left"
            for stream in filter(None, (self.stream, mirror)):
                print(line, file=stream, flush=True)

    def _rate(self, done: int) -> str:
        rate = (done - self.start) * self.tokens_per_step / max(time.monotonic() - self.began, 1e-9)
        return f"{rate:,.0f} tokens/s" if self.tokens_per_step else ""

    def close(self) -> None:
        if self.bar is not None:
            self.bar.close()


def steps(label: str, items: Iterable, total: int) -> Iterator:
    """Iterate with a `Progress`."""
    progress = Progress(label, total)
    for count, item in enumerate(items, 1):
        yield item
        progress.update(count)
    progress.close()
