"""The source camera's path from the clip itself: points followed through it (``tracks``), poses from those points and the
depth (``bundle``), and the whole of it with what can go wrong (``camera``). A path that is given instead is brought to the
unit of the depth (``given``).
"""

from .camera import Solution, grey_frames, solve_source_camera
from .given import fit_source_camera
from .tracks import Tracks, follow_points

__all__ = ["Solution", "Tracks", "fit_source_camera", "follow_points", "grey_frames", "solve_source_camera"]
