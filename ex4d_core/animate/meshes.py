"""Triangle meshes of an object as they travel between the steps: of one frame, of key frames, and one that moves.

Conventions: faces run counter-clockwise seen from outside. A mesh stands in axes of its own, as its file has it (y up for glTF);
a pose places it in the source camera's frame (OpenCV: x right, y down, z forward). That is the camera of the frame itself;
where the camera moves, its path is told apart from the object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np

from ..camera import DEFAULT_FPS, Intrinsics, is_finite
from ..errors import EX4DError

Space = Literal["object", "camera"]
"""Where a moving mesh stands: "object", in the axes of the mesh it was made from; "camera", in the source camera's (OpenCV)."""
SPACES: tuple[Space, ...] = get_args(Space)

FPS_RANGE = (0.1, 1000.0)
LARGEST = 1e9
"""Units from the origin, as for camera paths: a mesh that reaches farther is a slip, and its products leave float32."""
SIMILAR = 1e-3
"""By how much the linear part of a pose may differ from a turn and one scale, as a share of that scale."""


@dataclass(frozen=True, eq=False)
class TriangleMesh:
    """Triangles of one frame.

    Attributes:
        vertices: (V, 3) float32 positions, in axes of the mesh's own.
        faces: (F, 3) int32 vertex numbers, counter-clockwise seen from outside.
        colors: (V, 3) float32 sRGB colours 0..1; None where the mesh has none.

    Raises:
        EX4DError: no vertices or faces, arrays of other shapes, positions that are not finite or beyond 1e9, vertex numbers
            that are not there, a mesh without any extent.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None = None

    def __post_init__(self) -> None:
        vertices = _positions(self.vertices, "A mesh's vertices", 2)
        if not np.ptp(vertices, axis=0).max() > 0:
            raise EX4DError(f"All {len(vertices)} vertices of the mesh lie in one point. Export it again.")
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", _faces(self.faces, len(vertices)))
        object.__setattr__(self, "colors", _colors(self.colors, len(vertices)))

    @property
    def size(self) -> float:
        """Length of the bounding box' diagonal: what errors are measured against."""
        return float(np.linalg.norm(np.ptp(self.vertices.astype(np.float64), axis=0)))


@dataclass(frozen=True, eq=False)
class MeshFrames:
    """One mesh for each of some frames of a video, of unlike topology; not every frame needs one.

    Attributes:
        frames: (N) numbers of the source video's frames, from 0, each larger than the one before.
        meshes: (N) the mesh of each.
        poses: (N, 4, 4) float64, object to source camera (OpenCV): a turn times one scale > 0, and a shift. None while it is not
            known where the meshes stand.
        fps: frames a second of the source video.
        lenses: (N) of the cameras that they were placed in front of, for the video's size; None while it is not known.

    Raises:
        EX4DError: no mesh, counts that differ, frame numbers that do not increase, poses that are no similarities, a rate
            outside 0.1 to 1000.
    """

    frames: tuple[int, ...]
    meshes: tuple[TriangleMesh, ...]
    poses: np.ndarray | None = None
    fps: float = DEFAULT_FPS
    lenses: tuple[Intrinsics, ...] | None = None

    def __post_init__(self) -> None:
        frames, meshes = _frame_numbers(self.frames), tuple(self.meshes)
        if not meshes:
            raise EX4DError("There is no mesh. Give the mesh of at least one frame.")
        if len(frames) != len(meshes):
            raise EX4DError(
                f"There are {_count(len(meshes), 'mesh', 'meshes')} for {_count(len(frames), 'frame number')}. Give one number "
                "for each mesh."
            )
        object.__setattr__(self, "frames", frames)
        object.__setattr__(self, "meshes", meshes)
        object.__setattr__(self, "poses", None if self.poses is None else _poses(self.poses, len(meshes)))
        if self.lenses is not None and len(self.lenses) != len(meshes):
            raise EX4DError(
                f"There are {_count(len(meshes), 'mesh', 'meshes')} and {_count(len(self.lenses), 'lens', 'lenses')}."
            )
        _check_fps(self.fps)

    def __len__(self) -> int:
        return len(self.meshes)

    @property
    def length(self) -> int:
        """Frames of the source video from the first mesh to the last, both included."""
        return self.frames[-1] - self.frames[0] + 1

    def placed(self, poses: np.ndarray, lenses: tuple[Intrinsics, ...] | None = None) -> MeshFrames:
        """The same meshes with poses (N, 4, 4), object to source camera, and the lenses of that camera where they are known."""
        return replace(self, poses=poses, lenses=lenses)

    def vertices(self, n: int) -> np.ndarray:
        """(V, 3) float64 vertices of the n-th mesh: in the source camera's frame where its pose is known, else its own."""
        vertices = self.meshes[n].vertices.astype(np.float64)
        if self.poses is None:
            return vertices
        return vertices @ self.poses[n, :3, :3].T + self.poses[n, :3, 3]


@dataclass(frozen=True, eq=False)
class MeshClip:
    """One mesh that moves: a fixed topology, and places of its vertices at every frame.

    Attributes:
        vertices: (T, V, 3) float32 positions; where they stand is told by ``space``.
        faces: (F, 3) int32 vertex numbers, counter-clockwise seen from outside.
        colors: (V, 3) float32 sRGB colours 0..1 for the whole clip; None where there are none, or a texture.
        uv: (F, 3, 2) float32 places of each face's corners in the texture, 0..1 from its upper left corner, as in glTF; None
            without a texture.
        texture: (H, W, 3) uint8 sRGB picture for the whole clip; None without one.
        fps: frames a second.
        space: "object" or "camera", see `Space`.
        start: number of the source video's frame that is the first here; one follows on the other.

    Raises:
        EX4DError: arrays of other shapes, positions that are not finite or beyond 1e9, vertex numbers that are not there,
            a texture without places in it or the other way round, another space, a rate outside 0.1 to 1000.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray | None = None
    uv: np.ndarray | None = None
    texture: np.ndarray | None = None
    fps: float = DEFAULT_FPS
    space: Space = "object"
    start: int = 0

    def __post_init__(self) -> None:
        vertices = _positions(self.vertices, "A moving mesh's vertices", 3)
        faces = _faces(self.faces, vertices.shape[1])
        object.__setattr__(self, "vertices", vertices)
        object.__setattr__(self, "faces", faces)
        object.__setattr__(self, "colors", _colors(self.colors, vertices.shape[1]))
        if (self.uv is None) != (self.texture is None):
            given = "places in a texture but no texture" if self.texture is None else "a texture but no places in it"
            raise EX4DError(f"The moving mesh has {given}. Give both or neither.")
        if self.uv is not None and self.texture is not None:
            object.__setattr__(self, "uv", _uv(self.uv, len(faces)))
            object.__setattr__(self, "texture", _texture(self.texture))
        _check_fps(self.fps)
        if self.space not in SPACES:
            raise EX4DError(f"A moving mesh stands in one of {', '.join(SPACES)}; got {self.space!r}.")
        _frame_numbers((self.start,))

    def __len__(self) -> int:
        return self.vertices.shape[0]

    @property
    def size(self) -> float:
        """Length of the diagonal of the box around the first frame's vertices."""
        return float(np.linalg.norm(np.ptp(self.vertices[0].astype(np.float64), axis=0)))

    def mesh(self, t: int) -> TriangleMesh:
        """The t-th frame alone, with the clip's vertex colours."""
        return TriangleMesh(self.vertices[t], self.faces, self.colors)


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _positions(values: Any, what: str, axes: int) -> np.ndarray:
    """float32, of as many axes, finite."""
    shape = "(V, 3)" if axes == 2 else "(T, V, 3)"
    try:
        vertices = np.ascontiguousarray(values, np.float32)
    except (TypeError, ValueError):
        raise EX4DError(f"{what} have the shape {shape}, got no array of numbers.") from None
    if vertices.ndim != axes or vertices.shape[-1] != 3:
        raise EX4DError(f"{what} have the shape {shape}, got {vertices.shape}.")
    if not vertices.size:
        raise EX4DError("The mesh has no vertices. Check what made it.")
    # A NaN compares as False, and so counts as too far away.
    bad = int(np.count_nonzero(~(np.abs(vertices) <= LARGEST).all(axis=-1)))
    if bad:
        raise EX4DError(
            f"{_count(bad, 'vertex', 'vertices')} of the mesh {'is' if bad == 1 else 'are'} not finite, or farther than 1e9 "
            "from the origin. Export it again."
        )
    return vertices


def _faces(values: Any, vertices: int) -> np.ndarray:
    try:
        faces = np.asarray(values)
        whole = np.ascontiguousarray(faces, np.int32)
    except (TypeError, ValueError, OverflowError):
        raise EX4DError("A mesh's faces are whole numbers (F, 3), got something else.") from None
    if not faces.size:
        raise EX4DError("The mesh has no faces: points alone have no surface. Export it with its faces.")
    if faces.ndim != 2 or faces.shape[1] != 3 or faces.dtype.kind not in "iu":
        raise EX4DError(f"A mesh's faces are whole numbers (F, 3), got {faces.dtype} {faces.shape}.")
    low, high = int(faces.min()), int(faces.max())
    if low < 0 or high >= vertices:
        wrong = low if low < 0 else high
        raise EX4DError(f"A face names vertex {wrong}, and the mesh has 0 to {vertices - 1}. Export it again.")
    return whole


def _colors(values: Any, vertices: int) -> np.ndarray | None:
    if values is None:
        return None
    colors = np.ascontiguousarray(values, np.float32)
    if colors.shape != (vertices, 3):
        raise EX4DError(f"Vertex colours have the shape ({vertices}, 3), one for each vertex; got {colors.shape}.")
    if not np.isfinite(colors).all():
        raise EX4DError("Some vertex colours are not finite; expected numbers from 0 to 1.")
    return np.clip(colors, 0.0, 1.0)


def _uv(values: Any, faces: int) -> np.ndarray:
    uv = np.ascontiguousarray(values, np.float32)
    if uv.shape != (faces, 3, 2):
        raise EX4DError(
            f"Places in a texture have the shape ({faces}, 3, 2), one for each face's corners; got {uv.shape}."
        )
    if not np.isfinite(uv).all():
        raise EX4DError("Some places in the texture are not finite; expected numbers from 0 to 1.")
    return uv


def _texture(values: Any) -> np.ndarray:
    texture = np.ascontiguousarray(values)
    if texture.ndim != 3 or texture.shape[-1] != 3 or not texture.size or texture.dtype != np.uint8:
        raise EX4DError(f"A texture is uint8 of shape (H, W, 3), got {texture.dtype} {texture.shape}.")
    return texture


def _frame_numbers(values: Sequence[int]) -> tuple[int, ...]:
    frames = tuple(values)
    if any(not is_finite(frame) or frame != int(frame) or frame < 0 for frame in frames):
        raise EX4DError(f"Frame numbers are whole numbers from 0 on, got {frames}.")
    if any(later <= earlier for earlier, later in pairwise(frames)):
        raise EX4DError(f"Frame numbers must increase from mesh to mesh, got {', '.join(str(n) for n in frames)}.")
    return tuple(int(frame) for frame in frames)


def _poses(values: Any, meshes: int) -> np.ndarray:
    poses = np.ascontiguousarray(values, np.float64)
    if poses.shape != (meshes, 4, 4):
        raise EX4DError(f"Poses have the shape ({meshes}, 4, 4), one for each mesh; got {poses.shape}.")
    if not np.isfinite(poses).all():
        raise EX4DError("Some poses are not finite.")
    linear = poses[:, :3, :3]
    scales = np.cbrt(np.linalg.det(linear))
    turns = linear / np.where(scales > 0, scales, 1.0)[:, None, None]
    off = np.abs(turns @ turns.swapaxes(1, 2) - np.eye(3)).max(axis=(1, 2))
    wrong = np.flatnonzero(~((scales > 0) & (off <= 2 * SIMILAR) & (poses[:, 3] == (0, 0, 0, 1)).all(axis=1)))
    if len(wrong):
        raise EX4DError(
            f"The pose of mesh {wrong[0]} is no similarity: expected a turn times one positive scale, a shift, and a last row "
            "0 0 0 1."
        )
    return poses


def _check_fps(fps: float) -> None:
    if not is_finite(fps) or not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise EX4DError(f"fps must lie between {FPS_RANGE[0]:g} and {FPS_RANGE[1]:g}, got {fps}.")
