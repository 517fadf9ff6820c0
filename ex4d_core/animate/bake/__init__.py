"""One texture for a mesh that moves, from the pixels of the video: where each face lies in the texture (``unwrap``, ``atlas``),
what the frames show of each place (``gather``), what none of them shows (``fill``), and all of it (``texture``).
"""

from .texture import PAINTS, Baked, Paint, bake_texture

__all__ = ["PAINTS", "Baked", "Paint", "bake_texture"]
