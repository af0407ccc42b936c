"""The figures of this study, a module a kind."""
