"""Depth conversions, checks and edge-keeping resizing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.camera import Intrinsics
from ex4d_core.depth import (
    DepthClip,
    check_depth,
    depth_from_disparity,
    depth_from_inverse,
    depth_from_metric,
    resize_depth,
)
from ex4d_core.errors import EX4DError


def _ramp(frames: int = 2, height: int = 4, width: int = 5) -> torch.Tensor:
    return torch.linspace(3, 9, frames * height * width).reshape(frames, height, width)


def test_disparity_follows_the_published_formula() -> None:
    disparity = torch.tensor([[[0.0, 1e-4, 0.25, 0.5, 1.0]]])
    expected = np.clip(10000 / np.maximum(3900 * disparity.numpy(), 1e-5), 1e-4, 1e4)
    np.testing.assert_allclose(depth_from_disparity(disparity).numpy(), expected, rtol=1e-6)


@given(scale=st.floats(1e-3, 1e4), shift=st.floats(-1e3, 1e3))
@settings(max_examples=20, deadline=None)
def test_disparity_may_have_any_affine_scale(scale: float, shift: float) -> None:
    # Steps of 1/16 survive float32 whatever the shift of this size.
    disparity = torch.arange(17, dtype=torch.float64).reshape(1, 1, 17) / 16
    moved = (disparity * max(scale, 1.0) + shift).float()
    torch.testing.assert_close(depth_from_disparity(moved), depth_from_disparity(disparity), rtol=0.02, atol=0.5)


def test_disparity_is_normalised_over_the_clip_not_per_frame() -> None:
    disparity = torch.stack([torch.full((2, 2), 1.0), torch.full((2, 2), 3.0), torch.full((2, 2), 2.0)])
    depth = depth_from_disparity(disparity)
    assert depth[0, 0, 0] == 1e4
    torch.testing.assert_close(depth[1:, 0, 0], torch.tensor([10000 / 3900, 20000 / 3900]))


def test_disparity_may_be_written_over() -> None:
    disparity = torch.rand(3, 4, 5)
    expected = depth_from_disparity(disparity)
    assert depth_from_disparity(disparity, in_place=True) is disparity and torch.equal(disparity, expected)


def test_inverse_depth_spans_near_to_far() -> None:
    depth = depth_from_inverse(torch.tensor([[[0.0, 0.5, 1.0]]]), near=2.0, far=50.0)
    torch.testing.assert_close(depth, torch.tensor([[[50.0, 1 / (0.5 / 2 + 0.5 / 50), 2.0]]]))


def test_metric_depth_is_scaled_as_a_whole_and_its_sky_filled() -> None:
    depth = depth_from_metric(torch.tensor([[[1.0, 4.0, 30.0, float("inf"), 0.0]]]), near=2.0, far=50.0)
    torch.testing.assert_close(depth, torch.tensor([[[2.0, 8.0, 50.0, 50.0, 50.0]]]))
    torch.testing.assert_close(depth_from_metric(_ramp()), _ramp())


@pytest.mark.parametrize("convert", [depth_from_disparity, depth_from_inverse, depth_from_metric, check_depth])
@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (torch.full((2, 3, 4), 5.0), "everywhere"),
        (_ramp().index_fill(2, torch.tensor(1), float("nan")), "NaN"),
        (torch.ones(3, 4), r"shape \(frames, height, width\), got \(3, 4\)"),
        (torch.ones(0, 3, 4), "shape"),
    ],
)
def test_bad_clips_are_refused(convert, bad: torch.Tensor, says: str) -> None:
    with pytest.raises(EX4DError, match=says):
        convert(bad)


@pytest.mark.parametrize(
    ("depth", "expected", "says"),
    [
        (_ramp().clamp(max=8).where(_ramp() < 8, torch.inf), {}, "infinite"),
        (_ramp() - 3, {}, "must be positive"),
        (_ramp(), {"frames": 3}, "2 frames and the video 3"),
        (_ramp(), {"height": 4, "width": 6}, "5x4 and the video 6x4"),
    ],
)
def test_check_depth_says_what_to_do(depth: torch.Tensor, expected: dict, says: str) -> None:
    with pytest.raises(EX4DError, match=says):
        check_depth(depth, **expected)


def test_inverse_range_is_checked() -> None:
    with pytest.raises(EX4DError, match="0 < near < far"):
        depth_from_inverse(_ramp(), near=5, far=2)


def test_depth_clip_checks_its_intrinsics_and_resizes_them() -> None:
    clip = DepthClip(_ramp(2, 4, 8), Intrinsics.default(8, 4))
    small = clip.resized(2, 4)
    assert small.depth.shape == (2, 2, 4)
    assert small.intrinsics == Intrinsics.default(4, 2)
    with pytest.raises(EX4DError, match="4x2"):
        DepthClip(_ramp(2, 4, 8), Intrinsics.default(4, 2))


@given(
    size=st.tuples(st.integers(3, 40), st.integers(3, 40)),
    new=st.tuples(st.integers(1, 70), st.integers(1, 70)),
    seed=st.integers(0, 999),
)
@settings(max_examples=60, deadline=None)
def test_resizing_makes_no_value_between_foreground_and_background(size, new, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    front = torch.rand(size, generator=generator) < 0.4
    front[0, 0], front[-1, -1] = True, False
    depth = torch.where(front, 3.0, 40.0)[None]
    resized = resize_depth(depth, *new)
    assert resized.shape == (1, *new)
    near_either = (resized - 3).abs().minimum((resized - 40).abs())
    assert near_either.max() < 1e-4


@pytest.mark.parametrize("new", [(30, 44), (64, 96), (150, 211)])
def test_a_plane_is_resized_exactly_and_a_curved_surface_smoothly(new: tuple[int, int]) -> None:
    def sampled(function, height: int, width: int) -> torch.Tensor:
        v = ((torch.arange(height) + 0.5) / height - 0.5)[:, None]
        u = ((torch.arange(width) + 0.5) / width - 0.5)[None, :]
        return function(u, v).expand(1, height, width)

    def inner(clip: torch.Tensor) -> torch.Tensor:
        # Outermost output pixels may lie outside the input's samples, where the border is repeated.
        rim = [max(2, -(-n // 30)) for n in new]
        return clip[:, rim[0] : -rim[0], rim[1] : -rim[1]]

    def ground(u, v):
        return 1 / (0.1 + 0.12 * v + 0.05 * u)

    def ball(u, v):
        return 4 - torch.sqrt(1.5 - u**2 - v**2)

    resized = inner(resize_depth(sampled(ground, 60, 88), *new))
    torch.testing.assert_close(resized, inner(sampled(ground, *new)), rtol=1e-5, atol=1e-5)
    resized = inner(resize_depth(sampled(ball, 60, 88), *new))
    torch.testing.assert_close(resized, inner(sampled(ball, *new)), rtol=2e-5, atol=2e-5)


def test_an_edge_between_slanted_surfaces_stays_a_step() -> None:
    v = ((torch.arange(48) + 0.5) / 48 - 0.5)[:, None]
    u = ((torch.arange(48) + 0.5) / 48 - 0.5)[None, :]
    front, back = 1 / (0.3 + 0.05 * v + 0 * u), 1 / (0.05 + 0.03 * v + 0.02 * u)
    resized = resize_depth(torch.where(u < 0, front, back)[None], 96, 96)[0]
    assert ((resized < 4.1) | (resized > 12)).all()
    assert (resized[:, :48] < 4.1).all() and (resized[:, 48:] > 12).all()


@pytest.mark.parametrize("size", [80, 320])
def test_a_real_scene_is_as_smooth_as_bilinear_and_as_sharp_as_nearest(size: int) -> None:
    from ex4d_core.demo_scene import DemoScene

    truth = DemoScene(160, 160, 7).frame(1)[1]
    depth = DemoScene(size, size, 7).frame(1)[1][None]

    def errors(resized: torch.Tensor) -> tuple[float, float]:
        error = (resized / truth - 1).abs()
        return float(error.median()), float((error > 0.02).float().mean())

    interpolate = torch.nn.functional.interpolate
    median, edges = errors(resize_depth(depth, 160, 160)[0])
    bilinear_median, bilinear_edges = errors(1 / interpolate(1 / depth[None], (160, 160), mode="bilinear")[0, 0])
    nearest_median, nearest_edges = errors(interpolate(depth[None], (160, 160), mode="nearest-exact")[0, 0])
    assert median < 2 * bilinear_median and median < 0.05 * nearest_median
    assert edges < 0.6 * bilinear_edges and edges < 1.1 * nearest_edges


def test_depth_from_disparity_knows_its_back_plate():
    cropped = 20 + _ramp(2, 4, 8)
    assert DepthClip(cropped).border_depth == pytest.approx(1.05 * float(cropped.max()))
    assert DepthClip(cropped, disparity_range=(0.1, 4.0)).resized(8, 16).border_depth == 100.0


@pytest.mark.parametrize("unit", [0.01, 1, 100, 1000])
def test_no_unit_of_metric_depth_is_cut_off_by_its_back_plate(unit):
    """Depth of 3..500 begins like published depth, so the guess from the numbers put the plate at 100."""
    clip = DepthClip(torch.linspace(3, 500, 64).reshape(1, 8, 8) * unit)
    assert clip.border_depth == pytest.approx(525 * unit) and clip.share_beyond(clip.border_depth) == 0
    assert clip.share_beyond(100 * unit) == pytest.approx(51 / 64)


@pytest.mark.parametrize(("nearest", "farthest"), [(2.6, 60.0), (2.564, 100.0), (2.5642, 10000.0), (4.0, 9999.0)])
def test_depth_like_the_published_keeps_the_published_plate(nearest, farthest):
    """The demo scene, pictures spread over EX-4D's range, and depth files written by its conversion."""
    assert DepthClip(torch.linspace(nearest, farthest, 64).reshape(1, 8, 8)).border_depth == 100
