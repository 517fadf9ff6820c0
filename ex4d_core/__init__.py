"""EX-4D without ComfyUI: depth, watertight mesh, camera trajectory, rendering, adapter.

The data's path is the package's layout::

    video/ -> depth/ -> mesh -> trajectory/ -> render/ -> holes/ -> wan/

Conventions, everywhere inside this package:

* Camera frame: OpenCV (x right, y down, z forward). The source camera is the identity; where it moves, at frame 0.
* Poses are ``world_to_camera`` matrices, (T, 4, 4) float32. Depth is planar z, in the same unit.
* Intrinsics are in pixels with pixel centres at +0.5: ``u = fx * x / z + cx``.
* Images are float32 0..1, (T, H, W, 3); masks (T, H, W), 1 = seen, 0 = hole.
* Angles are degrees in public functions and files, radians inside.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .camera import Intrinsics
    from .depth import DepthClip, depth_from_disparity
    from .errors import Cancelled, EX4DError
    from .holes.draft_fill import draft_fill
    from .mesh import DWMesh, build_dw_mesh
    from .render import render_color_mask
    from .trajectory import Trajectory, load_camera, save_camera
    from .video import load_video, save_video

__version__ = "0.1.0"

__all__ = [
    "Cancelled",
    "DWMesh",
    "DepthClip",
    "EX4DError",
    "Intrinsics",
    "Trajectory",
    "build_dw_mesh",
    "depth_from_disparity",
    "draft_fill",
    "load_camera",
    "load_video",
    "render_color_mask",
    "save_camera",
    "save_video",
]

_HOMES = {
    "Cancelled": ".errors",
    "DWMesh": ".mesh",
    "DepthClip": ".depth",
    "EX4DError": ".errors",
    "Intrinsics": ".camera",
    "Trajectory": ".trajectory",
    "build_dw_mesh": ".mesh",
    "depth_from_disparity": ".depth",
    "draft_fill": ".holes.draft_fill",
    "load_camera": ".trajectory",
    "load_video": ".video",
    "render_color_mask": ".render",
    "save_camera": ".trajectory",
    "save_video": ".video",
}
"""Where each public name lives. It is imported when it is asked for (PEP 562), so that importing the package is free."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
