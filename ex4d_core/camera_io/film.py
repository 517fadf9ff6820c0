"""Lenses in millimetres: a focal length means nothing without the film back behind it.

The height decides, whatever the picture's shape: fy = mm * height / film height, in pixels, and the vertical field of view is
2 atan(film height / (2 mm)). So 50 mm on full frame is 27.0 degrees.
"""

from __future__ import annotations

from ..camera import Intrinsics, is_finite
from ..errors import EX4DError

FILM_BACKS: dict[str, tuple[float, float]] = {
    "full frame 36x24": (36.0, 24.0),
    "large format 36.7x25.54": (36.7, 25.54),
    "65 mm 52.48x23.01": (52.48, 23.01),
    "super 35 24.89x18.66": (24.89, 18.66),
    "academy 21.95x16": (21.95, 16.0),
    "APS-C 23.6x15.7": (23.6, 15.7),
    "four thirds 17.3x13": (17.3, 13.0),
    "1 inch 13.2x8.8": (13.2, 8.8),
    "super 16 12.52x7.41": (12.52, 7.41),
}
"""Width and height in millimetres, by name; the first is what is written and where nothing else is said."""
FULL_FRAME = next(iter(FILM_BACKS))
FILM_WIDTH, FILM_HEIGHT = FILM_BACKS[FULL_FRAME]
"""Millimetres of full-frame film, written wherever a format wants a film back; the other side follows the picture's shape."""
MILLIMETRES = (0.1, 5000.0)


def lens_of_millimetres(millimetres: float, film_back: str, width: int, height: int) -> Intrinsics:
    """A lens for a picture, square pixels, centred.

    Args:
        millimetres: focal length.
        film_back: of :data:`FILM_BACKS`; its height counts.
        width: of the picture, pixels.
        height: of the picture, pixels.

    Raises:
        EX4DError: a film back that there is not, or a focal length out of range.

    Example:
        >>> round(lens_of_millimetres(50, "full frame 36x24", 1920, 1080).vertical_fov, 2)
        26.99
    """
    if film_back not in FILM_BACKS:
        raise EX4DError(f"The film back must be one of {', '.join(FILM_BACKS)}; got {film_back!r}.")
    if not is_finite(millimetres) or not MILLIMETRES[0] <= millimetres <= MILLIMETRES[1]:
        raise EX4DError(f"A focal length lies between {MILLIMETRES[0]:g} and {MILLIMETRES[1]:g} mm, got {millimetres}.")
    return Intrinsics.from_focal(millimetres * height / FILM_BACKS[film_back][1], width, height)


def focal_millimetres(lens: Intrinsics, film_back: str = FULL_FRAME) -> float:
    """The focal length on a film back, of its height."""
    return lens.fy * FILM_BACKS[film_back][1] / lens.height


def film_width(lens: Intrinsics) -> float:
    """The width in millimetres of a film back `FILM_HEIGHT` high, in the picture's shape."""
    return FILM_HEIGHT * lens.width / lens.height


def usd_aperture(lens: Intrinsics) -> tuple[float, float, float, float, float]:
    """Focal length, horizontal and vertical aperture and their offsets in millimetres, on a film back `FILM_WIDTH` wide.

    Pixels that are not square make the film higher or lower. Offsets move the film: right and up are positive.
    """
    high = FILM_WIDTH * lens.height / lens.width * lens.fx / lens.fy
    offsets = FILM_WIDTH * (0.5 - lens.cx / lens.width), high * (lens.cy / lens.height - 0.5)
    return FILM_WIDTH * lens.fx / lens.width, FILM_WIDTH, high, *offsets
