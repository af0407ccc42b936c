"""The tables of Olsson 2022: one module a kind, each with `table(options, inputs) -> DataFrame`."""
