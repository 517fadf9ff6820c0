"""Reference backend in plain torch, computed on any device with float64: faces to rows, rows to spans, spans to samples.

Every sample takes the largest of the 64-bit keys that fall on it (float32 bits of 1/z above the inverted face index), by
one scatter. Faces, rows and samples are worked off in pieces of fixed size, so random depth, whose faces cover the
whole picture each, costs time and not memory. Nothing is approximated: it is what the other backends are tested against.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..mesh import DWMesh, unproject
from ..published import VISIBLE_ALPHA
from .backend import Backend
from .view import EDGE, TIE, Picture, Settings, View, reduce_samples, store

FACES, ROWS, SAMPLES = 2**20, 2**20, 2**21
"""Elements in flight: at most about 500, 150 and 60 bytes each."""


@dataclass(frozen=True, eq=False)
class _Scene:
    """One view's set-up, all float64: `points` (V, 3) in camera space, `x`, `y` (V,) in samples, `seen` past the near plane.

    `valid` is (quads,) bool in paper style, (V,) bool in released style.
    """

    height: int
    width: int
    paper: bool
    points: Tensor
    x: Tensor
    y: Tensor
    seen: Tensor
    valid: Tensor
    lens: tuple[float, float, float, float]
    near: float
    far: float

    @property
    def quad_faces(self) -> int:
        return 2 * (self.height - 1) * (self.width - 1)

    def corners(self, face: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Vertex indices of faces, computed instead of stored; the last two faces are the back plate."""
        width, count = self.width, self.height * self.width
        quad = face >> 1
        upper_left = quad + torch.div(quad, width - 1, rounding_mode="floor")
        lower = face & 1
        first = upper_left + lower * width
        second = upper_left + width + lower
        third = upper_left + 1
        plate = face >= self.quad_faces
        last = face > self.quad_faces
        first = torch.where(plate, torch.where(last, count - 1, width - 1), first)
        second = torch.where(plate, 0, second)
        third = torch.where(plate, torch.where(last, count - width, count - 1), third)
        return first, second, third


def render(mesh: DWMesh, views: list[View], picture: Picture, settings: Settings) -> None:
    """Fill the picture's frames of ``views``; see `render_color_mask`."""
    if mesh.device.type == "mps":  # the occlusion rule is computed where the mesh lies
        mesh = replace(mesh, rgb=mesh.rgb.cpu(), depth=mesh.depth.cpu())
    rows, columns = picture.height * settings.supersample, picture.width * settings.supersample
    for view in views:
        scene = _set_up(mesh, view, settings)
        keys = _rasterise(scene, rows, columns, settings)
        rgb = mesh.rgb[view.source].to(settings.device).reshape(-1, 3)
        color, mask, depth = (s[None] for s in _shade(scene, keys, rgb, rows, columns, settings.fade))
        pixels = reduce_samples(color, mask, depth, settings.supersample)
        store(picture, slice(view.output, view.output + 1), *pixels, released=not scene.paper)
        settings.frame_done()


def _set_up(mesh: DWMesh, view: View, settings: Settings) -> _Scene:
    depth = mesh.depth[view.source].to(settings.device)
    pose = torch.as_tensor(view.source_to_camera, dtype=torch.float64, device=settings.device)
    points = unproject(depth, mesh.lens(view.source), mesh.pixel_offset).reshape(-1, 3) @ pose[:3, :3].T + pose[:3, 3]
    camera = view.intrinsics
    lens = (float(camera.fx), float(camera.fy), camera.cx - 0.5, camera.cy - 0.5)
    seen = points[:, 2] > settings.near
    inverse = torch.where(seen, points[:, 2], 1.0).reciprocal_()
    x = lens[0] * points[:, 0] * inverse + lens[2]
    y = lens[1] * points[:, 1] * inverse + lens[3]
    paper = mesh.style == "paper"
    valid = mesh.quad_face_valid(view.source)[..., 0].reshape(-1) if paper else mesh.vertex_valid(view.source)
    valid = valid.to(settings.device)
    return _Scene(
        mesh.height, mesh.width, paper, points, x, y, seen, valid, lens, settings.near, settings.far
    )  # fmt: skip


def _rasterise(scene: _Scene, rows: int, columns: int, settings: Settings) -> Tensor:
    """The nearest face of every sample as keys (rows*columns,) int64; 0 = no face."""
    keys = torch.zeros(rows * columns, dtype=torch.int64, device=settings.device)
    total = scene.quad_faces + 2
    for start in range(0, total, FACES):
        settings.poll()
        face = torch.arange(start, min(start + FACES, total), device=settings.device)
        face, box = _boxes(scene, face, rows, columns)
        face, box, edges, inverse_range = _edges(scene, face, box)
        for owner, y in _expand(box[2], (box[3] - box[2]).long() + 1, ROWS):
            settings.poll()
            owner, y, first, last = _spans(scene, edges, box, owner, y)
            for span, x in _expand(first, (last - first).long() + 1, SAMPLES):
                tri, row = owner[span], y[span]
                sums = edges[:, 3]
                inverse = sums[0][tri] * x + sums[1][tri] * row + sums[2][tri]
                inverse = torch.minimum(torch.maximum(inverse, inverse_range[0][tri]), inverse_range[1][tri])
                drawn = inverse >= 1.0 / scene.far
                if scene.paper:
                    quad = face[tri] >> 1
                    plate = quad >= scene.valid.shape[0]
                    visible = scene.valid[quad.clamp(max=scene.valid.shape[0] - 1)] & ~plate
                    inverse = torch.where(visible, inverse * TIE, inverse)
                key = (inverse.float().view(torch.int32).long() << 32) | (0xFFFFFFFF - face[tri])
                key = torch.where(drawn, key, 0)
                keys.scatter_reduce_(0, (row * columns + x).long(), key, "amax")
    return keys


def _boxes(scene: _Scene, face: Tensor, rows: int, columns: int) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Faces whose box holds a sample, with (left, right, top, bottom) as whole numbers in float64."""
    corners = scene.corners(face)
    seen = [scene.seen[c] for c in corners]
    xs = [scene.x[c] for c in corners]
    ys = [scene.y[c] for c in corners]
    everything = seen[0] & seen[1] & seen[2]
    limits = _limits(_low(*xs), _high(*xs), _low(*ys), _high(*ys), rows, columns)
    keep = everything & (limits[0] <= limits[1]) & (limits[2] <= limits[3])
    chosen = keep.nonzero()[:, 0]
    limits = tuple(v[chosen] for v in limits)
    crossing = ((seen[0] | seen[1] | seen[2]) & ~everything).nonzero()[:, 0]
    if crossing.numel() == 0:
        return face[chosen], limits
    more, crossing = _crossing_boxes(scene, [c[crossing] for c in corners], rows, columns, crossing)
    merged = tuple(torch.cat([a, b]) for a, b in zip(limits, more, strict=True))
    return face[torch.cat([chosen, crossing])], merged


def _crossing_boxes(
    scene: _Scene, corners: list[Tensor], rows: int, columns: int, face: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    """The same for faces through the near plane: the box of their part beyond it."""
    xs, ys = [], []
    fx, fy, cx, cy = scene.lens
    for a, b in zip(corners, corners[1:] + corners[:1], strict=True):
        inside, crosses = scene.seen[a], scene.seen[a] != scene.seen[b]
        p, q = scene.points[a], scene.points[b]
        share = (scene.near - p[:, 2]) / torch.where(crosses, q[:, 2] - p[:, 2], 1.0)
        cut = p + share[:, None] * (q - p)
        xs += [
            torch.where(inside, scene.x[a], math.nan),
            torch.where(crosses, fx * cut[:, 0] / scene.near + cx, math.nan),
        ]
        ys += [
            torch.where(inside, scene.y[a], math.nan),
            torch.where(crosses, fy * cut[:, 1] / scene.near + cy, math.nan),
        ]
    x, y = torch.stack(xs), torch.stack(ys)
    low = [v.nan_to_num(nan=math.inf).amin(0) for v in (x, y)]
    high = [v.nan_to_num(nan=-math.inf).amax(0) for v in (x, y)]
    limits = _limits(low[0], high[0], low[1], high[1], rows, columns)
    keep = (limits[0] <= limits[1]) & (limits[2] <= limits[3])
    return tuple(v[keep] for v in limits), face[keep]


def _limits(left: Tensor, right: Tensor, top: Tensor, bottom: Tensor, rows: int, columns: int) -> tuple[Tensor, ...]:
    return (
        (left - EDGE).clamp_(min=0).ceil_(),
        (right + EDGE).clamp_(max=columns - 1).floor_(),
        (top - EDGE).clamp_(min=0).ceil_(),
        (bottom + EDGE).clamp_(max=rows - 1).floor_(),
    )


def _edges(
    scene: _Scene, face: Tensor, box: tuple[Tensor, ...]
) -> tuple[Tensor, tuple[Tensor, ...], Tensor, tuple[Tensor, Tensor]]:
    """Homogeneous edge functions over 1/z of every face that is not edge-on.

    Returns:
        The faces kept, their boxes, (3, 4, K) coefficients A, B, C of e = A x + B y + C for the three edges and their
        sum, which is 1/z itself, and the range of 1/z over each face.
    """
    fx, fy, cx, cy = scene.lens
    a, b, c = (scene.points[v] for v in scene.corners(face))
    normals = [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)]
    volume = (a * normals[0]).sum(1)
    z = torch.stack([a[:, 2], b[:, 2], c[:, 2]])
    inside = z > scene.near
    inverse = z.reciprocal()
    low = torch.where(inside, inverse, math.inf).amin(0)
    high = torch.where(inside.all(0), inverse.amax(0), 1.0 / scene.near)
    scale = torch.where(volume == 0, 0.0, volume).reciprocal()
    coefficients = []
    for normal in normals:
        ea, eb = normal[:, 0] * scale / fx, normal[:, 1] * scale / fy
        coefficients.append(torch.stack([ea, eb, normal[:, 2] * scale - ea * cx - eb * cy]))
    coefficients.append(coefficients[0] + coefficients[1] + coefficients[2])
    edges = torch.stack(coefficients, dim=1)
    keep = edges.isfinite().all(0).all(0)
    return face[keep], tuple(v[keep] for v in box), edges[..., keep], (low[keep], high[keep])


def _spans(
    scene: _Scene, edges: Tensor, box: tuple[Tensor, ...], owner: Tensor, y: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """First and last sample that each face covers in each of its rows; rows without one are dropped."""
    first, last = box[0][owner], box[1][owner]
    a, b, c = edges[:, :, owner]
    rest = b * y + c + EDGE * (a.abs() + b.abs())
    rest[3] = 1.0 / scene.near - (b[3] * y + c[3])
    a = torch.cat([a[:3], -a[3:]])
    bound = -rest / a
    first = torch.maximum(first, torch.where(a > 0, bound, -math.inf).amax(0)).ceil_()
    last = torch.minimum(last, torch.where(a < 0, bound, math.inf).amin(0)).floor_()
    keep = ((last >= first) & ~((a == 0) & (rest < 0)).any(0)).nonzero()[:, 0]
    return owner[keep], y[keep], first[keep], last[keep]


def _expand(start: Tensor, count: Tensor, budget: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Ranges to elements, about ``budget`` at a time: yields (index of the range, start + position in it)."""
    if count.numel() == 0:
        return
    ends = count.cumsum(0)
    total = int(ends[-1])
    begin, done = 0, 0
    while done < total:
        stop = count.numel()
        if total - done > budget:
            stop = max(int(torch.searchsorted(ends, done + budget, right=True)), begin + 1)
        reached = total if stop == count.numel() else int(ends[stop - 1])
        piece = count[begin:stop]
        owner = torch.repeat_interleave(
            torch.arange(begin, stop, device=count.device), piece, output_size=reached - done
        )
        position = torch.arange(done, reached, device=count.device) - (ends - count)[owner]
        yield owner, start[owner] + position
        begin, done = stop, reached


def _shade(
    scene: _Scene, keys: Tensor, rgb: Tensor, rows: int, columns: int, fade: bool
) -> tuple[Tensor, Tensor, Tensor]:
    """Colour 0..255 (rows, columns, 3), mask and depth of every sample from its winning face."""
    sample = keys.nonzero()[:, 0]
    face = 0xFFFFFFFF - (keys[sample] & 0xFFFFFFFF)
    if scene.paper:
        quad = face >> 1
        visible = scene.valid[quad.clamp(max=scene.valid.shape[0] - 1)] & (face < scene.quad_faces)
        sample, face = sample[visible], face[visible]
    corners = scene.corners(face)
    a, b, c = (scene.points[v] for v in corners)
    fx, fy, cx, cy = scene.lens
    ray_x = ((sample % columns) - cx) / fx
    ray_y = (torch.div(sample, columns, rounding_mode="floor") - cy) / fy
    ray = torch.stack([ray_x, ray_y, torch.ones_like(ray_x)], 1)
    weights = torch.stack([(ray * torch.linalg.cross(p, q)).sum(1) for p, q in ((b, c), (c, a), (a, b))])
    # A sample up to 1e-6 px outside its face takes the colour of the nearest point on it.
    weights = (weights / weights.sum(0)).clamp_(min=0)
    weights /= weights.sum(0)
    z = weights[0] * a[:, 2] + weights[1] * b[:, 2] + weights[2] * c[:, 2]
    if not scene.paper:
        weights = weights * torch.stack([scene.valid[v] for v in corners])
        visible = weights.sum(0) * 255.0 > VISIBLE_ALPHA
        sample, z, weights = sample[visible], z[visible], weights[:, visible]
        corners = tuple(v[visible] for v in corners)
        if not fade:
            weights = weights / weights.sum(0)
    mixed = (weights[..., None] * torch.stack([rgb[v].double() for v in corners])).sum(0)
    color = torch.zeros((rows * columns, 3), dtype=torch.float32, device=keys.device)
    mask = torch.zeros(rows * columns, dtype=torch.bool, device=keys.device)
    depth = torch.zeros(rows * columns, dtype=torch.float32, device=keys.device)
    color[sample] = mixed.float()
    mask[sample] = True
    depth[sample] = z.float()
    return color.reshape(rows, columns, 3), mask.reshape(rows, columns), depth.reshape(rows, columns)


def _low(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return torch.minimum(torch.minimum(a, b), c)


def _high(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    return torch.maximum(torch.maximum(a, b), c)


def _device(mesh: DWMesh, asked: torch.device | None) -> torch.device:
    """Apple's GPU has no float64: what lies there is computed on the processor and goes back."""
    device = asked or mesh.device
    return torch.device("cpu") if device.type == "mps" else device


BACKEND = Backend(
    name="torch",
    needs="torch",
    problem=lambda: None,
    takes=lambda *_: True,
    device=_device,
    render=render,
)
