"""Camera formats: one small module each, and the table of them. Bytes in, :class:`Cameras` out, and back.

Nothing here knows what a camera path is; :mod:`ex4d_core.trajectory.files` makes one of it.
"""

from .cameras import Cameras, Format, Hints
from .formats import FORMATS, SUFFIXES

__all__ = ["FORMATS", "SUFFIXES", "Cameras", "Format", "Hints"]
