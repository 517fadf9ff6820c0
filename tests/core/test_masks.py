"""Erosion and dilation against OpenCV and the recorded preprocessing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.errors import EX4DError
from ex4d_core.holes.masks import dilate, erode, random_kernels


@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    side=st.integers(1, 30),
    dtype=st.sampled_from([torch.uint8, torch.float32]),
    seed=st.integers(0, 999),
)
@settings(max_examples=80, deadline=None)
def test_equals_opencv(height: int, width: int, side: int, dtype: torch.dtype, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    mask = torch.randint(0, 256, (2, height, width), generator=generator).to(dtype)
    box = np.ones((side, side), np.uint8)
    for ours, theirs in ((erode, cv2.erode), (dilate, cv2.dilate)):
        result = ours(mask, side)
        assert result.dtype == dtype
        for frame, expected in zip(result, mask, strict=True):
            np.testing.assert_array_equal(frame.numpy(), theirs(expected.numpy(), box).reshape(height, width))


def test_booleans_and_one_kernel_per_frame() -> None:
    mask = torch.rand(3, 9, 9) > 0.1
    result = erode(mask, (1, 2, 3))
    assert result.dtype == torch.bool
    for t, side in enumerate((1, 2, 3)):
        assert torch.equal(result[t], erode(mask[t : t + 1], side)[0])
    # Holes grow where what is seen shrinks; the box of an odd side is symmetric.
    assert torch.equal(erode(mask, 3), ~dilate(~mask, 3))


def test_recorded_preprocessing_masks(reference) -> None:
    tensors = pytest.importorskip("safetensors.torch").load_file(reference / "adapter/preprocess_golden.safetensors")
    for frame in (0, 12, 24, 48):
        raw, bits = tensors[f"mask_raw_u8_f{frame}"][None], tensors[f"mask_bits_f{frame}"]
        assert torch.equal(raw[0] >= 128, (bits & 128) > 0)
        for side in range(2, 9):
            assert torch.equal(erode(raw, side)[0] >= 128, (bits >> (side - 2) & 1) > 0), (frame, side)


def test_random_kernels_are_seeded_and_cover_the_range() -> None:
    kernels = random_kernels(500, seed=3)
    assert kernels == random_kernels(500, seed=3) != random_kernels(500, seed=4)
    assert set(kernels) == set(range(2, 9))


@pytest.mark.parametrize(
    ("mask", "kernel", "says"),
    [
        (torch.ones(4, 4), 3, "shape"),
        (torch.ones(2, 4, 4), 0, "at least 1"),
        (torch.ones(2, 4, 4), (2, 3, 4), "3 kernel sides for 2"),
    ],
)
def test_bad_input(mask: torch.Tensor, kernel, says: str) -> None:
    with pytest.raises(EX4DError, match=says):
        erode(mask, kernel)
