"""The tables of Wu & Varshney 2024: one module a kind, each with `table(options, inputs) -> DataFrame`."""
