"""The colours of a generated video brought to those of what was really seen: measured where both are known, laid over every
pixel.

The correction of a frame is an affine map of colours (gain, mixture and offset: 12 numbers). It is measured on means over
cells of the picture, which neither lost detail nor a shift by a pixel changes; cells that disagree with the others (a
thing that was painted elsewhere, a changed shadow) count little. All frames are solved at once: one in which much was seen
has its own correction, so that flicker goes; one in which next to nothing was seen takes what lies between its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..holes.masks import erode

CELLS = 32
"""Cells along the shorter side of the picture."""
RIM = 5
"""Box, in pixels, by which what is measured keeps away from holes: their rims are mixtures."""
CLIPPED = 1 / 255
"""So near to black and white a generated colour may have been cut off there, and tells nothing."""
ENOUGH = 0.25
"""Share of a cell that must be seen."""
RELATED = 2.0
"""Neighbouring cells err alike: this many count as one."""
LEAST_SIGMA = 0.5 / 255
"""A cell is never taken to be more exact than this."""
TYPICAL = 1.54
"""Median length of three normal numbers of deviation 1."""
OUTLIER = 2.5
"""Times the typical difference at which a cell counts for a quarter."""
STEP = np.array([6 / 255, 0.02, 0.02, 0.02])
"""By which offset and gains are expected to change from frame to frame; what the frames themselves tell outweighs it where
much is seen."""
USUAL = np.array([1.0, 0.1, 0.1, 0.1])
"""By which they are expected to differ from none over the clip: a plain grey picture must not decide on a gain."""
LARGEST = np.array([0.25, 0.3, 0.3, 0.3])
"""No correction is larger."""
MIDDLE = 0.5
"""Gains turn around mid grey, so that the offset is what happens to it."""
ROUNDS = 6
"""Of weighting cells anew."""


@dataclass(frozen=True, eq=False)
class Cells:
    """One frame's means.

    Attributes:
        result, color: (N, 3) of the generated video and of what was seen, 0..1, over the same pixels.
        share: (N,) of each cell that was seen.
    """

    result: np.ndarray
    color: np.ndarray
    share: np.ndarray


def cell_means(result: Tensor, color: Tensor, well: Tensor) -> Cells:
    """Means over the cells of one frame.

    Args:
        result: (H, W, 3) float 0..1, the generated frame.
        color: (H, W, 3) float 0..1, the rendered one.
        well: (H, W) bool, where the colour was seen well.
    """
    unclipped = ((result > CLIPPED) & (result < 1 - CLIPPED)).all(-1)
    well = erode(well[None], RIM)[0] & unclipped
    side = max(4, round(min(well.shape) / CELLS))
    both = torch.cat([result, color], -1).permute(2, 0, 1) * well
    planes = torch.cat([both, well[None].to(both)])[None]
    sums = F.avg_pool2d(planes, side, ceil_mode=True, count_include_pad=False)[0].flatten(1).double().cpu().numpy()
    share = sums[6]
    used = share >= ENOUGH
    means = sums[:6, used] / share[used]
    return Cells(means[:3].T, means[3:].T, share[used])


def fit_corrections(clip: list[Cells]) -> tuple[np.ndarray, float]:
    """The colour correction of every frame.

    Args:
        clip: the cells of each of T frames.

    Returns:
        (T, 4, 3): offset, then gains for red, green and blue around mid grey, to be added (``corrected``); zero where no
        frame tells anything. And by how much cells typically still differ, 0..1; NaN where there are none.
    """
    frames = len(clip)
    found = np.zeros((frames, 4, 3))
    if not sum(len(cells.share) for cells in clip):
        return found, float("nan")
    inputs = [_inputs(cells.result) for cells in clip]
    differences = [cells.color - cells.result for cells in clip]
    weights = [cells.share for cells in clip]
    # The first round takes frames by themselves around their median, so that gross errors do not pull it.
    sizes = [np.linalg.norm(d - np.median(d, axis=0), axis=1) if len(d) else np.zeros(0) for d in differences]
    for _ in range(ROUNDS):
        sigmas = [max(LEAST_SIGMA, float(np.median(size)) / TYPICAL) if len(size) else 1.0 for size in sizes]
        weights = [
            cells.share / (1 + (size / (OUTLIER * sigma)) ** 2) ** 2
            for cells, size, sigma in zip(clip, sizes, sigmas, strict=True)
        ]
        matrices = np.zeros((frames, 4, 4))
        sides = np.zeros((frames, 4, 3))
        for t in range(frames):
            heavy = (inputs[t] * weights[t][:, None]).T / (RELATED * sigmas[t] ** 2)
            matrices[t], sides[t] = heavy @ inputs[t], heavy @ differences[t]
        found = _over_time(matrices, sides)
        sizes = [np.linalg.norm(d - x @ found[t], axis=1) for t, (x, d) in enumerate(zip(inputs, differences))]
    left = float(np.median(np.concatenate(sizes))) / TYPICAL
    return np.clip(found, -LARGEST[:, None], LARGEST[:, None]), left


def corrected(result: Tensor, correction: np.ndarray) -> Tensor:
    """One frame (H, W, 3), float 0..1, with its correction (4, 3) added, cut to 0..1."""
    matrix = torch.from_numpy(correction).to(result)
    return (result + (result - MIDDLE) @ matrix[1:] + matrix[0]).clamp_(0, 1)


def _inputs(result: np.ndarray) -> np.ndarray:
    """(N, 4): what offset and gains are multiplied with."""
    return np.concatenate([np.ones((len(result), 1)), result - MIDDLE], axis=1)


def _over_time(matrices: np.ndarray, sides: np.ndarray) -> np.ndarray:
    """All frames' corrections at once: what each frame tells, small steps between neighbours, and near none on the whole.

    Args:
        matrices: (T, 4, 4) information of each frame.
        sides: (T, 4, 3) its right sides.

    Returns:
        (T, 4, 3), from a block tridiagonal system (Thomas' algorithm).
    """
    frames = len(matrices)
    step, usual = np.diag(1 / STEP**2), np.diag(1 / USUAL**2) / frames
    diagonal = matrices + usual
    diagonal[1:] += step
    diagonal[:-1] += step
    right = sides.copy()
    for t in range(1, frames):
        carried = np.linalg.solve(diagonal[t - 1], step).T  # the blocks beside the diagonal are -step
        diagonal[t] -= carried @ step
        right[t] += carried @ right[t - 1]
    found = np.empty_like(right)
    found[-1] = np.linalg.solve(diagonal[-1], right[-1])
    for t in range(frames - 2, -1, -1):
        found[t] = np.linalg.solve(diagonal[t], right[t] + step @ found[t + 1])
    return found
