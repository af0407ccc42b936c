"""One folder per paper: its options, datasets, experiments and figures."""
