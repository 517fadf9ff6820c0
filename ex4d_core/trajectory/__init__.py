"""Camera paths: the JSON document, presets, keyframe interpolation, and the poses they evaluate to.

    JSON text -> parse_document ---.
    preset_document ---------------+-> PathDocument -> evaluate_document -> Trajectory (world_to_camera, intrinsics)
    camera file -> Cameras --------'

The same document is evaluated in the browser by ``web/editor/trajectory.js``; ``tests/golden/trajectory.json`` holds
the two together.
"""

from ..camera import MAX_FRAMES
from .bake import bake_document, document_from_lenses, document_from_poses, resample_document, scale_document
from .base import BASE_CHOICES, BASES, LONGEST_SHAKE, SHAKE_SECONDS, Base, BaseChoice, laid_on, smoothed
from .curves import EASES, INTERPOLATIONS, Ease, Interpolation
from .document import DEFAULT_RADIUS, FRAMES_OF_REFERENCE, VERSION, FrameOfReference, Keyframe, PathDocument
from .evaluate import Evaluated, evaluate_document
from .parse import parse_document, preset_document
from .path import Trajectory, load_camera, save_camera
from .presets import FREEZE, HOLD, PRESETS, PUBLISHED, Param, Preset, PresetSource, frames_for
from .resample import resampled
from .source_camera import check_source_camera, in_the_world, relative_to_source, source_camera_of
from .summary import Summary, summarize
from .time import source_frames, source_times
from .viewer_path import path_of_viewer_cameras, viewer_cameras_of
from .viewpoint import move_to_viewpoint

__all__ = [
    "BASES",
    "BASE_CHOICES",
    "DEFAULT_RADIUS",
    "EASES",
    "FRAMES_OF_REFERENCE",
    "FREEZE",
    "HOLD",
    "INTERPOLATIONS",
    "LONGEST_SHAKE",
    "MAX_FRAMES",
    "PRESETS",
    "PUBLISHED",
    "SHAKE_SECONDS",
    "VERSION",
    "Base",
    "BaseChoice",
    "Ease",
    "Evaluated",
    "FrameOfReference",
    "Interpolation",
    "Keyframe",
    "Param",
    "PathDocument",
    "Preset",
    "PresetSource",
    "Summary",
    "Trajectory",
    "bake_document",
    "check_source_camera",
    "document_from_lenses",
    "document_from_poses",
    "evaluate_document",
    "frames_for",
    "in_the_world",
    "laid_on",
    "load_camera",
    "move_to_viewpoint",
    "parse_document",
    "path_of_viewer_cameras",
    "preset_document",
    "relative_to_source",
    "resample_document",
    "resampled",
    "save_camera",
    "scale_document",
    "smoothed",
    "source_camera_of",
    "source_frames",
    "source_times",
    "summarize",
    "viewer_cameras_of",
]
