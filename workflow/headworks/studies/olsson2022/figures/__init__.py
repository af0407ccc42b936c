"""The figures of Olsson 2022: one module a kind, each with `draw(options, tables) -> Figure`."""
