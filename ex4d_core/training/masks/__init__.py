"""Masks that make a training pair of any single-camera clip: what another camera would not have seen of it.

The mask is laid on the clip itself and nothing is warped: the clip is the truth, the clip with holes is what the network
is given (paper, section 3.2 and appendix A.3). What the paper leaves open is a stated choice of `settings`.
"""

from .crop import CropWindow, crop_frames, crop_mask, draw_crop
from .settings import (
    DILATIONS,
    MASK_KINDS,
    SWEEPS,
    Dilation,
    MaskKind,
    MaskSettings,
    PlainKind,
    Sweep,
)
from .simulate import SimulatedMask, needs_mesh, needs_tracker, simulate_mask

__all__ = [
    "DILATIONS",
    "MASK_KINDS",
    "SWEEPS",
    "CropWindow",
    "Dilation",
    "MaskKind",
    "MaskSettings",
    "PlainKind",
    "SimulatedMask",
    "Sweep",
    "crop_frames",
    "crop_mask",
    "draw_crop",
    "needs_mesh",
    "needs_tracker",
    "simulate_mask",
]
