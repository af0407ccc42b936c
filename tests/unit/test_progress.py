"""Progress: a bar on a terminal, now and then a plain line in a log."""

import io

import pytest

from headworks import progress as module
from headworks.progress import Progress, steps


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets: clock[0] is the time in seconds."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_a_log_gets_a_line_a_quarter_minute_and_one_at_the_end(clock):
    log = io.StringIO()
    progress = Progress("learner", 100, stream=log)
    for done in range(1, 101):
        clock[0] = done * 1.0
        progress.update(done, "loss 1.000")
    progress.close()
    lines = log.getvalue().splitlines()
    assert [line.split()[1] for line in lines] == [
        "15/100",
        "30/100",
        "45/100",
        "60/100",
        "75/100",
        "90/100",
        "100/100",
    ]
    assert "loss 1.000" in lines[0]
    assert "85 s left" in lines[0]
    assert "\r" not in log.getvalue()


def test_the_rate_counts_the_tokens_of_this_start_only(clock):
    """A resumed run began at step 60: 20 steps of 50 tokens in 20 seconds are 50 a second."""
    log = io.StringIO()
    progress = Progress("learner", 100, tokens_per_step=50, start=60, stream=log)
    clock[0] = 20.0
    progress.update(80)
    assert "50 tokens/s" in log.getvalue()
    assert "20 s left" in log.getvalue()


def test_a_terminal_gets_a_bar(clock):
    terminal = Terminal()
    progress = Progress("learner", 10, stream=terminal)
    progress.update(10, "loss 1.000")
    progress.close()
    assert "learner" in terminal.getvalue()
    assert "10/10" in terminal.getvalue()


def test_steps_hands_on_every_item(capsys):
    assert list(steps("probes", "abc", 3)) == ["a", "b", "c"]
    assert "3/3" in capsys.readouterr().err
