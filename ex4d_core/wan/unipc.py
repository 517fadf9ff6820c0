"""UniPC for flow-matching models: the solver of second order that 4DNeX's published run uses, for any noise levels.

Source: UniPC (arXiv 2302.04867) with B(h) = e^h - 1, predicting the clean sample. With alpha = 1 - sigma and
l = ln(alpha / sigma), every step takes the network's clean sample m at the sample that the network has seen, first corrects
that sample with it, and then predicts the next one. The first and the last step are of order one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor

from ..errors import EX4DError

Denoiser = Callable[[Tensor, float], Tensor]
"""The clean sample that a model sees in a noisy one at a noise level."""
Observer = Callable[[int, Tensor, Tensor], None]
"""Called after each of the model's answers with the step's number, the sample it saw and the clean sample."""


class FlowUniPC:
    """One run over given noise levels; call ``corrected`` and then ``predicted`` for step 0, 1, ... in turn.

    Args:
        sigmas: noise levels, falling, from 1 at most; the last one is 0 or above.

    Raises:
        EX4DError: levels that do not fall, or lie outside of 0..1.
    """

    def __init__(self, sigmas: Sequence[float]) -> None:
        self.sigmas = [float(sigma) for sigma in sigmas]
        check_levels(self.sigmas)
        self.logs = [_log_ratio(sigma) for sigma in self.sigmas]
        self.steps = len(self.sigmas) - 1
        self._clean: list[Tensor] = []
        self._base: Tensor | None = None

    def order(self, step: int) -> int:
        """1 at the first and the last step, else 2."""
        return 1 if step in (0, self.steps - 1) else 2

    def corrected(self, step: int, sample: Tensor, clean: Tensor) -> Tensor:
        """The sample of step ``step``, computed again from the one before with what the network now says.

        Args:
            step: 0 .. steps - 1.
            sample: what the network has seen.
            clean: the clean sample that it sees in there.
        """
        if step > 0:
            sample = self._correct(step, clean)
        self._base = sample
        self._clean = [*self._clean[-1:], clean]
        return sample

    def predicted(self, step: int) -> Tensor:
        """The sample of step ``step`` + 1, of the shape of that which was corrected before."""
        assert self._base is not None
        here, there = self.sigmas[step], self.sigmas[step + 1]
        clean = self._clean[-1]
        if there == 0:
            return clean
        h = self.logs[step + 1] - self.logs[step]
        share = math.expm1(-h)
        moved = (there / here) * self._base - (1 - there) * share * clean
        if self.order(step) == 2:
            ratio = (self.logs[step - 1] - self.logs[step]) / h
            moved = moved - (1 - there) * share / 2 * ((self._clean[-2] - clean) / ratio)
        return moved

    def _correct(self, step: int, clean: Tensor) -> Tensor:
        """Step ``step`` - 1 -> ``step`` again, from its corrected base, with the clean sample at its end."""
        assert self._base is not None
        before, here = self.sigmas[step - 1], self.sigmas[step]
        known = self._clean[-1]
        h = self.logs[step] - self.logs[step - 1]
        share = math.expm1(-h)
        moved = (here / before) * self._base - (1 - here) * share * known
        if self.order(step - 1) == 1:
            return moved - (1 - here) * share / 2 * (clean - known)
        ratio = (self.logs[step - 2] - self.logs[step - 1]) / h
        older, newer = _weights(h, ratio)
        change = newer * (clean - known)
        if older:
            change = change + older * ((self._clean[-2] - known) / ratio)
        return moved - (1 - here) * share * change


def sample(denoise: Denoiser, noisy: Tensor, sigmas: Sequence[float], observe: Observer | None = None) -> Tensor:
    """A whole run.

    Args:
        denoise: the model.
        noisy: the sample to begin with; noise is not multiplied by the first level.
        sigmas: see ``FlowUniPC``.
        observe: called once a step.

    Returns:
        The sample at the last level.
    """
    run, x = FlowUniPC(sigmas), noisy
    for step in range(run.steps):
        clean = denoise(x, run.sigmas[step])
        if observe is not None:
            observe(step, x, clean)
        run.corrected(step, x, clean)
        x = run.predicted(step)
    return x


def check_levels(sigmas: Sequence[float]) -> None:
    """Refuse noise levels that do not fall within 1..0."""
    falls = all(high > low for high, low in pairwise(sigmas))
    if len(sigmas) < 2 or not falls or not 0 <= sigmas[-1] <= sigmas[0] <= 1:
        shown = ", ".join(f"{sigma:.4g}" for sigma in sigmas[:4]) + (", ..." if len(sigmas) > 4 else "")
        raise EX4DError(
            f"UniPC takes noise levels of a flow-matching model, which fall from 1 at most to 0; got {shown or 'none'}."
        )


def _log_ratio(sigma: float) -> float:
    """ln((1 - sigma) / sigma), infinite at both ends."""
    if sigma in (0, 1):
        return math.inf if sigma == 0 else -math.inf
    return math.log((1 - sigma) / sigma)


def _weights(h: float, ratio: float) -> tuple[float, float]:
    """Of the older and the newer difference in a corrector of order two: the solution of [[1, 1], [ratio, 1]] w = p."""
    share = math.expm1(-h)
    first = share / -h - 1
    second = first / -h - 0.5
    total, tilted = first / share, 2 * second / share
    if math.isinf(ratio):  # after a first level of 1
        return 0.0, total
    older = (tilted - total) / (ratio - 1)
    return older, total - older
