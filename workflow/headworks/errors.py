"""Errors for people: one paragraph that names the key or file, what was found and what is allowed."""


class HeadworksError(Exception):
    """A mistake a user can mend. The command line prints its text alone, without a traceback."""


class ArtefactError(HeadworksError):
    """An HDF5 artefact or table that is missing, truncated, foreign or stale."""
