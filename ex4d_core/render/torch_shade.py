"""Colour, mask and depth of samples from the faces that won them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..machine.picks import places
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
    color = torch.zeros((3, rows * columns), dtype=torch.float32, device=keys.device)
    mask = torch.zeros(rows * columns, dtype=torch.bool, device=keys.device)
    depth = torch.zeros(rows * columns, dtype=torch.float32, device=keys.device)
    channels = planes_of(rgb)
    for start in range(0, len(keys), scene.strip):
        poll()
        part = slice(start, start + scene.strip)
        _shade_part(scene, keys[part], start, channels, columns, fade, (color[:, part], mask[part], depth[part]))
    return color.T.view(rows, columns, 3), mask.view(rows, columns), depth.view(rows, columns)


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
    if not len(at):
        return
    sample = at + start
    row = torch.div(sample.double(), columns).floor_()
    x, y = sample.double().sub_(row, alpha=columns), row
    inverses = [scene.inverse.index_select(0, v) for v in corners]
    weights, z = _on_screen(scene, corners, inverses, x, y)
    if scene.crossed:
        crossing = places(torch.minimum(torch.minimum(*inverses[:2]), inverses[2]) < 0)
        exact, depth = _weights_in_space(scene, [v[crossing] for v in corners], x[crossing], y[crossing])
        for weight, value in zip(weights, exact, strict=True):
            weight[crossing] = value
        z[crossing] = depth
    lay_colors(scene, at, corners, weights, z, channels, fade, out)


def winners(surface: Surface, keys: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor, Tensor]]:
    """Samples that show a face (paper style: a seen one; released: one with a seen corner), these faces, and their corners."""
    at = places(keys > 0xFFFFFFFF)
    face = (keys if len(at) == len(keys) else keys.index_select(0, at)).int().bitwise_not_()  # of the lower half
    kept = places(surface.seen.index_select(0, face))
    if len(kept) < len(at):
        at, face = at.index_select(0, kept), face.index_select(0, kept)
    return at, face, surface.corners_of_any(face)


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
        out: colour (3, S), mask (S,) and depth (S,), written at ``at``.
    """
    color, mask, depth = out
    weights = [weight.float() for weight in weights]
    if not surface.paper:
        for weight, corner in zip(weights, corners, strict=True):
            weight.mul_(surface.opacity.index_select(0, corner))
        total = weights[0] + weights[1] + weights[2]
        kept = places(total > VISIBLE_ALPHA / 255.0)
        if len(kept) < len(at):
            at, z, total, *weights = (value.index_select(0, kept) for value in (at, z, total, *weights))
            first, second, third = (corner.index_select(0, kept) for corner in corners)
            corners = (first, second, third)
        if not fade:
            weights = [weight.div_(total) for weight in weights]
    for plane, colors in zip(color, channels, strict=True):
        first, second, third = (colors.index_select(0, v) for v in corners)
        value = first.mul_(weights[0]).addcmul_(second, weights[1]).addcmul_(third, weights[2])
        _write(plane, at, value)
    _write(mask, at, torch.ones_like(at, dtype=torch.bool))
    _write(depth, at, z.float())


def planes_of(rgb: Tensor) -> Tensor:
    """(3, V) float32 of colours (V, 3) uint8."""
    if rgb.device.type != "cpu":
        return rgb.T.float().contiguous()
    return torch.from_numpy(np.ascontiguousarray(rgb.numpy().T).astype(np.float32))  # torch takes six times as long


def _write(plane: Tensor, at: Tensor, values: Tensor) -> None:
    if len(at) == len(plane):
        plane.copy_(values)
    else:
        plane.scatter_(0, at, values)


def _on_screen(
    scene: Scene, corners: tuple[Tensor, Tensor, Tensor], inverses: list[Tensor], x: Tensor, y: Tensor
) -> tuple[list[Tensor], Tensor]:
    """Weights of the corners at samples, corrected for perspective, and depth; of no meaning through the near plane."""
    ax, bx, cx = (scene.x.index_select(0, v).sub_(x) for v in corners)
    ay, by, cy = (scene.y.index_select(0, v).sub_(y) for v in corners)
    sides = ((bx, by, cx, cy), (cx, cy, ax, ay), (ax, ay, bx, by))
    shares = [(px * qy).addcmul_(py, qx, value=-1) for px, py, qx, qy in sides]
    scale = (shares[0] + shares[1]).add_(shares[2]).reciprocal_()
    # A sample up to 1e-6 px outside its face takes the colour of the nearest point on it.
    shares = [share.mul_(scale).clamp_(min=0) for share in shares]
    weights = [share * inverse for share, inverse in zip(shares, inverses, strict=True)]
    z = (weights[0] + weights[1]).add_(weights[2]).reciprocal_()
    weights = [weight.mul_(z) for weight in weights]
    return weights, z.mul_(shares[0].add_(shares[1]).add_(shares[2]))


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
