"""Public sets brought into a benchmark: tiny folders in exactly their layouts, cameras proved by where known points are seen."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ex4d_core import save_video
from ex4d_core.commands.cli import main
from ex4d_core.errors import EX4DError
from ex4d_core.evaluation.benchmark.cases import Filmed, read_index, read_missing, read_source, read_target
from ex4d_core.evaluation.sets import multicam
from ex4d_core.evaluation.sets.kinds import bring_in
from ex4d_core.evaluation.sets.views import Wanted

WIDTH, HEIGHT = 48, 40
GROUND = 6.0
"""Distance of the wall that all cameras see, in the units of each set."""


def seen_by(filmed: Filmed, t: int, point: np.ndarray) -> tuple[float, float, float]:
    """Column, row and depth of a point of the world of the source's first frame."""
    assert filmed.path.intrinsics is not None
    lens = filmed.path.intrinsics[t]
    x, y, z = (filmed.path.world_to_camera[t].astype("f8") @ [*point, 1])[:3]
    return lens.fx * x / z + lens.cx, lens.fy * y / z + lens.cy, z


def dotted(column: float, row: float, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """A dark picture with a white dot of 3x3 pixels around a place."""
    picture = np.full((size[1], size[0], 3), 40, np.uint8)
    x, y = int(column), int(row)
    picture[y - 1 : y + 2, x - 1 : x + 2] = 255
    return picture


def dot_of(rgb: torch.Tensor) -> tuple[float, float]:
    """The middle of a picture's dot, in pixels with centres at +0.5."""
    bright = (rgb.float().mean(-1) - 100).clamp_min(0)
    rows, columns = torch.meshgrid(*(torch.arange(side) + 0.5 for side in bright.shape), indexing="ij")
    return float((bright * columns).sum() / bright.sum()), float((bright * rows).sum() / bright.sum())


def turned(degrees: float, axis: str = "y") -> np.ndarray:
    """A rotation (3, 3)."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]] if axis == "y" else [[1, 0, 0], [0, c, -s], [0, s, c]])


def brought(kind: str, folder: Path, output: Path, *words: str) -> tuple[str, dict[str, list[str]]]:
    assert main(["benchmark", "import", kind, str(folder), "--output_dir", str(output), *words]) == 0
    return read_index(output)


def assert_dots_lie_where_the_cameras_see_the_point(source: Filmed, target: Filmed, point: np.ndarray) -> None:
    """``point`` of the source's first camera; a dot is drawn around the pixel that holds it, so it may be half a pixel off."""
    for filmed in (source, target):
        for t in range(len(filmed.rgb)):
            column, row, _ = seen_by(filmed, t, point)
            assert dot_of(filmed.rgb[t]) == pytest.approx((column, row), abs=0.75)


# --- DyCheck ---------------------------------------------------------------------------------------------------------------


def dycheck_scene(root: Path, point: np.ndarray) -> tuple[Path, np.ndarray]:
    """Camera 0 of three times and camera 1 of the last two, in Nerfies' world; where the point is in the first source frame."""
    scene = root / "paper-mill"
    for part in ("camera", "rgb/2x", "depth/2x", "covisible/2x/val"):
        (scene / part).mkdir(parents=True)
    items, flip = {}, np.diag([1.0, -1.0, -1.0])
    first = None
    for camera, times in ((0, (0, 1, 2)), (1, (1, 2))):
        for time in times:
            name = f"{camera}_{time:05d}"
            items[name] = {"appearance_id": time, "camera_id": camera, "warp_id": time}
            orientation = turned(-15 * camera + time) @ flip
            position = np.array([0.3 * time - 1.5 * camera, 0.1, 0.2])
            at = orientation @ (point - position)  # rows of the orientation are the camera's axes
            if name == "0_00001":
                first = at
            focal, centre = 2 * 50.0, (2 * 23.0, 2 * 21.0)
            column, row = (focal * at[0] / at[2] + centre[0]) / 2, (focal * at[1] / at[2] + centre[1]) / 2
            told = {"orientation": orientation.tolist(), "position": position.tolist(), "focal_length": focal}
            told |= {"principal_point": list(centre), "image_size": [2 * WIDTH, 2 * HEIGHT], "skew": 0.0}
            told |= {"pixel_aspect_ratio": 1.0, "radial_distortion": [0.0] * 3, "tangential_distortion": [0.0] * 2}
            (scene / "camera" / f"{name}.json").write_text(json.dumps(told))
            Image.fromarray(dotted(column, row)).save(scene / "rgb/2x" / f"{name}.png")
            if camera == 0:
                depth = np.full((HEIGHT, WIDTH, 1), at[2], np.float32)
                depth[:4] = 0  # what LiDAR did not reach
                np.save(scene / "depth/2x" / f"{name}.npy", depth)
            else:
                mask = np.zeros((HEIGHT, WIDTH), np.uint8)
                mask[:, : WIDTH // 2] = 255
                Image.fromarray(mask).save(scene / "covisible/2x/val" / f"{name}.png")
    (scene / "metadata.json").write_text(json.dumps(items))
    (scene / "extra.json").write_text(json.dumps({"fps": 30.0, "factor": 2}))
    assert first is not None
    return scene, first


def test_dycheck_comes_with_its_cameras_depth_and_covisible_pixels(tmp_path, capsys):
    scene, point = dycheck_scene(tmp_path / "iphone", np.array([0.2, 0.3, -GROUND]))
    name, found = brought("dycheck", scene.parent, tmp_path / "set")
    assert (name, found) == ("dycheck", {"paper-mill-camera1": ["camera1"]})
    assert "no depth of the targets" in capsys.readouterr().err
    source = read_source(tmp_path / "set", "paper-mill-camera1")
    target = read_target(tmp_path / "set", "paper-mill-camera1", "camera1")
    assert len(source.rgb) == len(target.rgb) == 2 and source.rgb.shape[1:3] == (HEIGHT, WIDTH)
    assert_dots_lie_where_the_cameras_see_the_point(source, target, point)
    assert torch.allclose(source.depth[0, 10:], torch.tensor(point[2], dtype=torch.float32)) and source.has_depth
    assert not source.depth[:, :4].any() and not target.has_depth and target.visible is None
    assert target.covisible is not None and target.covisible[:, :, : WIDTH // 2].all()
    assert not target.covisible[:, :, WIDTH // 2 :].any() and target.angle == pytest.approx([15, 15], abs=1e-3)
    words = [
        "benchmark",
        "run",
        "--set",
        str(tmp_path / "set"),
        "--output_dir",
        str(tmp_path / "r"),
        "--methods",
        "points",
    ]
    assert main(words) == 0
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    means = report["mean"]["points"]["camera1"]
    assert means["psnr_covisible"]["mean"] > 0 and means["see_through"]["mean"] is None
    assert "no depth of the targets" in report["settings"]["truth that the set does not have"]


# --- Nvidia ----------------------------------------------------------------------------------------------------------------


def nvidia_scene(root: Path, point: np.ndarray, with_depth: bool = True) -> tuple[Path, np.ndarray]:
    """Three cameras, four frames; poses of pictures twice as large as those that are there."""
    scene = root / "Balloon1"
    rows, first = [], None
    for camera in range(3):
        right, down, forward = turned(-10.0 * camera)  # the rows of a world-to-camera rotation
        position = np.array([-0.9 * camera, 0.1 * camera, 0.2])
        pose = np.stack([down, right, -forward, position, [2 * HEIGHT, 2 * WIDTH, 2 * 45.0]], axis=1)
        rows.append([*pose.ravel(), 1.0, 20.0])
        at = np.stack([right, down, forward]) @ (point - position)
        first = at if first is None else first
        for t in range(4):
            folder = scene / "dense" / "mv_images" / f"{t:05d}"
            folder.mkdir(parents=True, exist_ok=True)
            dot = dotted(45 * at[0] / at[2] + WIDTH / 2, 45 * at[1] / at[2] + HEIGHT / 2)
            Image.fromarray(dot).save(folder / f"cam{camera + 1:02d}.png")
    np.save(scene / "dense" / "poses_bounds_cvd.npy", np.array(rows * 2)[:4])
    if with_depth:
        (root / "Depths" / "Balloon1" / "disp").mkdir(parents=True)
        for t in range(4):
            np.save(root / "Depths" / "Balloon1" / "disp" / f"{t:05d}.npy", np.full((HEIGHT // 2, WIDTH // 2), 0.25))
    assert first is not None
    return scene, first


def test_nvidias_source_goes_from_camera_to_camera_and_every_camera_is_a_target(tmp_path):
    scene, point = nvidia_scene(tmp_path / "nvidia", np.array([0.1, -0.2, GROUND]))
    _, found = brought("nvidia", scene.parent, tmp_path / "set")
    assert found == {"Balloon1": ["cam01", "cam02", "cam03"]}
    source = read_source(tmp_path / "set", "Balloon1")
    targets = [read_target(tmp_path / "set", "Balloon1", f"cam0{n}") for n in (1, 2, 3)]
    for n, target in enumerate(targets):
        assert_dots_lie_where_the_cameras_see_the_point(source, target, point)
        assert np.allclose(source.path.world_to_camera[n], target.path.world_to_camera[n], atol=1e-6)
        assert np.ptp(target.path.world_to_camera, axis=0).max() == 0
    assert source.rgb[3].equal(targets[0].rgb[3]) and (source.depth == 4).all() and not targets[0].has_depth
    assert targets[1].angle == pytest.approx([10, 0, 10, 10], abs=1e-3)


def test_only_finished_videos_are_measured_where_there_is_no_depth(tmp_path, capsys):
    scene, _ = nvidia_scene(tmp_path / "nvidia", np.array([0.1, -0.2, GROUND]), with_depth=False)
    _, found = brought("nvidia", scene, tmp_path / "set")
    assert list(found) == ["Balloon1"] and any(
        "no depth of the source" in one for one in read_missing(tmp_path / "set")
    )
    videos = tmp_path / "peer"
    videos.mkdir()
    for n in (1, 2, 3):
        save_video(videos / f"Balloon1_cam0{n}.mp4", read_target(tmp_path / "set", "Balloon1", f"cam0{n}").rgb, 15)
    words = ["benchmark", "run", "--set", str(tmp_path / "set"), "--output_dir", str(tmp_path / "r")]
    assert main([*words, "--videos", f"peer={videos}", "--methods"]) == 0
    assert json.loads((tmp_path / "r" / "report.json").read_text())["mean"]["peer"]["cam02"]["psnr"]["mean"] > 25
    assert main([*words, "--videos", f"peer={videos}", "--methods", "points"]) == 2
    assert main([*words, "--methods"]) == 2
    told = capsys.readouterr().err
    assert "Balloon1: the set has no depth of it" in told and "run needs --methods or --videos" in told


# --- Kubric ----------------------------------------------------------------------------------------------------------------


def kubric_scene(root: Path, wall: float) -> tuple[Path, np.ndarray, np.ndarray]:
    """Views 0 and 4 of a wall at y = wall with a dot, two frames; Blender's world has z up. Depth is along the ray."""
    scene, point, first = root / "scn00007", np.array([0.4, wall, 1.2]), None
    for number, x in ((0, -1.5), (4, 0.5)):
        frames = scene / f"frames_p0_v{number}"
        frames.mkdir(parents=True)
        places, turns = [], []
        for t in range(2):
            place, lean = np.array([x + 0.2 * t, 0.0, 1.0]), math.radians(90)
            # Blender's camera looks down its -z: a quarter turn about x makes it look along y, with z up.
            yaw = math.radians(-8.0 * (number == 0))
            turn = np.array([math.cos(yaw / 2), 0, 0, math.sin(yaw / 2)])
            tip = np.array([math.cos(lean / 2), math.sin(lean / 2), 0, 0])
            quaternion = product(turn, tip)
            places.append(place.tolist())
            turns.append(quaternion.tolist())
            right = np.array([math.cos(yaw), math.sin(yaw), 0])
            forward, up = np.array([-math.sin(yaw), math.cos(yaw), 0]), np.array([0, 0, 1.0])
            focal = 35.0 / 32.0 * WIDTH
            at = np.array([(point - place) @ right, -(point - place) @ up, (point - place) @ forward])
            if (number, t) == (4, 0):
                first = at
            dot = dotted(focal * at[0] / at[2] + WIDTH / 2, focal * at[1] / at[2] + HEIGHT / 2)
            Image.fromarray(np.dstack([dot, np.full(dot.shape[:2], 255, np.uint8)])).save(frames / f"rgba_{t:05d}.png")
            columns, rows = np.meshgrid(np.arange(WIDTH) + 0.5, np.arange(HEIGHT) + 0.5)
            ray = (
                (columns[..., None] - WIDTH / 2) / focal * right - (rows[..., None] - HEIGHT / 2) / focal * up + forward
            )
            distance = (wall - place[1]) / ray[..., 1] * np.linalg.norm(ray, axis=-1)
            Image.fromarray(distance.astype(np.float32)).save(frames / f"depth_{t:05d}.tiff")
        matrix = [[35 / 32, 0, -0.5], [0, -35 / 32 * WIDTH / HEIGHT, -0.5], [0, 0, -1]]
        told = {"scene": {"num_frames": 2, "resolution": [WIDTH, HEIGHT]}}
        told["camera"] = {"focal_length": 35.0, "positions": places, "quaternions": turns, "K": matrix}
        (scene / f"scn00007_p0_v{number}.json").write_text(json.dumps(told))
    assert first is not None
    return scene, point, first


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of quaternions, w first."""
    return np.concatenate([[a[0] * b[0] - a[1:] @ b[1:]], a[0] * b[1:] + b[0] * a[1:] + np.cross(a[1:], b[1:])])


def test_kubrics_rays_become_planar_depth_and_both_depths_tell_what_the_source_sees(tmp_path, capsys):
    scene, _, point = kubric_scene(tmp_path / "data", wall=5.0)
    _, found = brought("kubric", scene.parent, tmp_path / "set")
    assert (
        found == {"scn00007": ["view0"]}
        and not read_missing(tmp_path / "set")
        and "no depth" not in capsys.readouterr().err
    )
    source, target = read_source(tmp_path / "set", "scn00007"), read_target(tmp_path / "set", "scn00007", "view0")
    assert_dots_lie_where_the_cameras_see_the_point(source, target, point)
    assert torch.allclose(source.depth, torch.tensor(5.0), atol=1e-4)  # a wall across the axis has one planar depth
    assert target.visible is not None
    # A plane has no hidden side: seen is what lies within the source's picture, with its pixel of border.
    for t in range(2):
        rows, columns = torch.meshgrid(torch.arange(HEIGHT) + 0.5, torch.arange(WIDTH) + 0.5, indexing="ij")
        lens = target.path.intrinsics[t]
        rays = torch.stack([(columns - lens.cx) / lens.fx, (rows - lens.cy) / lens.fy, torch.ones_like(rows)], -1)
        points = (rays * target.depth[t][..., None]).double().numpy() - target.path.world_to_camera[t][:3, 3]
        world = points @ target.path.world_to_camera[t][:3, :3].astype("f8")
        own = np.array([seen_by(source, t, p)[:2] for p in world.reshape(-1, 3)]).reshape(HEIGHT, WIDTH, 2)
        inside = (own > 1).all(-1) & (own[..., 0] < WIDTH - 1) & (own[..., 1] < HEIGHT - 1)
        assert (target.visible[t].numpy() == inside).mean() > 0.995 and 0.3 < inside.mean() < 1


def test_a_smaller_set_of_fewer_frames_keeps_cameras_and_pictures_together(tmp_path):
    scene, _, point = kubric_scene(tmp_path / "data", wall=5.0)
    brought("kubric", scene, tmp_path / "set", "--longest", "24", "--start", "1", "--cases", "scn00007")
    source, target = read_source(tmp_path / "set", "scn00007"), read_target(tmp_path / "set", "scn00007", "view0")
    assert source.rgb.shape == (1, 20, 24, 3) == target.rgb.shape
    moved = point - [0.2, 0, 0]  # the second frame's camera stands further right, and is the world now
    for filmed in (source, target):
        assert dot_of(filmed.rgb[0]) == pytest.approx(seen_by(filmed, 0, moved)[:2], abs=0.6)


# --- MultiCamVideo ---------------------------------------------------------------------------------------------------------


def unreal_camera(yaw: float, pitch: float, place: np.ndarray) -> tuple[np.ndarray, str]:
    """Forward, right and up in Unreal's left-handed world, x forward, y right, z up; and the text of such a camera."""
    y, p = math.radians(yaw), math.radians(pitch)
    forward = np.array([math.cos(p) * math.cos(y), math.cos(p) * math.sin(y), math.sin(p)])
    right = np.array([-math.sin(y), math.cos(y), 0])
    up = np.array([-math.sin(p) * math.cos(y), -math.sin(p) * math.sin(y), math.cos(p)])
    axes = np.stack([forward, right, up])
    rows = [f"[{' '.join(f'{v:.6g}' for v in axis)} 0]" for axis in axes]
    return axes, f"{' '.join(rows)} [{' '.join(f'{v:g}' for v in place)} 1] "


def test_unreals_left_handed_centimetres_become_cameras_that_see_the_point(tmp_path):
    scene = tmp_path / "train" / "f24_aperture5" / "scene12"
    (scene / "videos").mkdir(parents=True)
    (scene / "cameras").mkdir()
    point, told, size = np.array([900.0, 120.0, 260.0]), {}, (64, 64)
    films: dict[str, list[np.ndarray]] = {"cam01": [], "cam02": []}
    first = None
    for t in range(3):
        told[f"frame{t}"] = {}
        for name, yaw, pitch, place in (
            ("cam01", 3.0 * t, 4.0, (300, 100, 240)),
            ("cam02", 30 + 2.0 * t, -5, (250, -250, 300)),
        ):
            axes, told[f"frame{t}"][name] = unreal_camera(yaw, pitch, np.array(place, float))
            ahead, aside, above = axes @ (point - place)
            focal = 24 / 23.76 * size[0]
            films[name].append(dotted(32 + focal * aside / ahead, 32 - focal * above / ahead, size))
            if first is None:
                first = np.array([aside, -above, ahead]) / 100
    (scene / "cameras" / "camera_extrinsics.json").write_text(json.dumps(told))
    for name, film in films.items():
        save_video(scene / "videos" / f"{name}.mp4", torch.from_numpy(np.stack(film)), 15, crf=4)
    _, found = brought("multicam", tmp_path / "train", tmp_path / "set")
    assert found == {"f24_aperture5-scene12": ["cam02"]}
    source = read_source(tmp_path / "set", "f24_aperture5-scene12")
    target = read_target(tmp_path / "set", "f24_aperture5-scene12", "cam02")
    assert first is not None and not source.has_depth
    assert_dots_lie_where_the_cameras_see_the_point(source, target, first)
    told["frame9"] = told.pop("frame1")  # the frames after a gap are not moved up
    (scene / "cameras" / "camera_extrinsics.json").write_text(json.dumps(told))
    with pytest.raises(EX4DError, match="frame1, cam01 is missing"):
        list(multicam.cases(tmp_path / "train"))


# --- V2M4 ------------------------------------------------------------------------------------------------------------------


def test_v2m4s_clips_are_their_own_targets(tmp_path, capsys):
    folder = tmp_path / "simple"
    (folder / "Long Video 01").mkdir(parents=True)
    for t in range(3):
        Image.fromarray(dotted(10 + 4 * t, 20)).convert("RGBA").save(folder / "Long Video 01" / f"{t + 1:04d}.png")
    save_video(folder / "aurorus.mp4", torch.from_numpy(np.stack([dotted(10 + t, 20) for t in range(4)])), 10)
    (folder / "._aurorus.mp4").write_bytes(b"what macOS leaves beside files on other disks")
    _, found = brought("v2m4", folder, tmp_path / "set")
    assert found == {"aurorus": ["same"], "Long_Video_01": ["same"]} and "no cameras" in capsys.readouterr().err
    source, target = (
        read_source(tmp_path / "set", "Long_Video_01"),
        read_target(tmp_path / "set", "Long_Video_01", "same"),
    )
    assert source.rgb.equal(target.rgb) and len(source.rgb) == 3 and not target.angle.any()
    assert len(read_source(tmp_path / "set", "aurorus").rgb) == 4
    videos = tmp_path / "rendered"
    videos.mkdir()
    for name in found:
        save_video(videos / f"{name}_same.mp4", read_source(tmp_path / "set", name).rgb, 10)
    words = ["benchmark", "run", "--set", str(tmp_path / "set"), "--output_dir", str(tmp_path / "r"), "--methods"]
    assert main([*words, "--videos", f"mesh={videos}"]) == 0
    (folder / "Long_Video_01.mp4").write_bytes((folder / "aurorus.mp4").read_bytes())
    with pytest.raises(EX4DError, match="2 cases called 'Long_Video_01'"):
        bring_in("v2m4", folder, tmp_path, Wanted())


# --- What cannot be read ---------------------------------------------------------------------------------------------------


def broken_dycheck(root: Path, how: str) -> Path:
    scene, _ = dycheck_scene(root, np.array([0.2, 0.3, -GROUND]))
    camera = scene / "camera" / "1_00001.json"
    if how == "camera":
        camera.unlink()
    elif how == "lens":
        camera.write_text(camera.read_text().replace('"radial_distortion": [0.0', '"radial_distortion": [0.1'))
    elif how == "numbers":
        camera.write_text(camera.read_text().replace('"focal_length": 100.0', '"focal_length": "long"'))
    elif how == "picture":
        (scene / "rgb" / "2x" / "1_00002.png").write_bytes(b"no picture")
    elif how == "depth":
        (scene / "depth" / "2x" / "0_00001.npy").write_bytes(b"no numbers")
    return scene


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("camera", "There is no file"),
        ("lens", "undistort"),
        ("numbers", "focal_length must be"),
        ("picture", "not a picture"),
        ("depth", "no .npy that can be read"),
    ],
)
def test_damage_is_one_sentence_and_leaves_nothing_behind(tmp_path, capsys, how, says):
    scene = broken_dycheck(tmp_path / "iphone", how)
    assert main(["benchmark", "import", "dycheck", str(scene), "--output_dir", str(tmp_path / "set")]) == 2
    told = capsys.readouterr().err.strip().splitlines()[-1]
    assert says in told and not (tmp_path / "set").exists()


@pytest.mark.parametrize("kind", ["dycheck", "nvidia", "kubric", "multicam", "v2m4"])
def test_a_folder_without_such_a_set_is_refused(tmp_path, capsys, kind):
    (tmp_path / "empty").mkdir()
    for folder, says in (("empty", "holds no"), ("nowhere", "There is no folder")):
        assert main(["benchmark", "import", kind, str(tmp_path / folder), "--output_dir", str(tmp_path / "set")]) == 2
        assert says in capsys.readouterr().err


def test_what_import_needs_is_told(tmp_path, capsys):
    scene, _, _ = kubric_scene(tmp_path / "data", wall=5.0)
    words = ["benchmark", "import", "kubric", str(scene), "--output_dir", str(tmp_path / "set")]
    for more, says in (
        (["--cases", "scn00008"], "has no case 'scn00008'; it has scn00007"),
        (["--start", "9"], "has 2 frames; start before that"),
        (["--longest", "4"], "--longest"),
    ):
        assert main([*words, *more]) == 2
        assert says in capsys.readouterr().err
    for other, says in ((["import"], "needs a public set's name"), (["make", "kubric"], "make takes no 'kubric'")):
        assert main(["benchmark", *other, "--output_dir", str(tmp_path / "set")]) == 2
        assert says in capsys.readouterr().err
    assert main(words) == 0
    assert main(words) == 2 and "holds a set already" in capsys.readouterr().err
