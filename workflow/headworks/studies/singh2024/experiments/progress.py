"""Clamps put on snapshots of a run that trained without them: progress measures.

Singh 2024, App. D.2 and Fig. 10. A progress measure asks what the rest of the circuit can do already; a clamp
in training asks how fast it learns.
"""

import pandas as pd

from headworks.errors import HeadworksError
from headworks.measures.learning import learning, longest_plateau, phase_change
from headworks.studies.singh2024.circuit import Clamp
from headworks.studies.singh2024.clamps import build
from headworks.studies.singh2024.experiments.episodes import training_rows
from headworks.studies.singh2024.experiments.evaluation import evenly, mean_scores, query_logits

OWN = "none"
CURVE = ["run", "condition", "seed", "measure"]


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, measure, step, sequences, loss, accuracy; of each curve, on all of its
    rows, midpoint, learned, finished, plateau and shape.

    measure: a name of `options.measures`, or none, the run's own condition. sequences: training sequences
    seen; loss in nats, on `options.examples` training sequences. midpoint and learned: when the loss is
    below 0.5 and 0.4 of ln 2, finished: below 0.1 nats (in sequences, infinite if never); plateau: the
    longest time within 20 % of any loss, in sequences; shape as `phase_change`. A measure that names no
    active heads has those of the condition.
    """
    named = [run for run in inputs.runs.values() if options.condition in run.conditions]
    if not named:
        known = sorted({name for run in inputs.runs.values() for name in run.conditions})
        raise HeadworksError(
            f"options.condition: no run has the condition {options.condition}; there are {', '.join(known)}"
        )
    if OWN in options.measures:
        raise HeadworksError(
            f"options.measures: {OWN} is the run's own condition; give the measure another name"
        )
    frame = pd.concat([of_run(run, options) for run in named], ignore_index=True)
    described = [
        dict(zip(CURVE, key, strict=True)) | describe(curve)
        for key, curve in frame.groupby(CURVE, sort=False)
    ]
    return frame.merge(pd.DataFrame(described), on=CURVE)


def of_run(run, options) -> pd.DataFrame:
    """The curves of one run, in the order of measure and snapshot, without their summaries."""
    replicas = [i for i, name in enumerate(run.conditions) if name == options.condition]
    own = Clamp.model_validate(run.clamps.get(options.condition, {}))
    chosen = {OWN: own} | {name: merged(name, clamp, own, run) for name, clamp in options.measures.items()}
    clamps = {name: build([clamp] * len(replicas), run.model_spec) for name, clamp in chosen.items()}
    rows = training_rows(run.dataset, options.examples)
    frames = []
    for snapshot in evenly(len(run), options.snapshots):
        model, step = run.model(snapshot, replicas=replicas), run.steps[snapshot]
        about = {"run": run.name, "condition": options.condition, "seed": [run.seeds[i] for i in replicas]}
        about |= {"step": step, "sequences": step * run.train_spec.batch}
        for name, clamp in clamps.items():
            found = mean_scores(model, query_logits(model, clamp, step, rows), rows)
            kept = {key: found[key] for key in ("loss", "accuracy")}
            frames.append(pd.DataFrame(about | {"measure": name} | kept))
    frame = pd.concat(frames, ignore_index=True)
    return frame[[*CURVE, "step", "sequences", "loss", "accuracy"]]


def merged(name: str, clamp: Clamp, own: Clamp, run) -> Clamp:
    """The measure with the condition's active heads, unless it names some: others were not trained."""
    found = clamp.model_copy(update={"heads": own.heads}) if clamp.heads is None else clamp
    mistake = found.mistake(run.model_spec)
    if mistake:
        raise HeadworksError(f"options.measures.{name}: {mistake}")
    return found


def describe(curve: pd.DataFrame) -> dict[str, float]:
    """Times and shape of one curve, rows ascending in `sequences`."""
    x, y = curve["sequences"].to_numpy(float), curve["loss"].to_numpy(float)
    found = learning(x, y)
    return {
        "midpoint": found.midpoint,
        "learned": found.learned,
        "finished": found.finished,
        "plateau": longest_plateau(x, y),
        "shape": phase_change(x, y),
    }
