"""Around every use of what a host keeps to itself: where another release has changed it, a sentence names that release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import EX4DError


@contextmanager
def internals_of_the_host(what: str, instead: str) -> Iterator[None]:
    """Turn what a host without these attributes raises into a refusal.

    ``tests/core/test_host_internals.py`` holds that no underscored attribute of a host is touched outside of it.

    Args:
        what: of the host, "context windows".
        instead: what the artist can do, a sentence.

    Raises:
        EX4DError: for an attribute, argument or key that this host does not have.
    """
    try:
        yield
    except (AttributeError, TypeError, KeyError) as error:
        from comfyui_version import __version__

        raise EX4DError(
            f"The {what} of ComfyUI {__version__} work in a way that EX-4D does not know ({type(error).__name__}: {error}). "
            f"{instead}"
        ) from error
