"""Point maps: a 3D point for every pixel, as 4DNeX and other networks make them.

``clip``: the value that travels. ``files``: .npz.
"""

from .clip import SPACES, PointMap, Space
from .files import load_pointmap, save_pointmap

__all__ = ["SPACES", "PointMap", "Space", "load_pointmap", "save_pointmap"]
