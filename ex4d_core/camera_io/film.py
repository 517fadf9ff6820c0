"""Lenses in millimetres: a focal length means nothing without the film back behind it."""

from __future__ import annotations

from ..camera import Intrinsics

FILM_HEIGHT = 24.0
"""Millimetres, of full-frame film (36 x 24), written wherever a format wants a film back. Its width follows the picture's."""


def focal_millimetres(lens: Intrinsics) -> float:
    """The focal length on a film back of `FILM_HEIGHT`."""
    return lens.fy * FILM_HEIGHT / lens.height


def film_width(lens: Intrinsics) -> float:
    """The film back's width in millimetres, in the picture's shape."""
    return FILM_HEIGHT * lens.width / lens.height
