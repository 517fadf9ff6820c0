"""Closed paths: the frame after the last is the first, in place, direction, lens and time, and so is the motion there."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ex4d_core.camera import Intrinsics
from ex4d_core.errors import EX4DError
from ex4d_core.trajectory import (
    PRESETS,
    PathDocument,
    Trajectory,
    bake_document,
    evaluate_document,
    parse_document,
    preset_document,
    resample_document,
    source_times,
)

SCENE = Intrinsics(500.0, 500.0, 300.0, 250.0, 512, 512)
ROUND = [
    {"frame": 2, "position": [0, 0, 0], "target": [0, 0, 3], "fov": 50, "roll": 10, "time": 3},
    {"frame": 9, "position": [1, -0.5, 1], "target": [0, 0.2, 3], "fov": 70, "roll": 190, "lens_shift": [0.1, 0]},
    {"frame": 15, "position": [-1, -0.3, 0.5], "target": [0, 0, 3], "fov": 40, "roll": 330, "time": 20},
]
TURNED = [
    {"frame": 0, "position": [0, 0, 0], "quaternion": [1, 0, 0, 0]},
    {"frame": 8, "position": [1, 0, 0], "quaternion": [0.9, 0.1, -0.4, 0.15]},
    {"frame": 14, "position": [1, 1, 0], "quaternion": [-0.3, 0.2, 0.7, 0.1]},
]
OVER_THE_TOP = [
    {"frame": frame, "position": place, "target": [0, 0, 2.7]}
    for frame, place in ((0, [0, 0, 0]), (8, [0.02, -2.6, 2.2]), (12, [0.05, -2.5, 3.4]), (18, [2, 0, 3]))
]


def loop(keys, frames=24, **more) -> PathDocument:
    return parse_document({"version": 1, "frames": frames, "keyframes": keys, "loop": True, **more})


def seam(document: PathDocument, step=1e-3) -> tuple[float, float]:
    """How far frame N is from frame 0, and how much the motion (per frame) differs between both sides of it."""
    length = document.frames
    evaluated = evaluate_document(document, intrinsics=SCENE, times=[0, step, length - step, length])
    assert evaluated.intrinsics is not None
    lens = np.array([[k.fy / k.height, k.cx / k.width, k.cy / k.height] for k in evaluated.intrinsics])
    values = np.concatenate([evaluated.world_to_camera.reshape(4, -1), lens], axis=1)
    leaves, arrives = (values[1] - values[0]) / step, (values[3] - values[2]) / step
    return np.abs(values[3] - values[0]).max(), np.abs(leaves - arrives).max()


@pytest.mark.parametrize("mode", ["smooth", "catmull-rom"])
@pytest.mark.parametrize("keys", [ROUND, TURNED, OVER_THE_TOP], ids=["lens and roll", "quaternions", "over the top"])
def test_a_round_of_keys_has_no_seam(keys, mode):
    gap, jump = seam(loop(keys, interpolation=mode))
    assert gap < 1e-9 and jump < 0.02


def test_the_frame_at_which_a_round_begins_does_not_matter():
    """The keys moved on by a number of frames are the same motion, that much later."""
    level = [{**key, "roll": 0} for key in ROUND]
    here = evaluate_document(loop(level, interpolation="catmull-rom"), intrinsics=SCENE).world_to_camera
    later = sorted(({**key, "frame": (key["frame"] + 13) % 24} for key in level), key=lambda key: key["frame"])
    there = evaluate_document(loop(later, interpolation="catmull-rom"), intrinsics=SCENE).world_to_camera
    np.testing.assert_allclose(np.roll(here, 13, axis=0), there, atol=1e-9)


def test_an_open_path_is_as_it_was():
    plain = {"version": 1, "frames": 24, "keyframes": ROUND}
    assert "loop" not in json.loads(parse_document({**plain, "loop": False}).to_json())
    with pytest.raises(EX4DError, match=r"times in 0\.\.23"):
        evaluate_document(parse_document(plain), times=[24])
    # A loop passes through the same keys.
    for key in ROUND:
        one, other = (evaluate_document(d, times=[key["frame"]]).position for d in (parse_document(plain), loop(ROUND)))
        np.testing.assert_allclose(one, other, atol=1e-12)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_closes_without_a_seam_and_keeps_it_as_keyframes(name):
    document = preset_document(name, frames=48, radius=2.0, loop=True)
    gap, jump = seam(document)
    assert gap < 1e-9
    assert jump < 0.05 or name == "sweep"  # which turns sharply half-way, wherever that is
    baked = bake_document(document)
    assert baked.loop and baked.source is None
    exact, tried = (evaluate_document(d).position for d in (document, baked))
    assert np.linalg.norm(exact - tried, axis=-1).max() <= 0.04 + 1e-9
    assert seam(baked)[0] < 1e-9


def test_a_full_orbit_goes_round_and_any_other_there_and_back():
    full = Trajectory.preset("orbit", frames=36, angle=360, rise=0, radius=2.0, loop=True)
    steps = np.linalg.norm(np.diff(np.linalg.inv(full.world_to_camera)[:, :3, 3], axis=0), axis=-1)
    np.testing.assert_allclose(steps, 2 * 2.0 * np.sin(np.radians(5)), rtol=1e-4)
    half = np.linalg.inv(Trajectory.preset("orbit", frames=36, angle=90, radius=2.0, loop=True).world_to_camera)
    np.testing.assert_allclose(half[1:18], half[:18:-1], atol=1e-6)
    np.testing.assert_allclose(
        half[18], np.linalg.inv(Trajectory.preset("orbit", frames=2, radius=2.0).world_to_camera)[1], atol=1e-5
    )


def test_time_goes_on_from_the_last_key_to_the_first():
    times = source_times(loop(ROUND), 25)
    np.testing.assert_allclose(times[2:16], 3 + 17 / 13 * np.arange(14))
    np.testing.assert_allclose([*times[16:], *times[:2]], 20 - 17 / 11 * np.arange(1, 11))
    assert source_times(loop(TURNED), 24) is None


def test_a_round_keeps_its_shape_at_another_length():
    document = loop(ROUND, interpolation="smooth")
    longer = resample_document(document, 48)
    assert [key.frame for key in longer.keyframes] == [4, 18, 30] and longer.loop
    np.testing.assert_allclose(
        evaluate_document(longer, times=np.arange(0, 48, 2.0)).position,
        evaluate_document(document).position,
        atol=1e-12,
    )
    few = resample_document(loop([{**key, "fov": None} for key in ROUND], interpolation="smooth"), 2)
    assert few.loop and [key.frame for key in few.keyframes] == [0, 1]
    np.testing.assert_allclose(
        evaluate_document(few).position, evaluate_document(document, times=[0, 12]).position, atol=1e-12
    )
    assert resample_document(loop(ROUND), 1).frames == 1
