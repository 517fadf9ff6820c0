"""A picture of a camera path over the scene: from above and from the side, with frusta along the way."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..camera import Intrinsics, invert_pose
from ..trajectory import DEFAULT_RADIUS, Trajectory

if TYPE_CHECKING:
    from ..mesh import DWMesh

SIZE = (960, 460)
FINE = 2
"""Drawn this many times larger, then averaged down: smooth lines without a drawing library."""
MARGIN, GAP, HEADER = 10, 10, 30
SCENE_POINTS = 160_000
FRUSTA = 9

BACKGROUND, PANEL, GRID, AXIS = (18, 20, 24), (27, 30, 36), (40, 44, 52), (58, 64, 75)
TEXT, DIM, PIVOT, SOURCE = (224, 228, 235), (138, 146, 160), (255, 214, 92), (240, 244, 250)
TIME_STOPS = np.array([[64, 196, 255], [168, 124, 255], [255, 96, 150], [255, 150, 66]])
"""Colours of the cameras from the first to the last frame."""

SCENE_TINT = np.round(0.75 * 255 * (np.arange(256) / 255) ** 0.8 + 0.25 * np.mean(PANEL)).astype(np.uint8)
"""Brightness of the scene's points by that of their colour: dark enough that the path stands out."""
SCENE_ALPHA = 235

DOWN = np.array([1, -1], np.float32)
"""Turns a pair of coordinates whose second one grows upwards; float32 keeps the points in theirs."""

Color = tuple[int, int, int]


@dataclass(frozen=True)
class View:
    """An orthographic look at the world, fitted into a rectangle of the picture.

    Attributes:
        project: (N, 3) world -> (N, 2) right and down, scene units.
        toward: (3,) direction towards the onlooker, world.
        left, top: where the rectangle lies in the picture, in pixels.
        width, height: the rectangle, in fine pixels.
        centre: (2,) projected point in its middle.
        scale: fine pixels per scene unit.
    """

    title: str
    project: Callable[[np.ndarray], np.ndarray]
    toward: np.ndarray
    left: int
    top: int
    width: int
    height: int
    centre: np.ndarray
    scale: float

    def pixels(self, world: np.ndarray) -> np.ndarray:
        """(N, 3) world -> (N, 2) fine pixels of the rectangle."""
        middle = np.array([self.width / 2, self.height / 2]) - self.centre * self.scale
        shown = self.project(world)
        return shown * self.scale + middle.astype(shown.dtype)


def mesh_points(mesh: DWMesh, count: int = SCENE_POINTS) -> tuple[np.ndarray, np.ndarray]:
    """Surface points of a mesh's first frame, without the plate behind the scene.

    Returns:
        (N, 3) float32 world, (N, 3) uint8 colours.
    """
    depth, rgb, k = mesh.depth[0].cpu().numpy(), mesh.rgb[0].cpu().numpy(), mesh.intrinsics
    step = max(1, math.ceil(math.sqrt(depth.size / count)))
    rows, columns = np.mgrid[0 : depth.shape[0] : step, 0 : depth.shape[1] : step]
    z = depth[rows, columns]
    seen = z < 0.98 * mesh.border_depth
    z, rows, columns = z[seen], rows[seen], columns[seen]
    points = np.stack([z * (columns + 0.5 - k.cx) / k.fx, z * (rows + 0.5 - k.cy) / k.fy, z], axis=-1)
    return points.astype(np.float32), rgb[rows, columns]


def draw_trajectory(
    trajectory: Trajectory,
    *,
    points: np.ndarray | None = None,
    colors: np.ndarray | None = None,
    radius: float | None = None,
    pivot: tuple[float, float, float] | None = None,
    lens: Intrinsics | None = None,
    size: tuple[int, int] = SIZE,
) -> np.ndarray:
    """Draws a path in two views.

    Args:
        trajectory: the path.
        points: (N, 3) of the scene, world, for example of :func:`mesh_points`; None = no scene.
        colors: (N, 3) uint8, theirs.
        radius: scale of the scene; None = the path's own.
        pivot: centre of the orbit; None = the path's own.
        lens: shape of the frusta where the path has no lens.
        size: (width, height) in pixels.

    Returns:
        (height, width, 3) uint8.
    """
    if radius is None:
        radius = DEFAULT_RADIUS if trajectory.radius is None else trajectory.radius
    if pivot is None:
        pivot = (0.0, 0.0, radius) if trajectory.pivot is None else trajectory.pivot
    centre = np.array(pivot, dtype=np.float64)
    poses = invert_pose(trajectory.world_to_camera)
    lenses = trajectory.intrinsics or ((lens or Intrinsics.default(16, 9)),) * len(trajectory)
    paint = None if colors is None else _painted(colors)
    picture = Image.new("RGB", size, BACKGROUND)
    for view in _views(size, _region(points, poses[:, :3, 3], centre, radius)):
        layer = Image.new("RGB", (view.width, view.height), PANEL)
        draw = ImageDraw.Draw(layer, "RGBA")
        _draw_grid(draw, view)
        if points is not None and paint is not None:
            layer = _with_scene(layer, view, points, paint)
            draw = ImageDraw.Draw(layer, "RGBA")
        _draw_path(draw, view, poses, lenses, centre)
        _draw_label(draw, (10 * FINE, 8 * FINE), view.title, TEXT, size=13)
        mask = Image.new("L", layer.size, 0)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, view.width - 1, view.height - 1), radius=8 * FINE, fill=255)
        picture.paste(layer.reduce(FINE), (view.left, view.top), mask.reduce(FINE))
    return np.asarray(picture)


def _region(
    points: np.ndarray | None, eyes: np.ndarray, centre: np.ndarray, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest corner, (3,) each, of what must be visible."""
    must = [eyes, centre[None], np.zeros((1, 3))]
    # A far background would shrink everything else to a dot: it is drawn where it falls, but not fitted.
    near = np.empty((0, 3)) if points is None else points[points[:, 2] < max(2.2 * radius, 1.1 * eyes[:, 2].max())]
    if len(near) > 10:
        must.append(np.percentile(near, [3, 97], axis=0))
    else:
        must.append(np.array([[-0.6, -0.4, 0], [0.6, 0.4, 1.6]]) * radius)
    everything = np.concatenate(must)
    return everything.min(axis=0) - 0.22 * radius, everything.max(axis=0) + 0.22 * radius


def _views(size: tuple[int, int], region: tuple[np.ndarray, np.ndarray]) -> list[View]:
    width = (size[0] - 2 * MARGIN - GAP) // 2 * FINE
    height = (size[1] - 2 * MARGIN) * FINE
    shown_height = height - HEADER * FINE
    views = []
    for i, (title, project, toward) in enumerate(
        (
            ("From above", lambda p: p[:, ::2] * DOWN, np.array([0.0, -1, 0])),
            ("From the side", lambda p: p[:, 2:0:-1], np.array([-1.0, 0, 0])),
        )
    ):
        corners = project(np.stack(region))
        low, high = corners.min(axis=0), corners.max(axis=0)
        scale = min(width / (high[0] - low[0]), shown_height / (high[1] - low[1]))
        left = MARGIN + i * (width // FINE + GAP)
        centre = (low + high) / 2 - [0, HEADER * FINE / 2 / scale]
        views.append(View(title, project, toward, left, MARGIN, width, height, centre, scale))
    return views


def _draw_grid(draw: ImageDraw.ImageDraw, view: View) -> None:
    """Lines of one round distance, and that distance told at the lower left."""
    step = 10 ** math.floor(math.log10(70 * FINE / view.scale))
    step *= next(k for k in (1, 2, 5, 10) if step * k * view.scale >= 35 * FINE)
    size = (view.width, view.height)
    for axis in (0, 1):
        half = size[axis] / 2 / view.scale
        low, high = view.centre[axis] - half, view.centre[axis] + half
        for n in range(math.ceil(low / step), math.floor(high / step) + 1):
            at = (n * step - view.centre[axis]) * view.scale + size[axis] / 2
            line = [(at, 0), (at, view.height)] if axis == 0 else [(0, at), (view.width, at)]
            draw.line(line, fill=AXIS if n == 0 else GRID, width=FINE)
    left, bottom = 14 * FINE, view.height - 12 * FINE
    draw.line([(left, bottom), (left + step * view.scale, bottom)], fill=DIM, width=2 * FINE)
    draw.text((left, bottom - 18 * FINE), f"{step:g}", font=_font(11), fill=DIM)


def _painted(colors: np.ndarray) -> np.ndarray:
    """(N, 3) uint8 colours of the scene's points -> (N,) uint32: red, green, blue and alpha as they are drawn."""
    paint = np.empty((len(colors), 4), np.uint8)
    paint[:, :3] = SCENE_TINT[colors]
    paint[:, 3] = SCENE_ALPHA
    return paint.view(np.uint32)[:, 0]


def _with_scene(layer: Image.Image, view: View, points: np.ndarray, paint: np.ndarray) -> Image.Image:
    """Points as small squares, nearer to the onlooker over farther, darkened so that the path stands out."""
    x, y = view.pixels(points).T.copy()
    inside = (x >= 0) & (x < view.width) & (y >= 0) & (y < view.height)
    if not inside.any():
        return layer
    x, y, paint, nearness = x[inside], y[inside], paint[inside], (points @ view.toward.astype(np.float32))[inside]
    covered = math.prod(float(np.ptp(np.percentile(values[::8], [5, 95]))) for values in (x, y))
    dot = int(np.clip(round(1.5 * math.sqrt(covered / len(x))), FINE + 1, 3 * FINE))
    column, row = (x / dot).astype(np.int32), (y / dot).astype(np.int32)
    left, top = int(column.min()), int(row.min())
    columns, rows = int(column.max()) - left + 1, int(row.max()) - top + 1
    cell = (row - top) * columns + (column - left)
    order = np.argsort(nearness, kind="stable")
    scene = np.zeros(rows * columns, np.uint32)  # where cells repeat, the last assignment, the nearest point, stays
    scene[cell[order]] = paint[order]
    stamp = Image.fromarray(scene.view(np.uint8).reshape(rows, columns, 4))
    stamp = stamp.resize((columns * dot, rows * dot), Image.Resampling.NEAREST)
    layer.paste(stamp, (left * dot, top * dot), stamp)
    return layer


@lru_cache(maxsize=1024)
def _time_color(share: float) -> Color:
    at = np.linspace(0, 1, len(TIME_STOPS))
    red, green, blue = (round(float(np.interp(share, at, TIME_STOPS[:, c]))) for c in range(3))
    return red, green, blue


def _draw_path(
    draw: ImageDraw.ImageDraw, view: View, poses: np.ndarray, lenses: tuple[Intrinsics, ...], centre: np.ndarray
) -> None:
    last = len(poses) - 1
    eyes = view.pixels(poses[:, :3, 3])
    pivot = view.pixels(centre[None])[0]
    for shade, width in (((0, 0, 0, 150), 6), (None, 3)):
        for i in range(last):
            line = [tuple(eyes[i]), tuple(eyes[i + 1])]
            draw.line(line, fill=shade or _time_color(i / max(last, 1)), width=width * FINE, joint="curve")
    length = 34 * FINE / view.scale
    _draw_frustum(draw, view, np.eye(4), lenses[0], 1.25 * length, SOURCE, filled=False)
    for i in sorted({round(j * last / (FRUSTA - 1)) for j in range(FRUSTA)}, reverse=True):  # the first stays on top
        color = _time_color(i / max(last, 1))
        _draw_frustum(draw, view, poses[i], lenses[i], length, color, filled=True)
    _draw_pivot(draw, pivot)
    beside = np.array([9.0, 7.0]) * FINE
    _draw_label(draw, eyes[0] + beside, "0", _time_color(0))
    if last and np.abs(eyes[-1] - eyes[0]).max() > 20 * FINE:
        _draw_label(draw, eyes[-1] + beside, str(last), _time_color(1))


def _draw_frustum(
    draw: ImageDraw.ImageDraw,
    view: View,
    pose: np.ndarray,
    lens: Intrinsics,
    length: float,
    color: Color,
    *,
    filled: bool,
) -> None:
    """A camera as a pyramid of ``length`` scene units along its axis; ``pose`` is camera-to-world."""
    u, v = np.array([0, lens.width, lens.width, 0.0]), np.array([0, 0, lens.height, lens.height])
    corners = np.stack([(u - lens.cx) / lens.fx, (v - lens.cy) / lens.fy, np.ones(4)], axis=-1) * length
    # A very wide lens would fill the picture: the pyramid's slant is bounded instead of its depth.
    corners /= max(1.0, float(np.linalg.norm(corners, axis=1).max()) / (1.6 * length))
    world = np.concatenate([np.zeros((1, 3)), corners]) @ pose[:3, :3].T + pose[:3, 3]
    eye, *rim = (tuple(p) for p in view.pixels(world))
    if filled:
        for i in range(4):
            draw.polygon([eye, rim[i], rim[(i + 1) % 4]], fill=(*color, 28))
    for i in range(4):
        draw.line([eye, rim[i]], fill=(*color, 210), width=FINE)
        draw.line([rim[i], rim[(i + 1) % 4]], fill=(*color, 255), width=round(1.5 * FINE))
    dot = 3 * FINE if filled else 2 * FINE
    draw.ellipse([eye[0] - dot, eye[1] - dot, eye[0] + dot, eye[1] + dot], fill=color)


def _draw_pivot(draw: ImageDraw.ImageDraw, at: np.ndarray) -> None:
    x, y = at
    arm, ring = 9 * FINE, 5 * FINE
    for width, color in ((4 * FINE, (0, 0, 0, 160)), (2 * FINE, PIVOT)):
        draw.line([(x - arm, y), (x + arm, y)], fill=color, width=width)
        draw.line([(x, y - arm), (x, y + arm)], fill=color, width=width)
        draw.ellipse([x - ring, y - ring, x + ring, y + ring], outline=color, width=width)


def _draw_label(
    draw: ImageDraw.ImageDraw, at: Sequence[float] | np.ndarray, text: str, color: Color, *, size: int = 11
) -> None:
    font, place = _font(size), (float(at[0]), float(at[1]))
    left, top, right, bottom = draw.textbbox(place, text, font=font)
    pad = 3 * FINE
    draw.rounded_rectangle((left - pad, top - pad, right + pad, bottom + pad), radius=3 * FINE, fill=(12, 14, 18, 200))
    draw.text(place, text, font=font, fill=color)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(size * FINE)
    except (TypeError, OSError):  # an older Pillow, or one without FreeType, has one small bitmap font
        return ImageFont.load_default()
