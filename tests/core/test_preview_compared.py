"""What Compare Videos shows: numbers over the frames, differences in colours, wipes; and the file of the editor's memory."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import torch

from ex4d_core.mesh import build_dw_mesh
from ex4d_core.preview import memory_file
from ex4d_core.preview.comparison import FULL_SCALE, LINE, compare_film, error_map, error_palette, wiped
from ex4d_core.preview.curve_picture import BACKGROUND, BOTTOM, COLORS, LEFT, RIGHT, SIZE, TOP, draw_curves

WIDTH, HEIGHT = SIZE
WHITE, BLUE = COLORS[:2]


def lit(picture: np.ndarray, color: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns inside the plot that have a colour."""
    plot = picture[:, : WIDTH - RIGHT + 3]
    return np.nonzero((plot == color).all(-1))


def test_a_curve_goes_through_its_numbers():
    rows, columns = lit(draw_curves({"a": [0.0, 1.0, 2.0]}, "dB"), WHITE)
    assert (columns.min(), columns.max()) == pytest.approx((LEFT, WIDTH - RIGHT), abs=2)
    assert (rows.min(), rows.max()) == pytest.approx((TOP, HEIGHT - BOTTOM), abs=2)
    middle = rows[np.abs(columns - (LEFT + WIDTH - RIGHT) / 2) < 1]
    assert middle.mean() == pytest.approx((TOP + HEIGHT - BOTTOM) / 2, abs=2)


def test_what_is_no_number_leaves_a_gap_and_what_stands_alone_is_a_dot():
    whole = draw_curves({"a": [0.0] * 9, "b": [1.0] * 9}, "dB")
    gap = draw_curves({"a": [0.0] * 9, "b": [1.0, 1.0, 1.0, np.nan, 1.0, np.inf, 1.0, 1.0, 1.0]}, "dB")
    step = (WIDTH - LEFT - RIGHT) / 8
    assert np.abs(np.diff(np.unique(lit(whole, BLUE)[1]))).max() == 1
    columns = np.unique(lit(gap, BLUE)[1])
    assert not ((columns > LEFT + 2.2 * step) & (columns < LEFT + 3.8 * step)).any()
    dot = columns[(columns > LEFT + 3.5 * step) & (columns < LEFT + 4.5 * step)]
    assert 3 <= len(dot) <= 6 and dot.mean() == pytest.approx(LEFT + 4 * step, abs=1)


@pytest.mark.parametrize("curves", [{}, {"a": []}, {"a": [np.nan, np.inf]}], ids=["none", "empty", "no numbers"])
def test_without_a_number_the_title_says_so(curves):
    picture = draw_curves(curves, "error")
    told = (picture[:TOP] != BACKGROUND).any(-1)
    assert told.sum() > (draw_curves({"a": [1.0]}, "error")[:TOP] != BACKGROUND).any(-1).sum()
    assert not len(lit(picture, WHITE)[0])


def test_error_maps_grow_lighter_with_the_difference_and_end_at_the_full_scale():
    lightness = error_palette().astype(int) @ [299, 587, 114]
    assert (np.diff(lightness) >= 0).all() and len(error_palette()) == 256
    black = np.zeros((1, 3, 3), np.uint8)
    other = np.array([[[0, 0, 0], [FULL_SCALE / 2] * 3, [255] * 3]], np.uint8)
    expected = error_palette()[[0, 128, 255]]
    np.testing.assert_array_equal(error_map(black, other)[0], expected)
    np.testing.assert_array_equal(error_map(other, black)[0], expected)


def test_a_wipe_shows_one_clip_left_of_its_line_and_the_other_right_of_it():
    a, b = np.full((4, 10, 3), 10, np.uint8), np.full((4, 10, 3), 200, np.uint8)
    picture = wiped(a, b, 0.4)
    assert (picture[:, :3] == 10).all() and (picture[:, 5:] == 200).all() and (picture[:, 3:5] == LINE).all()


@pytest.mark.parametrize("view", ["side by side", "error map", "wipe"])
def test_films_of_two_clips_hold_what_they_say(view):
    a = torch.zeros(3, 8, 12, 3)
    b = torch.full((3, 8, 12, 3), 1.0)
    shown = [compare_film(view, a, b).make(number) for number in range(3)]
    if view == "wipe":
        shares = [(pictures[0] == 0).all(-1).mean() for pictures in shown]
        assert len(shown[0]) == 1 and shares[0] < 0.2 and shares[1] > 0.7 and shares[2] < 0.2
        return
    first, second = shown[0]
    assert (second == 255).all()
    assert (first == (0 if view == "side by side" else error_palette()[-1])).all()


def test_a_memory_is_written_once_for_each_choice_and_says_what_it_holds(tmp_path):
    picture = torch.randint(0, 255, (1, 24, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    rgb = picture.repeat(3, 1, 1, 1)
    depth = torch.full((3, 24, 32), 3.0)
    depth[:, 8:16, 10:20] = 2.0
    mesh = build_dw_mesh(rgb, depth, style="paper")
    name = memory_file.save_memory(mesh, tmp_path, frames=2)
    written = (tmp_path / name).stat().st_mtime_ns
    assert memory_file.save_memory(mesh, tmp_path, frames=2) == name
    assert (tmp_path / name).stat().st_mtime_ns == written
    assert memory_file.save_memory(mesh, tmp_path, frames=3) != name
    data = (tmp_path / name).read_bytes()
    assert data[:8] == memory_file.MEMORY_MAGIC
    (length,) = struct.unpack_from("<I", data, 8)
    header = json.loads(data[12 : 12 + length])
    assert len(header["quads"]) == len(header["frames"]) >= 1 and len(header["solids"]) == 3
    body = sum(header["quads"]) + sum(sum(parts) for parts in header["solids"])
    assert len(data) == 12 + length + body
