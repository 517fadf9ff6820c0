"""What a reader of a public set gives, a clip a camera, and how a case of a benchmark is written from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...camera import DEFAULT_FPS, Intrinsics, invert_pose, same_aspect
from ...demo_scene.truth import look_up
from ...errors import Cancelled, EX4DError
from ...trajectory import Trajectory
from ...video import load_video, save_video
from ...video.colour import upright_rgb
from ...video.fit import place
from ...video.sources import read_picture, upright_size
from ..benchmark.cases import TARGET, Filmed, write_filmed

if TYPE_CHECKING:
    from av import VideoFrame

    from ...video.source import Orientation

FARTHEST = 1e6
"""Depth from which it is taken for a sky that has none."""


@dataclass(frozen=True, eq=False)
class View:
    """What one camera filmed, as it lies on disk.

    Attributes:
        name: of the camera; a target's is that of its range.
        pictures: a video file or a folder of pictures, or the picture of each frame.
        world_to_camera: (T, 4, 4) OpenCV, in any one world of the scene.
        lenses: T, for pictures of the size that the set states.
        depth: planar depth (H, W) of a frame, 0 where it is not known; None = the set has none of this camera.
        covisible: (H, W) bool of a frame, where the set's authors compare; None = they do not say.
    """

    name: str
    pictures: Path | Sequence[Path]
    world_to_camera: np.ndarray
    lenses: Sequence[Intrinsics]
    depth: Callable[[int], np.ndarray] | None = None
    covisible: Callable[[int], np.ndarray] | None = None


@dataclass(frozen=True, eq=False)
class PublicCase:
    """One clip, and what other cameras filmed at the same time: ``source`` and ``targets`` have equally many frames."""

    name: str
    source: View
    targets: Sequence[View]
    fps: float = DEFAULT_FPS


@dataclass(frozen=True)
class Wanted:
    """Which part of a set: ``count`` frames from ``start`` on, every ``every``-th, with no side longer than ``longest``."""

    start: int = 0
    count: int = 49
    every: int = 1
    longest: int = 512

    def frames(self, case: PublicCase) -> range:
        """Of a case.

        Raises:
            EX4DError: it ends before the first of them.
        """
        there = range(self.start, len(case.source.world_to_camera), self.every)[: self.count]
        if not there:
            raise EX4DError(f"{case.name} has {len(case.source.world_to_camera)} frames; start before that.")
        return there

    def size(self, own: tuple[int, int]) -> tuple[int, int]:
        """(width, height) of pictures of a size, in whole pairs of pixels, as films need them."""
        scale = min(1.0, self.longest / max(own))
        width, height = (max(2, 2 * round(side * scale / 2)) for side in own)
        return width, height


@dataclass(frozen=True)
class Lacks:
    """Truth that a set does not have, by the case that lacks it."""

    source_depth: bool
    target_depth: bool

    def told(self) -> list[str]:
        """What cannot be measured, without the case's name."""
        return [sentence for lacking, sentence in zip((self.source_depth, self.target_depth), LACKING) if lacking]


LACKING = (
    "no depth of the source: only finished videos can be measured",
    "no depth of the targets: neither surfaces, nor holes, nor cameras are judged",
)


def write_case(case: PublicCase, folder: Path, wanted: Wanted, *, cancel: Callable[[], bool] | None = None) -> Lacks:
    """Write a case's source and targets.

    Args:
        case: as a reader gives it.
        folder: of the case, which is made.
        wanted: which part, at which size.
        cancel: polled once a frame.

    Returns:
        What the set does not have.

    Raises:
        EX4DError: files that are missing, damaged, or of other sizes than their cameras'.
        Cancelled: ``cancel`` returned True.
    """
    frames = wanted.frames(case)
    world = case.source.world_to_camera[frames[0]].astype(np.float64)
    source = _filmed(case.source, frames, wanted, world, case.fps, cancel)
    folder.mkdir()
    write_filmed(folder / "source.npz", source)
    save_video(folder / "source.mp4", source.rgb, max(1.0, case.fps / wanted.every), cancel=cancel)
    lacks_depth = False
    for view in case.targets:
        target = _filmed(view, frames, wanted, world, case.fps, cancel)
        if target.rgb.shape != source.rgb.shape:
            raise EX4DError(
                f"{case.name}: {view.name} films {_told_size(target)} pixels, {case.source.name} {_told_size(source)}; all "
                "cameras of a case need one size."
            )
        extra = {"angle": _angles(source.path, target.path)}
        if source.has_depth and target.has_depth:
            extra["visible"] = _visible(source, target).numpy()
        if view.covisible is not None:
            size = (target.rgb.shape[1], target.rgb.shape[2])
            extra["covisible"] = np.stack([_nearest(view.covisible(t), size) for t in frames]) > 0
        write_filmed(folder / f"{TARGET}{view.name}.npz", target, extra)
        lacks_depth |= not target.has_depth
    return Lacks(not source.has_depth, lacks_depth)


def _filmed(
    view: View, frames: range, wanted: Wanted, world: np.ndarray, fps: float, cancel: Callable[[], bool] | None
) -> Filmed:
    """A view's frames at the size asked for; ``world`` is the (4, 4) camera from which its poses are to count."""
    width, height = wanted.size(_own_size(view, frames[0]))
    rgb = _colors(view, frames, (width, height), cancel)
    depth = torch.zeros(rgb.shape[:3])
    if view.depth is not None:
        for target, t in zip(depth, frames, strict=True):
            if cancel is not None and cancel():
                raise Cancelled
            plane = view.depth(t)
            if plane.ndim != 2:
                raise EX4DError(f"{view.name}: the depth of frame {t} must be a plane (H, W), got {plane.shape}.")
            target.copy_(torch.from_numpy(_nearest(_known(plane), (height, width))))
    poses = np.stack([view.world_to_camera[t].astype(np.float64) @ invert_pose(world) for t in frames])
    lenses = tuple(view.lenses[t].resized(width, height) for t in frames)
    return Filmed(rgb, depth, Trajectory(poses, lenses, fps=fps, frame_of_reference="world"))


def _own_size(view: View, frame: int) -> tuple[int, int]:
    """(width, height) of a view's pictures, which may be smaller than what its lens is told for."""
    if isinstance(view.pictures, Path):
        return view.lenses[frame].width, view.lenses[frame].height
    return upright_size(*_read(view.pictures[frame]))


def _read(file: Path) -> tuple[VideoFrame, Orientation]:
    if not file.is_file():
        raise EX4DError(f"There is no picture '{file}'. The set is not complete.")
    return read_picture(file)


def _colors(view: View, frames: range, size: tuple[int, int], cancel: Callable[[], bool] | None) -> Tensor:
    """(T, H, W, 3) uint8."""
    if isinstance(view.pictures, Path):
        count = frames[-1] - frames[0] + 1
        clip = load_video(view.pictures, start=frames[0], count=count, size=size, fit="stretch", cancel=cancel)
        return clip.frames[:: frames.step]
    from av.video.reformatter import VideoReformatter

    scaler, result = VideoReformatter(), torch.empty((len(frames), size[1], size[0], 3), dtype=torch.uint8)
    for target, t in zip(result, frames, strict=True):
        if cancel is not None and cancel():
            raise Cancelled
        file, lens = view.pictures[t], view.lenses[t]
        frame, turned = _read(file)
        own = upright_size(frame, turned)
        if not same_aspect(*own, lens.width, lens.height):
            raise EX4DError(f"'{file}' has {own[0]}x{own[1]} pixels, its camera is for {lens.width}x{lens.height}.")
        target.copy_(torch.from_numpy(upright_rgb(frame, turned, place(own, size, "stretch"), scaler)))
    return result


def _known(depth: np.ndarray) -> np.ndarray:
    """Depth (H, W) float32, 0 wherever it is none."""
    depth = depth.astype(np.float32)
    return np.where(np.isfinite(depth) & (depth > 0) & (depth < FARTHEST), depth, np.float32(0))


def _nearest(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """The value of the nearest pixel, float32 (H, W): depth and masks are not blended over edges."""
    plane = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))[None, None]
    return F.interpolate(plane, size, mode="nearest-exact")[0, 0].numpy()


def _angles(source: Trajectory, target: Trajectory) -> np.ndarray:
    """(T,) degrees between the directions in which two cameras look, frame by frame."""
    one, two = (path.world_to_camera[:, 2, :3].astype("f8") for path in (source, target))
    return np.degrees(np.arctan2(np.linalg.norm(np.cross(one, two), axis=1), (one * two).sum(1)))


def _visible(source: Filmed, target: Filmed) -> Tensor:
    """(T, H, W) bool: where the source camera sees the same point, by both depths."""
    assert source.path.intrinsics is not None and target.path.intrinsics is not None
    found = torch.empty(target.depth.shape, dtype=torch.bool)
    for t, (own, lens) in enumerate(zip(source.path.intrinsics, target.path.intrinsics, strict=True)):
        to_camera = target.path.world_to_camera[t].astype("f8") @ invert_pose(
            source.path.world_to_camera[t].astype("f8")
        )
        _, seen = look_up(source.rgb[t], source.depth[t], target.depth[t], to_camera, lens, own)
        found[t] = seen & (target.depth[t] > 0)
    return found


def _told_size(filmed: Filmed) -> str:
    return f"{filmed.rgb.shape[2]}x{filmed.rgb.shape[1]}"


def scenes_in(folder: Path, marker: str, up: int, what: str) -> list[Path]:
    """The folders of a set's scenes in natural order: ``folder`` itself or any below it.

    Args:
        folder: what a user gave.
        marker: pattern of a file that every scene has.
        up: how many folders above it the scene's is.
        what: of the set, for the sentence.

    Raises:
        EX4DError: none there.
    """
    from ...storage.names import natural_order

    if not folder.is_dir():
        raise EX4DError(f"There is no folder '{folder}'.")
    found = {file.parents[up] for file in folder.rglob(marker)}
    if not found:
        raise EX4DError(f"'{folder}' holds no scene of {what}: there is no {marker} in it.")
    return sorted(found, key=lambda scene: natural_order(str(scene)))


def read_json(file: Path, fields: Iterable[str] = ()) -> dict[str, Any]:
    """A JSON object with the fields that it must have.

    Raises:
        EX4DError: missing, damaged, or another thing.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise EX4DError(f"There is no file '{file}'. The set is not complete.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise EX4DError(f"'{file}' is no JSON that can be read.") from error
    lacking = [name for name in fields if not isinstance(found, dict) or name not in found]
    if not isinstance(found, dict) or lacking:
        raise EX4DError(f"'{file}' must be an object of JSON with {', '.join(fields) or 'names'}.")
    return found


def numbers(values: Any, shape: tuple[int, ...], what: str) -> np.ndarray:
    """Finite numbers of a shape as float64; -1 in it stands for any length.

    Raises:
        EX4DError: anything else; ``what`` is its subject.
    """
    try:
        found = np.asarray(values, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise EX4DError(f"{what} must be numbers.") from error
    fits = found.ndim == len(shape) and all(want in (-1, have) for want, have in zip(shape, found.shape, strict=False))
    if not fits or not np.isfinite(found).all():
        count = " by ".join("n" if side < 0 else str(side) for side in shape)
        raise EX4DError(f"{what} must be {f'{count} finite numbers' if shape else 'a finite number'}.")
    return found
