"""AMT-S: the frame amid two others, which VBench's motion smoothness asks for. Runs on the tensors of the published file by name.

Source: Li et al., AMT: All-Pairs Multi-Field Transforms for Efficient Frame Interpolation, CVPR 2023. Colours are (N, 3, H, W)
0..1, flows (N, 2, H, W) in pixels of their own grid, x first; the moment asked for is the middle.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

LEVELS, RADIUS = 4, 3
"""Of the pyramid of correlations, and pixels that are looked up around a place on each level."""
FLOWS = 3
"""Pairs of flows that the last stage blends."""
SIDE_CHANNELS = 20
"""Channels that take a detour through a residual block."""
GRID = 8
"""Pixels a cell of the correlations, on each side."""
STEP = 16
"""Sides must be whole multiples of it."""
SMALLEST_SIDE = 2 * GRID * 2 ** (LEVELS - 1)
"""Pixels that the coarsest level of correlations needs on each side to have two places."""
MIDDLE = 0.5
ROWS = 8
"""Of the grid of correlations, whose windows are in memory at once: 40 MB of a picture of 1920x1080."""

State = Mapping[str, Tensor]


def between(state: State, one: Tensor, two: Tensor) -> Tensor:
    """The picture amid two.

    Args:
        state: of AMT-S, by the published names.
        one: (N, 3, H, W) 0..1, sides of `SMALLEST_SIDE` or more.
        two: likewise, later.

    Returns:
        (N, 3, H, W) 0..1.

    Raises:
        KeyError: a tensor that is missing.
    """
    height, width = one.shape[-2:]
    down, right = -height % STEP, -width % STEP
    border = (right // 2, right - right // 2, down // 2, down - down // 2)
    found = _between(state, *(F.pad(picture, border, mode="replicate") for picture in (one, two)))
    return found[..., border[2] : border[2] + height, border[0] : border[0] + width]


def _between(state: State, one: Tensor, two: Tensor) -> Tensor:
    mean = torch.cat([one, two], 2).mean((1, 2, 3), keepdim=True)
    one, two = one - mean, two - mean
    features = _features(_matched(state, one), _matched(state, two))
    first, second = _pyramid(state, one), _pyramid(state, two)
    moment = torch.full_like(first[3][:, :1], MIDDLE)
    flows, hidden = _split(_decoded(state, "decoder4", torch.cat([first[3], second[3], moment], 1)))
    for level, scale in ((4, 1), (3, 2), (2, 4)):
        change, turn = _updated(state, f"update{level}", hidden, _looked_up(features, flows, scale), scale)
        hidden, flows = hidden + change, flows + turn
        own, other = first[level - 2], second[level - 2]
        parts = torch.cat([hidden, _warped(own, flows[:, :2]), _warped(other, flows[:, 2:]), flows], 1)
        made = _decoded(state, f"decoder{level - 1}", parts)
        if level > 2:
            turn, hidden = _split(made)
            flows = turn + 2 * _resized(flows, 2)
    return _blended(state, one, two, mean, made, flows).clamp(0, 1)


def _blended(state: State, one: Tensor, two: Tensor, mean: Tensor, made: Tensor, flows: Tensor) -> Tensor:
    """Both pictures along several flows, their mean, and what a small network adds to it.

    Args:
        state: of AMT-S.
        one: (N, 3, H, W) less the mean of both.
        two: likewise.
        mean: (N, 1, 1, 1).
        made: (N, 8 FLOWS, H, W) changes of both flows, shares of the first picture, and colours to add.
        flows: (N, 4, H / 2, W / 2) of both.
    """
    (count, _, height, width), n = made.shape, FLOWS
    ahead, back, share, added = made.split([2 * n, 2 * n, n, 3 * n], 1)
    coarse = 2 * _resized(flows, 2)

    def along(picture: Tensor, turn: Tensor, own: Tensor) -> Tensor:
        flow = (turn + own.repeat(1, n, 1, 1)).reshape(count * n, 2, height, width)
        return _warped(picture.repeat_interleave(n, 0), flow).reshape(count, n, 3, height, width)

    share = share.sigmoid()[:, :, None]
    shown = share * along(one, ahead, coarse[:, :2]) + (1 - share) * along(two, back, coarse[:, 2:])
    shown = shown + mean[:, None] + added.reshape(count, n, 3, height, width)
    detail = _layer(state, "comb_block.0", shown.flatten(1, 2))
    return shown.mean(1) + _layer(state, "comb_block.2", F.prelu(detail, state["comb_block.1.weight"]))


def _layer(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """A convolution that keeps the size, or halves it."""
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state[f"{name}.bias"], stride, padding=weight.shape[-1] // 2)


def _unit(state: State, name: str, x: Tensor, stride: int = 1) -> Tensor:
    """A convolution and its bend."""
    return F.prelu(_layer(state, f"{name}.0", x, stride), state[f"{name}.1.weight"])


def _matched(state: State, x: Tensor) -> Tensor:
    """Features (N, 84, H / 8, W / 8) that are correlated."""
    x = F.instance_norm(_layer(state, "feat_encoder.conv1", x, 2)).relu()
    for layer, block in ((layer, block) for layer in (1, 2, 3) for block in (0, 1)):
        name, stride = f"feat_encoder.layer{layer}.{block}", 2 if layer > 1 and block == 0 else 1
        y = x
        for part in (1, 2, 3):
            y = F.instance_norm(_layer(state, f"{name}.conv{part}", y, stride if part == 2 else 1)).relu()
        if stride > 1:
            weight, bias = (state[f"{name}.downsample.0.{part}"] for part in ("weight", "bias"))
            x = F.instance_norm(F.conv2d(x, weight, bias, stride))
        x = (x + y).relu()
    return _layer(state, "feat_encoder.conv2", x)


def _pyramid(state: State, x: Tensor) -> list[Tensor]:
    """Features of a half, a quarter, an eighth and a sixteenth of the sides."""
    found = []
    for level in (1, 2, 3, 4):
        x = _unit(state, f"encoder.pyramid{level}.1", _unit(state, f"encoder.pyramid{level}.0", x, 2))
        found.append(x)
    return found


def _decoded(state: State, name: str, x: Tensor) -> Tensor:
    """One stage, of twice the sides: a residual block in which the last channels take a detour twice."""
    name = f"{name}.convblock"
    x = _unit(state, f"{name}.0", x)
    y = x
    for straight, side in ((1, 2), (3, 4)):
        y = _unit(state, f"{name}.1.conv{straight}", y)
        detour = _unit(state, f"{name}.1.conv{side}", y[:, -SIDE_CHANNELS:])
        y = torch.cat([y[:, :-SIDE_CHANNELS], detour], 1)
    x = F.prelu(x + _layer(state, f"{name}.1.conv5", y), state[f"{name}.1.prelu.weight"])
    return F.conv_transpose2d(x, state[f"{name}.2.weight"], state[f"{name}.2.bias"], stride=2, padding=1)


def _split(made: Tensor) -> tuple[Tensor, Tensor]:
    """Both flows (N, 4, H, W), and what goes on."""
    return made[:, :4], made[:, 4:]


def _features(one: Tensor, two: Tensor) -> tuple[tuple[Tensor, list[Tensor]], tuple[Tensor, list[Tensor]]]:
    """What is correlated, there and back: features (N, H, W, C) of a picture, and those of the other, also coarser ones."""
    levels = []
    for features in (one, two):
        coarser = [features]
        for _ in range(LEVELS - 1):
            coarser.append(F.avg_pool2d(coarser[-1], 2))
        levels.append([level.permute(0, 2, 3, 1).contiguous() for level in coarser])
    return (levels[0][0], levels[1]), (levels[1][0], levels[0])


def _looked_up(features: tuple[tuple[Tensor, list[Tensor]], ...], flows: Tensor, scale: int) -> tuple[Tensor, Tensor]:
    """Correlations around where the flows lead, and the flows, both on the grid of correlations.

    The flows lead from the middle to the first picture and to the second; from one picture to the other it is twice as far.
    Only what is looked up is computed: all pairs of places of a picture of 1920x1080 would take 8 GB.
    """
    if scale > 1:
        flows = _resized(flows, 1 / scale) / scale
    height, width = flows.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    here = torch.stack([columns, rows])[None].to(flows)
    there = (here + flows[:, 2:] / MIDDLE, here + flows[:, :2] / (1 - MIDDLE))
    found = [
        _window(own, level, places.permute(0, 2, 3, 1) / 2**number)
        for (own, levels), places in zip(features, there, strict=True)
        for number, level in enumerate(levels)
    ]
    return torch.cat(found, -1).permute(0, 3, 1, 2), flows


def _window(own: Tensor, other: Tensor, places: Tensor) -> Tensor:
    """Correlations with what lies within `RADIUS` of a place, between pixels as a line between them; beyond the border 0.

    Args:
        own: (N, H, W, C) features.
        other: (N, h, w, C) of the other picture, which may be coarser.
        places: (N, H, W, 2) where in ``other``, x first.

    Returns:
        (N, H, W, (2 RADIUS + 1)^2), along x first, as the published windows are.
    """
    side, channels = 2 * RADIUS + 2, own.shape[-1]
    height, width = other.shape[1:3]
    corner = places.floor().clamp(-2 * side, max(height, width) + side)
    share = (places - places.floor())[..., None, None, :]
    # Room for a whole window beyond each border, where there is nothing.
    padded = F.pad(other, (0, 0, side, side, side, side))
    down, right = padded.stride()[1:3]
    windows = padded.as_strided(
        (len(own), height + side + 1, width + side + 1, side, side * channels),
        (padded.stride(0), down, right, down, 1),
    )
    x = (corner[..., 0].long() - RADIUS + side).clamp(0, width + side)
    y = (corner[..., 1].long() - RADIUS + side).clamp(0, height + side)
    pairs = torch.empty((*own.shape[:3], side, side), dtype=own.dtype, device=own.device)
    for target, features, view, columns, rows in zip(pairs, own, windows, x, y, strict=True):
        for t, f, c, r in zip(*(part.split(ROWS) for part in (target, features, columns, rows)), strict=True):
            near = view[r.flatten(), c.flatten()].reshape(-1, side * side, channels)
            t.copy_(torch.bmm(near, f.reshape(-1, channels, 1)).reshape(t.shape))
    pairs = pairs / channels**0.5
    pairs = pairs[..., :-1] + share[..., 0] * (pairs[..., 1:] - pairs[..., :-1])
    pairs = pairs[..., :-1, :] + share[..., 1] * (pairs[..., 1:, :] - pairs[..., :-1, :])
    return pairs.transpose(-1, -2).flatten(-2)


def _updated(
    state: State, name: str, hidden: Tensor, looked_up: tuple[Tensor, Tensor], scale: int
) -> tuple[Tensor, Tensor]:
    """Changes of the hidden features and of both flows, from correlations around where the flows lead."""

    def bent(part: str, x: Tensor) -> Tensor:
        return F.leaky_relu(_layer(state, f"{name}.{part}", x), 0.1)

    def head(part: str, x: Tensor) -> Tensor:
        return _layer(state, f"{name}.{part}.2", bent(f"{part}.0", x))

    found, flows = looked_up
    coarse = _resized(hidden, 1 / scale) if scale > 1 else hidden
    seen = bent("conv", torch.cat([bent("convc1", found), bent("convf2", bent("convf1", flows))], 1))
    x = head("gru", torch.cat([seen, flows, coarse], 1))
    change, turn = head("feat_head", x), head("flow_head", x)
    return (_resized(change, scale), scale * _resized(turn, scale)) if scale > 1 else (change, turn)


def _resized(x: Tensor, scale: float) -> Tensor:
    return F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)


def _warped(picture: Tensor, flow: Tensor) -> Tensor:
    """The colours to which a flow leads; beyond the border that of the border."""
    height, width = flow.shape[-2:]
    x = torch.linspace(-1, 1, width).to(flow) + flow[:, 0] * 2 / (width - 1)
    y = torch.linspace(-1, 1, height).to(flow)[:, None] + flow[:, 1] * 2 / (height - 1)
    return F.grid_sample(picture, torch.stack([x, y], -1), padding_mode="border", align_corners=True)


def tensors_of(found: object) -> State:
    """AMT's tensors by name of what its file holds.

    Raises:
        KeyError: there are none.
    """
    if not isinstance(found, Mapping) or "state_dict" not in found:
        raise KeyError("it holds no state_dict")
    return cast(State, found["state_dict"])
