"""The head viewer: what it draws is what the HDF5 holds; slider, keyboard, address, play, sizes, dark mode."""

from itertools import pairwise
from pathlib import Path

import h5py
import made_up
import numpy as np
import pandas as pd
import pytest
from made_up import NARROW, WIDE

from headworks.digest import canonical
from headworks.page import render, views
from headworks.readers import ActivationsReader, DatasetReader, Inputs, RunReader
from headworks.spec import ModelSpec

SEEDS, HEADS, POSITIONS = (4, 2), 3, 8
LAYERS = {"deep": 2, "flat": 1}
STEPS = [0, 10, 20, 30, 40]
TOKENS = np.array([[0, 1, 2, 3, 1, 2, 3, 1, 2], [0, 3, 3, 2, 2, 1, 1, 3, 3]])
MARKUP = "</script><b>"
LONG = "The same once more, under a title that is longer than any phone is wide"
STAR = 4
"""The head, counted layer by layer, whose score ends highest in the run `deep`."""
SPEC = {
    "title": "Two little models",
    "about": "Made up.",
    "activations": "viewer",
    "runs": list(LAYERS),
    "labels": {"deep": "two layers", "flat": "one layer"},
    "probes": [("corpus", "a text")],
    "sequences": 2,
    "positions": None,
    "seeds": list(SEEDS),
    "snapshots": 9,
    "clock": "tokens",
    "first_layer": 0,
    "scores": {"table": "heads", "columns": [("prefix", "prefix matching"), ("previous", "previous token")]},
    "phases": {"table": "phases", "start": "start", "end": "end"},
}
TRAIN = {"steps": 40, "batch": 2, "lr": 1, "snapshots": {"every": 10}}
READY = "window.headworksViewer && headworksViewer.state().ready"


class Files:
    """Planted files of two runs, and the page with a view of them."""

    def __init__(self, folder: Path):
        self.patterns = {name: patterns(layers) for name, layers in LAYERS.items()}
        dataset = DatasetReader(data(folder / "data.h5"))
        runs = {name: RunReader(run(folder / f"{name}.h5", name), name, dataset) for name in LAYERS}
        cached = {
            name: ActivationsReader(activations(folder / f"viewer-{name}.h5", held))
            for name, held in self.patterns.items()
        }
        tables = {"heads": heads(), "phases": phases()}
        shown = views.export(SPEC, Inputs({"data": dataset}, runs, {"viewer": cached}, tables), "views.two")
        twin = shown | {"title": LONG}
        named = [
            {"study": "first", "name": name, "data": data} for name, data in (("two", shown), ("one", twin))
        ]
        self.page = folder / "index.html"
        self.page.write_text(render.render(made_up.studies(), named), encoding="utf-8")

    def held(self, run: str, seed: int, sequence: int, snapshot: int) -> np.ndarray:
        """[head, query, key], as the activations hold it."""
        return self.patterns[run][snapshot, SEEDS.index(seed), sequence].astype(float)


def patterns(layers: int) -> np.ndarray:
    """[snapshot, replica, sequence, head, query, key]: rows of a causal softmax that sharpens over training."""
    shape = (len(STEPS), len(SEEDS), len(TOKENS), layers * HEADS, POSITIONS, POSITIONS)
    scores = (
        np.random.default_rng(layers).normal(size=shape)
        * (1 + np.arange(len(STEPS)))[:, None, None, None, None, None]
    )
    weights = np.exp(scores) * np.tri(POSITIONS)
    return (weights / weights.sum(-1, keepdims=True)).astype(np.float16)


def data(path: Path) -> h5py.File:
    file = h5py.File(path, "w")
    about = {
        "layout": "sequences",
        "d_vocab": 4,
        "n_context": POSITIONS,
        "bos": 0,
        "predicts": "every",
        "facts": "{}",
    }
    file.attrs.update(about)
    file["vocabulary"] = ["<s>", "cat", " sat\n", MARKUP]
    return file


def run(path: Path, name: str) -> h5py.File:
    file = h5py.File(path, "w")
    model = ModelSpec(n_layers=LAYERS[name], n_heads=HEADS, d_model=12)
    file.attrs.update({"model": model.model_dump_json(), "spec": canonical({"train": TRAIN, "clamps": {}})})
    arrays = {
        "seeds": SEEDS,
        "conditions": ["unclamped"] * len(SEEDS),
        "steps": STEPS,
        "tokens": np.array(STEPS) * 2 * POSITIONS,
        "diverged": [-1, -1],
        "trace/loss": np.linspace([3, 3], [1, 2], 40),
    }
    for key, array in arrays.items():
        file[key] = array
    return file


def activations(path: Path, held: np.ndarray) -> h5py.File:
    file = h5py.File(path, "w")
    file.attrs["n_layers"] = held.shape[3] // HEADS
    file["snapshots"] = np.arange(len(STEPS))
    file["corpus/tokens"] = TOKENS
    for layer in range(held.shape[3] // HEADS):
        file[f"corpus/blocks.{layer}.attn.pattern"] = held[:, :, :, layer * HEADS : (layer + 1) * HEADS]
    return file


def heads() -> pd.DataFrame:
    """Scores that rise with training, the star's of `deep` most."""
    rows = [
        {"run": name, "seed": seed, "step": step, "layer": layer, "head": head}
        for name, layers in LAYERS.items()
        for seed in SEEDS
        for step in STEPS
        for layer in range(layers)
        for head in range(HEADS)
    ]
    frame = pd.DataFrame(rows)
    star = (frame["layer"] == STAR // HEADS) & (frame["head"] == STAR % HEADS)
    frame["prefix"] = frame["step"] / 50 * np.where(star, 1, 0.25)
    frame["previous"] = np.where(frame["layer"] == 0, 0.5, np.nan)
    return frame


def phases() -> pd.DataFrame:
    """The change of seed 4 from step 15 to step 25; seed 2 has none."""
    tokens = 2 * POSITIONS
    rows = [("deep", 4, 15 * tokens, 25 * tokens), ("deep", 2, np.nan, np.nan)]
    return pd.DataFrame(rows, columns=["run", "seed", "start", "end"])


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Files:
    return Files(tmp_path_factory.mktemp("viewer"))


@pytest.fixture
def viewer(opened, files):
    """The page at its head viewer, ready."""

    def open_viewer(state: str = "", **options):
        page = opened(files.page, f"view=heads&{state}" if state else "view=heads", **options)
        until(page, READY)
        return page

    return open_viewer


def until(page, condition: str) -> None:
    """Wait for a condition in JavaScript, asked from outside: the page's policy forbids what Playwright would do."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came: {condition}")


def state(page) -> dict:
    until(page, READY)
    return page.evaluate("headworksViewer.state()")


def drawn(page) -> np.ndarray:
    """[head, query, key]: the numbers behind what is drawn."""
    script = """() => {
      const { heads, positions } = headworksViewer.state(), all = (n) => [...Array(n).keys()];
      return all(heads).map((h) => all(positions).map((q) => all(positions).map((k) => headworksViewer.pixel(h, q, k))));
    }"""
    return np.array(page.evaluate(script))


def coloured(page) -> np.ndarray:
    """[head, query, key, RGBA]: the canvases."""
    script = """() => [...document.querySelectorAll(".viewer-tile canvas")].map(
      (canvas) => [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data])"""
    return np.array(page.evaluate(script)).reshape(-1, POSITIONS, POSITIONS, 4)


def slide(page, snapshot: int) -> None:
    page.locator("#viewer-slider").fill(str(snapshot))


# What is drawn


def test_the_slider_draws_the_numbers_of_the_activations(viewer, files):
    page = viewer()
    seen = []
    for snapshot in range(len(STEPS)):
        slide(page, snapshot)
        found = drawn(page)
        assert np.abs(found - files.held("deep", 4, 0, snapshot)).max() <= 1 / 255
        seen.append(coloured(page))
    assert all((one != other).any() for one, other in pairwise(seen))


def test_the_canvases_show_those_numbers(viewer, files):
    """Along the ramp, which is of the numbers' square roots; what lies ahead of a query is grey."""
    page = viewer()
    slide(page, 3)
    ramp = np.array(page.evaluate("viewerParts.ramp(255)"))
    assert len(np.unique(ramp, axis=0)) > 200
    behind = np.tri(POSITIONS, dtype=bool)
    expected = ramp[(files.held("deep", 4, 0, 3) * 255).round().astype(int)]
    found = coloured(page)[..., :3]
    assert (found[:, behind] == expected[:, behind]).all()
    assert len(np.unique(found[:, ~behind].reshape(-1, 3), axis=0)) == 1


def test_another_run_seed_and_sequence_are_drawn(viewer, files):
    page = viewer()
    slide(page, 2)
    page.select_option("#viewer-run", label="one layer")
    assert np.abs(drawn_when_ready(page) - files.held("flat", 4, 0, 2)).max() <= 1 / 255
    page.select_option("#viewer-seed", label="2")
    page.select_option("#viewer-sequence", label="a text, 2")
    assert np.abs(drawn_when_ready(page) - files.held("flat", 2, 1, 2)).max() <= 1 / 255
    assert page.locator(".viewer-tile").count() == HEADS


def drawn_when_ready(page) -> np.ndarray:
    until(page, READY)
    return drawn(page)


def test_it_starts_before_training_at_the_head_to_watch(viewer):
    page = viewer()
    assert (state(page)["snapshot"], state(page)["head"]) == (0, STAR)
    assert page.locator(".viewer-watched .viewer-name").inner_text().split() == ["L1", "H1", "watch"]
    assert page.locator("#viewer-hint").is_visible()
    assert page.evaluate("location.hash") == "#view=heads"


def test_texts_are_shown_as_they_are(viewer):
    page = viewer()
    tokens = page.locator("#viewer-strip .viewer-token").all_inner_texts()
    assert tokens == ["<s>", "cat", "␣sat⏎", MARKUP, "cat", "␣sat⏎", MARKUP, "cat"]
    assert page.locator("#viewer-next").inner_text() == "␣sat⏎"


# Time


def test_time_scores_and_the_phase_follow_the_slider(viewer):
    page = viewer()
    tile = page.locator(".viewer-tile").nth(STAR)
    said = []
    for snapshot in range(len(STEPS)):
        slide(page, snapshot)
        said.append(page.locator("#viewer-phase").inner_text())
        assert tile.locator(".viewer-number").first.inner_text() == f"{STEPS[snapshot] / 50:.2f}"
    assert said == ["before the phase change"] * 2 + ["in the phase change"] + ["after the phase change"] * 2
    slider = page.locator("#viewer-slider")
    assert slider.get_attribute("aria-valuetext") == "step 40, 640 tokens, after the phase change"
    assert (
        tile.get_by_role("img", include_hidden=True).get_attribute("aria-label")
        == "L1 H1, prefix matching 0.80"
    )
    page.select_option("#viewer-seed", label="2")
    until(page, READY)
    assert page.locator("#viewer-phase").inner_text() == "no phase change found"


def test_the_line_in_the_curve_is_where_the_slider_is(viewer):
    page = viewer()
    for snapshot in (0, 1, 4):
        slide(page, snapshot)
        x = float(page.locator("#viewer-curve .viewer-now").get_attribute("x1"))
        assert x == pytest.approx(1000 * snapshot / 4)


def test_nothing_moves_until_play_which_ends_at_the_end(viewer):
    page = viewer()
    page.wait_for_timeout(300)
    assert state(page)["snapshot"] == 0
    page.get_by_role("button", name="Play").click()
    page.get_by_role("button", name="Pause").wait_for()
    until(page, "headworksViewer.state().snapshot === 4")
    page.get_by_role("button", name="Play").wait_for()
    assert not page.locator("#viewer-hint").is_visible()


def test_play_stops_when_the_slider_is_taken(viewer):
    page = viewer()
    page.get_by_role("button", name="Play").click()
    slide(page, 1)
    assert page.get_by_role("button", name="Play").is_visible()


# One head


def test_the_keyboard_is_enough(viewer, files):
    """Slider, a head by Enter, and its numbers by the arrow keys."""
    page = viewer()
    page.locator("#viewer-slider").focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert state(page)["step"] == 30
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.viewer-tile')"):
            break
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert state(page)["head"] == 1
    assert page.locator("#viewer-head").inner_text() == "L0 H1"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id === 'viewer-board'"):
            break
    for key in ["ArrowUp"] * 2 + ["ArrowLeft"] * POSITIONS + ["ArrowRight"] * 4:
        page.keyboard.press(key)
    weight = round(files.held("deep", 4, 0, 3)[1, 5, 4] * 255) / 255
    expected = f"query 5 '␣sat⏎' → key 4 'cat': {weight:.2f}"
    assert page.locator("#viewer-readout").inner_text() == expected
    until(page, f"document.getElementById('viewer-said').textContent === {expected!r}")


def test_the_pointer_reads_a_number(viewer):
    page = viewer()
    box = page.locator("#viewer-canvas").bounding_box()
    page.locator("#viewer-canvas").hover(
        position={"x": box["width"] * 2.5 / POSITIONS, "y": box["height"] * 6.5 / POSITIONS}
    )
    assert page.locator("#viewer-readout").inner_text().startswith(f"query 6 '{MARKUP}' → key 2 '␣sat⏎': ")


def test_a_token_asks_for_its_query(viewer):
    page = viewer()
    page.locator("#viewer-strip .viewer-token").nth(3).click()
    assert state(page)["query"] == 3
    assert page.locator(".viewer-query").count() == 1


# The address


def test_what_is_shown_can_be_sent(viewer, opened, files):
    page = viewer("verdict=unsound")
    page.select_option("#viewer-view", label=LONG)
    until(page, READY)
    page.select_option("#viewer-run", label="one layer")
    until(page, READY)
    slide(page, 3)
    page.locator(".viewer-tile").nth(2).click()
    until(page, "location.hash.includes('v.head=L0H2')")
    address = page.evaluate("location.hash")
    assert "view=heads" in address
    assert "verdict=unsound" in address
    kept = ("view", "run", "seed", "sequence", "snapshot", "head")
    other = opened(files.page, address[1:])
    assert {key: state(other)[key] for key in kept} == {key: state(page)[key] for key in kept}
    assert (state(other)["view"], state(other)["step"]) == ("first-one", 30)


def test_an_address_with_nonsense_shows_the_beginning(viewer):
    page = viewer("v.view=x&v.run=y&v.seed=z&v.seq=9.9&v.step=7&v.head=L9H9")
    assert (state(page)["view"], state(page)["run"], state(page)["snapshot"]) == ("first-two", "deep", 0)


# Sizes and schemes


@pytest.mark.parametrize("size", [NARROW, (900, 900), WIDE])
def test_no_width_makes_the_page_scroll_sideways(viewer, size):
    page = viewer(size=size)
    assert page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", [NARROW, WIDE], ids=["narrow", "wide"])
def test_axe_finds_no_violations(viewer, shots, dark, size):
    from axe_playwright_python.sync_playwright import Axe

    page = viewer(size=size, dark=dark)
    slide(page, 2)
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    page.screenshot(path=shots / f"viewer-{size[0]}-{'dark' if dark else 'light'}.png", full_page=True)
