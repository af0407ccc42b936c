"""Small tables of the shapes that the experiments of Olsson 2022 write, for the tests of its figures."""

import numpy as np
import pandas as pd

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
                        "literal": 0.02 + 0.5 * strength * now,
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
