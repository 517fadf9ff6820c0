"""Depth pictures and the geometry of point-map networks, as depth of a clip."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ex4d_core.depth import DepthClip, depth_from_disparity
from ex4d_core.depth.pictures import PICTURE_KINDS, clip_from_geometry, clip_from_pictures, path_from_geometry
from ex4d_core.errors import EX4DError


def grey(*levels, height=4, width=6):
    """Pictures of two halves: the left at 0, frame t's right half at its level."""
    values = torch.zeros((len(levels), height, width))
    for t, level in enumerate(levels):
        values[t, :, width // 2 :] = level
    return values[..., None].expand(-1, -1, -1, 3)


def test_disparity_pictures_get_the_published_range_and_remember_their_own():
    clip = clip_from_pictures(grey(0.5, 0.8), "disparity", near=7.0, far=8.0)
    assert clip.depth.min() == pytest.approx(10000 / 3900) and clip.depth.max() == 10000
    assert clip.disparity_range == (0.0, pytest.approx(0.8)) and clip.border_depth == 100 and clip.intrinsics is None


def test_inverse_pictures_span_near_to_far_over_the_clip():
    clip = clip_from_pictures(grey(0.5, 0.8), "inverse", near=2.0, far=50.0)
    assert clip.depth[1, 0, 5] == pytest.approx(2.0) and clip.depth[0, 0, 0] == pytest.approx(50.0)
    assert clip.depth[0, 0, 5] == pytest.approx(1 / (1 / 50 + 0.5 / 0.8 * (1 / 2 - 1 / 50)), rel=1e-5)


def test_metric_pictures_keep_their_unit_or_get_near():
    assert clip_from_pictures(grey(0.5) + 0.25, "metric", far=0.6).depth.unique().tolist() == pytest.approx([0.25, 0.6])
    scaled = clip_from_pictures(grey(0.5) + 0.25, "metric", near=3.0)
    assert scaled.depth.unique().tolist() == pytest.approx([3.0, 9.0])


@pytest.mark.parametrize("kind", PICTURE_KINDS)
def test_what_holds_no_depth_is_refused(kind):
    with pytest.raises(EX4DError, match="empty clip"):
        clip_from_pictures(torch.zeros((0, 4, 4, 3)), kind, near=1.0)
    with pytest.raises(EX4DError, match="coloured"):
        clip_from_pictures(grey(0.5) * torch.tensor([1.0, 0.5, 0.2]), kind, near=1.0)
    with pytest.raises(EX4DError, match="NaN"):
        clip_from_pictures(torch.full((2, 4, 4, 3), float("nan")), kind, near=1.0)


def test_a_colour_map_on_some_channels_of_one_late_frame_is_found():
    pictures = grey(*[0.5] * 24).clone()
    pictures[12, :, :, 2] += 0.1
    with pytest.raises(EX4DError, match="coloured"):
        clip_from_pictures(pictures, "disparity")
    nearly = grey(0.5) + torch.tensor([0.0, 0.01, 0.015])
    assert len(clip_from_pictures(nearly, "disparity")) == 1, "compression colours grey a little"


def test_inverse_depth_without_near_and_unknown_kinds_are_refused():
    with pytest.raises(EX4DError, match=r"near must be above 0.*2\.564"):
        clip_from_pictures(grey(0.5), "inverse")
    with pytest.raises(EX4DError, match="disparity, inverse, metric"):
        clip_from_pictures(grey(0.5), "distance")


def geometry(**values):
    depth = torch.linspace(2, 8, 24).reshape(2, 3, 4)
    return {"depth": depth} | values


def test_moge_gives_depth_lens_and_sky():
    mask = torch.ones((2, 3, 4), dtype=torch.bool)
    mask[:, 0] = False
    lens = torch.tensor([[0.75, 0.0, 0.5], [0.0, 1.25, 0.5], [0.0, 0.0, 1.0]]).repeat(2, 1, 1)
    clip = clip_from_geometry(geometry(mask=mask, intrinsics=lens), far=20.0)
    assert (clip.depth[:, 0] == 20).all() and torch.equal(clip.depth[:, 1:], geometry()["depth"][:, 1:])
    assert (clip.intrinsics.fx, clip.intrinsics.fy) == pytest.approx((3.0, 3.75))
    assert (clip.intrinsics.cx, clip.intrinsics.cy, clip.intrinsics.width, clip.intrinsics.height) == (2, 1.5, 4, 3)


def test_depth_anything_gives_batched_depth_sky_and_a_lens_in_pixels_of_another_size():
    depth = geometry()["depth"][None]
    sky = torch.zeros_like(depth)
    sky[..., 0] = 0.9
    lens = torch.tensor([[400.0, 0.0, 252.0], [0.0, 420.0, 189.0], [0.0, 0.0, 1.0]]).repeat(1, 2, 1, 1)
    clip = clip_from_geometry({"depth": depth, "sky": sky, "intrinsics": lens}, near=1.0, far=100.0)
    assert (clip.depth[..., 0] == 100).all() and clip.depth.shape == (2, 3, 4)
    assert clip.depth.min() == pytest.approx(1.0), "one factor for the clip, from what is not sky"
    assert clip.intrinsics.fx == pytest.approx(400 * 4 / 504) and clip.intrinsics.fy == pytest.approx(420 * 3 / 378)


def test_infinite_and_missing_samples_of_geometry_are_sky():
    depth = geometry()["depth"].clone()
    depth[0, 0, 0], depth[1, 2, 3] = float("inf"), float("nan")
    clip = clip_from_geometry({"depth": depth}, far=9.0)
    assert clip.depth[0, 0, 0] == clip.depth[1, 2, 3] == 9 and clip.intrinsics is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, 2], "no depth"),
        ({"points": torch.zeros(3)}, "no depth"),
        (geometry(mask=torch.ones((2, 6, 2))), r"mask has the shape \(2, 6, 2\)"),
        (geometry(sky=torch.ones((1, 3, 4))), "sky has the shape"),
        ({"depth": torch.full((1, 3, 4), float("nan"))}, "no positive finite sample"),
    ],
)
def test_geometry_that_is_none_is_refused(value, words):
    with pytest.raises(EX4DError, match=words):
        clip_from_geometry(value)


def test_from_disparity_is_the_conversion_and_the_range():
    disparity = torch.from_numpy(np.random.default_rng(0).uniform(-3, 5, (2, 5, 7)).astype(np.float32))
    clip = DepthClip.from_disparity(disparity)
    assert torch.equal(clip.depth, depth_from_disparity(disparity))
    assert clip.disparity_range == (float(disparity.min()), float(disparity.max()))
    with pytest.raises(EX4DError, match="everywhere"):
        DepthClip.from_disparity(torch.ones((1, 3, 3)))


def test_the_cameras_of_depth_anything_are_a_path_with_its_lenses():
    poses = torch.eye(4).repeat(1, 3, 1, 1)
    poses[0, :, 0, 3] = torch.tensor([0.0, 0.5, 1.0])
    lens = torch.tensor([[400.0, 0.0, 252.0], [0.0, 420.0, 189.0], [0.0, 0.0, 1.0]]).repeat(1, 3, 1, 1)
    depth = torch.full((1, 3, 6, 8), 2.0)
    path = path_from_geometry({"depth": depth, "extrinsics": poses[..., :3, :], "intrinsics": lens})
    assert np.allclose(path.world_to_camera, poses[0].numpy())
    assert [k.fx for k in path.intrinsics] == [pytest.approx(400 * 8 / 504)] * 3
    assert path_from_geometry({"depth": depth, "extrinsics": poses}).intrinsics is None


@pytest.mark.parametrize("value", [None, {"depth": torch.ones(1, 2, 4, 4)}, {"extrinsics": torch.eye(4)[None, None]}])
def test_geometry_without_cameras_is_refused(value):
    with pytest.raises(EX4DError, match="holds no cameras"):
        path_from_geometry(value)
