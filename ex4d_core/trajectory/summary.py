"""The numbers of a camera path that matter to whoever will render it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..camera import invert_pose
from .document import DEFAULT_RADIUS
from .path import Trajectory
from .source_camera import AT_HOME, relative_to_source


@dataclass(frozen=True)
class Summary:
    """What a path does, in degrees and in shares of the radius.

    Attributes:
        frames, fps: as in the path.
        radius: scene units that ``reach`` counts in.
        around: lowest and highest angle around the pivot's vertical axis, positive to the right of the source camera.
        elevation: lowest and highest angle above the pivot, positive up.
        heading: lowest and highest horizontal viewing direction, positive to the right.
        reach: farthest distance from the source camera, in radii.
        fov: lowest and highest vertical field of view, or None where the lens is the scene's.
        starts_at_source: whether the first frame shows the source view, of the moment that is shown there.
    """

    frames: int
    fps: float
    radius: float
    around: tuple[float, float]
    elevation: tuple[float, float]
    heading: tuple[float, float]
    reach: float
    fov: tuple[float, float] | None
    starts_at_source: bool

    def lines(self) -> list[str]:
        """Two or three short lines for an artist."""
        first = f"{self.frames} frames, {self.fps:g} fps, {self.frames / self.fps:.2f} s, radius {self.radius:.3g}"
        second = f"around the pivot {_span(self.around)}, {_span(self.elevation)} above it"
        turned = max(abs(self.heading[0] + self.around[1]), abs(self.heading[1] + self.around[0]))
        if turned > 1:  # else it simply faces the pivot
            second += f", looks {_span(self.heading)}"
        lines = [first, f"{second}, up to {self.reach:.2f} radii away"]
        if self.fov is not None:
            lines[0] += f", field of view {_span(self.fov)}"
        if not self.starts_at_source:
            lines.append("Does not start at the source camera; the EX-4D sampler expects the source view first.")
        return lines


def summarize(
    trajectory: Trajectory,
    radius: float | None = None,
    pivot: Sequence[float] | np.ndarray | None = None,
    source: Trajectory | None = None,
) -> Summary:
    """Measures a path.

    Args:
        trajectory: the path.
        radius: scene units; None = the document's, or the default.
        pivot: (3,) world; None = the document's, or (0, 0, radius).
        source: the source camera when it saw what each frame shows; None = it does not move.
    """
    if radius is None:
        radius = DEFAULT_RADIUS if trajectory.radius is None else trajectory.radius
    if pivot is None:
        pivot = (0.0, 0.0, radius) if trajectory.pivot is None else trajectory.pivot
    centre = np.array(pivot, dtype=np.float64)
    pose = invert_pose(trajectory.world_to_camera)
    offset, forward = pose[:, :3, 3] - centre, pose[:, :3, 2]
    fovs = None if trajectory.intrinsics is None else [lens.vertical_fov for lens in trajectory.intrinsics]
    return Summary(
        frames=len(trajectory),
        fps=trajectory.fps,
        radius=radius,
        around=_range(np.arctan2(offset[:, 0], -offset[:, 2])),
        elevation=_range(np.arctan2(-offset[:, 1], np.hypot(offset[:, 0], offset[:, 2]))),
        heading=_range(np.arctan2(forward[:, 0], forward[:, 2])),
        reach=float(np.linalg.norm(pose[:, :3, 3], axis=1).max()) / radius,
        fov=None if fovs is None else (min(fovs), max(fovs)),
        starts_at_source=bool(np.abs(relative_to_source(trajectory, source)[0] - np.eye(4)).max() <= AT_HOME),
    )


def _range(radians: np.ndarray) -> tuple[float, float]:
    degrees = np.degrees(np.unwrap(radians))
    return float(degrees.min()), float(degrees.max())


def _span(degrees: tuple[float, float]) -> str:
    low, high = (round(v) + 0 for v in degrees)
    return f"{low}°" if low == high else f"{low}° to {high}°"
