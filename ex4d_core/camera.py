"""Pinhole intrinsics and look-at poses.

Convention: OpenCV frame (x right, y down, z forward), pixel centres at +0.5, ``u = fx * x / z + cx``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .errors import EX4DError

TRAINING_FOCAL_RATIO = 500.0 / 512.0
"""Focal length over image width of the data that EX-4D was trained on (500 px at 512 px)."""


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera's projection for one image size.

    Attributes:
        fx, fy: focal lengths in pixels, > 0.
        cx, cy: principal point in pixels; the image centre is (width / 2, height / 2).
        width, height: image size in pixels.

    Raises:
        EX4DError: a focal length that is not finite and positive, or a size below one pixel.
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
        return cls.from_focal(TRAINING_FOCAL_RATIO * width, width, height)

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
        return cls(*(float(v) for v in (matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2])), width, height)

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
