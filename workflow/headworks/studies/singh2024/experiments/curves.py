"""Training loss of every replica over training sequences seen (Singh 2024, Fig. 3a, 5b and 6).

Every batch is fresh, so that the average over a stretch of training estimates the loss on the training
distribution.
"""

import numpy as np
import pandas as pd

from headworks.errors import HeadworksError
from headworks.measures.learning import windowed


def table(options, inputs) -> pd.DataFrame:
    """Columns: run, condition, seed, n_classes, n_labels, sequences, loss.

    sequences: the middle of a stretch of about `options.width`, in training sequences seen; loss in nats,
    under the replica's own clamps. A replica that diverged has NaN from there on.
    """
    return pd.concat(
        [of_run(name, run, options.width) for name, run in inputs.runs.items()], ignore_index=True
    )


def of_run(name: str, run, width: int) -> pd.DataFrame:
    """The rows of one run; raises HeadworksError if it is shorter than one stretch."""
    loss, per_update = run.loss(), run.train_spec.batch
    times, means = windowed(loss, per_update, width)
    if len(times) == 0:
        raise HeadworksError(
            f"options.width: {width} training sequences, but the run {name} has seen {len(loss) * per_update}; "
            "give a smaller number"
        )
    facts = run.dataset.facts
    return pd.DataFrame(
        {
            "run": name,
            "condition": np.repeat(run.conditions, len(times)),
            "seed": np.repeat(run.seeds, len(times)),
            "n_classes": facts["n_classes"],
            "n_labels": facts["n_labels"],
            "sequences": np.tile(times, len(run.seeds)),
            "loss": means.T.ravel(),
        }
    )
