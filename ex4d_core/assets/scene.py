"""What goes into a file for another program: a clip's mesh along a camera path, in that program's axes and unit.

3D programs have y up and cameras that look along -z, so y and z change their sign. A unit of the file is a metre in glTF and
USD: ``scale`` says how many metres a unit of the scene is. Where the path bends time, the files do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..camera import DEFAULT_FPS, Y_UP, is_finite
from ..camera_io import Cameras
from ..errors import EX4DError
from ..mesh import DWMesh
from ..pointmap.note import check_scale
from ..render import source_along, with_lenses
from ..trajectory import Trajectory, in_the_world

FPS_RANGE = (0.1, 1000.0)
PATH, SOURCE = "EX-4D camera", "source camera"
"""Names of the cameras in the files."""


@dataclass(frozen=True, eq=False)
class AssetScene:
    """A clip's mesh and the cameras around it.

    Attributes:
        mesh: the clip's mesh.
        shown: the frame of the mesh at every frame of the file.
        fps: frames a second of the file.
        scale: metres, or whatever the file's unit is, per unit of the scene.
        cameras: by name, one pose and lens for every frame of the file; OpenCV, in units of the scene.
    """

    mesh: DWMesh
    shown: tuple[int, ...]
    fps: float
    scale: float
    cameras: dict[str, Cameras]

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def frames(self) -> tuple[int, ...]:
        """The frames of the mesh that are shown, each once, in order."""
        return tuple(sorted(set(self.shown)))

    def still(self, n: int) -> AssetScene:
        """The n-th frame alone, with its cameras."""
        cameras = {
            name: replace(
                each,
                world_to_camera=each.world_to_camera[n : n + 1],
                intrinsics=None if each.intrinsics is None else each.intrinsics[n : n + 1],
            )
            for name, each in self.cameras.items()
        }
        return replace(self, shown=self.shown[n : n + 1], cameras=cameras)

    def positions(self, frame: int, vertices: np.ndarray) -> np.ndarray:
        """Vertices in the file's axes and unit.

        Args:
            frame: of the mesh.
            vertices: (V,) numbers of the mesh's vertices.

        Returns:
            (V, 3) float32.
        """
        points = self.mesh.vertices_in_world(frame).cpu().numpy()[vertices].astype(np.float64)
        return (points * (Y_UP * self.scale)).astype(np.float32)

    def texture_coordinates(self, vertices: np.ndarray) -> np.ndarray:
        """(V, 2) float32 places in a frame's picture, 0..1 from its upper left corner: the middle of each vertex' pixel."""
        rows, columns = vertices // self.mesh.width, vertices % self.mesh.width
        places = np.stack([(columns + 0.5) / self.mesh.width, (rows + 0.5) / self.mesh.height], axis=-1)
        return places.astype(np.float32)

    def picture(self, frame: int) -> np.ndarray:
        """(H, W, 3) uint8 colours of a frame."""
        return self.mesh.rgb[frame].cpu().numpy()

    @property
    def reach(self) -> float:
        """A distance from the origin, in the file's unit, beyond which nothing lies: for the cameras' far planes."""
        away = max([np.abs(each.world_to_camera[:, :3, 3]).max() for each in self.cameras.values()], default=0.0)
        moved = 0.0 if self.mesh.source_camera is None else np.abs(self.mesh.source_camera.world_to_camera).max()
        return float(4 * self.scale * (self.mesh.border_depth + away + moved))

    def placed(self, cameras: Cameras) -> Cameras:
        """Cameras in the file's unit, at its rate."""
        poses = np.array(cameras.world_to_camera, np.float64)
        poses[:, :3, 3] *= self.scale
        return Cameras(poses, cameras.intrinsics, fps=self.fps)


def asset_scene(
    mesh: DWMesh,
    trajectory: Trajectory | None = None,
    *,
    fps: float | None = None,
    scale: float = 1.0,
) -> AssetScene:
    """Lay a mesh out for the files of other programs.

    Args:
        mesh: the clip's mesh.
        trajectory: the new camera's path; None = the source camera alone.
        fps: frames a second; None = the path's, else the default.
        scale: metres per unit of the scene.

    Raises:
        EX4DError: a path that does not fit the clip, or a rate or scale that no file holds.
    """
    fps = (DEFAULT_FPS if trajectory is None else trajectory.fps) if fps is None else fps
    check_scale(scale)
    if not is_finite(fps) or not FPS_RANGE[0] <= fps <= FPS_RANGE[1]:
        raise EX4DError(f"fps must lie between {FPS_RANGE[0]:g} and {FPS_RANGE[1]:g}, got {fps}.")
    if trajectory is None:
        shown = tuple(range(mesh.frames))
        return AssetScene(mesh, shown, float(fps), float(scale), {SOURCE: _source(mesh, shown)})
    shown = tuple(trajectory.shown_frames(mesh.frames))
    path = in_the_world(with_lenses(trajectory, mesh), source_along(trajectory, mesh))
    cameras = {PATH: Cameras(path.world_to_camera, path.intrinsics, fps=fps), SOURCE: _source(mesh, shown)}
    return AssetScene(mesh, shown, float(fps), float(scale), cameras)


def _source(mesh: DWMesh, shown: tuple[int, ...]) -> Cameras:
    poses = np.tile(np.eye(4), (len(shown), 1, 1))
    if mesh.source_camera is not None:
        poses = mesh.source_camera.world_to_camera[list(shown)]
    return Cameras(poses, tuple(mesh.lens(frame) for frame in shown))
