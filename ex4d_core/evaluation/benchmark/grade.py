"""What a method shows against the truth of its cameras, frame by frame."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass

import numpy as np
import torch
from torch import Tensor

from ...camera import invert_pose
from ...demo_scene.truth import SAME_SURFACE
from ...mesh import unproject
from ..adherence import Adherence
from ..occlusion import Hidden, kept_hidden
from ..similarity import mean_over, psnr, squared_error
from .behind import hidden_behind
from .cases import Filmed, Target
from .methods import Shown


@dataclass(frozen=True)
class Measure:
    """A column of the report: ``better`` is "higher" or "lower", ``scale`` is what its numbers are multiplied by to be shown."""

    title: str
    unit: str
    better: str
    scale: float
    says: str


MEASURES: dict[str, Measure] = {
    "see_through": Measure(
        "see-through",
        "%",
        "lower",
        100,
        "of what is shown, pixels where something comes through a surface within the source's picture",
    ),
    "wrong": Measure(
        "wrong surface", "%", "lower", 100, "of what is shown, pixels of another depth than the truth (2 %)"
    ),
    "hidden_shown": Measure(
        "hidden but shown", "%", "lower", 100, "of what the source cannot see, pixels that are claimed as seen"
    ),
    "lost": Measure("visible but hole", "%", "lower", 100, "of what the source does see, pixels that are holes"),
    "hole_iou": Measure(
        "holes' overlap", "%", "higher", 100, "intersection over union of holes and what the source cannot see"
    ),
    "psnr_shown": Measure(
        "PSNR, shown", "dB", "higher", 1, "over the pixels that the source sees and the method shows"
    ),
    "psnr_visible": Measure(
        "PSNR, visible", "dB", "higher", 1, "over all pixels that the source sees; what a method loses counts as black"
    ),
    "psnr_covisible": Measure(
        "PSNR, covisible", "dB", "higher", 1, "over the pixels by which the set's authors compare, where they say so"
    ),
    "psnr": Measure("PSNR, all", "dB", "higher", 1, "over whole pictures; holes are black where nothing fills them"),
    "occlusion": Measure(
        "hidden stays hidden",
        "%",
        "higher",
        100,
        "by colours alone: of what is shown where something of another colour is hidden, pixels nearer to what is in front",
    ),
    "camera_degrees": Measure(
        "camera off, turned", "degrees", "lower", 1, "of finished videos: the camera found in them against the path"
    ),
    "camera_radius": Measure(
        "camera off, moved", "%", "lower", 100, "likewise, by where it stands, of the scene's radius"
    ),
}


@dataclass(frozen=True)
class Grade:
    """One frame; shares 0..1, PSNR in dB, NaN where there is nothing to measure, infinite where nothing differs.

    Attributes:
        angle: azimuth of the camera in degrees.
        see_through, wrong, hidden_shown, lost, hole_iou, psnr_shown, psnr_visible, psnr, occlusion, camera_degrees,
            camera_radius, psnr_covisible: see `MEASURES`.
    """

    angle: float
    see_through: float
    wrong: float
    hidden_shown: float
    lost: float
    hole_iou: float
    psnr_shown: float
    psnr_visible: float
    psnr: float
    occlusion: float
    camera_degrees: float = math.nan
    camera_radius: float = math.nan
    psnr_covisible: float = math.nan

    def plain(self) -> dict[str, float | None]:
        """For JSON, which knows neither NaN nor infinity."""
        return {name: round(value, 6) if math.isfinite(value) else None for name, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a path beside its truth, whatever the method.

    Attributes:
        framed: (T, H, W) bool of `in_source_picture`.
        hidden: of `hidden_behind`.
    """

    framed: Tensor
    hidden: Hidden


def known_of(truth: Target, source: Filmed) -> Known:
    """Of a path, from the clip with its exact depth."""
    return Known(in_source_picture(truth, source), hidden_behind(source, truth))


def grade(shown: Shown, truth: Target, known: Known, camera: Adherence | None = None) -> list[Grade]:
    """Every frame of a path.

    Args:
        shown: by a method.
        truth: of the same cameras.
        known: of the same path.
        camera: of a video whose camera is not known for sure.
    """
    off = [(math.nan, math.nan)] * len(truth.rgb)
    if camera is not None and camera.trouble is None:
        off[1:] = zip(camera.degrees, camera.shares, strict=True)
    hidden, everywhere = known.hidden, torch.ones_like(known.framed[0])
    grades = []
    for t in range(len(truth.rgb)):
        visible = None if truth.visible is None else truth.visible[t]
        error = squared_error(shown.color[t], truth.rgb[t])
        grades.append(
            Grade(
                float(truth.angle[t]),
                *_surfaces(shown, truth, known.framed[t], t),
                *_holes(shown, visible, t),
                _psnr(error, visible if visible is None or shown.seen is None else visible & shown.seen[t]),
                _psnr(error, visible),
                psnr(float(error.mean())),
                kept_hidden(
                    shown.color[t],
                    truth.rgb[t],
                    hidden.color[t],
                    hidden.there[t] & (everywhere if shown.seen is None else shown.seen[t]),
                ),
                *off[t],
                _psnr(error, None if truth.covisible is None else truth.covisible[t]),
            )
        )
    return grades


def in_source_picture(truth: Target, source: Filmed) -> Tensor:
    """(T, H, W) bool: where the true surface lies within what the source camera films, be it seen there or hidden.

    What stands beside its picture no method can know of, so nothing is said to show through it.
    """
    assert truth.path.intrinsics is not None and source.path.intrinsics is not None
    framed = torch.empty(truth.depth.shape, dtype=torch.bool)
    for t, (lens, own) in enumerate(zip(truth.path.intrinsics, source.path.intrinsics, strict=True)):
        poses = (path.world_to_camera[t].astype(np.float64) for path in (source.path, truth.path))
        to_source = torch.from_numpy(next(poses) @ invert_pose(next(poses)))
        points = unproject(truth.depth[t], lens, 0.5) @ to_source[:3, :3].T + to_source[:3, 3]
        x, y, z = points.unbind(-1)
        column, row = own.fx * x / z + own.cx, own.fy * y / z + own.cy
        framed[t] = (
            (truth.depth[t] > 0) & (z > 0) & (column >= 0) & (column < own.width) & (row >= 0) & (row < own.height)
        )
    return framed


def _surfaces(shown: Shown, truth: Target, framed: Tensor, t: int) -> tuple[float, float]:
    """Shares of the shown pixels that show something behind the truth, and another surface at all."""
    if shown.depth is None or shown.seen is None:
        return math.nan, math.nan
    ratio, known = shown.depth[t] / truth.depth[t], truth.depth[t] > 0
    return (
        _share(ratio > 1 + SAME_SURFACE, shown.seen[t] & framed),
        _share((ratio - 1).abs() > SAME_SURFACE, shown.seen[t] & known),
    )


def _psnr(error: Tensor, where: Tensor | None) -> float:
    """NaN where it is not known which pixels to take."""
    return math.nan if where is None else psnr(mean_over(error, where))


def _holes(shown: Shown, visible: Tensor | None, t: int) -> tuple[float, float, float]:
    """Shares of the hidden that is shown, of the visible that is lost, and how far holes and the hidden overlap."""
    if shown.seen is None or visible is None:
        return math.nan, math.nan, math.nan
    seen = shown.seen[t]
    return _share(seen, ~visible), _share(~seen, visible), _share(~seen & ~visible, ~seen | ~visible)


def _share(part: Tensor, whole: Tensor) -> float:
    count = int(whole.sum())
    return int((part & whole).sum()) / count if count else math.nan
