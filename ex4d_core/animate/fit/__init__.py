"""Camera and placement of every mesh in its frame: a target for each frame (``target``), the coarse search over views
(``views``), the fine fit (``refine``), the choice over the whole sequence (``sequence``), and all of it (``place``).
"""

from .overlay import overlay
from .place import Placed, fit_meshes

__all__ = ["Placed", "fit_meshes", "overlay"]
