"""OpenCV, imported on first use; where it cannot be loaded, the sentence says what to install."""

from __future__ import annotations

from types import ModuleType

from ..errors import EX4DError


def load() -> ModuleType:
    """The module cv2.

    Raises:
        EX4DError: it is missing or does not load, as on servers without the graphics libraries it was linked with.
    """
    try:
        import cv2
    except ImportError as error:
        raise EX4DError(
            f"OpenCV cannot be loaded ({error}). Install the system packages libgl1 and libglib2.0-0, or put "
            "opencv-python-headless in the place of opencv-python (pip uninstall the one, pip install the other)."
        ) from error
    return cv2
