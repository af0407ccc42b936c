"""Measurements of speed and of disk, side by side with peers: one module a comparison, run with python -m."""
