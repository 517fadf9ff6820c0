"""Every random number of a sample, from the run's seed and the sample's number alone.

So a run that is taken up again, or spread over another number of GPUs, sees the same numbers, and no state of a
generator has to be saved.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

Purpose = Literal["clip", "variant", "mask", "crop", "noise", "timestep", "caption", "validation", "points"]
"""What a stream is for. New ones go last: a stream's numbers depend on its place in this list."""
PURPOSES: tuple[Purpose, ...] = get_args(Purpose)
_WORD = 2**64


def stream(seed: int, sample: int, purpose: Purpose) -> np.random.Generator:
    """An independent stream of numbers: Philox, a counter generator, keyed by seed and sample.

    Args:
        seed: of the run.
        sample: its number in the run, counted over all ranks, >= 0.
        purpose: streams of different purposes are independent of one another.
    """
    key = np.array([seed % _WORD, sample % _WORD], dtype=np.uint64)
    counter = np.array([0, 0, 0, PURPOSES.index(purpose)], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))
