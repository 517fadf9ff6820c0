"""Colour, mask and depth of samples from the faces that won them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..published import VISIBLE_ALPHA
from .torch_scene import Scene, Surface


def shade(
    scene: Scene, keys: Tensor, rgb: Tensor, rows: int, columns: int, fade: bool, poll: Callable[[], None]
) -> tuple[Tensor, Tensor, Tensor]:
    """Look at every sample's winner.

    Args:
        scene: the view.
        keys: (rows*columns,) int64, as `draw_quads` and `draw_faces` fill them.
        rgb: (V, 3) uint8 colours of the vertices.
        rows: samples of the picture from top to bottom.
        columns: and from left to right.
        fade: see `Settings`.
        poll: called once a piece; may raise.

    Returns:
        Colour 0..255 (rows, columns, 3) float32, mask (rows, columns) bool and depth (rows, columns) float32.
    """
    color = torch.zeros((rows * columns, 3), dtype=torch.float32, device=keys.device)
    mask = torch.zeros(rows * columns, dtype=torch.bool, device=keys.device)
    depth = torch.zeros(rows * columns, dtype=torch.float32, device=keys.device)
    channels = rgb.T.float().contiguous()
    for start in range(0, len(keys), scene.strip):
        poll()
        part = slice(start, start + scene.strip)
        _shade_part(scene, keys[part], start, channels, columns, fade, (color[part], mask[part], depth[part]))
    return color.view(rows, columns, 3), mask.view(rows, columns), depth.view(rows, columns)


def _shade_part(
    scene: Scene,
    keys: Tensor,
    start: int,
    channels: Tensor,
    columns: int,
    fade: bool,
    out: tuple[Tensor, Tensor, Tensor],
) -> None:
    at, _, corners = winners(scene, keys)
    sample = at + start
    row = torch.div(sample, columns, rounding_mode="floor")
    x, y = (sample - row * columns).double(), row.double()
    inverses = [scene.inverse.index_select(0, v) for v in corners]
    weights = _weights_on_screen(scene, corners, inverses, x, y)
    z = weights[0] / inverses[0] + weights[1] / inverses[1] + weights[2] / inverses[2]
    crossing = (torch.minimum(torch.minimum(*inverses[:2]), inverses[2]) < 0).nonzero()[:, 0]
    if len(crossing):
        exact, depth = _weights_in_space(scene, [v[crossing] for v in corners], x[crossing], y[crossing])
        for weight, value in zip(weights, exact, strict=True):
            weight[crossing] = value
        z[crossing] = depth
    lay_colors(scene, at, corners, weights, z, channels, fade, out)


def winners(surface: Surface, keys: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Samples that show a face (paper style: a seen one), these faces, and their corners."""
    at = keys.nonzero()[:, 0]
    face = 0xFFFFFFFF - (keys.index_select(0, at) & 0xFFFFFFFF)
    if not surface.paper:
        return at, face, surface.corners_of_any(face)
    kept = surface.seen(face).nonzero()[:, 0]
    at, face = at.index_select(0, kept), face.index_select(0, kept)
    return at, face, surface.corners(face)


def lay_colors(
    surface: Surface,
    at: Tensor,
    corners: tuple[Tensor, Tensor, Tensor],
    weights: list[Tensor],
    z: Tensor,
    channels: Tensor,
    fade: bool,
    out: tuple[Tensor, Tensor, Tensor],
) -> None:
    """Colour, mask and depth of samples, as the style has them.

    Args:
        surface: what they show.
        at: (N,) the samples.
        corners: (N,) vertices of the face at each.
        weights: (N,) of these corners, >= 0 and adding up to 1.
        z: (N,) depth.
        channels: (3, V) float colours 0..255.
        fade: see `Settings`.
        out: colour (S, 3), mask (S,) and depth (S,), written at ``at``.
    """
    if not surface.paper:
        weights = [w * surface.valid.index_select(0, v) for w, v in zip(weights, corners, strict=True)]
        kept = ((weights[0] + weights[1] + weights[2]) * 255.0 > VISIBLE_ALPHA).nonzero()[:, 0]
        if len(kept) < len(at):
            at, z, *weights = (value.index_select(0, kept) for value in (at, z, *weights))
            corners = (corners[0][kept], corners[1][kept], corners[2][kept])
        if not fade:
            scale = (weights[0] + weights[1] + weights[2]).reciprocal_()
            weights = [weight * scale for weight in weights]
    color, mask, depth = out
    for channel, plane in enumerate(channels):
        first, second, third = (w * plane.index_select(0, v) for w, v in zip(weights, corners, strict=True))
        color[:, channel].scatter_(0, at, (first + second + third).float())
    mask.index_fill_(0, at, True)
    depth.scatter_(0, at, z.float())


def _weights_on_screen(
    scene: Scene, corners: tuple[Tensor, Tensor, Tensor], inverses: list[Tensor], x: Tensor, y: Tensor
) -> list[Tensor]:
    """Weights of the corners at samples, corrected for perspective; of no meaning for faces through the near plane."""
    ax, bx, cx = (scene.x.index_select(0, v) - x for v in corners)
    ay, by, cy = (scene.y.index_select(0, v) - y for v in corners)
    return normalised(
        [(bx * cy - by * cx) * inverses[0], (cx * ay - cy * ax) * inverses[1], (ax * by - ay * bx) * inverses[2]]
    )


def _weights_in_space(scene: Scene, corners: list[Tensor], x: Tensor, y: Tensor) -> tuple[list[Tensor], Tensor]:
    """Weights of the corners and depth, for any faces: signed volumes between the sample's ray and pairs of corners."""
    a, b, c = (scene.points(v) for v in corners)
    fx, fy, cx, cy = scene.lens
    ray = torch.stack([(x - cx) / fx, (y - cy) / fy, torch.ones_like(x)], 1)
    weights = normalised([(ray * torch.linalg.cross(p, q)).sum(1) for p, q in ((b, c), (c, a), (a, b))])
    return weights, weights[0] * a[:, 2] + weights[1] * b[:, 2] + weights[2] * c[:, 2]


def normalised(weights: list[Tensor]) -> list[Tensor]:
    """Weights that add up to 1. A sample up to 1e-6 px outside its face takes the colour of the nearest point on it."""
    scale = (weights[0] + weights[1] + weights[2]).reciprocal_()
    weights = [weight.mul_(scale).clamp_(min=0) for weight in weights]
    scale = (weights[0] + weights[1] + weights[2]).reciprocal_()
    return [weight.mul_(scale) for weight in weights]
