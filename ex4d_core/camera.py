"""Pinhole intrinsics, look-at poses, frames of other programs, quaternions.

Convention: OpenCV frame (x right, y down, z forward), pixel centres at +0.5, ``u = fx * x / z + cx``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, TypeGuard

import numpy as np

from .errors import EX4DError
from .published import FOCAL_RATIO

DEFAULT_FPS = 15.0
"""Frames a second of EX-4D's videos, and of a path that tells no rate."""

MAX_FRAMES = 10000
"""The most frames that a camera path may have."""


class UnknownLens(EX4DError):
    """A lens is needed that only the scene knows, and no scene was given."""


def is_finite(value: Any) -> TypeGuard[float]:
    """Whether a value is a real, finite number (numpy's too, no bool), small enough for a float."""
    try:
        return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera's projection for one image size.

    Attributes:
        fx, fy: focal lengths in pixels, > 0.
        cx, cy: principal point in pixels; the image centre is (width / 2, height / 2).
        width, height: image size in pixels.

    Raises:
        EX4DError: a focal length that is not finite and positive, or a size below one pixel.

    Example:
        >>> lens = Intrinsics.default(512, 512)
        >>> lens.fx, lens.cx, round(lens.vertical_fov, 1)
        (500.0, 256.0, 54.2)
        >>> lens.fitted(832, 480).fy  # the same vertical field of view
        468.75
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) for v in (self.fx, self.fy, self.cx, self.cy)) or self.fx <= 0 or self.fy <= 0:
            raise EX4DError(
                f"Intrinsics need finite values and positive focal lengths, got fx={self.fx}, fy={self.fy}, "
                f"cx={self.cx}, cy={self.cy}."
            )
        if self.width < 1 or self.height < 1:
            raise EX4DError(f"Intrinsics need an image of at least 1x1 pixels, got {self.width}x{self.height}.")

    @classmethod
    def default(cls, width: int, height: int) -> Intrinsics:
        """The field of view of the training data: fx = fy = 500 * width / 512, centred."""
        return cls.from_focal(FOCAL_RATIO * width, width, height)

    @classmethod
    def from_focal(cls, focal: float, width: int, height: int) -> Intrinsics:
        """Square pixels and a centred principal point; ``focal`` in pixels."""
        return cls(focal, focal, width / 2, height / 2, width, height)

    @classmethod
    def from_fov(cls, vertical_fov: float, width: int, height: int) -> Intrinsics:
        """Square pixels, centred, from the vertical field of view in degrees, in (0, 180)."""
        if not (math.isfinite(vertical_fov) and 0 < vertical_fov < 180):
            raise EX4DError(f"The vertical field of view must lie between 0 and 180 degrees, got {vertical_fov}.")
        return cls.from_focal(height / 2 / math.tan(math.radians(vertical_fov) / 2), width, height)

    @classmethod
    def from_matrix(cls, matrix: np.ndarray, width: int, height: int) -> Intrinsics:
        """From a (3, 3) pixel matrix; skew is not supported."""
        matrix = np.asarray(matrix, dtype=np.float64)
        if matrix.shape != (3, 3):
            raise EX4DError(f"An intrinsics matrix has shape (3, 3), got {matrix.shape}.")
        fx, fy, cx, cy = (float(v) for v in (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]))
        return cls(fx, fy, cx, cy, width, height)

    @property
    def vertical_fov(self) -> float:
        """Vertical field of view in degrees, of the image's full height around its centre."""
        return math.degrees(2 * math.atan(self.height / (2 * self.fy)))

    def matrix(self) -> np.ndarray:
        """The (3, 3) float64 pixel matrix."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    def resized(self, width: int, height: int) -> Intrinsics:
        """The same view on another pixel grid."""
        sx, sy = width / self.width, height / self.height
        return Intrinsics(self.fx * sx, self.fy * sy, self.cx * sx, self.cy * sy, width, height)

    def fitted(self, width: int, height: int) -> Intrinsics:
        """The lens for a picture that may have another aspect ratio, without distorting what it shows.

        The same aspect ratio (to a pixel): `resized`. Another one: the vertical field of view stays, pixels are square,
        and the principal point keeps its angle from the picture's centre.
        """
        if same_aspect(self.width, self.height, width, height):
            return self.resized(width, height)
        focal = self.fy * height / self.height
        cx = width / 2 + (self.cx - self.width / 2) * focal / self.fx
        return Intrinsics(focal, focal, cx, self.cy * height / self.height, width, height)


def same_aspect(width: int, height: int, other_width: int, other_height: int) -> bool:
    """Whether two picture sizes have one aspect ratio, give or take a pixel."""
    return abs(width * other_height - height * other_width) <= max(width, height, other_width, other_height)


FARTHEST = 1e15
"""Largest coordinate of a camera: beyond what any path document reaches, and its square is still a float32."""

OPENGL_FROM_OPENCV = np.diag([1.0, -1.0, -1.0, 1.0])
"""Turns an OpenCV camera frame into an OpenGL one (x right, y up, z backward), and back."""

Y_UP = OPENGL_FROM_OPENCV.diagonal()[:3]
"""Times these, points are as 3D programs have them: y up, looking along -z."""


def opengl_from_opencv(world_to_camera: np.ndarray) -> np.ndarray:
    """Flips the camera's y and z axes; the world stays. Its own inverse.

    Args:
        world_to_camera: (..., 4, 4).

    Returns:
        (..., 4, 4), what EX-4D's ``camera_*.npz`` calls extrinsics.
    """
    return OPENGL_FROM_OPENCV @ world_to_camera


def y_up_from_opencv(pose: np.ndarray) -> np.ndarray:
    """Flips y and z of camera and world: 3D programs have y up and cameras that look along -z. Its own inverse.

    Args:
        pose: (..., 4, 4), world-to-camera or camera-to-world.
    """
    return OPENGL_FROM_OPENCV @ pose @ OPENGL_FROM_OPENCV


def invert_pose(pose: np.ndarray) -> np.ndarray:
    """Inverts rigid poses: world-to-camera <-> camera-to-world.

    Args:
        pose: (..., 4, 4), rotation and translation.

    Returns:
        (..., 4, 4) float64.
    """
    pose = np.asarray(pose, dtype=np.float64)
    inverse = np.zeros_like(pose)
    rotation = np.swapaxes(pose[..., :3, :3], -1, -2)
    inverse[..., :3, :3] = rotation
    inverse[..., :3, 3] = -(rotation @ pose[..., :3, 3:])[..., 0]
    inverse[..., 3, 3] = 1.0
    return inverse


def pose_from(rotation: np.ndarray, position: np.ndarray) -> np.ndarray:
    """World-to-camera from where a camera is and how it is turned.

    Args:
        rotation: (..., 3, 3) camera-to-world; its columns are the camera's right, down and forward in the world.
        position: (..., 3) camera centre in the world.

    Returns:
        (..., 4, 4) float64 world_to_camera.
    """
    rotation, position = np.asarray(rotation, dtype=np.float64), np.asarray(position, dtype=np.float64)
    pose = np.zeros((*rotation.shape[:-2], 4, 4))
    pose[..., :3, :3] = rotation
    pose[..., :3, 3] = position
    pose[..., 3, 3] = 1.0
    return invert_pose(pose)


AS_GIVEN, MENDED = 1e-5, 1e-2
"""Largest entry of R R' - I up to which a rotation is taken as it is (float32's rounding), and up to which it is brought to the
nearest rotation (numbers written with few digits). Beyond that it is scaled or sheared."""


def check_poses(world_to_camera: np.ndarray, what: str = "The camera path") -> np.ndarray:
    """Poses as (T, 4, 4) float64, refused unless each is finite, rigid and right-handed.

    Rotations that miss it by little, as when they were written with three digits, become the nearest ones; the camera then
    stays where it stood.

    Args:
        world_to_camera: (T, 4, 4) or (T, 3, 4).
        what: the subject of the error message.

    Raises:
        EX4DError: naming the first frame that is wrong.
    """
    poses = np.asarray(world_to_camera, dtype=np.float64)
    if poses.ndim != 3 or poses.shape[1:] not in ((4, 4), (3, 4)) or len(poses) < 1:
        raise EX4DError(f"{what} needs poses of shape (frames, 4, 4) with at least one frame, got {poses.shape}.")
    if poses.shape[1] == 3:
        poses = np.concatenate([poses, np.broadcast_to([[[0.0, 0.0, 0.0, 1.0]]], (len(poses), 1, 4))], axis=1)
    finite = np.isfinite(poses).all(axis=(1, 2))
    if not finite.all():
        raise EX4DError(f"{what} has a pose with NaN or infinite values at frame {int(np.argmin(finite))}.")
    far = np.abs(poses[:, :3, 3]).max(axis=1) > FARTHEST
    if far.any():
        raise EX4DError(
            f"{what} is more than {FARTHEST:g} units away at frame {int(np.argmax(far))}. Export it in larger units."
        )
    rotation = poses[:, :3, :3]
    off = np.abs(rotation @ np.swapaxes(rotation, 1, 2) - np.eye(3)).max(axis=(1, 2))
    wrong = (off > MENDED) | (np.abs(poses[:, 3] - [0, 0, 0, 1]).max(axis=1) > 1e-6)
    mirrored = np.linalg.det(rotation) < 0
    if (wrong | mirrored).any():
        frame = int(np.argmax(wrong | mirrored))
        if mirrored[frame] and not wrong[frame]:
            raise EX4DError(
                f"{what} has a mirrored pose at frame {frame}: its axes are left-handed. Export the camera in right-handed "
                "axes, without negative scale."
            )
        raise EX4DError(
            f"{what} has a pose at frame {frame} that is not a rotation and a translation (it is scaled, sheared or "
            "mirrored). Export the camera without scale."
        )
    return _with_nearest_rotations(poses, off > AS_GIVEN) if (off > AS_GIVEN).any() else poses


def _with_nearest_rotations(poses: np.ndarray, which: np.ndarray) -> np.ndarray:
    """Poses whose marked rotations are the nearest proper ones (Higham 1988); the cameras stay where they stand."""
    poses = poses.copy()
    given = poses[which, :3, :3]
    eye = np.linalg.solve(given, poses[which, :3, 3:])  # minus the camera's place
    left, _, right = np.linalg.svd(given)
    poses[which, :3, :3] = left @ right
    poses[which, :3, 3:] = poses[which, :3, :3] @ eye
    return poses


def rotation_from_axes(right: np.ndarray, forward: np.ndarray) -> np.ndarray:
    """(..., 3, 3) camera-to-world from unit right and forward axes (..., 3)."""
    return np.stack([right, np.cross(forward, right), forward], axis=-1)


def rolled(rotation: np.ndarray, roll: np.ndarray | float) -> np.ndarray:
    """Turns cameras about their viewing axis.

    Args:
        rotation: (..., 3, 3) camera-to-world.
        roll: (...) degrees; positive turns the camera clockwise as its operator sees it (the picture the other way).
    """
    angle = np.radians(np.asarray(roll, dtype=np.float64))
    turn = np.zeros((*angle.shape, 3, 3))
    turn[..., 0, 0] = turn[..., 1, 1] = np.cos(angle)
    turn[..., 1, 0] = np.sin(angle)
    turn[..., 0, 1] = -np.sin(angle)
    turn[..., 2, 2] = 1.0
    return rotation @ turn


def look_at(eye: Sequence[float] | np.ndarray, target: Sequence[float] | np.ndarray, roll: float = 0.0) -> np.ndarray:
    """A level camera at ``eye`` that looks at ``target``.

    Args:
        eye: where the camera is, three coordinates in the world (OpenCV, y down).
        target: the point it looks at, likewise.
        roll: degrees, see :func:`rolled`.

    Returns:
        (4, 4) float64 world_to_camera. Looking straight up or down, the camera's right axis is the world's x.

    Raises:
        EX4DError: eye and target coincide, or a coordinate is not finite.

    Example:
        >>> pose = look_at(eye=(0, 0, -2), target=(0, 0, 1))
        >>> (pose @ [0, 0, 1, 1]).tolist()  # the target lies 3 units before the camera
        [0.0, 0.0, 3.0, 1.0]
    """
    eye_, target_ = np.asarray(eye, dtype=np.float64), np.asarray(target, dtype=np.float64)
    forward = target_ - eye_
    distance = float(np.linalg.norm(forward))
    if not math.isfinite(distance) or distance < 1e-9:
        raise EX4DError(f"A camera at {eye_.tolist()} cannot look at {target_.tolist()}: the two must differ.")
    forward = forward / distance
    flat = math.hypot(forward[0], forward[2])
    right = np.array([forward[2] / flat, 0.0, -forward[0] / flat] if flat > 1e-9 else [1.0, 0.0, 0.0])
    return pose_from(rolled(rotation_from_axes(right, forward), roll), eye_)


def quaternion_from_matrix(rotation: np.ndarray) -> np.ndarray:
    """Unit quaternions (..., 4) as w, x, y, z with w >= 0, from rotation matrices (..., 3, 3)."""
    m = np.asarray(rotation, dtype=np.float64)
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    # Four times the outer product q q^T: its largest diagonal entry gives the best conditioned column.
    k = np.empty((*m.shape[:-2], 4, 4))
    k[..., 0, 0], k[..., 1, 1] = 1 + xx + yy + zz, 1 + xx - yy - zz
    k[..., 2, 2], k[..., 3, 3] = 1 - xx + yy - zz, 1 - xx - yy + zz
    k[..., 0, 1] = k[..., 1, 0] = m[..., 2, 1] - m[..., 1, 2]
    k[..., 0, 2] = k[..., 2, 0] = m[..., 0, 2] - m[..., 2, 0]
    k[..., 0, 3] = k[..., 3, 0] = m[..., 1, 0] - m[..., 0, 1]
    k[..., 1, 2] = k[..., 2, 1] = m[..., 0, 1] + m[..., 1, 0]
    k[..., 1, 3] = k[..., 3, 1] = m[..., 0, 2] + m[..., 2, 0]
    k[..., 2, 3] = k[..., 3, 2] = m[..., 1, 2] + m[..., 2, 1]
    best = np.argmax(np.diagonal(k, axis1=-2, axis2=-1), axis=-1)
    q = np.take_along_axis(k, best[..., None, None], axis=-2)[..., 0, :]
    q = q / np.linalg.norm(q, axis=-1, keepdims=True)
    return np.where(q[..., :1] < 0, -q, q)


def matrix_from_quaternion(quaternion: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) from quaternions (..., 4) as w, x, y, z of any length above zero."""
    q = np.asarray(quaternion, dtype=np.float64)
    w, x, y, z = np.moveaxis(q / np.linalg.norm(q, axis=-1, keepdims=True), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def rotation_from_vector(vector: np.ndarray) -> np.ndarray:
    """Rotation matrices (..., 3, 3) from rotation vectors (..., 3), radians (Rodrigues)."""
    angle = np.linalg.norm(vector, axis=-1)[..., None, None]
    small = angle < 1e-8
    safe = np.where(small, 1.0, angle)
    x, y, z = np.moveaxis(np.asarray(vector, np.float64), -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack([np.stack([zero, -z, y], -1), np.stack([z, zero, -x], -1), np.stack([-y, x, zero], -1)], -2)
    a = np.where(small, 1.0, np.sin(angle) / safe)
    b = np.where(small, 0.5, (1 - np.cos(angle)) / safe**2)
    return np.eye(3) + a * cross + b * cross @ cross


def slerp(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """The shortest turn between unit quaternions.

    Args:
        start: (..., 4) unit quaternions, w, x, y, z.
        end: (..., 4) likewise.
        share: (...) 0 at ``start``, 1 at ``end``.

    Returns:
        (..., 4) unit quaternions.
    """
    dot = np.sum(start * end, axis=-1)
    end = np.where(dot[..., None] < 0, -end, end)
    angle = np.arccos(np.clip(np.abs(dot), 0.0, 1.0))
    sine = np.sin(angle)
    near = sine < 1e-6
    safe = np.where(near, 1.0, sine)
    a = np.where(near, 1 - share, np.sin((1 - share) * angle) / safe)
    b = np.where(near, share, np.sin(share * angle) / safe)
    q = a[..., None] * start + b[..., None] * end
    return q / np.linalg.norm(q, axis=-1, keepdims=True)
