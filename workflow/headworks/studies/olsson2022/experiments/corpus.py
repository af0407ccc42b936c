"""Whether induction pays on a dataset: how often the current token and its continuation recur (Aoyama et al. 2025)."""

import pandas as pd

from headworks.corpora import corpus_statistics


def table(options, inputs) -> pd.DataFrame:
    """Columns: dataset, split (train or evaluation), statistic, value; `corpus_statistics` says what each is."""
    rows = [
        (name, split, statistic, value)
        for name, dataset in inputs.datasets.items()
        for split, found in corpus_statistics(dataset, options.windows).items()
        for statistic, value in found.items()
    ]
    return pd.DataFrame(rows, columns=["dataset", "split", "statistic", "value"])
