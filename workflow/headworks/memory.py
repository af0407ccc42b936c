"""How a process keeps the memory it has had."""

import ctypes


def keep_freed_memory() -> None:
    """Stop glibc from giving large freed blocks back: each pass would fault them in anew, a fifth of its time.

    Other C libraries lack the call, or refuse the values, and go on as before.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, TypeError, OSError):
        return
    m_trim_threshold, m_mmap_threshold = -1, -3
    mallopt(m_mmap_threshold, 2**30)
    mallopt(m_trim_threshold, 2**31 - 1)
