"""Camera paths: the JSON document, presets, keyframe interpolation, and the poses they evaluate to.

    preset_document -> document (JSON) -> evaluate -> Trajectory (world_to_camera, intrinsics)

The same document is evaluated in the browser by ``web/editor/trajectory.js``; ``tests/golden/trajectory.json`` holds
the two together.
"""

from ..camera import MAX_FRAMES
from .bake import bake_document, document_from_lenses, document_from_poses, resample_document, scale_document
from .document import DEFAULT_RADIUS, INTERPOLATIONS, VERSION, parse_document, preset_document
from .evaluate import Evaluated, evaluate_document
from .path import Trajectory, load_camera, save_camera
from .presets import EASES, PRESETS, PUBLISHED, Param, Preset
from .summary import Summary, summarize
from .viewpoint import move_to_viewpoint

__all__ = [
    "DEFAULT_RADIUS",
    "EASES",
    "INTERPOLATIONS",
    "MAX_FRAMES",
    "PRESETS",
    "PUBLISHED",
    "VERSION",
    "Evaluated",
    "Param",
    "Preset",
    "Summary",
    "Trajectory",
    "bake_document",
    "document_from_lenses",
    "document_from_poses",
    "evaluate_document",
    "load_camera",
    "move_to_viewpoint",
    "parse_document",
    "preset_document",
    "resample_document",
    "save_camera",
    "scale_document",
    "summarize",
]
