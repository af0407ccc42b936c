"""The study's tables."""
