"""Stereo: two eyes from one camera path, each with its own mask, and the frames that 3D screens take.

The story, one file a step: rig (where the eyes are) -> pair (both rendered) -> disparity (what a viewer's eyes have to do)
-> guide (the second eye takes over what was generated for the first) -> layout (both in one frame).
"""

from .disparity import Disparity, measure_disparity
from .guide import Guided, carry_over, check_result
from .layout import LAYOUTS, Layout, lay_out
from .pair import Eye, StereoPair, render_stereo
from .panorama import render_panorama_eyes
from .rig import HEROES, UNITS, Hero, Rig, Unit, two_eyes

__all__ = [
    "HEROES",
    "LAYOUTS",
    "UNITS",
    "Disparity",
    "Eye",
    "Guided",
    "Hero",
    "Layout",
    "Rig",
    "StereoPair",
    "Unit",
    "carry_over",
    "check_result",
    "lay_out",
    "measure_disparity",
    "render_panorama_eyes",
    "render_stereo",
    "two_eyes",
]
