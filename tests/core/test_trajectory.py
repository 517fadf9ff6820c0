"""Camera paths: published ones, presets, keyframes, documents."""

import json
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from golden import make_trajectory
from hypothesis import given, settings
from hypothesis import strategies as st

from ex4d_core.camera import (
    Intrinsics,
    UnknownLens,
    check_poses,
    invert_pose,
    matrix_from_quaternion,
    opengl_from_opencv,
)
from ex4d_core.errors import EX4DError
from ex4d_core.trajectory import (
    EASES,
    INTERPOLATIONS,
    PRESETS,
    Trajectory,
    bake_document,
    document_from_poses,
    evaluate_document,
    parse,
    parse_document,
    preset_document,
    resample_document,
    scale_document,
    summarize,
)

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "trajectory.json").read_text("utf-8"))
fx, fy, cx, cy, width, height = GOLDEN["scene"]
SCENE = Intrinsics(fx, fy, cx, cy, width, height)


def keyed(*keys, frames=None, **fields):
    """A document of keyframes; each looks at (0, 0, 5) unless it says otherwise."""
    keys = [key if "target" in key or "quaternion" in key else {"target": [0, 0, 5], **key} for key in keys]
    return {"version": 1, "frames": frames or keys[-1]["frame"] + 1, "keyframes": keys, **fields}


def positions(trajectory):
    return invert_pose(trajectory.world_to_camera)[:, :3, 3]


def azimuth(trajectory):
    """Degrees around the vertical, unwrapped, from the viewing direction."""
    forward = trajectory.world_to_camera[:, 2, :3].astype(np.float64)
    return np.degrees(np.unwrap(np.arctan2(-forward[:, 0], forward[:, 2])))


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: case["name"])
def test_evaluates_as_recorded(case):
    found = evaluate_document(parse_document(case["document"]), intrinsics=SCENE, times=case["times"])
    np.testing.assert_allclose(found.world_to_camera.reshape(-1, 16), case["world_to_camera"], atol=1e-9)
    lenses = [[k.fx, k.fy, k.cx, k.cy, k.width, k.height] for k in found.intrinsics]
    np.testing.assert_allclose(lenses, case["intrinsics"], atol=1e-7)


def test_the_golden_file_is_as_it_would_be_made_today():
    choices = make_trajectory.choices()
    assert {name: GOLDEN[name] for name in choices} == choices
    assert GOLDEN["refused"] == make_trajectory.REFUSED
    assert [case["name"] for case in GOLDEN["cases"]] == list(make_trajectory.documents())


@pytest.mark.parametrize("name", GOLDEN["refused"])
def test_refuses(name):
    with pytest.raises(EX4DError) as error:
        Trajectory.from_json(GOLDEN["refused"][name])
    assert str(error.value).count(". ") <= 1, "one or two sentences"


def test_the_published_180_is_reproduced(reference):
    recorded = np.load(reference / "flower" / "camera_180.npz")
    ours = Trajectory.preset("180", radius=2.74)
    np.testing.assert_allclose(opengl_from_opencv(ours.world_to_camera), recorded["extrinsics"], atol=1e-4)


@pytest.mark.parametrize("frames", [2, 13, 49, 81])
@pytest.mark.parametrize("angle", [30, 60, 90])
def test_published_orbits_sweep_their_angle_whatever_the_length(angle, frames):
    path = Trajectory.preset(str(angle), frames=frames, radius=3.0)
    phi = np.radians(angle)
    expected = [3 * np.sin(phi), 0.6 * (np.cos(phi) - 1), 3 - 3 * np.cos(phi)]
    np.testing.assert_allclose(positions(path)[-1], expected, atol=1e-6)
    assert azimuth(path)[-1] == pytest.approx(angle, abs=1e-3)


def test_published_zooms_move_half_a_radius_along_the_axis():
    for name, end in (("zoom_in", 1.5), ("zoom_out", -1.5)):
        path = Trajectory.preset(name, radius=3.0)
        np.testing.assert_allclose(positions(path)[-1], [0, 0, end], atol=1e-6)
        np.testing.assert_array_equal(path.world_to_camera[:, :3, :3], np.tile(np.eye(3), (49, 1, 1)))


@settings(max_examples=40, deadline=None)
@given(st.floats(-720, 720), st.integers(2, 60), st.floats(0.01, 1000))
def test_orbit_sweeps_any_angle_without_a_flip(angle, frames, radius):
    path = Trajectory.preset("orbit", angle=angle, frames=frames, radius=radius)
    np.testing.assert_array_equal(path.world_to_camera[0], np.eye(4))
    if abs(angle) / (frames - 1) < 170:
        assert azimuth(path)[-1] == pytest.approx(angle, abs=0.05)
    assert (path.world_to_camera[:, 1, 1] > 0).all(), "upside down"


@pytest.mark.parametrize("frames", [3, 17, 49, 50, 81])
def test_full_sweep_goes_left_then_right(frames):
    angles = azimuth(Trajectory.preset("sweep", frames=frames, angle=90))
    assert angles[0] == 0
    assert angles.min() == pytest.approx(-90, abs=1e-3)
    assert angles[-1] == pytest.approx(90, abs=1e-3)


def test_arc_over_the_top_does_not_flip():
    path = Trajectory.preset("arc_over", angle=360, frames=73)
    steps = path.world_to_camera[1:, :3, :3] @ np.swapaxes(path.world_to_camera[:-1, :3, :3], 1, 2)
    turned = np.degrees(np.arccos(np.clip((np.trace(steps, axis1=1, axis2=2) - 1) / 2, -1, 1)))
    np.testing.assert_allclose(turned, 5, atol=0.1)
    np.testing.assert_allclose(path.world_to_camera[-1], np.eye(4), atol=1e-5)


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("pivot", [None, (0.7, -0.4, 5.0)])
def test_every_preset_starts_at_the_source_view(name, pivot):
    for frames in (1, 2, 3, 7):
        path = Trajectory.preset(name, frames=frames, radius=3, pivot=pivot)
        np.testing.assert_allclose(path.world_to_camera[0], np.eye(4), atol=1e-6)
        assert len(path) == frames and path.intrinsics is None


def test_orbit_keeps_an_off_axis_pivot_at_its_distance():
    pivot = np.array([1.0, 0.5, 4.0])
    path = Trajectory.preset("orbit", angle=120, rise=0, pivot=pivot)
    np.testing.assert_allclose(np.linalg.norm((positions(path) - pivot)[:, [0, 2]], axis=1), np.hypot(1, 4), atol=1e-5)


vectors = st.lists(st.floats(-9, 9), min_size=3, max_size=3)
aims = st.one_of(
    st.fixed_dictionaries({"target": st.lists(st.floats(20, 30), min_size=3, max_size=3)}),
    st.fixed_dictionaries(
        {"quaternion": st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1)}
    ),
)
keys = st.fixed_dictionaries(
    {
        "position": vectors,
        "roll": st.floats(-180, 180),
        "fov": st.one_of(st.none(), st.floats(5, 150)),
        "ease": st.sampled_from(EASES),
        "lens_shift": st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=2),
    }
)


@st.composite
def documents(draw):
    chosen = draw(st.lists(st.tuples(keys, aims, st.integers(1, 6)), min_size=1, max_size=5))
    frame, made = 0, []
    for key, aim, gap in chosen:
        made.append({"frame": frame, **key, **aim})
        frame += gap
    last = made[-1]["frame"] + draw(st.integers(1, 3))
    return {"version": 1, "frames": last, "keyframes": made, "interpolation": draw(st.sampled_from(INTERPOLATIONS))}


@settings(max_examples=60, deadline=None)
@given(documents())
def test_any_path_is_rigid_and_passes_through_its_keyframes(document):
    try:
        found = evaluate_document(parse_document(document), intrinsics=SCENE)
    except EX4DError as error:
        assert "exactly at its target" in str(error)
        return
    check_poses(found.world_to_camera)
    for key in parse_document(document).keyframes:
        np.testing.assert_allclose(found.position[key.frame], key.position, atol=1e-9)
        if key.target is not None:
            seen = found.world_to_camera[key.frame] @ [*key.target, 1]
            np.testing.assert_allclose(seen[:2], 0, atol=1e-6)
        elif key.roll == 0:
            turned = matrix_from_quaternion(np.array(key.quaternion))
            np.testing.assert_allclose(found.rotation[key.frame], turned, atol=1e-7)
        fov = SCENE.vertical_fov if key.fov is None else key.fov
        assert found.intrinsics[key.frame].vertical_fov == pytest.approx(fov, rel=1e-6)


@settings(max_examples=30, deadline=None)
@given(documents())
def test_documents_survive_their_own_text(document):
    parsed = parse_document(document)
    again = parse_document(parsed.to_json())
    assert again == parsed and again.to_json() == parsed.to_json()


@settings(max_examples=60, deadline=None)
@given(documents())
def test_compact_text_is_read_back_as_the_same_path(document):
    parsed = parse_document(document)
    again = parse_document(parsed.to_compact_json())
    assert replace(again, keyframes=()) == replace(parsed, keyframes=())
    for ours, theirs in zip(again.keyframes, parsed.keyframes, strict=True):
        assert (ours.frame, ours.ease, ours.fov is None) == (theirs.frame, theirs.ease, theirs.fov is None)
        for name in ("position", "target", "quaternion", "roll", "fov", "lens_shift"):
            wanted = getattr(theirs, name)
            if wanted is None:
                assert getattr(ours, name) is None
            else:
                np.testing.assert_allclose(getattr(ours, name), wanted, rtol=0, atol=1e-7)


def test_compact_text_of_many_poses_is_short_and_turns_no_camera():
    quaternions = np.random.default_rng(1).normal(size=(1500, 4))
    poses = np.tile(np.eye(4), (1500, 1, 1))
    poses[:, :3, :3] = [matrix_from_quaternion(each / np.linalg.norm(each)) for each in quaternions]
    poses[:, :3, 3] = np.random.default_rng(2).normal(size=(1500, 3))
    path = Trajectory(poses, (SCENE,) * 1500)
    text = path.to_compact_json()
    assert len(text) < 1500 * 170 < 1500 * 280 < len(path.to_json())
    np.testing.assert_allclose(Trajectory.from_json(text).world_to_camera, path.world_to_camera, atol=1e-6)


def test_compact_text_keeps_the_direction_to_a_very_near_target():
    near = keyed({"frame": 0, "position": [1e-5 / 3, 0, 0], "target": [1e-5 / 7, 2e-5 / 3, 1e-5]}, frames=1)
    ours, theirs = (Trajectory.from_json(text) for text in (parse_document(near).to_compact_json(), near))
    np.testing.assert_allclose(ours.world_to_camera, theirs.world_to_camera, atol=1e-6)


def test_smooth_never_leaves_the_range_of_its_keys_and_catmull_rom_is_rounder():
    steps = [0, 1, 1, 5, 4]
    document = keyed(*[{"frame": 6 * i, "position": [x, 0, 0]} for i, x in enumerate(steps)])
    smooth = evaluate_document(parse_document({**document, "interpolation": "smooth"})).position[:, 0]
    for i in range(4):
        part = smooth[6 * i : 6 * i + 7]
        assert part.min() >= min(steps[i : i + 2]) - 1e-12 and part.max() <= max(steps[i : i + 2]) + 1e-12
    assert evaluate_document(parse_document({**document, "interpolation": "catmull-rom"})).position[:, 0].max() > 5


def test_ease_warps_time_only():
    def middle(ease):
        path = keyed({"frame": 0, "position": [0, 0, 0]}, {"frame": 4, "position": [4, 0, 0], "ease": ease})
        return evaluate_document(parse_document(path)).position[:, 0].tolist()

    assert middle("linear") == [0, 1, 2, 3, 4]
    assert middle("in") == [0, 0.25, 1, 2.25, 4]
    assert middle("out") == [0, 1.75, 3, 3.75, 4]
    assert middle("in-out") == [0, 0.625, 2, 3.375, 4]


def test_the_lens_is_inherited_set_and_shifted():
    path = keyed(
        {"frame": 0, "position": [0, 0, 0]}, {"frame": 2, "position": [0, 0, 1], "fov": 90, "lens_shift": [0.5, -0.25]}
    )
    lenses = Trajectory.from_json(path, intrinsics=SCENE).intrinsics
    assert lenses[0] == SCENE
    assert (lenses[2].fy, lenses[2].cx, lenses[2].cy) == pytest.approx((256, 556, 122))
    assert Trajectory.from_json(path).intrinsics is None
    assert Trajectory.from_json(path).for_scene(SCENE).intrinsics == lenses
    wide = Trajectory.from_json({**path, "width": 640, "height": 320}, intrinsics=SCENE).intrinsics[0]
    assert (wide.width, wide.height) == (640, 320) and wide.vertical_fov == pytest.approx(SCENE.vertical_fov)


@pytest.mark.parametrize("size", [(832, 480), (480, 832), (256, 256), (512, 512)])
def test_a_path_that_states_its_size_sees_what_the_scene_s_lens_sees(size):
    """The same shot, whether the document or the renderer asks for the size."""
    off_centre = Intrinsics(500, 480, 300, 250, 512, 512)
    keys = keyed({"frame": 0, "position": [0, 0, 0]}, width=size[0], height=size[1])
    assert Trajectory.from_json(keys, intrinsics=off_centre).intrinsics == (off_centre.fitted(*size),)
    shifted = {"frame": 0, "position": [0, 0, 0], "lens_shift": [0.25, 0], "fov": off_centre.vertical_fov}
    lens = Trajectory.from_json(keys | keyed(shifted), intrinsics=off_centre).intrinsics[0]
    assert lens.cx == pytest.approx(off_centre.fitted(*size).cx + 0.25 * size[0])


@pytest.mark.parametrize("frames", [10, 49, 120])
def test_resampled_presets_end_where_they_did(frames):
    document = preset_document("orbit", angle=70, frames=49)
    path = Trajectory.from_document(resample_document(document, frames))
    end = Trajectory.from_document(document).world_to_camera[-1]
    np.testing.assert_allclose(path.world_to_camera[-1], end, atol=1e-6)
    assert len(path) == frames


def test_a_part_keeps_the_frames_lenses_scene_and_rate():
    whole = Trajectory.preset("orbit", frames=9, radius=2.15, pivot=(0.5, 0, 3), fps=24, intrinsics=SCENE)
    for frames, numbers in ((slice(3, 6), [3, 4, 5]), ([8, 0], [8, 0]), (slice(None, None, 4), [0, 4, 8])):
        part = whole.part(frames)
        np.testing.assert_array_equal(part.world_to_camera, whole.world_to_camera[numbers])
        assert part.intrinsics == tuple(whole.intrinsics[n] for n in numbers)
        assert (part.radius, part.pivot, part.fps) == (2.15, (0.5, 0, 3), 24)
        assert (part.document().radius, part.document().pivot) == (2.15, (0.5, 0, 3))
        assert summarize(part).radius == 2.15
    bare = Trajectory.preset("orbit", frames=9).part(slice(2))
    assert len(bare) == 2 and bare.for_scene(SCENE).intrinsics == (SCENE, SCENE)
    for frames in (slice(9, 20), [], [9], [-1]):
        with pytest.raises(EX4DError, match="frames 0 to 8"):
            whole.part(frames)


@pytest.mark.parametrize("lens", [{"fov": 50}, {"lens_shift": [0.1, 0]}])
def test_a_part_never_loses_the_lens_that_the_path_asks_for(lens):
    whole = Trajectory.from_json(keyed({"frame": 0, "position": [0, 0, 0], **lens}, frames=5))
    with pytest.raises(UnknownLens):
        whole.part(slice(2))
    assert whole.for_scene(SCENE).part(slice(2)).intrinsics == whole.for_scene(SCENE).intrinsics[:2]


def test_resampling_never_loses_a_field_of_view():
    keys = [{"frame": i, "position": [i, 0, 0], "fov": 60 if i % 2 else None} for i in range(9)]
    with pytest.raises(EX4DError, match="Give the scene's lens"):
        resample_document(parse_document(keyed(*keys)), 3)
    resampled = resample_document(parse_document(keyed(*keys)), 2, SCENE)
    assert [key.fov for key in resampled.keyframes] == [SCENE.vertical_fov] * 2


def test_poses_become_a_document_and_back():
    path = Trajectory.preset("arc_over", angle=170, intrinsics=SCENE)
    again = Trajectory.from_document(document_from_poses(path.world_to_camera, path.intrinsics))
    np.testing.assert_allclose(again.world_to_camera, path.world_to_camera, atol=1e-6)
    assert again.intrinsics[5].fx == pytest.approx(SCENE.fx) and again.intrinsics[5].cy == pytest.approx(SCENE.cy)
    bare = Trajectory(path.world_to_camera)
    assert json.loads(bare.to_json())["keyframes"][3]["fov"] is None
    with pytest.raises(EX4DError, match="square pixels"):
        document_from_poses(path.world_to_camera, (Intrinsics(400, 500, 1, 1, 4, 4),) * 49)


def test_baking_with_no_tolerance_is_exact():
    document = preset_document("spiral", frames=21)
    baked = bake_document(document, tolerance=0)
    assert baked.source is None and len(baked.keyframes) == 21
    np.testing.assert_allclose(
        evaluate_document(baked).world_to_camera, evaluate_document(document).world_to_camera, atol=1e-9
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not valid JSON"),
        ("{", "not valid JSON"),
        ("[" * 100000, "not valid JSON"),
        ("3", "JSON object"),
        ('{"version": 1, "frames": 1e999}', "whole number"),
        ('{"version": 1, "frames": ' + "9" * 400 + "}", "whole number"),
        ('{"version": 1, "frames": 2, "keyframes": [{"frame": 0, "position": [0, 0, NaN]}]}', r"Keyframe 0 \(frame 0\): pos"),
        ('{"version": 1, "frames": 20, "keyframes": [{"frame": 9, "position": [0,0,0], "target": [0,0,0]}]}', "same point"),
        ('{"version": 1, "frames": 20, "keyframes": [{"frame": 9, "position": [0,0,0], "target": [0,0,1], "fov": 0}]}', "fov"),
    ],
)  # fmt: skip
def test_bad_text_is_refused_with_the_place(text, sentence):
    with pytest.raises(EX4DError, match=sentence):
        Trajectory.from_json(text)


def test_bad_calls_are_refused():
    poses = np.tile(np.eye(4), (3, 1, 1))
    for call in (
        lambda: Trajectory.preset("orbit", frames=0),
        lambda: Trajectory.preset("orbit", radius=-1),
        lambda: Trajectory.preset("orbit", angle=float("nan")),
        lambda: Trajectory.preset("around"),
        lambda: Trajectory(poses * np.nan),
        lambda: Trajectory(poses, (SCENE,) * 2),
        lambda: Trajectory(poses, fps=0),
        lambda: resample_document(preset_document("orbit"), 0),
        lambda: resample_document(preset_document("orbit"), 2.5),
        lambda: resample_document(preset_document("orbit"), float("nan")),
        lambda: resample_document(preset_document("orbit"), float("inf")),
        lambda: resample_document(preset_document("orbit"), "7"),
        lambda: Trajectory.preset("orbit", pivot=("a", 0, 1)),
        lambda: Trajectory.preset("orbit", pivot=3.0),
        lambda: Trajectory.preset("orbit", pivot=(0, 1)),
        lambda: evaluate_document(preset_document("orbit"), times=[3, 99]),
    ):
        with pytest.raises(EX4DError):
            call()


def test_a_path_and_its_document_cannot_fall_apart():
    path = Trajectory.preset("orbit")
    with pytest.raises(FrozenInstanceError):
        path.document().frames = 3
    with pytest.raises(FrozenInstanceError):
        path.path.source.preset = "30"
    assert hash(path.document()) == hash(Trajectory.preset("orbit").document()), "nothing within can change either"
    path.document().to_dict()["frames"] = 3
    assert path.document().frames == len(path) == 49


@pytest.fixture()
def parsed(monkeypatch):
    """How often a document is checked, told by the checks of its version."""
    calls = []
    check = parse._check_version
    monkeypatch.setattr(parse, "_check_version", lambda raw: (calls.append(raw), check(raw)))
    return calls


def test_a_document_is_checked_once_on_its_way_to_poses(parsed, tmp_path):
    saved = Trajectory.from_json(GOLDEN["cases"][0]["document"]).save(tmp_path / "path.json")
    for make in (
        lambda: Trajectory.preset("orbit"),
        lambda: Trajectory.from_json(keyed({"frame": 0, "position": [0, 0, 0], "fov": 50})).for_scene(SCENE),
        lambda: Trajectory.load(saved, scale=2.0).for_scene(SCENE),
    ):
        parsed.clear()
        trajectory = make()
        assert len(parsed) == 1
        trajectory.to_json()
        summarize(trajectory)
        bake_document(trajectory.path)
        resample_document(trajectory.path, 7)
        assert len(parsed) == 1


def test_a_scaled_path_stays_within_what_a_document_may_hold():
    document = preset_document("orbit")
    for scale in (1e12, 1e-12, float("nan"), float("inf")):
        with pytest.raises(EX4DError, match="Scaled by"):
            scale_document(document, scale)
    assert parse_document(scale_document(document, 3).to_json()) == scale_document(document, 3)


def test_numbers_may_be_numpy_s():
    pivot = np.array([0, 0.5, 3], np.float32)
    path = Trajectory.preset("orbit", frames=np.int64(5), radius=np.float32(3), pivot=pivot, angle=np.float32(45))
    assert path.to_json() == Trajectory.preset("orbit", frames=5, radius=3, pivot=(0, 0.5, 3), angle=45).to_json()


@pytest.mark.parametrize("fps", [0, -1, float("nan"), 1001])
def test_rates_that_no_document_may_have_are_refused(fps):
    with pytest.raises(EX4DError, match="fps"):
        Trajectory(np.eye(4)[None], fps=fps)


def test_the_frame_of_reference_is_written_only_where_it_is_the_world():
    riding, standing = (Trajectory.preset("orbit", frames=5, frame_of_reference=f) for f in ("source", "world"))
    assert "frame_of_reference" not in json.loads(riding.to_json())
    assert json.loads(standing.to_json())["frame_of_reference"] == "world"
    assert Trajectory.from_json(standing.to_json()).frame_of_reference == "world"
    assert Trajectory.from_json(riding.to_json()).frame_of_reference == "source"


def test_the_frame_of_reference_survives_whatever_is_made_of_a_path():
    path = Trajectory.preset("orbit", frames=9, frame_of_reference="world")
    document = path.document()
    for made in (bake_document(document), resample_document(document, 4), scale_document(document, 2.0)):
        assert made.frame_of_reference == "world"
    assert path.part(slice(2, 5)).frame_of_reference == "world"
    assert path.part(slice(2, 5)).document().frame_of_reference == "world"


def test_a_path_that_rides_on_a_zooming_camera_zooms_with_it():
    lenses = tuple(Intrinsics.from_focal(focal, 64, 48) for focal in (60.0, 70.0, 80.0))
    source = Trajectory(np.tile(np.eye(4), (3, 1, 1)), lenses)
    riding, standing = (Trajectory.preset("static", frames=3, frame_of_reference=f) for f in ("source", "world"))
    assert riding.for_scene(lenses[0], source).intrinsics == lenses
    assert standing.for_scene(lenses[0], source).intrinsics == lenses[:1] * 3
    own = Trajectory.from_json(keyed({"frame": 0, "position": [0, 0, 0], "fov": 40}, frames=3))
    assert [lens.vertical_fov for lens in own.for_scene(lenses[0], source).intrinsics] == pytest.approx([40] * 3)
    with pytest.raises(EX4DError, match="3 frames and the source camera that it rides on 2"):
        riding.for_scene(lenses[0], source.part([0, 1]))
