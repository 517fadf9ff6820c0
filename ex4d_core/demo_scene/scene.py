"""The demo scene as a value: its size and length, and colour and depth of any frame from any camera."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from ..camera import Intrinsics
from ..errors import Cancelled, EX4DError
from ..machine.cancel import unless_cancelled
from ..machine.cores import cores
from ..machine.torch_threads import one_thread, side_by_side
from . import raycast_still, solids
from .arranged import LOOKS, Look
from .source_camera import CAMERA_MOVES, CameraMove, lens_at, pose_at

log = logging.getLogger(__name__)

FRAMES_A_CORE = 3
"""Cast before the clip takes them: at the end of each such lot cores wait for the last one."""


@dataclass(frozen=True)
class DemoScene:
    """The scene, seen at ``width`` x ``height`` by the source camera, over ``frames`` frames of one loop.

    Attributes:
        width, height: size in pixels of the source video.
        frames: how many frames one loop of the motion is cut into.
        samples: rays per pixel side where the picture has an edge; 1 gives the exact colour at pixel centres.
            Depth is always that of the pixel centre.
        camera: how the source camera moves, one of ``CAMERA_MOVES``.
        visitor: a cart stands there too, which rests for half of the clip and then leaves it.
        seed: another scene drawn from the same kit (``arranged``); None = the demo's own.
        moving: whether a drawn scene's things move.
        look: what makes a drawn scene hard, one of ``LOOKS``.
    """

    width: int
    height: int
    frames: int
    samples: int = 1
    camera: CameraMove = "locked-off"
    visitor: bool = False
    seed: int | None = None
    moving: bool = True
    look: Look = "usual"

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.frames, self.samples) < 1:
            raise EX4DError(
                f"The demo scene needs at least one pixel, frame and sample, got {self.width}x{self.height}, "
                f"{self.frames} frames, {self.samples} samples."
            )
        if self.camera not in CAMERA_MOVES:
            raise EX4DError(f"The demo scene's camera is one of {', '.join(CAMERA_MOVES)}, got {self.camera!r}.")
        if self.look not in LOOKS or (self.seed is None and self.look != "usual"):
            raise EX4DError(
                f"A drawn scene's look is one of {', '.join(LOOKS)}, got {self.look!r}; the demo's own has none."
            )

    @property
    def intrinsics(self) -> Intrinsics:
        """The source camera's projection at frame 0, and at every frame unless it zooms."""
        return Intrinsics.default(self.width, self.height)

    def source_pose(self, t: float) -> np.ndarray:
        """(4, 4) float64 world_to_camera of the source camera at a frame, which may be fractional; exact."""
        return pose_at(self.camera, t, self.frames)

    def source_lens(self, t: float) -> Intrinsics:
        """The source camera's projection at a frame, which may be fractional; exact."""
        return lens_at(self.camera, t, self.frames, self.intrinsics)

    def source_cameras(self) -> tuple[np.ndarray, tuple[Intrinsics, ...]]:
        """The source camera at every frame: (T, 4, 4) float64 world_to_camera, and T lenses."""
        poses = np.stack([self.source_pose(t) for t in range(self.frames)])
        return poses, tuple(self.source_lens(t) for t in range(self.frames))

    def frame(
        self, t: float, world_to_camera: np.ndarray | None = None, intrinsics: Intrinsics | None = None
    ) -> tuple[Tensor, Tensor]:
        """The truth at frame ``t`` from one camera.

        Args:
            t: frame, may be fractional; the solids' motion repeats after ``frames``.
            world_to_camera: (4, 4), OpenCV; None is the source camera at that frame.
            intrinsics: projection and size in pixels; None is the source camera's, at that frame where it is its own
                view, else at frame 0.

        Returns:
            Colour (H, W, 3) uint8 and planar depth (H, W) float32.
        """
        return self._cast(self.things_at(t), t, world_to_camera, intrinsics)

    def things_at(self, t: float) -> list[solids.Solid]:
        """What stands in the scene at a frame, which may be fractional."""
        return self._things(t / self.frames % 1.0)

    def still(
        self, t: float, world_to_camera: np.ndarray | None = None, intrinsics: Intrinsics | None = None
    ) -> Tensor:
        """Where a camera sees at frame ``t`` what never moves; arguments as in ``frame``. What turns in its place moves.

        Returns:
            (H, W) bool.
        """
        _, depth = self.frame(t, world_to_camera, intrinsics)
        _, without = self._cast(solids.unmoved(self._things), t, world_to_camera, intrinsics)
        return (depth - without).abs() <= 1e-6 * without

    def _things(self, time: float) -> list[solids.Solid]:
        if self.seed is None:
            return solids.at(time, self.visitor)
        return solids.drawn_from(self.seed, time if self.moving else 0.0, self.look)

    def _cast(
        self, things: list[solids.Solid], t: float, world_to_camera: np.ndarray | None, intrinsics: Intrinsics | None
    ) -> tuple[Tensor, Tensor]:
        if world_to_camera is None:
            pose, intrinsics = self.source_pose(t), intrinsics or self.source_lens(t)
        else:
            pose, intrinsics = np.asarray(world_to_camera, dtype=np.float64), intrinsics or self.intrinsics
        rgb, depth = ray_caster()(
            *_camera(pose, intrinsics), self._packed(things, t), (intrinsics.width, intrinsics.height), self.samples
        )
        return torch.from_numpy(rgb), torch.from_numpy(depth)

    def _packed(self, things: list[solids.Solid], t: float) -> tuple[np.ndarray, ...]:
        return solids.packed(things, solids.light_of(self.look, t / self.frames % 1.0))

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
            world_to_camera: (frames, 4, 4); None is the source camera.
            intrinsics: as in ``frame``.
            progress: called with (frames done, frames in all).
            cancel: polled ten times a second, also while the first frame waits for its machine code.

        Returns:
            Colour (T, H, W, 3) uint8 and planar depth (T, H, W) float32.

        Raises:
            EX4DError: another number of poses than frames.
            Cancelled: ``cancel`` returned True.
        """
        if world_to_camera is not None and len(world_to_camera) != self.frames:
            raise EX4DError(f"The demo scene has {self.frames} frames and got {len(world_to_camera)} camera poses.")
        size = intrinsics or self.intrinsics
        rgb = torch.empty((self.frames, size.height, size.width, 3), dtype=torch.uint8)
        depth = torch.empty((self.frames, size.height, size.width), dtype=torch.float32)
        stands = world_to_camera is None and self._stands_still(size)
        frames = self._from_a_stand(size, cancel) if stands else self._one_by_one(world_to_camera, intrinsics, cancel)
        with one_thread():
            for t in range(self.frames):
                if cancel is not None and cancel():
                    raise Cancelled("The demo scene was cancelled.")
                rgb[t], depth[t] = next(frames)
                if progress is not None:
                    progress(t + 1, self.frames)
        return rgb, depth

    def _stands_still(self, size: Intrinsics) -> bool:
        """Whether most of a clip shows in each frame what it shows in all."""
        same = self.camera == "locked-off" and self.look != "lit" and self.frames > 1
        return same and size.width * size.height <= raycast_still.MOST_PIXELS

    def _one_by_one(
        self, world_to_camera: np.ndarray | None, intrinsics: Intrinsics | None, cancel: Callable[[], bool] | None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        for t in range(self.frames):
            pose = None if world_to_camera is None else world_to_camera[t]
            yield unless_cancelled(partial(self.frame, t, pose, intrinsics), cancel)

    def _from_a_stand(self, size: Intrinsics, cancel: Callable[[], bool] | None) -> Iterator[tuple[Tensor, Tensor]]:
        """The source camera's frames, by torch also where numba is there: faster, and without a wait for a compiler."""
        moves = [not stays for stays in solids.stays(self._things)]

        def packed(t: int) -> tuple[np.ndarray, ...]:
            return self._packed(self.things_at(t), t)

        camera = unless_cancelled(
            partial(
                raycast_still.StillCamera,
                *_camera(np.eye(4), size),
                packed(0),
                moves,
                (size.width, size.height),
                self.samples,
            ),
            cancel,
        )

        def frame(t: int) -> tuple[Tensor, Tensor]:
            return camera.frame(packed(t))

        at_once = FRAMES_A_CORE * cores()
        for start in range(0, self.frames, at_once):
            several = range(start, min(start + at_once, self.frames))
            yield from unless_cancelled(partial(side_by_side, frame, several), cancel)


def _camera(world_to_camera: np.ndarray, lens: Intrinsics) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a camera stands, its rotation into the world, and fx, fy, cx, cy."""
    to_world = np.ascontiguousarray(world_to_camera[:3, :3].T)
    return -to_world @ world_to_camera[:3, 3], to_world, np.array([lens.fx, lens.fy, lens.cx, lens.cy])


@cache
def ray_caster() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """``picture`` of the fastest ray caster that loads here."""
    try:
        from .raycast import picture
    except Exception as error:  # a broken numba raises anything
        if getattr(error, "name", None) != "numba":
            log.warning("numba is installed but cannot be loaded, so torch casts the demo scene's rays: %s", error)
        from .raycast_torch import picture
    return picture
