"""Planes of numbers in the files that public sets keep them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ...errors import EX4DError


def read_npy(file: Path) -> np.ndarray:
    """An .npy of numbers.

    Raises:
        EX4DError: not there, damaged, or of something else than numbers.
    """
    try:
        found = np.load(file, allow_pickle=False)
    except FileNotFoundError as error:
        raise EX4DError(f"There is no file '{file}'. The set is not complete.") from error
    except Exception as error:  # of damage numpy raises half a dozen classes
        raise EX4DError(f"'{file}' is no .npy that can be read ({error!s:.80}).") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "uif" or found.ndim < 2:
        raise EX4DError(f"'{file}' must be an .npy with a picture of numbers.")
    return found


def read_plane(file: Path) -> np.ndarray:
    """The first channel (H, W) of a picture, floats as they are.

    Raises:
        EX4DError: not there, or no picture.
    """
    from PIL import Image

    try:
        with Image.open(file) as picture:
            found = np.asarray(picture)
    except FileNotFoundError as error:
        raise EX4DError(f"There is no file '{file}'. The set is not complete.") from error
    except Exception as error:  # Pillow has no class of its own for damage
        raise EX4DError(f"'{file}' is not a picture that can be read, or it is cut off.") from error
    return found[..., 0] if found.ndim == 3 else found
