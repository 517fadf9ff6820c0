"""Points followed through a video in its pictures, and where on meshes they lie."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..camera import Intrinsics
from ..errors import EX4DError
from .fit.solid import look
from .meshes import MeshFrames
from .register.sequence import Tracks


@dataclass(frozen=True, eq=False)
class PictureTracks:
    """Points followed through a video.

    Attributes:
        path: (T, M, 2) float, column and row in pixels of the video, with pixels' centres at +0.5.
        seen: (T, M) bool.

    Raises:
        EX4DError: arrays of other shapes.
    """

    path: np.ndarray
    seen: np.ndarray

    def __post_init__(self) -> None:
        path, seen = np.asarray(self.path, np.float64), np.asarray(self.seen)
        if path.ndim != 3 or path.shape[-1] != 2 or seen.shape != path.shape[:2]:
            raise EX4DError(
                "Tracks are the places (frames, points, 2) of points in the pictures and whether each is seen (frames, points); "
                f"got {path.shape} and {seen.shape}."
            )
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "seen", seen.astype(bool) & np.isfinite(path).all(axis=-1))

    @classmethod
    def followed(cls, position: np.ndarray) -> PictureTracks:
        """Of places (M, T, 2), NaN where a point is not seen, as `solve.follow_points` gives them."""
        path = np.asarray(position, np.float64).swapaxes(0, 1)
        return cls(path, np.asarray(np.isfinite(path).all(axis=-1)))

    def __len__(self) -> int:
        return len(self.path)

    def spots(self, frame: int) -> np.ndarray:
        """(M, 2) places in a frame, NaN where a point is not seen."""
        return np.where(self.seen[frame][:, None], self.path[frame], np.nan)


@dataclass(frozen=True, eq=False)
class OnSurface:
    """Where points of a picture lie on the mesh that is seen there.

    Attributes:
        hit: (M,) bool, whether the mesh is there at all.
        face: (M,) the face, 0 where nothing is hit.
        shares: (M, 3) of its corners.
    """

    hit: np.ndarray
    face: np.ndarray
    shares: np.ndarray

    def places(self, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """(M, 3) of vertices (V, 3) wherever they have gone."""
        return np.einsum("mk,mki->mi", self.shares, vertices[faces[self.face]])


def on_surface(spots: np.ndarray, vertices: np.ndarray, faces: np.ndarray, lens: Intrinsics) -> OnSurface:
    """Where points (M, 2) of a picture lie on a mesh in front of its camera.

    Args:
        spots: in pixels of the lens, centres at +0.5.
        vertices: (V, 3) in the camera's frame, in any unit.
        faces: (F, 3).
        lens: the camera's.
    """
    size = float(np.linalg.norm(np.ptp(vertices, axis=0)))
    seen = look(vertices, faces, lens, size)
    number = np.full(lens.height * lens.width, -1)
    number[seen.sample.numpy()] = seen.face.numpy()
    column, row = np.floor(np.nan_to_num(spots, nan=-1.0)).astype(np.int64).T
    inside = (column >= 0) & (row >= 0) & (column < lens.width) & (row < lens.height)
    face = np.where(inside, number[np.where(inside, row * lens.width + column, 0)], -1)
    hit = face >= 0
    face = np.where(hit, face, 0)
    rays = np.stack([(spots[:, 0] - lens.cx) / lens.fx, (spots[:, 1] - lens.cy) / lens.fy, np.ones(len(spots))], 1)
    corners = vertices[faces[face]]
    hit &= np.abs(np.linalg.det(corners / size)) > 1e-12  # seen from its edge a face has no place
    corners = np.where(hit[:, None, None], corners, np.eye(3))
    shares = np.linalg.solve(corners.swapaxes(1, 2), np.where(hit[:, None], rays, 1.0)[..., None])[..., 0]
    # The face is that of the pixel's centre: beside it the ray may just miss it.
    shares = np.maximum(shares / shares.sum(axis=1, keepdims=True), 0.0)
    return OnSurface(hit, face, shares / shares.sum(axis=1, keepdims=True))


def lifted(tracks: PictureTracks, meshes: MeshFrames) -> Tracks:
    """Where points of a video are in space at the key frames: on the meshes that were placed there.

    Args:
        tracks: of the whole video.
        meshes: N, with poses and lenses, as `fit_meshes` gives them.

    Raises:
        EX4DError: meshes without poses or lenses, or tracks that end before the last of them.
    """
    if meshes.poses is None or meshes.lenses is None:
        raise EX4DError("Tracks tell where points are in the pictures. Fit the meshes to the video first.")
    if meshes.frames[-1] >= len(tracks):
        raise EX4DError(
            f"The tracks go through {len(tracks)} frames, and a mesh stands for frame {meshes.frames[-1]}, counted from 0."
        )
    positions, seen = [], []
    for n, (frame, lens) in enumerate(zip(meshes.frames, meshes.lenses, strict=True)):
        vertices, faces = meshes.vertices(n), meshes.meshes[n].faces
        found = on_surface(tracks.path[frame], vertices, faces, lens)
        positions.append(found.places(vertices, faces))
        seen.append(found.hit & tracks.seen[frame])
    return Tracks(np.stack(positions), np.stack(seen))
