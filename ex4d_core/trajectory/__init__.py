"""Camera paths: the JSON document, presets, keyframe interpolation, and the poses they evaluate to.

    JSON text -> parse_document ---.
    preset_document ---------------+-> PathDocument -> evaluate_document -> Trajectory (world_to_camera, intrinsics)
    camera file -> Cameras --------'

The same document is evaluated in the browser by ``web/editor/trajectory.js``; ``tests/golden/trajectory.json`` holds
the two together.
"""

from ..camera import MAX_FRAMES
from .bake import bake_document, document_from_lenses, document_from_poses, resample_document, scale_document
from .curves import EASES, INTERPOLATIONS, Ease, Interpolation
from .document import DEFAULT_RADIUS, VERSION, Keyframe, PathDocument
from .evaluate import Evaluated, evaluate_document
from .parse import parse_document, preset_document
from .path import Trajectory, load_camera, save_camera
from .presets import PRESETS, PUBLISHED, Param, Preset, PresetSource
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
    "Ease",
    "Evaluated",
    "Interpolation",
    "Keyframe",
    "Param",
    "PathDocument",
    "Preset",
    "PresetSource",
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
