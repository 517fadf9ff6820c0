"""OpenCV, any build of it, imported on first use."""

from __future__ import annotations

from types import ModuleType

from ..errors import EX4DError
from . import extras


def load(what: str = "This step") -> ModuleType:
    """The module cv2.

    Args:
        what: what needs it, as the sentence's subject in the singular.

    Raises:
        EX4DError: it is missing or does not load, as on servers without the graphics libraries it was linked with.
    """
    try:
        import cv2
    except ModuleNotFoundError as error:
        raise EX4DError(extras.missing("cv2", what, error)) from error
    except ImportError as error:
        raise EX4DError(
            f"OpenCV cannot be loaded ({error}). Install the system packages libgl1 and libglib2.0-0, or put "
            "opencv-python-headless in the place of opencv-python (pip uninstall the one, pip install the other)."
        ) from error
    return cv2
