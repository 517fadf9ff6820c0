"""A small moving scene with exact colour and depth from any camera: the demo, and ground truth for tests.

``solids`` says what stands in it, ``raycast`` casts the rays. All of it is our own and closed-form.

Convention: OpenCV world of the source camera (x right, y down, z forward), which stands at the origin. The nearest
surface is about 2.6 away and the sky 60, the range that EX-4D's depth has in front of its background plate.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from ..camera import Intrinsics
from ..errors import Cancelled, EX4DError
from ..machine.cancel import unless_cancelled
from ..machine.cores import cores

SUBJECT = (0.0, 0.06, 3.62)
"""Centre of the ringed ball, a natural point to orbit around."""


@dataclass(frozen=True)
class DemoScene:
    """The scene, seen at ``width`` x ``height`` by the source camera, over ``frames`` frames of one loop.

    Attributes:
        width, height: size in pixels of the source video.
        frames: how many frames one loop of the motion is cut into.
        samples: rays per pixel side where the picture has an edge; 1 gives the exact colour at pixel centres.
            Depth is always that of the pixel centre.
    """

    width: int
    height: int
    frames: int
    samples: int = 1

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.frames, self.samples) < 1:
            raise EX4DError(
                f"The demo scene needs at least one pixel, frame and sample, got {self.width}x{self.height}, "
                f"{self.frames} frames, {self.samples} samples."
            )

    @property
    def intrinsics(self) -> Intrinsics:
        """The source camera's projection."""
        return Intrinsics.default(self.width, self.height)

    def frame(
        self, t: int, world_to_camera: np.ndarray | None = None, intrinsics: Intrinsics | None = None
    ) -> tuple[Tensor, Tensor]:
        """The truth at frame ``t`` from one camera.

        Args:
            t: frame number; the motion repeats after ``frames``.
            world_to_camera: (4, 4), OpenCV; None is the source camera.
            intrinsics: projection and size in pixels; None is the source camera's.

        Returns:
            Colour (H, W, 3) uint8 and planar depth (H, W) float32.

        Raises:
            EX4DError: numba is missing or broken.
        """
        raycast, solids = _ray_caster()
        intrinsics = intrinsics or self.intrinsics
        pose = np.eye(4) if world_to_camera is None else np.asarray(world_to_camera, dtype=np.float64)
        to_world = np.ascontiguousarray(pose[:3, :3].T)
        camera = (
            -to_world @ pose[:3, 3],
            to_world,
            np.array([intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy]),
            solids.packed(solids.at(t / self.frames % 1.0)),
        )
        height, width = intrinsics.height, intrinsics.width
        centres = np.empty((height, width, 3), np.float32)
        depth = np.empty((height, width), np.float32)
        rgb = np.empty((height, width, 3), np.uint8)
        bands = [(row, min(row + raycast.TILE, height)) for row in range(0, height, raycast.TILE)]
        with ThreadPoolExecutor(min(cores(), len(bands))) as pool:
            # Edges compare neighbouring rows, so every centre must be there before the second pass.
            list(pool.map(lambda band: raycast.cast_centres(*band, *camera, centres, depth), bands))
            list(pool.map(lambda band: raycast.quantise_rows(*band, *camera, self.samples, centres, rgb), bands))
        return torch.from_numpy(rgb), torch.from_numpy(depth)

    def clip(
        self,
        world_to_camera: np.ndarray | None = None,
        intrinsics: Intrinsics | None = None,
        *,
        progress: Callable[[int, int], None] | None = None,
        cancel: Callable[[], bool] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Every frame, each from its own camera.

        Args:
            world_to_camera: (frames, 4, 4); None is the source camera throughout.
            intrinsics: as in ``frame``.
            progress: called with (frames done, frames in all).
            cancel: polled before each frame, and while the first one waits for its machine code.

        Returns:
            Colour (T, H, W, 3) uint8 and planar depth (T, H, W) float32.

        Raises:
            EX4DError: another number of poses than frames.
            Cancelled: ``cancel`` returned True.
        """
        if world_to_camera is not None and len(world_to_camera) != self.frames:
            raise EX4DError(f"The demo scene has {self.frames} frames and got {len(world_to_camera)} camera poses.")
        intrinsics = intrinsics or self.intrinsics
        rgb = torch.empty((self.frames, intrinsics.height, intrinsics.width, 3), dtype=torch.uint8)
        depth = torch.empty((self.frames, intrinsics.height, intrinsics.width), dtype=torch.float32)
        for t in range(self.frames):
            if cancel is not None and cancel():
                raise Cancelled("The demo scene was cancelled.")
            pose = None if world_to_camera is None else world_to_camera[t]
            rgb[t], depth[t] = unless_cancelled(partial(self.frame, t, pose, intrinsics), cancel)
            if progress is not None:
                progress(t + 1, self.frames)
        return rgb, depth


def _ray_caster() -> tuple[ModuleType, ModuleType]:
    """The modules that need numba, imported when the first frame is cast."""
    try:
        return import_module(".raycast", __name__), import_module(".solids", __name__)
    except Exception as error:  # a broken numba raises anything
        raise EX4DError(
            f"The demo scene needs numba, which does not load here ({error}). Run: pip install --upgrade numba"
        ) from error
