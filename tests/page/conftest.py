"""The page in a real browser: Chromium, driven by Playwright, with no network and every complaint kept."""

from importlib.util import find_spec
from pathlib import Path

import made_up
import pytest
from made_up import WIDE

from headworks.page import picture, render

SHOTS = Path(__file__).parents[2] / "results" / "screenshots"


def missing() -> str | None:
    """Why the browser's tests cannot run; None if they can."""
    if not all(map(find_spec, ("playwright", "axe_playwright_python"))):
        return "Playwright is not installed: pip install -e '.[dev]'"
    return None if picture.browser() else picture.MISSING


def pytest_collection_modifyitems(items):
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.page)


def pytest_terminal_summary(terminalreporter):
    skipped = [report for report in terminalreporter.getreports("skipped") if "/page/" in report.nodeid]
    if skipped and (reason := missing()):
        terminalreporter.write_line(f"{len(skipped)} tests of the page were skipped: {reason}")


@pytest.fixture(scope="session")
def chromium():
    """One browser for all tests."""
    if reason := missing():
        pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=picture.browser(), args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """The page of the made-up studies, on disk."""
    out = tmp_path_factory.mktemp("page") / "index.html"
    out.write_text(render.render(made_up.studies(), []), encoding="utf-8")
    return out


@pytest.fixture
def opened(chromium):
    """A function that opens a file: `opened(path, state="verdict=unsound", size=NARROW, dark=True)`.

    The browser is offline. A test fails if the page logged an error, threw one or asked for anything but itself.
    """
    contexts, complaints = [], []

    def open_file(path: Path, state: str = "", size: tuple[int, int] = WIDE, dark: bool = False, **options):
        context = chromium.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme="dark" if dark else "light",
            offline=True,
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        address = Path(path).as_uri()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda asked: complaints.append(asked.url) if _foreign(asked.url, address) else None
        )
        page.goto(f"{address}#{state}" if state else address)
        return page

    yield open_file
    for context in contexts:
        context.close()
    assert complaints == []


def _foreign(url: str, address: str) -> bool:
    return not url.startswith((address, "data:"))


@pytest.fixture(scope="session")
def shots() -> Path:
    """Where pictures are kept for people to look at."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    return SHOTS
