"""Tables of the heads of a trained network as the experiments of Singh 2024 write them; see `singh_tables`."""

import numpy as np
import pandas as pd
from singh_curve_tables import HEADS, LN5, RUNS, each, final_strengths, risen, snapshots

WHENS = ("before", "during", "after")
ROLES = ("its exemplar", "right label", "other exemplar", "other label", "query")
POSITIONS = ("first exemplar", "first label", "second exemplar", "second label", "query")


def of_replicas(build):
    """The rows of `build(seed, random)` for every replica of the run `full`, as one table."""
    return each({"full": RUNS["full"]}, lambda end, seed, random, middle, plateau: build(seed, random))


def heads():
    def build(seed, random):
        strength, _ = final_strengths(seed)
        rank = (-strength).argsort().argsort() + 1
        frames = []
        for snapshot, now in (("first", 0.0), ("last", 1.0)):
            own = strength * now
            solo = 0.4 + 0.6 * own / 0.85 * (0.9 + 0.1 * now)
            without = np.where(rank == 1, 0.9, 0.998) if now else np.full(HEADS, 0.2)
            matched = np.minimum(1, solo + 0.15 * now)
            intact = 0.999 if now else 0.2
            on_best = np.where(rank == 1, np.nan, solo - 0.12)
            columns = {"snapshot": snapshot, "head": np.arange(HEADS), "strength": own, "rank": rank}
            columns |= {"intact_accuracy": intact, "intact_loss": 0.004 if now else LN5}
            columns |= {"solo_accuracy": solo, "solo_loss": 1.6 * (1 - solo) + 0.01}
            columns |= {"solo_context_accuracy": 0.5 + solo / 2, "shuffled_accuracy": (1 - solo) / 2}
            columns |= {"without_accuracy": without, "without_loss": 1 - without}
            columns |= {"without_drop": intact - without}
            columns |= {"matched_accuracy": matched, "matched_loss": 1.5 * (1 - matched)}
            columns |= {"errors": ((1 - solo) * 8000).astype(int)}
            columns |= {"matched_errors": ((1 - matched) * 8000).astype(int)}
            columns |= {"label_chi2_p": 10.0 ** -random.uniform(1, 12, HEADS)}
            columns |= {"worst_label_share": random.uniform(0.3, 0.8, HEADS)}
            columns |= {"on_best_errors": on_best, "on_best_drop": solo - on_best}
            frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    return of_replicas(build)


def subsets():
    def build(seed, random):
        strength, _ = final_strengths(seed)
        masks = np.arange(2**HEADS)
        on = masks[:, None] >> np.arange(HEADS) & 1
        odds = on @ (8 * strength) + random.normal(0, 0.2, len(masks))
        loss = np.log1p(np.exp(-odds)) + 0.9 * np.exp(-odds)
        order = (-strength).argsort()
        columns = {"row": "subset", "mask": masks, "size": on.sum(1)}
        columns |= {"accuracy": np.exp(-loss), "context_accuracy": 1 / (1 + np.exp(-odds)), "loss": loss}
        columns |= {"log_odds": odds, "ordered": placed(order), "ordered_without_best": placed(order[1:])}
        fit = {"row": "fit", "additive_r2": [0.97], "pairwise_r2": 0.99, "permuted_r2": 0.25}
        fit |= {"monotone": 1.0, "monotone_without_best": 1.0}
        fit |= dict.fromkeys(("mask", "size", "ordered", "ordered_without_best"), -1)
        return pd.concat([pd.DataFrame(columns), pd.DataFrame(fit)], ignore_index=True)

    return of_replicas(build)


def placed(order):
    places = np.full(2**HEADS, -1)
    places[np.concatenate([[0], np.cumsum(1 << order)])] = np.arange(len(order) + 1)
    return places


def routes():
    sets = {"layer1": 8, "layer2": 8, "previous": 2, "others": 6, "random_previous": 2}
    drops = {  # accuracy lost by what is preserved: none, patterns, values, both
        "layer1": (0.8, 0.45, 0.89, 0.0),
        "layer2": (0.8, 0.8, 0.8, 0.8),
        "previous": (0.5, 0.01, 0.4, 0.0),
        "others": (0.7, 0.6, 0.01, 0.0),
        "random_previous": (0.3, 0.2, 0.15, 0.0),
    }

    def build(end, seed, random, middle, plateau):
        places, frames = snapshots(end, 11), []
        now = risen(places["sequences"].to_numpy(float), middle)
        for ablated, n_heads in sets.items():
            for preserved, drop in zip(("none", "patterns", "values", "both"), drops[ablated], strict=True):
                lost = drop * now * random.uniform(0.9, 1, len(now)) + 0.0002
                accuracy = 0.2 + 0.799 * now - lost
                more = lost * 2.4 + (0.1 * (1 - now) if preserved == "both" else 0)
                about = {"ablated": ablated, "preserved": preserved, "n_heads": n_heads}
                measured = {"accuracy": accuracy, "loss": LN5 * (1 - now) + more, "drop": lost}
                frames.append(places.assign(**about, **measured, loss_increase=more))
        return pd.concat(frames, ignore_index=True)

    return each({"full": RUNS["full"]}, build)


def wiring():
    def build(seed, random):
        strength, attention = final_strengths(seed)
        first, second = (axis.ravel() for axis in np.indices((HEADS, HEADS)))
        frames = []
        for snapshot, now in (("first", 0.0), ("last", 1.0)):
            for preserved in ("values", "patterns"):
                own = attention[first] if preserved == "values" else 1 - attention[first]
                accuracy = 0.2 + 0.75 * own * strength[second] * now
                columns = {"snapshot": snapshot, "layer1_head": first, "layer2_head": second}
                columns |= {"preserved": preserved, "accuracy": accuracy, "loss": 1.6 * (1 - accuracy)}
                columns |= {"serves": (accuracy > 0.5).astype(int), "previous": attention[first] * now}
                columns |= {"previous_score": attention[first] * now - (1 - attention[first] * now) * 2 / 3}
                columns |= {"is_previous": (attention[first] * now >= 0.6).astype(int)}
                columns |= {"strength": strength[second] * now}
                columns |= {"is_induction": (strength[second] * now >= 0.3).astype(int)}
                columns |= {
                    f"{kind}_composition": 0.125 + 0.03 * own * now + random.normal(0, 0.005, len(first))
                    for kind in "kv"
                }
                columns |= {"composition_baseline": 0.125, "composition_deviation": 0.006}
                frames.append(pd.DataFrame(columns))
        return pd.concat(frames, ignore_index=True)

    return of_replicas(build)


def patterns():
    def build(end, seed, random, middle, plateau):
        strength, attention = final_strengths(seed)
        frames = []
        for when, now in zip(WHENS, (0.0, 0.55, 1.0), strict=True):
            sequences = int(middle * (0.5 + now))
            about = {"when": when, "step": sequences // 32, "sequences": sequences}
            about["strength"] = strength.max() * now
            rows = [
                {"layer": 1, "head": int(attention.argmax()), "query": q, "key": k, "role": POSITIONS[k]}
                | {"attention": early(q, k, attention.max() * now)}
                for q in range(5)
                for k in range(q + 1)
            ]
            late = np.array([0.1, 0.3 + 0.6 * now, 0.1, 0.3 * (1 - now), 0.2 * (1 - now)])
            rows += [
                {"layer": 2, "head": int(strength.argmax()), "query": 4, "key": k, "role": role}
                | {"attention": late[k] / late.sum()}
                for k, role in enumerate(ROLES)
            ]
            frames.append(pd.DataFrame(rows).assign(**about))
        frame = pd.concat(frames, ignore_index=True)
        first = ["when", "step", "sequences", "strength"]
        return frame[first + [column for column in frame if column not in first]]

    return each({"full": RUNS["full"]}, build)


def early(query, key, previous):
    """Attention of a head that mixes even attention with all of it on the token before."""
    even = 1 / (query + 1)
    return previous * (key == max(query - 1, 0)) + (1 - previous) * even
