"""Erosion and dilation against OpenCV and the recorded preprocessing."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.errors import EX4DError
from ex4d_core.holes.masks import dilate, erode, feather, grow_holes, random_kernels


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


def test_grown_holes_take_whole_pixels_and_the_holes_colour() -> None:
    mask = torch.ones(2, 9, 9, dtype=torch.uint8) * 255
    mask[0, 4, 4] = 0
    color = torch.full((2, 9, 9, 3), 90, dtype=torch.uint8)
    color[0, 4, 4] = torch.tensor([255, 0, 255], dtype=torch.uint8)
    grown = grow_holes(color, mask, 2, "magenta")
    assert torch.equal(grown, erode(mask, 5)) and int((grown == 0).sum()) == 25
    assert (color[grown == 0] == torch.tensor([255, 0, 255])).all() and (color[grown == 255] == 90).all()
    assert grow_holes(color, mask, 0) is mask


@pytest.mark.parametrize("pixels", [0, 1, 3, 8])
def test_feather_is_the_distance_to_the_next_hole(pixels: int) -> None:
    mask = (torch.rand(1, 30, 40, generator=torch.Generator().manual_seed(pixels)) > 0.01).float()
    ramp = feather(mask, pixels)
    # The chessboard distance, by trying every hole.
    y, x = torch.meshgrid(torch.arange(30), torch.arange(40), indexing="ij")
    holes = (mask[0] == 0).nonzero()
    away = torch.stack([torch.maximum((y - hole[0]).abs(), (x - hole[1]).abs()) for hole in holes]).amin(0)
    assert torch.allclose(ramp[0], (away / (pixels + 1)).clamp(max=1))
    assert torch.equal(ramp == 0, mask == 0)
    as_bytes = feather((mask * 255).to(torch.uint8), pixels)
    assert (as_bytes.float() - ramp * 255).abs().max() <= 0.5


@pytest.mark.parametrize("pixels", [-1, 65, 1.5])
def test_refuses_other_numbers_of_pixels(pixels: float) -> None:
    mask = torch.ones(1, 4, 4)
    with pytest.raises(EX4DError, match="0 to 64 whole pixels"):
        feather(mask, pixels)
    with pytest.raises(EX4DError, match="0 to 64 whole pixels"):
        grow_holes(torch.ones(1, 4, 4, 3), mask, pixels)
