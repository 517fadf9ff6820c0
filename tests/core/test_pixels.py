"""Colours become bytes in one way everywhere, and integers whose range nothing tells are refused everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ex4d_core.errors import EX4DError
from ex4d_core.holes.draft_fill import draft_fill
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.pixels import PIECE, to_uint8, uint8_array
from ex4d_core.video import save_video
from ex4d_core.wan.clip import prepare_clip

OTHER_INTEGERS = [torch.int8, torch.int16, torch.int32, torch.int64]


def test_every_byte_comes_back_and_halves_are_rounded_up():
    levels = torch.arange(256, dtype=torch.uint8)
    for dtype in (torch.float32, torch.float64):
        assert torch.equal(to_uint8(levels.to(dtype) / 255), levels)
    assert to_uint8(torch.tensor([-1.0, 0.5 / 255, 1.49 / 255, 2.0])).tolist() == [0, 1, 1, 255]
    assert to_uint8(torch.tensor([True, False])).tolist() == [255, 0]


def test_long_clips_are_rounded_like_single_values():
    values = torch.rand(3, PIECE // 2 + 7)
    assert torch.equal(to_uint8(values), (values * 255 + 0.5).clamp(0, 255).to(torch.uint8))


def test_numpy_and_torch_give_the_same_bytes():
    picture = np.random.default_rng(0).random((9, 7, 3)) * 1.4 - 0.2
    expected = to_uint8(torch.from_numpy(picture)).numpy()
    swapped, readonly = picture.astype(">f4"), np.broadcast_to(picture, picture.shape)
    for given in (picture, swapped, readonly, picture.astype(np.longdouble), torch.from_numpy(picture)):
        assert np.array_equal(uint8_array(given), expected)
    assert uint8_array(picture > 0.5).max() == 255
    assert np.array_equal(uint8_array(expected[:, ::-1]), expected[:, ::-1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_numbers_are_refused(bad):
    with pytest.raises(EX4DError, match="NaN"):
        uint8_array(np.array([[0.5, bad]]))


@pytest.mark.parametrize("dtype", OTHER_INTEGERS, ids=str)
def test_other_integers_are_refused_and_not_turned_white(tmp_path, dtype):
    color = torch.full((5, 16, 16, 3), 60).to(dtype)
    seen = torch.ones(5, 16, 16)
    depth = torch.linspace(2, 8, 16)[:, None].expand(5, 16, 16)
    name = str(dtype).removeprefix("torch.")
    for work in (
        lambda: to_uint8(color),
        lambda: uint8_array(color),
        lambda: uint8_array(color.numpy()),
        lambda: prepare_clip(color, seen),
        lambda: prepare_clip(color.to(torch.uint8), seen.to(dtype)),
        lambda: build_dw_mesh(color, depth),
        lambda: draft_fill(color, seen),
        lambda: draft_fill(color.to(torch.uint8), seen.to(dtype)),
        lambda: save_video(tmp_path / "a.mp4", color, 15),
    ):
        with pytest.raises(EX4DError, match=f"uint8.*{name}"):
            work()


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.complex64])
def test_numbers_that_torch_may_not_know_are_refused_in_a_sentence(dtype):
    with pytest.raises(EX4DError, match=f"got {np.dtype(dtype)}"):
        uint8_array(np.ones((4, 4, 3), dtype))
