"""Headworks: published claims about the parts inside transformers, put to the test."""

__version__ = "0.1.0"
