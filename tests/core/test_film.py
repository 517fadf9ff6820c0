"""The small films that nodes show: which frames, which colours, what lies in the file."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ex4d_core.errors import Cancelled
from ex4d_core.preview import film


def decoded(path):
    """The file's frames (T, H, W, 3) uint8 and its rate."""
    import av

    with av.open(str(path)) as container:
        rate = float(container.streams.video[0].average_rate)
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]), rate


def ramp(frames, height=48, width=64):
    """Frame t is grey 8 t."""
    return (torch.arange(frames)[:, None, None, None] * 8 / 255).expand(frames, height, width, 3)


@pytest.mark.parametrize(("width", "height"), [(512, 512), (1920, 1080), (33, 17), (3, 4000), (1, 1)])
def test_films_have_even_sides_and_no_more_pixels_than_asked_for(width, height):
    across, down = film.film_size(width, height)
    assert across % 2 == down % 2 == 0 and min(across, down) >= 2
    assert across * down <= 1.02 * 256 * 256 and across <= width + 1 and down <= height + 1


def test_pictures_and_depth_come_in_the_size_asked_for():
    clip = ramp(2, 512, 512)
    for pixels in (128**2, 384**2):
        for shown in (film.small_frames(clip, pixels=pixels), film.colored_depth(clip[..., 0] + 1, pixels)):
            ((picture,), _) = shown
            assert 0.95 * pixels < picture.shape[0] * picture.shape[1] <= pixels


def test_a_file_shows_the_clip_in_order_at_its_rate(tmp_path):
    film.encode_film(tmp_path / "film", film.small_frames(ramp(10)), 12.5)
    frames, rate = decoded(tmp_path / "film")
    assert frames.shape == (10, 48, 64, 3) and rate == 12.5
    assert np.abs(frames.astype(int).mean((1, 2, 3)) - 8 * np.arange(10)).max() < 2


def test_bytes_and_floats_of_one_clip_are_one_film():
    floats, levels = film.small_frames(ramp(3)), film.small_frames((ramp(3) * 255).round().to(torch.uint8))
    for (one,), (other,) in zip(floats, levels, strict=True):
        np.testing.assert_array_equal(one, other)


def test_long_clips_are_thinned_from_the_first_to_the_last_frame():
    numbers = film.thinned(200, 25)
    assert len(numbers) == 25 and numbers[0] == 0 and numbers[-1] == 199 and np.ptp(np.diff(numbers)) <= 1
    assert list(film.thinned(3)) == [0, 1, 2]


def test_near_depth_is_warm_far_depth_cold_and_a_hole_black():
    depth = torch.full((1, 40, 40), 2.0)
    depth[:, :, 20:] = 50.0
    depth[:, :10] = 0.0
    ((picture,),) = film.colored_depth(depth)
    near, far = picture[30, 5].astype(int), picture[30, 35].astype(int)
    assert near[0] > near[2] and far[2] > far[0]
    assert (picture[2:8] == 0).all()


def test_clips_side_by_side_keep_their_places(tmp_path):
    dark, light = torch.zeros((4, 32, 40)), torch.ones((4, 32, 40))
    both = film.side_by_side(film.small_frames(dark), film.small_frames(light))
    film.encode_film(tmp_path / "film.mp4", both, 15)
    frames, _ = decoded(tmp_path / "film.mp4")
    assert frames.shape == (4, 32, 40 + film.GAP + 40, 3)
    assert frames[:, :, :40].max() < 8 and frames[:, :, 44:].min() > 247


def test_occluded_surfaces_are_pink():
    valid = torch.ones((31, 31, 2), dtype=torch.bool)
    valid[:, 20:] = False
    picture = film.occlusion_overlay(torch.full((32, 32, 3), 100, dtype=torch.uint8), valid)
    assert (picture[:, :15] == 100).all()
    assert (picture[:, 25:, 0] > 200).all() and (picture[:, 25:, 1] < 40).all()


def test_encoding_stops_when_it_is_cancelled(tmp_path):
    asked = []
    with pytest.raises(Cancelled):
        film.encode_film(
            tmp_path / "film.mp4", film.small_frames(ramp(20)), 15, cancel=lambda: len(asked) == 3 or asked.append(1)
        )
    assert len(asked) == 3
