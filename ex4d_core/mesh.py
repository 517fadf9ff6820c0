"""DW-Mesh: one watertight depth surface per frame, with its occluded faces marked.

Convention: OpenCV frame, planar depth. The world is the source camera's first frame; where that moves, the mesh says how.
A vertex of row ``i`` and column ``j`` lies on the ray
through pixel position ``(j + offset, i + offset)``; ``offset`` is 0 in released style (as published) and 0.5, the pixel
centre, in paper style. Vertex index = ``i * width + j``; paper style has one vertex more, the middle of the back plate.

The border ring of every depth frame is pulled back to ``border_depth``: together with the back plate over the four
image corners it closes the surface, so that no viewpoint looks through it.

The occlusion rule is in three small functions (`angle_valid`, `jump_valid`, `spread_to_vertices`); every renderer
follows them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from .camera import Intrinsics, invert_pose, same_aspect
from .errors import Cancelled, EX4DError
from .machine.buffers import empty
from .pixels import to_uint8
from .published import BORDER_DEPTH, DEPTH_JUMP, DEPTH_LIMITS, MIN_ANGLE, NEAREST_LIMITS, PIVOT_MARGIN
from .trajectory import Trajectory, check_source_camera

Style = Literal["released", "paper"]
STYLES: tuple[Style, ...] = get_args(Style)
LARGEST_DEPTH = 1e9
"""Scene units, as for camera paths; a depth that is much larger is a slip, and its products leave float32."""
CACHED = 2**16
"""Vertices worked on at a time on the processor: enough that steps do not count, few enough for its last cache."""
PAPER_CLAMP = 0.99
"""Paper style keeps every depth in front of the back plate: at most this share of ``border_depth``."""


@dataclass(frozen=True, eq=False)
class DWMesh:
    """A depth-watertight mesh for every frame of a clip; all frames share one topology.

    Vertices and validity are computed from the depth when asked for, one frame at a time: a clip of 81 frames at
    1024x576 holds 0.33 GB here, its vertices would take another 0.6 GB.

    Attributes:
        rgb: (T, H, W, 3) uint8 colour of the vertices.
        depth: (T, H, W) float32 planar depth, border ring at ``border_depth``; clamped in front of it in paper style.
        intrinsics: the source camera's lens, for the size (W, H); that of frame 0 where it changes (`lens`).
        style: "released" or "paper".
        border_depth: depth of the back plate.
        min_angle: faces with a smaller angle, in degrees, are occluded.
        max_jump: paper style: faces with a larger depth range are occluded, in depth units; released style: infinity.
        radius: distance of the pivot from the source camera: nearest depth of the clip's frame 0 plus 0.15, as published.
            It is the clip's, and stays when frames are taken out.
        source_camera: where the source camera is at each of the T frames, in the world of the clip's first frame, and its
            lenses where they change; None where it does not move.
    """

    rgb: Tensor
    depth: Tensor
    intrinsics: Intrinsics
    style: Style
    border_depth: float
    min_angle: float
    max_jump: float
    radius: float
    source_camera: Trajectory | None = None

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return self.depth.shape[0]

    @property
    def height(self) -> int:
        """Vertex rows H."""
        return self.depth.shape[1]

    @property
    def width(self) -> int:
        """Vertex columns W."""
        return self.depth.shape[2]

    @property
    def device(self) -> torch.device:
        """Where depth and colour live."""
        return self.depth.device

    def lens(self, t: int) -> Intrinsics:
        """The source camera's lens at frame ``t``."""
        lenses = None if self.source_camera is None else self.source_camera.intrinsics
        return self.intrinsics if lenses is None else lenses[t]

    @property
    def pixel_offset(self) -> float:
        """Position of a vertex inside its pixel: 0 (released) or 0.5 (paper)."""
        return 0.0 if self.style == "released" else 0.5

    @property
    def pivot(self) -> tuple[float, float, float]:
        """The point that camera paths look at, (0, 0, radius)."""
        return (0.0, 0.0, self.radius)

    @property
    def faces(self) -> Tensor:
        """(F, 3) int32 vertex indices: two faces per quad in row order, then the back plate."""
        return grid_faces(self.height, self.width, self.style).to(self.device)

    @property
    def occluded_share(self) -> float:
        """Share of the occluded faces among the faces over pixels (back plate left out), frame 0."""
        return 1.0 - float(self.quad_face_valid(0).float().mean())

    def part(self, frames: slice | Sequence[int]) -> DWMesh:
        """Some of the frames; camera paths turn around the same pivot as around the whole clip.

        Args:
            frames: a slice, whose frames share this mesh's memory, or frame numbers, which copy it.

        Raises:
            EX4DError: no frame, or one that is not there.
        """
        numbers = range(self.frames)[frames] if isinstance(frames, slice) else list(frames)
        if not numbers or not 0 <= min(numbers) <= max(numbers) < self.frames:
            raise EX4DError(f"The mesh has frames 0 to {self.frames - 1}; asked for were {frames}.")
        chosen = frames if isinstance(frames, slice) else list(frames)
        source = None if self.source_camera is None else self.source_camera.part(frames)
        return replace(self, rgb=self.rgb[chosen], depth=self.depth[chosen], source_camera=source)

    def coarser(self, pixels: int) -> DWMesh:
        """The same surfaces over fewer vertices; thresholds, back plate and radius stay.

        Depth is taken at points, since means would invent depth at edges, and colours are averaged.

        Args:
            pixels: vertices a frame, about; this mesh itself where it has no more.
        """
        width, height = reduced_size(self.width, self.height, pixels)
        if (width, height) == (self.width, self.height):
            return self
        depth = sample_nearest(self.depth, width, height)
        rgb = empty((self.frames, height, width, 3), torch.uint8, self.device)
        for frame, source, target in zip(depth, self.rgb, rgb, strict=True):
            set_border(frame, self.border_depth)
            planes = source.permute(2, 0, 1)[None].float()
            target.copy_(
                torch.nn.functional.interpolate(planes, (height, width), mode="area")[0].round_().permute(1, 2, 0)
            )
        source = None if self.source_camera is None else self.source_camera.resized(width, height)
        lens = self.intrinsics.resized(width, height)
        return replace(self, rgb=rgb, depth=depth, intrinsics=lens, source_camera=source)

    def vertices_in_camera(self, t: int) -> Tensor:
        """Vertices of frame ``t``: (V, 3) float32, in the frame of the source camera there."""
        return self._vertices(t).float()

    def vertices_in_world(self, t: int) -> Tensor:
        """Vertices of frame ``t``: (V, 3) float32, in the world, the frame of the source camera at the clip's start."""
        if self.source_camera is None:
            return self.vertices_in_camera(t)
        to_world = torch.from_numpy(invert_pose(self.source_camera.world_to_camera[t]))
        if self.device.type != "mps":  # which has no float64
            to_world = to_world.to(self.device)
        points = self._vertices(t).to(to_world.device)
        return (points @ to_world[:3, :3].T + to_world[:3, 3]).float().to(self.device)

    def _vertices(self, t: int) -> Tensor:
        points = unproject(self.depth[t], self.lens(t), self.pixel_offset).reshape(-1, 3)
        if self.style == "paper":
            corners = points[[0, self.width - 1, (self.height - 1) * self.width, self.height * self.width - 1]]
            points = torch.cat([points, corners.mean(0, keepdim=True)])
        return points

    def quad_face_valid(self, t: int | list[int]) -> Tensor:
        """The occlusion rule on the faces over pixels: (H-1, W-1, 2) bool, upper left face first; True = not occluded.

        Released style: the face's own angle. Paper style: angle and depth range, and both faces of a quad agree.
        A list of frames adds a leading axis.
        """
        if isinstance(t, list) and len({self.lens(frame) for frame in t}) > 1:
            return torch.stack([self.quad_face_valid(frame) for frame in t])
        lens = self.lens(t[0] if isinstance(t, list) else t)
        valid = angle_valid(self.depth[t], lens, self.pixel_offset, self.min_angle)
        if self.style == "paper":
            valid = valid & jump_valid(self.depth[t], self.max_jump)
            valid = (valid[..., 0] & valid[..., 1])[..., None].expand(valid.shape)
        return valid

    def face_valid(self, t: int) -> Tensor:
        """(F,) bool, True where the face is not occluded, in the order of `faces`.

        The back plate counts as occluded in paper style. In released style its two faces pass the angle test, but take
        their alpha from their vertices like every other face.
        """
        quads = self.quad_face_valid(t).reshape(-1)
        plate = self.faces.shape[0] - quads.shape[0]
        return torch.cat([quads, quads.new_full((plate,), self.style == "released")])

    def vertex_valid(self, t: int | list[int]) -> Tensor:
        """(V,) bool. Released style: no occluded face touches the vertex. Paper style: some valid face does.

        A list of frames adds a leading axis.
        """
        faces = self.quad_face_valid(t)
        if self.style == "released":
            return spread_to_vertices(faces).flatten(-2)
        touched = ~spread_to_vertices(~faces).flatten(-2)
        return torch.nn.functional.pad(touched, (0, 1))

    def vertex_alpha(self, t: int) -> Tensor:
        """(V,) float32 opacity that released style interpolates: 0 at every corner of an occluded face, else 1."""
        return self.vertex_valid(t).float()

    def vertex_colors(self, t: int) -> Tensor:
        """(V, 3) uint8 colours; black where released style's alpha is 0, and at paper style's extra vertex."""
        colors = self.rgb[t].reshape(-1, 3)
        if self.style == "released":
            return colors * self.vertex_valid(t)[:, None]
        return torch.cat([colors, colors.new_zeros(1, 3)])


def build_dw_mesh(
    rgb: Tensor | np.ndarray,
    depth: Tensor | np.ndarray,
    intrinsics: Intrinsics | None = None,
    *,
    style: Style = "released",
    min_angle: float = MIN_ANGLE,
    depth_jump: float = DEPTH_JUMP,
    border_depth: float | None = None,
    source_camera: Trajectory | None = None,
    in_place: bool = False,
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> DWMesh:
    """Build the watertight mesh of every frame.

    Args:
        rgb: (T, H, W, 3) colours, float 0..1 or uint8.
        depth: (T, H, W) planar depth, above 0 and at most 1e9, any float type and device; the mesh lives where it does.
        intrinsics: the source camera, for this size or another of the same shape; None = the training data's field of
            view for this width.
        style: "released" (the published code: alpha per vertex, vertices at integer pixels, angle test only) or
            "paper" (eq. 4-5: occlusion per face, both faces of a quad agree, depth-jump test, pixel-centre vertices).
        min_angle: smallest angle of a visible face, degrees, 0..60.
        depth_jump: paper style: largest depth range of a visible face, as a share of frame 0's depth range.
        border_depth: depth of the back plate; None = 100 for depth in the published range, else 1.05 times the largest.
        source_camera: where the source camera is at each frame, the first at the identity; None = it does not move. Its
            lenses, where it has any, are those of the clip; ``intrinsics`` given as well are frame 0's, and the others
            change in proportion.
        in_place: uint8 colours and float32 depth become the mesh's own memory; the depth's border is written over, and in the
            paper style what lies behind the back plate. A long clip then is in memory once.
        progress: called with (frames done, frames).
        cancel: polled once a frame; True raises Cancelled.

    Returns:
        The mesh; unless in place, its inputs are copied and never written to.

    Raises:
        EX4DError: shapes that do not fit (the intrinsics' among them), fewer than 3x3 pixels, depth that is not finite
            and positive or too large, colours of another type or not finite, bad parameters, a back plate in front of
            the scene, a source camera of another clip.
        Cancelled: ``cancel`` returned True.

    Source: paper section 3.2 and appendix A.3; the published mesh builder for the released style.

    Example:
        >>> clip = torch.zeros(5, 32, 48, 3, dtype=torch.uint8)  # five frames, 48 x 32
        >>> mesh = build_dw_mesh(clip, torch.full((5, 32, 48), 3.0))
        >>> mesh.frames, mesh.width, mesh.height, mesh.style
        (5, 48, 32, 'released')
    """
    rgb, depth = torch.as_tensor(rgb), torch.as_tensor(depth)
    check_mesh_parameters(style, min_angle, depth_jump, border_depth)
    nearest = _check_inputs(rgb, depth)
    frames, height, width = depth.shape
    intrinsics, source_camera = _source_lenses(intrinsics, source_camera, frames, width, height)
    if border_depth is None:
        border_depth = default_border_depth(depth)
    elif border_depth <= nearest:
        raise EX4DError(
            f"border_depth {border_depth:g} would put the back plate in front of the whole scene, whose nearest depth is "
            f"{nearest:g}. Raise it, or leave it out."
        )

    taken = in_place and depth.dtype == torch.float32
    padded = depth if taken else empty((frames, height, width), torch.float32, depth.device)
    taken = in_place and rgb.dtype == torch.uint8 and rgb.device == depth.device
    colors = rgb if taken else empty((frames, height, width, 3), torch.uint8, depth.device)
    max_jump = math.inf
    for t in range(frames):
        if cancel is not None and cancel():
            raise Cancelled("Building the mesh was cancelled.")
        if padded is not depth:
            padded[t] = depth[t]
        if style == "paper":
            padded[t].clamp_(max=PAPER_CLAMP * border_depth)
            if t == 0:
                max_jump = depth_jump * float(padded[0].max() - padded[0].min())
        set_border(padded[t], border_depth)
        if colors is not rgb:
            colors[t] = to_uint8(rgb[t])
        if progress is not None:
            progress(t + 1, frames)
    radius = float(padded[0].min()) + PIVOT_MARGIN
    return DWMesh(
        colors, padded, intrinsics, style, float(border_depth), float(min_angle), max_jump, radius, source_camera
    )


def default_border_depth(depth: Tensor) -> float:
    """100, as published, for depth like that of the published conversion; else 1.05 times the largest depth.

    A guess from the numbers alone: metric depth of 3..500 looks published, and its plate cuts off what lies beyond 100.
    `DepthClip.border_depth` knows better where the depth comes from; give it where there is one.
    """
    nearest, farthest = (float(v) for v in torch.aminmax(depth))
    published = NEAREST_LIMITS[0] <= nearest <= NEAREST_LIMITS[1] and farthest <= DEPTH_LIMITS[1] + 1
    return BORDER_DEPTH if published else 1.05 * farthest


def reduced_size(width: int, height: int, pixels: int, *, step: int = 1, least: int = 8) -> tuple[int, int]:
    """The (width, height) of a smaller grid of the same aspect, with at most about ``pixels`` samples; never enlarged.

    Args:
        width: columns of the grid that there is.
        height: its rows.
        pixels: samples.
        step: both sides become multiples of it.
        least: both sides are at least this long.
    """
    scale = min(1.0, math.sqrt(pixels / (width * height)))
    across, down = (max(least, round(side * scale / step) * step) for side in (width, height))
    return across, down


def sample_nearest(depth: Tensor, width: int, height: int) -> Tensor:
    """Point samples of depth (..., H, W) at the centres of a (height, width) grid; means would invent depth at edges.

    The outermost ring of a mesh's depth is its border, not scene: its neighbours inside are taken instead.
    """
    taken = []
    for count, size in ((height, depth.shape[-2]), (width, depth.shape[-1])):
        index = ((np.arange(count) + 0.5) * size / count).astype(np.int64)
        taken.append(index.clip(1, size - 2) if min(depth.shape[-2:]) > 2 else index)
    rows, columns = (torch.from_numpy(index).to(depth.device) for index in taken)
    return depth.index_select(-2, rows).index_select(-1, columns)


def unproject(depth: Tensor, intrinsics: Intrinsics, pixel_offset: float) -> Tensor:
    """Planar depth (..., H, W) to points (..., H, W, 3) in the camera's frame; float64 keeps pixel centres exact."""
    return torch.stack(_coordinates(depth, _rays(depth, intrinsics, pixel_offset)), dim=-1)


def _coordinates(depth: Tensor, rays: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """x, y and z of the points, each (..., H, W) float64."""
    z = depth.double()
    return z * rays[0], z * rays[1][:, None], z


def _squared_distance(points: Sequence[Tensor], one: int, other: int, count: int) -> Tensor:
    """Between ``count`` points from number ``one`` on and those from number ``other`` on, given by their coordinates (..., N)."""
    dx, dy, dz = (axis[..., one : one + count] - axis[..., other : other + count] for axis in points)
    return dx.square_().addcmul_(dy, dy).addcmul_(dz, dz)


def angle_valid(depth: Tensor, intrinsics: Intrinsics, pixel_offset: float, min_angle: float) -> Tensor:
    """The angle test on the two faces of every quad.

    Faces of the quad at (i, j): 0 = (i, j), (i+1, j), (i, j+1) and 1 = (i+1, j), (i+1, j+1), (i, j+1).

    The smallest angle lies opposite the shortest edge, so with squared edge lengths s <= m <= l the face passes when
    (m + l - s)^2 <= 4 cos^2(min_angle) m l: no square root, no division, no inverse cosine.

    Args:
        depth: (..., H, W) planar depth > 0.
        intrinsics: camera of the depth, in pixels.
        pixel_offset: see the module's convention.
        min_angle: degrees.

    Returns:
        (..., H-1, W-1, 2) bool, True where every angle is at least ``min_angle``.

    Source: paper eq. 4; evaluated in float64 by every backend, so that all of them agree.
    """
    height, width = depth.shape[-2:]
    valid = torch.empty((*depth.shape[:-2], 2, height - 1, width - 1), dtype=torch.bool, device=depth.device)
    limit = 4.0 * math.cos(math.radians(min_angle)) ** 2
    rays = _rays(depth, intrinsics, pixel_offset)
    lines = max(1, CACHED // width) if depth.device.type == "cpu" and depth.ndim == 2 else height
    for top in range(0, height - 1, lines):
        part = slice(top, min(top + lines, height - 1) + 1)
        _angle_valid(depth[..., part, :], (rays[0], rays[1][part]), limit, valid[..., top : part.stop - 1, :])
    return valid.movedim(-3, -1)


def _angle_valid(depth: Tensor, rays: tuple[Tensor, Tensor], limit: float, valid: Tensor) -> None:
    """The test on some rows of a frame, into ``valid`` (..., 2, rows-1, W-1)."""
    width = depth.shape[-1]
    # Rows laid one after the other are worked off several times as fast as pieces of rows. What goes from the end of one to
    # the next is left out at the end.
    points = [axis.flatten(-2) for axis in _coordinates(depth, rays)]
    count = points[0].shape[-1]
    quads = count - width - 1
    across = _squared_distance(points, 1, 0, count - 1)
    down = _squared_distance(points, width, 0, count - width)
    diagonal = _squared_distance(points, width, 1, quads)
    for face, (first, second) in enumerate(
        ((across[..., :quads], down[..., :quads]), (across[..., width:], down[..., 1:]))
    ):
        short = torch.minimum(first, second)
        long = torch.maximum(first, second)
        torch.minimum(short, diagonal, out=short)
        torch.maximum(long, diagonal, out=long)
        middle = (first + second).add_(diagonal).sub_(short).sub_(long)
        passes = (middle + long).sub_(short).square_() <= middle.mul_(limit).mul_(long)
        passes = torch.nn.functional.pad(passes, (0, 1)).unflatten(-1, (-1, width))
        valid[..., face, :, :] = passes[..., :-1]


def jump_valid(depth: Tensor, max_jump: float) -> Tensor:
    """The depth-jump test on depth (..., H, W): (..., H-1, W-1, 2) bool, True where a face spans at most ``max_jump``.

    Source: paper eq. 5.
    """
    width = depth.shape[-1]
    flat = depth.flatten(-2)  # as in `_angle_valid`
    right, below = flat[..., 1 : 1 - width], flat[..., width:]
    near, far = torch.minimum(right, below), torch.maximum(right, below)
    faces = []
    for corner in (flat[..., :-width], torch.nn.functional.pad(flat[..., width + 1 :], (0, 1))):
        span = torch.maximum(far, corner).double().sub_(torch.minimum(near, corner))
        faces.append((span <= max_jump).unflatten(-1, (-1, width))[..., :-1])
    return torch.stack(faces, dim=-3).movedim(-3, -1)


def spread_to_vertices(face_valid: Tensor) -> Tensor:
    """Released style's rule: a vertex is valid when every face that touches it is.

    Args:
        face_valid: (..., H-1, W-1, 2) bool, faces as in `angle_valid`.

    Returns:
        (..., H, W) bool.
    """
    *lead, rows, columns, _ = face_valid.shape
    valid = face_valid.new_ones(*lead, rows + 1, columns + 1)
    upper, lower = face_valid[..., 0], face_valid[..., 1]
    valid[..., :-1, :-1] &= upper
    valid[..., 1:, 1:] &= lower
    valid[..., :-1, 1:] &= upper & lower
    valid[..., 1:, :-1] &= upper & lower
    return valid


@lru_cache(maxsize=4)
def grid_faces(height: int, width: int, style: Style) -> Tensor:
    """The shared topology: (F, 3) int32 on the CPU. Treat it as read-only, it is cached.

    Two faces per quad in row order, then the back plate: released style closes it with two faces over the image
    corners, which leaves 2 (W + H) edges with a single face; paper style with a fan from one extra vertex to the rim,
    which gives every edge exactly two faces of opposite direction.
    """
    index = torch.arange(height * width, dtype=torch.int32).reshape(height, width)
    upper_left, upper_right = index[:-1, :-1].reshape(-1), index[:-1, 1:].reshape(-1)
    lower_left, lower_right = index[1:, :-1].reshape(-1), index[1:, 1:].reshape(-1)
    first = torch.stack([upper_left, lower_left, upper_right], -1)
    second = torch.stack([lower_left, lower_right, upper_right], -1)
    quads = torch.stack([first, second], 1).reshape(-1, 3)
    if style == "released":
        corners = [0, width - 1, (height - 1) * width, height * width - 1]
        plate = torch.tensor([[corners[1], corners[0], corners[3]], [corners[3], corners[0], corners[2]]])
    else:
        rim = torch.cat([index[0, :-1], index[:-1, -1], index[-1].flip(0)[:-1], index[:, 0].flip(0)[:-1]])
        plate = torch.stack([rim, rim.roll(-1), torch.full_like(rim, height * width)], -1)
    return torch.cat([quads, plate.to(torch.int32)])


def _rays(like: Tensor, intrinsics: Intrinsics, pixel_offset: float) -> tuple[Tensor, Tensor]:
    height, width = like.shape[-2:]
    columns = torch.arange(width, dtype=torch.float64, device=like.device)
    rows = torch.arange(height, dtype=torch.float64, device=like.device)
    ray_x = (columns + (pixel_offset - intrinsics.cx)) / intrinsics.fx
    return ray_x, (rows + (pixel_offset - intrinsics.cy)) / intrinsics.fy


def set_border(frame: Tensor, border_depth: float) -> None:
    """Pull the border ring of one depth frame (H, W) back to the plate, in place."""
    frame[0] = frame[-1] = border_depth
    frame[:, 0] = frame[:, -1] = border_depth


def _fit_intrinsics(intrinsics: Intrinsics | None, width: int, height: int) -> Intrinsics:
    if intrinsics is None:
        return Intrinsics.default(width, height)
    if not same_aspect(intrinsics.width, intrinsics.height, width, height):
        raise EX4DError(
            f"The intrinsics are for {intrinsics.width}x{intrinsics.height} pixels and the clip has {width}x{height}: "
            "another shape, so the lens would be stretched. Give the intrinsics of the frames as they are."
        )
    return intrinsics.resized(width, height)


def _source_lenses(
    intrinsics: Intrinsics | None, source: Trajectory | None, frames: int, width: int, height: int
) -> tuple[Intrinsics, Trajectory | None]:
    """Frame 0's lens, and the source camera with the lenses that go with it; both for this size."""
    if source is not None:
        source = source.resized(width, height)
        check_source_camera(source, frames, (width, height))
        if source.intrinsics is not None and intrinsics is None:
            return source.intrinsics[0], source
    first = _fit_intrinsics(intrinsics, width, height)
    if source is None or source.intrinsics is None or source.intrinsics[0] == first:
        return first, source
    own = source.intrinsics[0]
    lenses = tuple(
        replace(
            first,
            fx=first.fx * lens.fx / own.fx,
            fy=first.fy * lens.fy / own.fy,
            cx=first.cx + lens.cx - own.cx,
            cy=first.cy + lens.cy - own.cy,
        )
        for lens in source.intrinsics
    )
    return first, replace(source, intrinsics=lenses)


def check_mesh_parameters(style: str, min_angle: float, depth_jump: float, border_depth: float | None) -> None:
    """Refuse what `build_dw_mesh` would refuse whatever the clip is; for callers that want to know before they read it.

    Raises:
        EX4DError: an unknown style or a number out of range.
    """
    if style not in STYLES:
        raise EX4DError(f"Unknown mesh style {style!r}; choose one of: {', '.join(STYLES)}.")
    if not 0 <= min_angle < 60:
        raise EX4DError(f"min_angle must be at least 0 and below 60 degrees, got {min_angle}.")
    if not depth_jump >= 0:
        raise EX4DError(f"depth_jump must be 0 or more, got {depth_jump}.")
    if border_depth is not None and not 0 < border_depth <= LARGEST_DEPTH:
        raise EX4DError(f"border_depth must be above 0 and at most {LARGEST_DEPTH:g}, got {border_depth}.")


def _check_inputs(rgb: Tensor, depth: Tensor) -> float:
    """Refuse a clip that no mesh can be built from; returns its nearest depth."""
    if depth.ndim != 3 or rgb.ndim != 4 or rgb.shape[-1] != 3:
        raise EX4DError(
            f"A mesh needs colours (T, H, W, 3) and depth (T, H, W), got {tuple(rgb.shape)} and {tuple(depth.shape)}."
        )
    if rgb.shape[:3] != depth.shape:
        raise EX4DError(
            f"Colours and depth must agree in frames and size: {rgb.shape[0]} frames of {rgb.shape[2]}x{rgb.shape[1]} "
            f"against {depth.shape[0]} of {depth.shape[2]}x{depth.shape[1]}. Resize or trim one of them."
        )
    if depth.shape[0] < 1 or depth.shape[1] < 3 or depth.shape[2] < 3:
        raise EX4DError(f"A mesh needs at least one frame of 3x3 pixels, got {tuple(depth.shape)}.")
    if rgb.dtype != torch.uint8:
        if not rgb.is_floating_point():
            raise EX4DError(
                f"Colours must be uint8 (0..255) or floating point (0..1), got {rgb.dtype}; convert them first."
            )
        if not all(math.isfinite(float(v)) for v in torch.aminmax(rgb)):
            raise EX4DError("The colours hold values that are not numbers (NaN or infinite). Replace them first.")
    if not depth.is_floating_point():
        raise EX4DError(f"Depth must be floating point, got {depth.dtype}; convert stored integers to distances first.")
    nearest, farthest = depth.amin((1, 2)).tolist(), depth.amax((1, 2)).tolist()
    for t, (near, far) in enumerate(zip(nearest, farthest, strict=True)):
        # A NaN makes both of them NaN, so one comparison refuses NaN, infinity, zero and negative depth.
        if not (near > 0 and math.isfinite(far)):
            raise EX4DError(
                f"Depth frame {t} holds values that are not finite and positive ({near} to {far}). "
                "Fill or replace them before building a mesh."
            )
        if far > LARGEST_DEPTH:
            raise EX4DError(
                f"Depth frame {t} reaches {far:g}; at most {LARGEST_DEPTH:g} can be built. Bring it to larger units."
            )
    return min(nearest)
