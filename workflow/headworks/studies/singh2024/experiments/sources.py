"""What the drawings are like: likeness of vectors within and between classes, beside Omniglot's."""

import pandas as pd

OMNIGLOT = {"random_conv": (0.62, 0.56)}
"""By encoder: mean cosines within and between classes of Omniglot's drawings; see `encoders.random_conv`."""


def table(options, inputs) -> pd.DataFrame:
    """Columns: dataset, source, encoder, within, between, ratio.

    within and between: mean cosine of vectors of two drawings of one class and of different classes; ratio:
    of within to between, 1 if classes cannot be told apart by it. Rows with the dataset `reference` are
    Omniglot through the encoders of the other rows, as measured beforehand.
    """
    rows = [
        {
            "dataset": name,
            "source": dataset.facts["source"],
            "encoder": dataset.facts["encoder"],
            "within": dataset.facts["within_class_cosine"],
            "between": dataset.facts["between_class_cosine"],
        }
        for name, dataset in inputs.datasets.items()
    ]
    used = dict.fromkeys(row["encoder"] for row in rows)
    rows += [
        {
            "dataset": "reference",
            "source": "Omniglot (Lake et al. 2015)",
            "encoder": encoder,
            "within": OMNIGLOT[encoder][0],
            "between": OMNIGLOT[encoder][1],
        }
        for encoder in used
        if encoder in OMNIGLOT
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(ratio=frame["within"] / frame["between"])
