"""The loss over training."""

import seaborn as sns

from headworks.figures import canvas


def draw(options, tables):
    """One line a run, with the spread over seeds."""
    figure, axes = canvas(width=3.5)
    sns.lineplot(tables["curve"], x="step", y="loss", hue="run", ax=axes[0][0], seed=0)
    axes[0][0].set_title(options.title)
    return figure
