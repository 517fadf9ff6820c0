"""Camera formats: one small module each, and the table of them. Bytes in, :class:`Cameras` out, and back.

Nothing here knows what a camera path is; :mod:`ex4d_core.trajectory.files` makes one of it.
"""

from .cameras import Cameras, Format, Hints
from .formats import FORMATS, format_to_write, formats_of, read_suffixes, recognised, written_formats

__all__ = [
    "FORMATS",
    "Cameras",
    "Format",
    "Hints",
    "format_to_write",
    "formats_of",
    "read_suffixes",
    "recognised",
    "written_formats",
]
