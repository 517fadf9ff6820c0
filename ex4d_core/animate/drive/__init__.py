"""One mesh driven by a video: what a frame shows of it (``frame``), what pulls at its vertices (``pulls``), frame after frame
(``sequence``).
"""

from .sequence import Driven, DriveOptions, drive

__all__ = ["DriveOptions", "Driven", "drive"]
