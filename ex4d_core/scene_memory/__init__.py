"""What other frames of a clip saw and a frame did not: its scene as far as it stands still, fused into one surface.

``sights`` asks frames about points of the world, ``stillness`` and ``bodies`` find what moves, ``keyframes`` chooses frames,
``layer`` fuses them, ``rims`` says where their surfaces end, ``solids`` says what of the unseen is not to be looked through;
``remember`` does it all.
"""

from .layer import Layer
from .remember import DEFAULT_FRAMES, MOST_FRAMES, MOSTLY_STILL, SceneMemory, remember_scene
from .solids import CELL
from .stillness import STRICTNESS, Strictness

__all__ = [
    "CELL",
    "DEFAULT_FRAMES",
    "MOSTLY_STILL",
    "MOST_FRAMES",
    "STRICTNESS",
    "Layer",
    "SceneMemory",
    "Strictness",
    "remember_scene",
]
