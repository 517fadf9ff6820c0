"""Point maps: a 3D point for every pixel, as 4DNeX and other networks make them.

``clip``: the value that travels. ``files``: .npz. ``fit``: the lens, and how the camera stood at each frame.
``depth``: of every pixel. ``register``: all of it as the depth of a clip. ``released``: 4DNeX's own registration, for comparison.
"""

from .clip import SPACES, PointMap, Space
from .files import load_pointmap, save_pointmap

__all__ = ["SPACES", "PointMap", "Space", "load_pointmap", "save_pointmap"]
