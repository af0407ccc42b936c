"""Tables of curves and times as the experiments of Singh 2024 write them; see `singh_tables`."""

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd

from headworks.studies.singh2024.experiments import sources as sources_experiment
from headworks.studies.singh2024.experiments import timing as timing_experiment
from headworks.studies.singh2024.experiments import toy as toy_experiment
from headworks.studies.singh2024.options import Sources, Timing, Toy

SEEDS = (0, 1, 2)
HEADS, POINTS = 4, 80
LN2, LN5 = math.log(2), math.log(5)
UNCLAMPED = "unclamped"
SPLITS = ("train", "test_class", "held_out_pairs", "drawings", "swapped")

# run → end of training, condition → time at which the loss is half of ln 2, and the plateau before (none: smooth)
RUNS = {
    "full": (1e6, {UNCLAMPED: (2.7e5, LN2)}),
    "single": (1e6, {"none": (6e5, LN2), "attend": (3.5e5, LN2)}),
    "parts": (
        3e5,
        {
            "layer1": (8e4, 1.55),
            "labelled": (1e5, 1.55),
            "readout": (9e4, LN2),
            "layer1-released": (1.2e5, LN2),
            "match-released": (9e4, LN2),
        },
    ),
    "quick": (
        1.5e5,
        {
            "match": (3e4, None),
            "copy": (4e4, LN2),
            "layer1-copy": (2.4e4, None),
            "labelled-copy": (2.6e4, None),
            "readout-copy": (2e4, None),
            "layer1-copy-detached": (2.5e4, None),
            "match-random": (9e6, None),
        },
    ),
}
GRAFTS = {
    "full": RUNS["full"],
    "single": RUNS["single"],
    "previous": (6e5, {"attend-three": (1.8e5, LN2), "attend-all": (5.5e5, LN2)}),
    "graft-own": (3e5, {UNCLAMPED: (2.2e4, None)}),
    "graft-other": (3e5, {UNCLAMPED: (2e5, None)}),
}
STRENGTHS = {
    "strengths": (
        4e5,
        {
            "match-10": (6e4, None),
            "match-50": (2.6e5, LN2),
            "match-75": (5e4, None),
            "match-100": (3e4, None),
        },
    )
}
DATA = {  # run → classes, labels, and how much later the match and the copy are learned
    "quick": (50, 5, 1, 1),
    "classes-100": (100, 5, 1.2, 1),
    "classes-200": (200, 5, 1.5, 1),
    "labels-10": (50, 10, 1, 2.2),
    "labels-15": (50, 15, 1, 3.3),
    "labels-5-wide": (50, 5, 1, 1.1),
    "labels-15-pairs": (50, 15, 1, 3),
}


def falling(times, middle, plateau, start=LN5):
    """A loss that is half of ln 2 at `middle`: an exponential, or a fall to a plateau and a sudden one from it."""
    if plateau is None:
        return start * np.exp(-times / middle * np.log(start / (LN2 / 2)))
    early = plateau + (start - plateau) * np.exp(-times / (0.08 * middle))
    share = LN2 / 2 / plateau
    shift = np.log(1 / share - 1) * 0.09 * middle
    return early / (1 + np.exp((times - middle - shift) / (0.09 * middle)))


def slower(seed):
    return 1 + 0.15 * (seed - 1)


def each(runs, build):
    """The rows of `build(end, seed, random, middle, plateau)` for every run, condition and seed, as one table."""
    frames = []
    for n, (run, (end, conditions)) in enumerate(runs.items()):
        for m, (condition, (middle, plateau)) in enumerate(conditions.items()):
            for seed in SEEDS:
                random = np.random.default_rng([n, m, seed])
                found = pd.DataFrame(build(end, seed, random, middle * slower(seed), plateau))
                about = {"run": run, "condition": condition, "seed": seed}
                frames.append(pd.DataFrame(about, index=found.index).join(found))
    return pd.concat(frames, ignore_index=True)


def evenly(end, points=POINTS):
    return (np.arange(points) + 0.5) * end / points


def curve(end, seed, random, middle, plateau):
    times = evenly(end)
    loss = falling(times, middle, plateau) * random.normal(1, 0.02, POINTS) + 0.003
    return {"n_classes": 50, "n_labels": 5, "sequences": times, "loss": loss}


def curves():
    return each(RUNS, curve)


def grafts_curves():
    return each(GRAFTS, curve)


def strengths_curves():
    return each(STRENGTHS, curve)


def diversity_curves():
    frames = []
    for run, (n_classes, n_labels, match, copy) in DATA.items():
        conditions = {
            "match": (3e4 * copy, None),
            "layer1-copy": (2.4e4 * match, None),
            "labelled-copy": (2.6e4 * match, None),
        }
        frame = each({run: (1.5e5, conditions)}, curve)
        frames.append(frame.assign(n_classes=n_classes, n_labels=n_labels))
    return pd.concat(frames, ignore_index=True)


def _timing(frame):
    inputs = SimpleNamespace(tables={"curves": frame})
    return timing_experiment.table(Timing(), inputs)


def timing():
    return _timing(curves())


def grafts():
    return _timing(grafts_curves())


def strengths_timing():
    return _timing(strengths_curves())


def diversity():
    return _timing(diversity_curves())


def snapshots(end, number):
    """Columns step, sequences, snapshot of evenly spaced snapshots, the first of the untrained network."""
    sequences = np.linspace(0, end, number)
    names = ["first", *["middle"] * (number - 2), "last"]
    return pd.DataFrame(
        {"step": (sequences / 32).astype(int), "sequences": sequences.astype(int), "snapshot": names}
    )


def scored(loss, random):
    accuracy = np.clip(1 - loss / 1.6, 0, 1)
    return pd.DataFrame(
        {
            "loss": loss,
            "accuracy": accuracy,
            "context_accuracy": np.clip(0.5 + accuracy / 2 + random.normal(0, 0.01, len(loss)), 0, 1),
            "target_probability": np.exp(-loss),
            "context_mass": np.minimum(1, 2 * np.exp(-loss)),
        }
    )


def _evaluation(runs, number):
    worse = {"train": (0, 1), "test_class": (0.12, 1.1), "held_out_pairs": (0.05, 1.15), "drawings": (0.5, 1)}

    def build(end, seed, random, middle, plateau):
        places, frames = snapshots(end, number), []
        for split, (floor, late) in worse.items():
            fall = falling(places["sequences"].to_numpy(float), middle * late, plateau)
            frames.append(places.assign(split=split).join(scored(np.maximum(fall, floor + 0.003), random)))
        right = frames[0]
        wrong = scored(1.5 + 4 * (1 - right["loss"].to_numpy() / LN5), random)
        wrong["context_accuracy"] = 1 - right["context_accuracy"]
        wrong["accuracy"] = np.minimum(0.2, 1 - right["accuracy"])
        return pd.concat([*frames, places.assign(split="swapped").join(wrong)], ignore_index=True)

    return each(runs, build)


def evaluation():
    return _evaluation({"full": RUNS["full"]}, 31)


def strengths():
    return _evaluation(STRENGTHS, 11)


def final_strengths(seed):
    """Strengths of layer 2's heads and previous-token attention of layer 1's after training, [head] each."""
    random = np.random.default_rng([7, seed])
    strength = random.permutation(np.array([0.85, 0.5, 0.25, 0.05]))
    attention = random.permutation(np.array([0.92, 0.75, 0.3, 0.1]))
    return strength, attention


def risen(times, middle):
    return 1 / (1 + np.exp(-(times - middle) / (0.1 * middle)))


def emergence():
    def build(end, seed, random, middle, plateau):
        places = snapshots(end, 41).drop(columns="snapshot")
        times = places["sequences"].to_numpy(float)
        strength, attention = final_strengths(seed)
        frames = []
        for head in range(HEADS):
            now = attention[head] * risen(times, middle * 0.8) + 0.35 * (1 - risen(times, middle * 0.8))
            early = {"layer": 1, "head": head, "active": 1, "attention": now}
            frames.append(places.assign(**early, previous=now - (1 - now) * 2 / 3))
            late = {"layer": 2, "head": head, "active": 1}
            late["strength"] = strength[head] * risen(times, middle * (1 + 0.1 * head)) + random.normal(
                0, 0.004, len(times)
            )
            frames.append(places.assign(**late))
        frames.append(places.tail(1).assign(layer=0, head=-1, active=1, **raced(strength, attention, middle)))
        return pd.concat(frames, ignore_index=True)

    return each({"full": RUNS["full"]}, build)


def raced(strength, attention, middle):
    return {
        "max_strength": strength.max(),
        "n_strong": int((strength > 0.3).sum()),
        "n_inductive": int((strength > 0.1).sum()),
        "n_previous": int((attention >= 0.6).sum()),
        "first_head_time": 0.8 * middle,
        "previous_time": 0.8 * middle,
        "strength_half_time": middle,
        "lag": 0.2 * middle,
        "early_late": 0.6,
        "winner_is_first": int(strength.argmax() == 0),
    }


def progress():
    measured = {"none": (1, LN2), "match": (0.85, LN2), "layer1": (0.9, LN2)}

    def build(end, seed, random, middle, plateau):
        places, frames = snapshots(end, 26).drop(columns="snapshot"), []
        for measure, (share, level) in measured.items():
            loss = falling(places["sequences"].to_numpy(float), middle * share, level)
            about = {"measure": measure} | dict.fromkeys(("midpoint", "learned"), middle * share)
            about |= {"finished": middle * share * 1.3, "plateau": middle * 0.4, "shape": 4.0}
            frames.append(places.assign(loss=loss, accuracy=np.exp(-loss), **about))
        return pd.concat(frames, ignore_index=True)

    return each({"single": (1e6, {"none": (6e5, LN2)})}, build)


def prediction():
    rows = []
    data = {"single": (50, 5, 1), "single-200": (200, 5, 1.4), "single-15": (50, 15, 3)}
    for run, (n_classes, n_labels, late) in data.items():
        for seed in SEEDS:
            observed = 5e5 * late * slower(seed)
            predicted = observed * (1.1 + 0.1 * seed) * late**-0.2
            censored = observed > 1.7e6
            errors = {"log_error": abs(math.log(predicted / observed)), "baseline_log_error": 0.3 * late}
            errors |= {"shuffled_log_error": 0.4}
            about = {"run": run, "seed": seed, "n_classes": n_classes, "n_labels": n_labels}
            held_out = {(200, 5): "classes", (50, 15): "labels"}.get((n_classes, n_labels), "seeds")
            about |= {"held_out": held_out, "fold": seed % 2, "start": 0.1}
            about |= {"a_time": 2e4, "b_time": 2.4e4, "c_time": 3e4 * late, "predicted": predicted}
            about |= {"observed": math.inf if censored else observed, "censored": int(censored)}
            rows.append(about | (dict.fromkeys(errors, math.nan) if censored else errors))
    return pd.DataFrame(rows)


def sources():
    cosines = {"glyphs": ("random_conv", 0.7, 0.55), "gaussian": ("none", 0.5, 0.0)}
    datasets = {
        name: SimpleNamespace(
            facts={
                "source": name,
                "encoder": encoder,
                "within_class_cosine": within,
                "between_class_cosine": between,
            }
        )
        for name, (encoder, within, between) in cosines.items()
    }
    return sources_experiment.table(Sources(), SimpleNamespace(datasets=datasets))


def toy():
    return toy_experiment.table(Toy(seeds=12, iterations=1000), None)
