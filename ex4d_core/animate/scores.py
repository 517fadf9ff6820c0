"""A moving mesh, and where its key frames were placed, held against exact truth: the rows of an evaluation.

What the painted mesh looks like is compared with its video as any two videos are, by `evaluation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import EX4DError
from ..storage.npz import NpzFrames, arrays_in
from .meshes import MeshClip
from .truth import FLIP, degrees_between, mesh_errors, slope


class Row(NamedTuple):
    """One number: its name in JSON, its title for people, and its unit."""

    name: str
    title: str
    unit: str


SIZE = "% of size"
OF_ERRORS = (
    ("same_point", "same point"),
    ("surface", "surface, the worse way"),
    ("chamfer", "surface, mean of both ways"),
)
OF_FRAMES = (("", ""), ("_last", ", last frame"), ("_worst", ", worst frame"), ("_slope", ", growth over the clip"))
ROWS: tuple[Row, ...] = (
    *(Row(name + part, title + words, SIZE) for name, title in OF_ERRORS for part, words in OF_FRAMES),
    Row("turn", "turn of the key frames' meshes, median", "degrees"),
    Row("turn_worst", "turn of the key frames' meshes, worst", "degrees"),
    Row("flips", f"key frames turned by more than {FLIP:g} degrees", ""),
)


@dataclass(frozen=True, eq=False)
class MeshTruth:
    """Where every point of the object is in every frame.

    Attributes:
        vertices: (T, W, 3) of the video's frames from 0 on, where the moving mesh stands.
        faces: (G, 3).
        poses: (N, 4, 4) of the key frames' meshes, or None.
    """

    vertices: np.ndarray
    faces: np.ndarray
    poses: np.ndarray | None = None


def load_truth(path: str | Path) -> MeshTruth:
    """Read a .npz with the arrays vertices (T, W, 3), faces (G, 3) and, if they are to be judged, poses (N, 4, 4).

    Raises:
        EX4DError: no such file, or arrays of other shapes.
    """
    with NpzFrames(path, ("vertices",), any_order=True, wanted="the vertices of the truth") as archive:
        names = ("vertices", "faces", "poses") if "poses" in archive.names else ("vertices", "faces")
    arrays = arrays_in(path, *names)
    vertices, faces, poses = arrays["vertices"], arrays["faces"], arrays.get("poses")
    shapes = f"vertices {vertices.shape} and faces {faces.shape}"
    if vertices.ndim != 3 or vertices.shape[2] != 3 or not vertices.size or not np.isfinite(vertices).all():
        raise EX4DError(f"A truth has finite vertices (frames, points, 3) and faces (faces, 3); got {shapes}.")
    whole = faces.ndim == 2 and faces.shape[1] == 3 and faces.size and faces.dtype.kind in "iu"
    if not whole or faces.min() < 0 or faces.max() >= vertices.shape[1]:
        raise EX4DError(
            f"The faces of a truth are whole numbers (faces, 3) of its {vertices.shape[1]} points; got {shapes}."
        )
    if poses is not None and poses.shape[1:] != (4, 4):
        raise EX4DError(f"The poses of a truth have the shape (meshes, 4, 4), got {poses.shape}.")
    return MeshTruth(vertices.astype(np.float64), faces.astype(np.int64), poses)


def check_truth(truth: MeshTruth, frames: Sequence[int], driven: int | None = None) -> None:
    """Refuse a truth of other frames than the mesh's.

    Args:
        truth: of the video.
        frames: the key frames, ascending.
        driven: number of frames through which a single mesh is driven, from the video's first on; None = it is not, or not known.

    Raises:
        EX4DError: it ends before the last of them, or has other poses than one for each key frame.
    """
    if driven is not None and driven > len(truth.vertices):
        raise EX4DError(
            f"The truth has {len(truth.vertices)} frames, and the mesh is driven through the video's {driven}."
        )
    if frames[-1] >= len(truth.vertices):
        raise EX4DError(
            f"The truth has {len(truth.vertices)} frames, and a mesh stands for frame {frames[-1]}, counted from 0."
        )
    if truth.poses is not None and len(truth.poses) != len(frames):
        raise EX4DError(f"The truth has poses of {len(truth.poses)} meshes; {len(frames)} are given.")


def mesh_scores(
    clip: MeshClip, frames: Sequence[int], reference: int, truth: MeshTruth, poses: np.ndarray | None = None
) -> dict[str, float | None]:
    """Every row of `ROWS` by its name; None where the truth or the mesh does not tell it.

    Args:
        clip: the moving mesh.
        frames: the video's frame that each of its frames is.
        reference: the video's frame in which its points count as exact.
        truth: of the same video.
        poses: (N, 4, 4) where the key frames' meshes were placed.

    Raises:
        EX4DError: the truth ends before the mesh does.
    """
    if frames[-1] >= len(truth.vertices):
        raise EX4DError(f"The truth has {len(truth.vertices)} frames, and the mesh moves until frame {frames[-1]}.")
    began = list(frames).index(reference)
    size = float(np.linalg.norm(np.ptp(truth.vertices[reference], axis=0)))
    errors = mesh_errors(
        clip.vertices.astype(np.float64), clip.faces, lambda t: truth.vertices[frames[t]], truth.faces, began, size
    )
    last = 0 if began > (len(clip) - 1) / 2 else len(clip) - 1
    found: dict[str, float | None] = {row.name: None for row in ROWS}
    for name, _ in OF_ERRORS:
        values = 100 * getattr(errors, name)
        numbers = (values.mean(), values[last], values.max(), slope(values))
        found |= {name + part: float(value) for (part, _), value in zip(OF_FRAMES, numbers, strict=True)}
    if truth.poses is not None and poses is not None:
        off = degrees_between(poses, truth.poses)
        found |= {"turn": float(np.median(off)), "turn_worst": float(off.max()), "flips": float((off > FLIP).sum())}
    return found
