"""The cases: a scene, the camera that films it, and four ranges of target cameras with what they really see.

On disk a benchmark is a folder; other scenes in the same form are taken as well (`evaluation.sets` brings public ones into it)::

    benchmark.json            name, the cases with their ranges, and "missing": sentences on truth that the set does not have
    <case>/source.npz         rgb (T,H,W,3) uint8, depth (T,H,W) float32, world_to_camera (T,4,4), lens (T,4): fx fy cx cy
    <case>/source.mp4         the same to look at, or to give to another program
    <case>/target_<range>.npz rgb, depth, world_to_camera, lens, angle (T) degrees, visible (T,H,W) bool: what the source sees
                              at that frame, covisible (T,H,W) bool: where the set's authors compare; these two may be missing

Frame t of a target is at the time of frame t of the source; poses are OpenCV, in the world of the source's first frame. Depth is
planar, and 0 where it is not known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...camera import Intrinsics
from ...demo_scene import CameraMove, DemoScene
from ...demo_scene.arranged import BENCHMARK_SEEDS, Look
from ...demo_scene.truth import truth_along
from ...demo_scene.world import SUBJECT
from ...errors import EX4DError
from ...storage.npz import NpzWriter, arrays_in
from ...trajectory import Trajectory
from ...video import save_video

INDEX, TARGET = "benchmark.json", "target_"
MASKS = ("visible", "covisible")
"""Arrays of a target that may be missing."""
RANGES: dict[str, tuple[float, float]] = {"0-30": (0, 30), "0-60": (0, 60), "0-90": (0, 90), "-90-90": (-90, 90)}
"""First and last azimuth in degrees, positive to the right: the paper's four."""
SETS = {"tiny": (96, 4, 1), "small": (256, 13, 1), "full": (512, 49, 4)}
"""Side in pixels, frames, and scenes of each kind."""
FPS = 15.0


@dataclass(frozen=True)
class Kind:
    """A kind of case: whether things move, the camera that films them, and what makes the scene hard."""

    name: str
    moving: bool
    camera: CameraMove
    look: Look = "usual"


KINDS = (
    Kind("static-locked", False, "locked-off"),
    Kind("moving-locked", True, "locked-off"),
    Kind("static-handheld", False, "handheld"),
    Kind("moving-handheld", True, "handheld"),
    Kind("moving-zoom", True, "zoom"),
    Kind("thin", True, "handheld", "thin"),
    Kind("reflective", False, "locked-off", "shiny"),
    Kind("lighting", False, "locked-off", "lit"),
    Kind("rapid", True, "locked-off", "rapid"),
    Kind("textureless", True, "handheld", "plain"),
)
"""The last five are the hard cases of the paper's A.4, and scenes without texture."""


@dataclass(frozen=True, eq=False)
class Filmed:
    """What one path of cameras sees.

    Attributes:
        rgb: (T, H, W, 3) uint8.
        depth: (T, H, W) float32 planar; 0 where it is not known.
        path: T poses with their lenses, in the world of the source's first frame.
    """

    rgb: Tensor
    depth: Tensor
    path: Trajectory

    @property
    def has_depth(self) -> bool:
        """Whether depth is known anywhere in every frame."""
        return bool((self.depth > 0).any(2).any(1).all())

    def beginning_and(self, t: int) -> Filmed:
        """Its first frame, on whose camera and depths the others rest, and frame ``t``."""
        return Filmed(self.rgb[[0, t]], self.depth[[0, t]], self.path.part([0, t]))


@dataclass(frozen=True, eq=False)
class Target(Filmed):
    """The truth of one range.

    Attributes:
        angle: T azimuths in degrees.
        visible: (T, H, W) bool where the source sees the point at the same frame; None = not known.
        covisible: (T, H, W) bool where a public set's authors compare; None = they do not say.
    """

    angle: np.ndarray
    visible: Tensor | None = None
    covisible: Tensor | None = None


def scenes_of(size: str) -> Iterator[tuple[str, DemoScene]]:
    """Every scene of a set, by the name of its case."""
    side, frames, count = SETS[size]
    for number in range(count):
        for place, kind in enumerate(KINDS):
            seed = BENCHMARK_SEEDS[number * len(KINDS) + place]
            yield (
                f"{kind.name}-{number}",
                DemoScene(
                    side, side, frames, samples=2, camera=kind.camera, seed=seed, moving=kind.moving, look=kind.look
                ),
            )


def target_path(scene: DemoScene, span: tuple[float, float]) -> tuple[Trajectory, np.ndarray]:
    """Cameras around the subject from one azimuth to the other, evenly; and their azimuths in degrees."""
    angles = np.linspace(*span, scene.frames)
    radius = SUBJECT[2]
    poses = [
        Trajectory.preset("orbit", frames=2, radius=radius, angle=float(angle), rise=0.1).world_to_camera[1]
        for angle in angles
    ]
    lens = (scene.intrinsics,) * scene.frames
    return Trajectory(np.stack(poses), lens, fps=FPS, frame_of_reference="world"), angles


def make(
    folder: Path,
    size: str,
    *,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> None:
    """Draw a set into a folder that is there.

    Args:
        folder: where to.
        size: one of `SETS`.
        progress: called with (clips drawn, clips).
        cancel: polled at every frame.

    Raises:
        Cancelled: ``cancel`` returned True.
    """
    scenes = dict(scenes_of(size))
    done, total = 0, len(scenes) * (1 + len(RANGES))
    for name, scene in scenes.items():
        (folder / name).mkdir()
        source = scene.clip(cancel=cancel)
        poses, lenses = scene.source_cameras()
        write_filmed(folder / name / "source.npz", Filmed(*source, Trajectory(poses, lenses)))
        save_video(folder / name / "source.mp4", source[0], FPS, cancel=cancel)
        done += 1
        for span_name, span in RANGES.items():
            if progress is not None:
                progress(done, total)
            path, angles = target_path(scene, span)
            truth = truth_along(scene, source, path.world_to_camera, cancel=cancel)
            extra = {"angle": angles, "visible": truth.visible.numpy()}
            write_filmed(folder / name / f"{TARGET}{span_name}.npz", Filmed(truth.color, truth.depth, path), extra)
            done += 1
    write_index(folder, size, {name: list(RANGES) for name in scenes}, [])
    if progress is not None:
        progress(total, total)


def write_filmed(file: Path, filmed: Filmed, extra: dict[str, np.ndarray] | None = None) -> None:
    """A source, or a target with its further arrays, as `read_source` and `read_target` take it."""
    path = filmed.path
    assert path.intrinsics is not None
    with NpzWriter(file) as archive:
        arrays = {"rgb": filmed.rgb.numpy(), "depth": filmed.depth.numpy(), "world_to_camera": path.world_to_camera}
        arrays["lens"] = np.array([(k.fx, k.fy, k.cx, k.cy) for k in path.intrinsics])
        for name, values in (arrays | (extra or {})).items():
            archive.array(name, values)


def write_index(folder: Path, name: str, cases: dict[str, list[str]], missing: list[str]) -> None:
    """A set's list of cases with their ranges, and what truth it does not have."""
    index = {"name": name, "cases": cases, "missing": missing}
    (folder / INDEX).write_text(json.dumps(index, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_missing(folder: Path) -> list[str]:
    """What truth a set says it does not have, a sentence each; of an index that `read_index` took."""
    missing = json.loads((folder / INDEX).read_text(encoding="utf-8")).get("missing", [])
    return [str(one) for one in missing] if isinstance(missing, list) else []


def read_index(folder: Path) -> tuple[str, dict[str, list[str]]]:
    """A benchmark's name, and its cases with their ranges.

    Raises:
        EX4DError: no benchmark there, or an index that says something else.
    """
    file = folder / INDEX
    try:
        index = json.loads(file.read_text(encoding="utf-8"))
        cases = {str(name): [str(span) for span in spans] for name, spans in index["cases"].items()}
        name = str(index["name"])
    except OSError as error:
        raise EX4DError(f"'{folder}' holds no {INDEX}: draw a set with `benchmark make`.") from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise EX4DError(
            f"'{file}' is no index of a benchmark: it needs a name, and cases with their ranges."
        ) from error
    return name, cases


def read_source(folder: Path, case: str) -> Filmed:
    """A case's clip with its depth and cameras.

    Raises:
        EX4DError: a file that is missing, damaged or of other shapes.
    """
    arrays = _read(folder / case / "source.npz", ())
    return Filmed(*_filmed(arrays, folder / case / "source.npz"))


def read_target(folder: Path, case: str, span: str) -> Target:
    """The truth of one range of a case.

    Raises:
        EX4DError: a file that is missing, damaged or of other shapes.
    """
    file = folder / case / f"{TARGET}{span}.npz"
    arrays = _read(file, ("angle",), MASKS)
    filmed = _filmed(arrays, file)
    masks = {name: torch.from_numpy(arrays[name].astype(bool)) for name in MASKS if name in arrays}
    if arrays["angle"].shape != (len(filmed[1]),) or any(mask.shape != filmed[1].shape for mask in masks.values()):
        raise EX4DError(f"'{file}': angle, visible and covisible must have the frames and size of rgb.")
    return Target(*filmed, arrays["angle"], masks.get("visible"), masks.get("covisible"))


def range_title(span: str) -> str:
    """A range for people: degrees for the paper's, the name of its camera for one of a public set."""
    return f"{span}°" if span in RANGES else span


def _read(file: Path, more: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, np.ndarray]:
    try:
        return arrays_in(file, "rgb", "depth", "world_to_camera", "lens", *more, optional=optional)
    except EX4DError as error:
        raise EX4DError(f"{error} Draw the set again.") from error


def _filmed(arrays: dict[str, np.ndarray], file: Path) -> tuple[Tensor, Tensor, Trajectory]:
    rgb, depth, lens = arrays["rgb"], arrays["depth"], arrays["lens"]
    frames = len(rgb) if rgb.ndim == 4 else 0
    fits = frames and rgb.dtype == np.uint8 and depth.shape == rgb.shape[:3] and lens.shape == (frames, 4)
    if not fits or arrays["world_to_camera"].shape != (frames, 4, 4):
        raise EX4DError(f"'{file}' holds arrays that do not fit each other.")
    height, width = depth.shape[1:]
    lenses = tuple(Intrinsics(fx, fy, cx, cy, width, height) for fx, fy, cx, cy in lens.tolist())
    path = Trajectory(arrays["world_to_camera"], lenses, fps=FPS, frame_of_reference="world")
    return torch.from_numpy(rgb), torch.from_numpy(depth.astype(np.float32)), path
