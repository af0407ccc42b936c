"""Every kind of figure on small tables of the shapes that the experiments write: equal bytes, labels, hard values."""

from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from headworks import figures
from headworks.errors import HeadworksError
from headworks.job import Job
from headworks.studies.olsson2022.figure_options import FIGURES

SEEDS = (0, 1, 2)
RUNS = {"perm-1l": 1, "perm-2l": 2, "perm-1l-smear": 1}
MIDDLES = {"perm-1l": np.inf, "perm-2l": 3e6, "perm-1l-smear": 6e5}
TOKENS = np.concatenate([[0], np.geomspace(5e4, 8e6, 30)])
INDEX = np.geomspace(1.4, 60, 8)


def risen(run, seed, lead=1.0):
    """A share from 0 to 1 over training: the phase change of one replica."""
    return 1 / (
        1 + np.exp(-(TOKENS - MIDDLES[run] * lead * (1 + 0.1 * seed)) / (0.2 * min(MIDDLES[run], 1e9)))
    )


def each(build):
    """The rows of `build(run, seed, random)` for every replica, as one table."""
    rows = []
    for n, run in enumerate(RUNS):
        for seed in SEEDS:
            found = build(run, seed, np.random.default_rng([n, seed]))
            rows += pd.DataFrame(found).assign(run=run, seed=seed).to_dict("records")
    return pd.DataFrame(rows)


def over_training(**columns):
    return {"step": np.arange(len(TOKENS)), "tokens": TOKENS} | columns


def curves():
    def build(run, seed, random):
        noise = random.normal(0, 0.01, len(TOKENS))
        now = risen(run, seed)
        return over_training(
            layers=RUNS[run],
            loss=3.4 - 0.3 * np.arange(len(TOKENS)) / len(TOKENS) - 0.6 * now + noise,
            icl=0.02 - 0.75 * now + noise,
            prefix=0.03 + 0.4 * risen(run, seed, 0.8) + noise / 2,
            previous=0.05 + 0.6 * (RUNS[run] - 1) * risen(run, seed, 0.7) + abs(noise),
            copy_gain=1.8 * now + noise,
            chance=0.02,
        )

    return each(build)


def phases():
    def build(run, seed, random):
        middle = MIDDLES[run] * (1 + 0.1 * seed)
        window = int(np.isfinite(middle))
        undefined = 1.0 if window else np.nan
        return {
            "layers": [RUNS[run]],
            "tokens": TOKENS[-1],
            "diverged": False,
            "window": window,
            "start": middle * 0.6 * undefined,
            "end": middle * 1.5 * undefined,
            "midpoint": middle * undefined,
            "icl_end": -0.75 + 0.02 * random.normal() if window else -0.02,
            "icl_onset": middle * 0.7,
            "previous_time": middle * 0.75 if RUNS[run] > 1 else np.inf,
            "prefix_time": middle * 0.85,
            "icl_time": middle,
        }

    return each(build)


def positions():
    def build(run, seed, random):
        step, index = (axis.ravel() for axis in np.indices((len(TOKENS), len(INDEX))))
        now = risen(run, seed)[step] * np.log(INDEX[index]) / 4
        return {
            "step": step,
            "tokens": TOKENS[step],
            "index": INDEX[index],
            "loss": 3.4 - now,
            "slope": -now + random.normal(0, 0.02, len(step)),
        }

    return each(build)


def per_head(run, random):
    """Layers, heads and a strength of induction for each of four heads a layer."""
    layer, head = (axis.ravel() for axis in np.indices((RUNS[run], 4)))
    strength = np.where(
        (layer == RUNS[run] - 1) & np.isfinite(MIDDLES[run]), random.uniform(0.2, 1, len(layer)), 0
    )
    return layer, head, strength


def heads():
    def build(run, seed, random):
        layer, head, strength = per_head(run, random)
        frames = []
        for step in range(0, len(TOKENS), 3):
            s = strength * risen(run, seed)[step]
            frames.append(
                pd.DataFrame(
                    {
                        "step": step,
                        "tokens": TOKENS[step],
                        "layer": layer,
                        "head": head,
                        "prefix": 0.02 + 0.5 * s,
                        "previous": np.where(layer == 0, 0.3, 0.05),
                        "copying": s + random.normal(0, 0.1, len(s)),
                        "ov_copying": s - 0.2 + random.normal(0, 0.1, len(s)),
                        "qk_trace": np.where(layer > 0, 20 * s + random.normal(0, 1, len(s)), np.nan),
                    }
                )
            )
        return pd.concat(frames)

    return each(build)


def ablation():
    def build(run, seed, random):
        layer, head, strength = per_head(run, random)
        previous = (RUNS[run] == 2) & (layer == 0) & (head == 1)
        frames = []
        for step in (10, 20, 30):
            now = risen(run, seed)[step]
            for kind in ("full", "pattern-preserving"):
                effect = strength * 0.3 + previous * (0.6 if kind == "full" else 0.03)
                frames.append(
                    pd.DataFrame(
                        {
                            "step": step,
                            "tokens": TOKENS[step],
                            "layer": layer,
                            "head": head,
                            "kind": kind,
                            "icl_change": effect * now + random.normal(0, 0.01, len(head)),
                            "projection": -effect * now * (1 if np.isfinite(MIDDLES[run]) else np.nan),
                            "prefix": 0.02 + 0.4 * strength * now,
                            "prefix_over_chance": 1 + 20 * strength * now,
                            "previous": previous * 0.6,
                            "induction": (strength * now > 0.2).astype(int),
                            "previous_head": previous.astype(int),
                        }
                    )
                )
        return pd.concat(frames)

    return each(build)


def joint():
    def build(run, seed, random):
        has = np.isfinite(MIDDLES[run])
        rows = []
        for kind in ("full", "pattern-preserving"):
            rows.append(
                ("induction", 0, kind, 3 if has else 0, 0.95 + 0.03 * random.normal() if has else np.nan)
            )
            rows += [("random", draw, kind, 3, 0.1 + 0.1 * random.normal()) for draw in range(4)]
        return pd.DataFrame(rows, columns=["set", "draw", "kind", "heads", "removed"])

    return each(build)


def rescue():
    def build(run, seed, random):
        shares = {"nothing": (0, 0), "pattern": (0.2, 0.9), "value": (0.7, 0.1)}
        rows = [
            (role, restored, -0.5, share[i] + 0.03 * random.normal())
            for i, role in enumerate(("induction", "previous"))
            for restored, share in shares.items()
        ]
        return pd.DataFrame(rows, columns=["role", "restored", "icl", "recovered"])

    return each(build)


def mechanism():
    def build(run, seed, random):
        shares = {"previous: shift": 0.97, "previous: shift by two": -0.2}
        shares |= {"induction: matches": 0.7, "induction: shuffled": -0.1}
        return {"replaced": list(shares), "recovered": [x + 0.05 * random.normal() for x in shares.values()]}

    return each(build)


def paths():
    def build(run, seed, random):
        now = risen(run, seed)
        return over_training(
            pc1=np.linspace(-40, 30, len(TOKENS)) * (1 - 0.6 * now) + random.normal(0, 0.5, len(TOKENS)),
            pc2=60 * now + random.normal(0, 0.5, len(TOKENS)),
            explained1=0.7,
            explained2=0.2,
            inside=((now > 0.1) & (now < 0.9)).astype(int),
            angle=95.0 + 3 * seed if np.isfinite(MIDDLES[run]) else np.nan,
        )

    return each(build)


def fingerprint():
    def build(run, seed, random):
        size = np.isfinite(MIDDLES[run]) * 1.0
        changes = {"repeated": -1.5, "broken": 0.8, "new": -0.05}
        rows = []
        for prefix, real in (("", 1), ("shuffled-", 0)):
            for kind, change in changes.items():
                value = size * (change * real - 0.3 * (1 - real)) + 0.03 * random.normal()
                rows.append(
                    (prefix + kind, {"repeated": 0.4, "broken": 0.35, "new": 0.25}[kind], value, value + 0.05)
                )
        return pd.DataFrame(rows, columns=["kind", "share", "change", "excess"])

    return each(build)


def composition():
    def build(run, seed, random):
        rows = []
        for snapshot in ("first", "last"):
            for kind in "kqv":
                for head in range(4 * (RUNS[run] - 1)):
                    for other in range(4):
                        pair = head == other == 2
                        strong = pair and snapshot == "last" and kind == "k"
                        rows.append(
                            (snapshot, kind, 1, head, 0, other, random.normal() + 12 * strong, int(pair))
                        )
        names = ["snapshot", "kind", "layer", "head", "earlier_layer", "earlier_head", "z", "pair"]
        return pd.DataFrame(rows, columns=names)

    return each(build)


def abstract():
    def build(run, seed, random):
        layer, head, strength = per_head(run, random)
        frames = []
        for snapshot, now in (("first", 0), ("last", 1)):
            frames.append(
                pd.DataFrame(
                    {
                        "snapshot": snapshot,
                        "layer": layer,
                        "head": head,
                        "prefix": 0.02 + 0.5 * strength * now,
                        "same_category": 0.26 + 0.4 * strength * now + random.normal(0, 0.02, len(head)),
                        "shuffled": 0.26 + random.normal(0, 0.02, len(head)),
                        "chance": 0.26,
                    }
                )
            )
        return pd.concat(frames)

    return each(build)


def corpus():
    values = {
        "repeat_share": 0.7,
        "reliable_share": 0.5,
        "unigram_entropy": 3.4,
        "bigram_entropy": 3.1,
        "tokens": 1e6,
    }
    rows = [
        (name, split, key, value * scale)
        for name, scale in (("perm", 1), ("text", 0.6))
        for split in ("train", "evaluation")
        for key, value in values.items()
    ]
    return pd.DataFrame(rows, columns=["dataset", "split", "statistic", "value"])


def floor():
    index = np.arange(1, 65)
    bayes = pd.DataFrame({"reference": "bayes", "index": index, "loss": 2.4 + 1 / index})
    bigram = pd.DataFrame({"reference": "bigram", "index": index, "loss": 3.3})
    return pd.concat([bayes, bigram], ignore_index=True).assign(dataset="perm")


BUILDERS = (curves, phases, positions, heads, ablation, joint, rescue, mechanism, paths, fingerprint)
BUILDERS += (composition, abstract, corpus, floor)
OPTIONS = {
    "analysis": {role: role for role in ("curves", "paths", "positions", "heads", "ablation", "phases")},
    "coperturbation": {"curves": "curves", "phases": "phases", "controls": ["perm-1l"]},
    "smears": {
        "curves": "curves",
        "phases": "phases",
        "alphas": {"perm-1l-smear": 0.0, "perm-2l": 2.0},
        "unsmeared": ["perm-1l"],
        "controls": ["perm-1l"],
    },
    "ablation": {"ablation": "ablation"},
    "joint": {"joint": "joint"},
    "rescue": {"rescue": "rescue", "mechanism": "mechanism"},
    "paths": {"paths": "paths", "controls": ["perm-1l"]},
    "fingerprint": {"fingerprint": "fingerprint"},
    "composition": {"composition": "composition", "heads": "heads", "run": "perm-2l"},
    "ladder": {"phases": "phases", "series": {"perm-1l-smear": "smeared"}, "controls": ["perm-1l"]},
    "order": {"phases": "phases"},
    "abstract": {"abstract": "abstract"},
    "corpus": {"corpus": "corpus", "positions": "positions", "floor": "floor"},
    "curves": {"curves": "curves", "phases": "phases", "floor": "floor"},
}


@pytest.fixture(scope="module")
def tables():
    return {build.__name__: build() for build in BUILDERS}


def drawn(kind, tables, **options):
    parsed = FIGURES[kind].model_validate(OPTIONS[kind] | options)
    return import_module(f"headworks.studies.olsson2022.figures.{kind}").draw(parsed, tables)


def saved(figure, folder):
    job = Job("olsson2022", "figures", "one", "any", {}, (), "c0de", "key")
    figures.save(figure, folder / "one.svg", job)
    return (folder / "one.svg").read_bytes(), (folder / "one.png").read_bytes()


def cells(figure):
    """The axes that hold something: neither switched off nor a colour bar."""
    return [axis for axis in figure.axes if axis.axison and axis.get_label() != "<colorbar>"]


def test_every_kind_is_tested():
    assert set(OPTIONS) == set(FIGURES)


@pytest.mark.parametrize("kind", FIGURES)
def test_the_same_table_gives_the_same_bytes(kind, tables, tmp_path):
    first = saved(drawn(kind, tables), tmp_path)
    np.random.default_rng(1)
    assert saved(drawn(kind, tables), tmp_path) == first
    assert b"<dc:date>" not in first[0]


@pytest.mark.parametrize("kind", FIGURES)
def test_axes_are_labelled_and_figures_equally_wide(kind, tables):
    figure = drawn(kind, tables)
    assert figure.get_size_inches()[0] <= figures.WIDTH
    for axis in cells(figure):
        assert axis.get_xlabel() or not any(label.get_visible() for label in axis.get_xticklabels())
        assert axis.get_ylabel() or axis.get_subplotspec().colspan.start > 0


@pytest.mark.parametrize("kind", FIGURES)
def test_undefined_and_infinite_values_do_not_stop_a_figure(kind, tables, tmp_path):
    kept = ("seed", "step", "tokens", "layer", "layers", "head", "index", "draw", "pair", "inside", "chance")
    kept += ("induction", "previous_head", "window", "heads", "diverged", "explained1", "explained2")
    for hard in (np.nan, np.inf):
        spoilt = {}
        for name, frame in tables.items():
            rows = frame["seed"] == 1 if "seed" in frame else frame.index == 1
            spoilt[name] = frame.copy()
            measures = [c for c in frame.select_dtypes("number") if c not in kept]
            spoilt[name][measures] = spoilt[name][measures].astype(float)
            spoilt[name].loc[rows, measures] = hard
        saved(drawn(kind, spoilt), tmp_path)


def test_a_row_without_its_table_is_left_out(tables):
    whole = drawn("analysis", tables)
    assert len(cells(whole)) == 9 * len(RUNS)
    assert len(cells(drawn("analysis", tables, positions=[]))) == 7 * len(RUNS)
    assert len(cells(drawn("analysis", tables, paths=[], ablation=[], heads=[]))) == 4 * len(RUNS)
    assert len(cells(drawn("rescue", tables, mechanism=[]))) == 2
    assert len(cells(drawn("smears", tables, phases=[]))) == 1
    assert len(cells(drawn("corpus", tables, positions=[], floor=[]))) == 2
    assert len(cells(drawn("composition", tables, heads=[]))) == 1


def test_times_that_never_came_have_a_tick_of_their_own(tables):
    for kind, axis in (("order", 0), ("ladder", 1), ("smears", 1)):
        figure = drawn(kind, tables)
        half = figure.axes[axis].xaxis if kind == "order" else figure.axes[axis].yaxis
        assert "never" in [
            half.get_major_formatter()(tick, i) for i, tick in enumerate(half.get_majorticklocs())
        ]
    came = tables["phases"].query("run == 'perm-2l'")
    axis = drawn("order", {"phases": came}).axes[0]
    names = [axis.xaxis.get_major_formatter()(tick, i) for i, tick in enumerate(axis.get_xticks())]
    assert names
    assert "never" not in names


def test_phases_of_runs_without_a_window_lack_its_columns(tables, tmp_path):
    bare = tables["phases"].query("run == 'perm-1l'").drop(columns=["start", "end", "midpoint"])
    few = tables | {"phases": bare}
    saved(drawn("coperturbation", few), tmp_path)
    saved(drawn("ladder", few, runs=["perm-1l"], series={}), tmp_path)


def test_several_tables_can_play_one_role(tables):
    frame = tables["curves"]
    parts = {"a": frame[frame["run"] == "perm-1l"], "b": frame[frame["run"] == "perm-2l"]}
    figure = drawn(
        "curves", parts | {"phases": tables["phases"], "floor": tables["floor"]}, curves=["a", "b"]
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["perm 1L", "perm 2L"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"curves": ["curve"]}, "options.curves: 'curve' is not one of"),
        ({"curves": ["phases"]}, "options.curves: the table 'phases' has no column"),
        ({"runs": ["perm-3l"]}, "options.runs: perm-3l is not in"),
    ],
)
def test_mistakes_in_options_name_the_key(options, words, tables):
    with pytest.raises(HeadworksError, match=words):
        drawn("curves", tables, **options)


def luminance(colour):
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_text_and_lines_are_readable_on_white_and_on_dark():
    assert contrast(figures.INK, "#ffffff") >= 4.5
    assert contrast(figures.INK, "#000000") >= 4.5
    assert contrast(figures.INK, "#0d1117") >= 4.1
    for colour in [*figures.PALETTE, figures.CONTROL, *figures.shades(6)]:
        assert contrast(colour, "#ffffff") >= 3
        assert contrast(colour, "#0d1117") >= 3


def test_never_lies_past_the_end_of_training_on_both_scales():
    for scale, shortest in (("linear", 0.0), ("log", 1e4)):
        times = figures.or_never([1e5, np.inf, np.nan], 1e6, shortest, scale)
        assert times[0] == 1e5
        assert times[1] > 1e6
        assert np.isnan(times[2])


def test_intervals_are_repeatable_and_hold_the_mean():
    values = np.array([1.0, 2.0, 3.0, 4.0])
    low, high = figures.interval(values)
    assert (low, high) == figures.interval(values)
    assert 1 < low < 2.5 < high < 4
