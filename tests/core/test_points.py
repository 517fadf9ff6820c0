"""Points in files of every kind: read back, by other readers too; drawn, and compared with the mesh."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image

from ex4d_core.assets.points import points_of_mesh
from ex4d_core.camera import Intrinsics, invert_pose, look_at
from ex4d_core.commands import cli
from ex4d_core.demo_scene import DemoScene
from ex4d_core.depth import DepthClip
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.pointmap import PointMap
from ex4d_core.pointmap.exr import linear_of, srgb_of
from ex4d_core.pointmap.formats import POINT_FORMATS, is_points, load_points, points_shape, save_points
from ex4d_core.pointmap.from_depth import points_of_clip
from ex4d_core.pointmap.splats import draw_aside, draw_frame, draw_splats
from ex4d_core.render import render_color_mask
from ex4d_core.trajectory import Trajectory

FRAMES, WIDTH, HEIGHT = 3, 96, 80


@pytest.fixture(scope="module")
def scene():
    return DemoScene(WIDTH, HEIGHT, FRAMES, camera="dolly")


@pytest.fixture(scope="module")
def points(scene) -> PointMap:
    """In the world, with pixels that have none."""
    rgb, depth = scene.clip()
    source = Trajectory(scene.source_cameras()[0], frame_of_reference="world")
    mesh = build_dw_mesh(rgb, depth, scene.intrinsics, style="paper", source_camera=source)
    return points_of_mesh(mesh, fps=23.976)


def test_a_mesh_gives_the_points_that_it_saw_where_its_depth_says(scene, points):
    rgb, depth = scene.clip()
    assert not points.valid[:, 0].any() and 0.85 < float(points.valid.float().mean()) < 1
    lens = scene.intrinsics
    for t, pose in enumerate(scene.source_cameras()[0]):
        row, column = 41, 33
        assert points.valid[t, row, column]
        ray = np.array([(column + 0.5 - lens.cx) / lens.fx, (row + 0.5 - lens.cy) / lens.fy, 1])
        expected = invert_pose(pose) @ [*(ray * float(depth[t, row, column])), 1]
        np.testing.assert_allclose(points.points[t, row, column].numpy(), expected[:3], atol=1e-5)
    assert torch.equal(points.colors, (rgb * 255 + 0.5).to(torch.uint8) if rgb.is_floating_point() else rgb)
    whole = points_of_clip(rgb, DepthClip(depth, lens), fps=24)
    assert bool(whole.valid.all()) and whole.fps == 24
    with pytest.raises(EX4DError, match="Both need"):
        points_of_clip(rgb[:2], DepthClip(depth, lens))


@pytest.mark.parametrize("format", POINT_FORMATS)
def test_files_give_the_points_back(tmp_path, points, format):
    steps = []
    files = save_points(tmp_path / "shot", points, format=format, scale=2.5, progress=lambda *done: steps.append(done))
    assert files[0].name.startswith("shot.") and files[0].name.endswith(POINT_FORMATS[format].suffix)
    assert steps[-1][0] == steps[-1][1] and is_points(files[0]) and points_shape(files[0])[0] == (FRAMES, HEIGHT, WIDTH)
    again = load_points(files[0])
    assert torch.equal(again.valid, points.valid) and (again.space, again.fps) == ("world", 23.976)
    # A 16-bit step of the clip's own range, and the rounding of float32 for the others.
    span = float((points.points[points.valid].amax(0) - points.points[points.valid].amin(0)).max())
    off = float((again.points - points.points)[points.valid].abs().max())
    assert off <= (span / 131068 * 1.01 if format == "16-bit pictures" else 1e-6 * span)
    assert torch.equal(again.colors[points.valid], points.colors[points.valid])
    if format != "ply points":
        assert torch.equal(again.colors, points.colors)


def test_other_programs_read_the_points_y_up_in_the_unit_asked_for(tmp_path, points):
    expected = points.points[1][points.valid[1]].numpy() * [3, -3, -3]
    save_points(tmp_path / "shot", points, scale=3.0)
    cloud = trimesh.load(tmp_path / "shot.0001.ply")
    np.testing.assert_allclose(cloud.vertices, expected, rtol=1e-6)
    assert (np.asarray(cloud.colors)[:, :3] == points.colors[1][points.valid[1]].numpy()).all()
    files = save_points(tmp_path / "shot", points, format="16-bit pictures", scale=3.0)
    told = json.loads(files[0].read_text())
    low, high = np.array(told["low"]), np.array(told["high"])
    depth = -expected[:, 2]
    assert -high[2] <= depth.min() + 1e-3 and -low[2] >= depth.max() - 1e-3
    picture = np.asarray(Image.open(tmp_path / "shot.color.0001.png"))
    assert (picture == points.colors[1].numpy()).all()


def test_a_position_pass_is_read_by_its_channels(tmp_path, points):
    openexr = pytest.importorskip("OpenEXR")
    save_points(tmp_path / "shot", points, format="exr")
    with openexr.File(str(tmp_path / "shot.0002.exr"), separate_channels=True) as file:
        planes = {name: np.array(channel.pixels) for name, channel in file.channels().items()}
    assert set(planes) == {"R", "G", "B", "A", "P.X", "P.Y", "P.Z"}
    valid = points.valid[2].numpy()
    assert ((planes["A"] == 1) == valid).all()
    np.testing.assert_allclose(planes["P.Y"][valid], -points.points[2].numpy()[valid][:, 1], atol=1e-6)
    bytes_ = np.arange(256, dtype=np.uint8)
    assert (srgb_of(linear_of(bytes_).astype(np.float16)) == bytes_).all()


def test_what_is_no_file_of_points_is_told(tmp_path, points):
    files = save_points(tmp_path / "shot", points)
    files[1].unlink()
    with pytest.raises(EX4DError, match=r"clip of 3 frames, of which 'shot\.0001\.ply' is not there"):
        load_points(files[0])
    trimesh.PointCloud(np.random.rand(20, 3)).export(tmp_path / "other.0000.ply")
    assert not is_points(tmp_path / "other.0000.ply")
    with pytest.raises(EX4DError, match="which pixel each point belongs to"):
        load_points(tmp_path / "other.0000.ply")
    with pytest.raises(EX4DError, match="no file of points"):
        load_points(tmp_path / "shot.obj")
    for bad, said in (({"format": "las"}, "one of ply points, npz"), ({"scale": 0.0}, "scale must lie between")):
        with pytest.raises(EX4DError, match=said):
            save_points(tmp_path / "bad", points, **bad)
    with pytest.raises(Cancelled):
        save_points(tmp_path / "cut", points, cancel=lambda: True)
    assert not list(tmp_path.glob("cut*")) and not list(tmp_path.glob("bad*"))


def test_splats_show_the_nearest_point_in_squares_of_their_size():
    lens = Intrinsics.from_focal(10.0, 20, 20)
    places = np.array([[0.0, 0.0, 2.0], [0.0, 0.0, 1.0], [0.3, 0.0, 1.0], [0.0, 0.0, -1.0]])
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [9, 9, 9]], np.uint8)
    seen = draw_splats(places, colors, lens, np.eye(4), size=2)
    rows, columns = np.nonzero(seen.mask)
    assert set(zip(rows.tolist(), columns.tolist(), strict=True)) == {(r, c) for r in (9, 10) for c in (9, 10, 12, 13)}
    assert (seen.color[9, 9] == [0, 255, 0]).all() and seen.depth[10, 10] == 1 and np.isinf(seen.depth[0, 0])
    for size, count in ((1, 1), (3, 9), (5, 25)):
        assert draw_splats(places[:1], colors[:1], lens, np.eye(4), size=size).mask.sum() == count
    with pytest.raises(EX4DError, match="1 to 64 pixels"):
        draw_splats(places, colors, lens, np.eye(4), size=0)


def test_splats_of_a_mesh_show_what_the_mesh_shows(scene):
    """At the source camera every point lies in its own pixel; from aside they agree where no edge is near."""
    rgb, depth = scene.clip()
    mesh = build_dw_mesh(rgb, depth, scene.intrinsics, style="paper")
    points = points_of_mesh(mesh)
    home = draw_frame(points, 0, scene.intrinsics, np.eye(4), size=1)
    valid = points.valid[0].numpy()
    assert (home.mask == valid).all() and (home.color[valid] == points.colors[0].numpy()[valid]).all()
    pose = look_at((0.6, -0.2, 0.1), mesh.pivot)
    path = Trajectory(np.tile(pose, (FRAMES, 1, 1)), (scene.intrinsics,) * FRAMES)
    color, mask = (part[0].numpy() for part in render_color_mask(mesh, path, backend="torch")[:2])
    splats = draw_frame(points, 0, scene.intrinsics, pose, size=2)
    both = splats.mask & (mask > 0)
    color = color if color.dtype == np.uint8 else color * 255.0
    error = np.abs(color.astype(float) - splats.color)[both].max(-1)
    assert both.mean() > 0.5 and np.median(error) < 12
    assert draw_aside(points, 0, 64, 48).any(-1).mean() > 0.3


def test_the_command_line_writes_them_and_films_them_anew(tmp_path, points, capsys):
    clip = save_points(tmp_path / "map", points, format="npz")[0]
    ply = save_points(tmp_path / "map", points)[0]
    size = f"{WIDTH}x{HEIGHT}"
    base = ["--input_video", clip, "--depth", ply, "--num_frames", FRAMES, "--size", size]
    out = tmp_path / "out"
    assert cli.main(["export", *map(str, [*base, "--output", out / "shot.exr"])]) == 0
    again = load_points(out / "shot.0000.exr")
    seen = again.valid[0] & points.valid[0]
    # The depth was scaled so that its nearest lies where EX-4D's does.
    ratio = (again.points[0][seen][:, 2] / points.points[0][seen][:, 2]).median()
    error = (again.points[0] - points.points[0] * ratio)[seen].norm(dim=-1) / points.points[0][seen].norm(dim=-1)
    assert float(error.median()) < 0.01
    assert cli.main(["export", *map(str, [*base, "--output", out / "b.exr", "--cam", "30"])]) == 2
    assert "holds no camera" in capsys.readouterr().err
