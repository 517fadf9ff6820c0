"""Time along a path: which frame of the clip each frame shows, in the document, the renderer and parts of a path."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ex4d_core.errors import EX4DError
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.render import render_color_mask, source_along
from ex4d_core.trajectory import (
    Trajectory,
    bake_document,
    frames_for,
    laid_on,
    parse_document,
    preset_document,
    resample_document,
    source_frames,
    source_times,
    summarize,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "trajectory.json").read_text("utf-8"))
TIMED = [case for case in GOLDEN["cases"] if case["shown"]]


def key(frame, time=None, x=0.0):
    timed = {} if time is None else {"time": time}
    return {"frame": frame, "position": [x, 0, 0], "target": [x, 0, 3], **timed}


def document(*keys, frames, **more):
    return {"version": 1, "frames": frames, "keyframes": list(keys), **more}


def path(*keys, frames, **more):
    return Trajectory.from_json(document(*keys, frames=frames, **more))


def counted(frames, size=16):
    """A clip whose every frame is of its own grey, before a flat wall."""
    grey = torch.arange(frames, dtype=torch.uint8)[:, None, None, None] * 10
    depth = torch.full((frames, size, size), 3.0) + torch.linspace(0, 0.1, size)
    return build_dw_mesh(grey.expand(frames, size, size, 3).contiguous(), depth)


def greys(color):
    middle = color.shape[1] // 2
    return [round(float(frame[middle, middle, 0])) // 10 for frame in color]


@pytest.mark.parametrize("case", TIMED, ids=lambda case: case["name"])
def test_shows_the_frames_that_are_recorded(case):
    for count, frames in case["shown"].items():
        assert source_frames(parse_document(case["document"]), int(count)).tolist() == frames


def test_time_goes_evenly_between_keys_and_from_end_to_end_of_the_clip():
    held = parse_document(document(key(2, 4), key(4), key(6, 4), frames=10))
    np.testing.assert_allclose(source_times(held, 11), [0, 2, 4, 4, 4, 4, 4, 6, 8, 10])
    back = parse_document(document(key(0, 8), key(9, 0.5), frames=10))
    np.testing.assert_allclose(source_times(back, 9), np.linspace(8, 0.5, 10))
    assert source_frames(back, 9)[-1] == 1, "halves are rounded up"


def test_without_times_nothing_changes():
    plain = path(key(0), key(4), frames=5)
    assert source_times(plain.path, 5) is None and not plain.bends_time
    assert plain.shown_frames(5) == [0, 1, 2, 3, 4] and plain.shown_frames(1) == [0] * 5
    with pytest.raises(EX4DError, match="mesh has 4 frames, the camera path 5"):
        plain.shown_frames(4)
    assert "time" not in json.loads(plain.to_json())["keyframes"][0]


def test_the_renderer_shows_the_frames_that_the_path_says():
    mesh = counted(6)
    frozen = path(key(0, 0), key(3, 3), key(7, 3), key(9, 5), frames=10)
    color, mask, _ = render_color_mask(mesh, frozen, out_dtype="uint8")
    assert greys(color) == [0, 1, 2, 3, 3, 3, 3, 3, 4, 5] and len(mask) == 10
    short = path(key(0, 5), key(2, 1), frames=3)
    assert greys(render_color_mask(mesh, short, out_dtype="uint8")[0]) == [5, 3, 1]


def test_the_first_frame_that_is_kept_is_the_one_shown_there():
    mesh = counted(6)
    color, mask, _ = render_color_mask(mesh, path(key(0, 4), key(2, 0), frames=3), out_dtype="uint8")
    assert torch.equal(color[0], mesh.rgb[4]) and mask[0].min() == 255


def test_one_frame_serves_every_time():
    mesh = counted(6).part([2])
    color, _, _ = render_color_mask(mesh, path(key(0, 0), key(4, 5), frames=5), out_dtype="uint8")
    assert greys(color) == [2] * 5


def test_times_beyond_the_clip_are_refused_with_the_keyframe():
    late = path(key(0, 0), key(4, 7.5), frames=5)
    with pytest.raises(EX4DError, match=r"Keyframe 1 \(frame 4\) shows frame 7.5 of the clip, which ends at 5"):
        render_color_mask(counted(6), late)
    lost = Trajectory(np.tile(np.eye(4), (2, 1, 1)), shown=(0, 9))
    with pytest.raises(EX4DError, match="frames 0 to 9 of a clip of 6"):
        lost.shown_frames(6)
    with pytest.raises(EX4DError, match="shows as many"):
        Trajectory(np.tile(np.eye(4), (2, 1, 1)), shown=(0,))


def test_what_is_made_of_a_timed_path_keeps_its_times():
    timed = parse_document(document(key(0, 1), key(4), key(8, 9), frames=9))
    longer = resample_document(timed, 17)
    assert [(k.frame, k.time) for k in longer.keyframes] == [(0, 1), (8, None), (16, 9)]
    crowded = resample_document(parse_document(document(*(key(t, t / 2) for t in range(9)), frames=9)), 3)
    assert [(k.frame, k.time) for k in crowded.keyframes] == [(0, 0), (1, 2), (2, 4)]
    assert bake_document(timed) is timed
    assert not bake_document(preset_document("orbit", frames=9)).sets_the_time


def test_a_stabilised_path_still_shows_what_it_showed():
    source = Trajectory(np.tile(np.eye(4), (3, 1, 1)), frame_of_reference="world")
    timed = path(key(0, 4), key(2, 0), frames=3)
    laid = laid_on(timed, "stabilised", source, shown=tuple(timed.shown_frames(6)))
    assert laid.path is None and laid.bends_time and laid.shown_frames(6) == [4, 2, 0]
    assert laid.part([1, 2]).shown == (2, 0)
    assert Trajectory.from_json(laid.to_json()).shown_frames(6) == [4, 2, 0], "in a file too"


def test_time_between_keys_follows_its_own_curve():
    slow = parse_document(document(key(0, 0), key(4), {**key(8, 8), "time_ease": "in"}, key(12, 12), frames=13))
    np.testing.assert_allclose(source_times(slow, 13)[:9], 8 * (np.arange(9) / 8) ** 2)
    np.testing.assert_allclose(source_times(slow, 13)[8:], np.arange(8, 13))
    written = json.loads(slow.to_json())["keyframes"]
    assert [k.get("time_ease") for k in written] == [None, None, "in", None]
    assert parse_document(slow.to_json()) == slow == parse_document(slow.to_compact_json())


def test_bullet_time_runs_freezes_and_runs_on():
    shot = Trajectory.preset("bullet_time", frames=49, freeze=16, hold=16, angle=90, radius=2.0)
    assert shot.bends_time and shot.shown_frames(33) == [*range(17), *[16] * 16, *range(17, 33)]
    poses = shot.world_to_camera
    orbit = Trajectory.preset("orbit", frames=17, angle=90, radius=2.0).world_to_camera
    assert (poses[:17] == np.eye(4)).all() and (poses[32:] == poses[32]).all()
    np.testing.assert_allclose(poses[16:33], orbit, atol=1e-6)
    mesh = counted(33)
    assert greys(render_color_mask(mesh, shot, out_dtype="uint8")[0][:20]) == [*range(17), 16, 16, 16]
    with pytest.raises(EX4DError, match=r"runs to frame 32 of the clip, which ends at 29\. Freeze it earlier"):
        render_color_mask(counted(30), shot)


@pytest.mark.parametrize(("frames", "shown"), [(7, [0, 1, 2, 3, 4, 4, 4]), (3, [0, 1, 2]), (1, [0])])
def test_bullet_time_on_a_short_path_freezes_at_its_end(frames, shown):
    assert Trajectory.preset("bullet_time", frames=frames, freeze=4, hold=9).shown_frames(49) == shown


def test_bullet_time_bakes_into_keys_that_show_the_same_frames():
    for more in ({}, {"loop": True}, {"ease": "in-out"}):
        preset = preset_document("bullet_time", frames=41, freeze=10, hold=12, **more)
        baked = bake_document(preset)
        assert baked.source is None and baked.sets_the_time
        assert np.abs(source_times(baked, 41) - source_times(preset, 41)).max() <= 0.25
    assert frames_for("bullet_time", {"hold": 20}, 49) == 69 and frames_for("orbit", {}, 49) == 49


def test_the_first_frame_is_passed_through_where_the_camera_stands_at_the_moment_shown(caplog):
    """World paths start at the source camera of the frame that is shown there, or are rendered with a warning."""
    poses = np.tile(np.eye(4), (6, 1, 1))
    poses[:, 0, 3] = -0.2 * np.arange(6)  # the camera goes right
    mesh = replace(counted(6), source_camera=Trajectory(poses, frame_of_reference="world"))

    def first(x, time, reference="world"):
        caplog.clear()
        shot = path(key(0, time, x=x), key(2, 0), frames=3, frame_of_reference=reference)
        color, mask, _ = render_color_mask(mesh, shot, out_dtype="uint8")
        kept = torch.equal(color[0], mesh.rgb[round(time)]) and bool(mask[0].min() == 255)
        assert kept != ("does not start at the source camera" in caplog.text)
        along = source_along(shot, mesh)
        assert summarize(shot, source=along).starts_at_source == kept
        return kept

    assert first(0.8, 4) and first(0, 0) and first(0.8 + 9e-5, 4)
    assert not first(0, 4) and not first(0.8 + 2e-4, 4) and not first(0.8, 3)
    assert first(0, 4, "source") and not first(0.8, 4, "source")
