"""Measures: pure functions from tensors or arrays to numbers. No files, devices or configuration.

Leading axes are arbitrary (`...`). Letters: r replica, b batch, t/q/k position, h head, d model, e head
width, v vocabulary. Each formula names the paper and the section it comes from.
"""
