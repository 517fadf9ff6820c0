"""What the machine can hold, asked before work: beyond that the system would kill the process, without a word."""

from __future__ import annotations

from ..errors import EX4DError


def total_memory() -> int | None:
    """Bytes of memory that the machine has, swap included; None where psutil cannot tell (ComfyUI brings it)."""
    try:
        import psutil

        return psutil.virtual_memory().total + psutil.swap_memory().total
    except (ImportError, OSError, RuntimeError):  # Windows may have its counters switched off
        return None


def out_of_memory(error: BaseException) -> bool:
    """Whether the machine or a GPU had no room left.

    torch has a class of its own for CUDA and an ordinary RuntimeError, in the system's words, for all else.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    words = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, RuntimeError) and any(said in str(error).lower() for said in words)


def check_memory(needed: int, what: str, remedy: str) -> None:
    """Refuse work that needs more bytes than the machine has, however little else it has to hold.

    Args:
        needed: bytes.
        what: the work, as the sentence's subject in the singular.
        remedy: the sentence that says what to do.

    Raises:
        EX4DError: more than the machine has.
    """
    available = total_memory()
    if available is not None and needed > available:
        raise EX4DError(
            f"{what} needs at least {needed / 1e9:.1f} GB of memory, and this machine has {available / 1e9:.1f} GB. {remedy}"
        )
