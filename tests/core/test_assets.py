"""Meshes for other programs: few faces for all frames, files that other readers read back, refusal of bad input."""

from __future__ import annotations

import struct

import numpy as np
import pytest
import torch
import trimesh
from harness.gltf import assert_valid

from ex4d_core.assets.collapse import collapsing
from ex4d_core.assets.export import ASSET_FORMATS, AssetOptions, save_asset
from ex4d_core.assets.scene import asset_scene
from ex4d_core.assets.shapes import as_shapes
from ex4d_core.assets.simplify import surface_of
from ex4d_core.camera import Intrinsics, invert_pose, y_up_from_opencv
from ex4d_core.demo_scene import DemoScene
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.mesh import DWMesh, build_dw_mesh
from ex4d_core.storage.gltf import Buffers, parse
from ex4d_core.trajectory import Trajectory

FRAMES = 5


@pytest.fixture(scope="module")
def mesh() -> DWMesh:
    """Solids that move before others, 96 x 80."""
    scene = DemoScene(96, 80, FRAMES)
    rgb, depth = scene.clip()
    return build_dw_mesh(rgb, depth, scene.intrinsics)


@pytest.fixture(scope="module")
def path(mesh) -> Trajectory:
    return Trajectory.preset("30", frames=FRAMES, fps=12, radius=mesh.radius)


def wavy(height: int, width: int, frames: int = 2) -> DWMesh:
    """Smooth surfaces without an edge, another in each frame."""
    y, x = np.mgrid[:height, :width] / 24.0
    depth = np.stack([4 + 0.3 * np.sin(x + t) * np.cos(y) for t in range(frames)])
    rgb = np.random.default_rng(0).integers(0, 256, (*depth.shape, 3), np.uint8)
    lens = Intrinsics.default(width, height)
    return build_dw_mesh(rgb, torch.from_numpy(depth).float(), lens, style="paper", depth_jump=1.0)


def card(frames: int, *, moving: bool = False) -> DWMesh:
    """A square 2 in front of a wall 6 away; it may move to the right by four pixels a frame."""
    depth = torch.full((frames, 64, 64), 6.0)
    for t in range(frames):
        left = 20 + 4 * t * moving
        depth[t, 20:40, left : left + 20] = 2.0
    return build_dw_mesh(torch.full((frames, 64, 64, 3), 128, dtype=torch.uint8), depth, style="paper", depth_jump=0.1)


def areas(mesh: DWMesh, surface) -> np.ndarray:
    """Signed areas of faces in the picture; negative is counter-clockwise where y points down."""
    rows, columns = np.divmod(surface.vertices[surface.faces], mesh.width)
    a, b = (np.stack([columns[:, n] - columns[:, 0], rows[:, n] - rows[:, 0]]) for n in (1, 2))
    return (a[0] * b[1] - a[1] * b[0]) / 2


@pytest.mark.parametrize(("height", "width"), [(67, 67), (64, 96), (41, 130)])
def test_a_smooth_surface_is_covered_once_without_cracks(height, width):
    mesh = wavy(height, width)
    surface = surface_of(mesh, [0, 1], 1500)
    assert 700 < len(surface.faces) <= 1500
    area = areas(mesh, surface)
    assert (area <= 0).all() and -area.sum() == (height - 3) * (width - 3)
    # Every edge inside has two faces, of opposite direction: no vertex lies on another face's edge.
    edges = np.concatenate([surface.faces[:, [0, 1]], surface.faces[:, [1, 2]], surface.faces[:, [2, 0]]])
    forth, back = {tuple(edge) for edge in edges.tolist()}, {tuple(edge) for edge in edges[:, ::-1].tolist()}
    rows, columns = np.divmod(surface.vertices, width)
    rim = (rows == 1) | (rows == height - 2) | (columns == 1) | (columns == width - 2)
    assert all(rim[list(edge)].all() for edge in forth - back)
    assert len(forth) == len(edges)
    assert surface.kept == 1.0 and 0 < surface.error < 20


def test_more_faces_bring_the_surface_closer():
    mesh = wavy(90, 90)
    errors = [surface_of(mesh, [0, 1], faces).error for faces in (300, 1200, 4800)]
    assert errors[0] > 1.5 * errors[1] > 6 * errors[2]


def test_faces_lie_where_any_frame_bends():
    flat, bent = torch.full((1, 67, 67), 5.0), torch.full((1, 67, 67), 5.0)
    y, x = np.mgrid[:67, :67]
    bent[0] += torch.from_numpy(0.2 * np.exp(-((x - 50) ** 2 + (y - 50) ** 2) / 20.0)).float()
    mesh = build_dw_mesh(torch.zeros(2, 67, 67, 3), torch.cat([bent, flat]), style="paper", depth_jump=1.0)
    rows, columns = np.divmod(surface_of(mesh, [0, 1], 300).vertices, 67)
    near = np.hypot(rows - 50, columns - 50) < 12
    assert near.mean() > 0.7


def test_depth_edges_of_all_frames_stay_and_no_face_crosses_one_while_it_is_there():
    mesh = card(3, moving=True)
    surface = surface_of(mesh, range(3), 4000)
    assert surface.kept == 1.0
    rows, columns = np.divmod(surface.vertices[surface.faces], mesh.width)
    for t in range(3):
        depth = mesh.depth[t].numpy()[rows, columns][surface.visible(t)]
        assert np.ptp(depth, axis=1).max() < 1e-6
        seen = mesh.quad_face_valid(t).all(-1)[1:-1, 1:-1].sum()
        assert -areas(mesh, surface)[surface.visible(t)].sum() == seen
    assert len(surface.faces) < 4000


def test_with_too_few_faces_what_is_seen_shrinks_and_is_never_stretched_over_an_edge():
    mesh = card(3, moving=True)
    surface = surface_of(mesh, range(3), 300)
    assert 200 < len(surface.faces) <= 300 and 0.5 < surface.kept < 1
    rows, columns = np.divmod(surface.vertices[surface.faces], mesh.width)
    for t in range(3):
        assert np.ptp(mesh.depth[t].numpy()[rows, columns][surface.visible(t)], axis=1).max() < 1e-6


def test_without_a_limit_all_seen_faces_stay_as_they_are(mesh):
    surface = surface_of(mesh, range(FRAMES))
    for t in range(FRAMES):
        assert surface.visible(t).sum() == mesh.quad_face_valid(t).sum()


def test_more_than_64_frames_are_told_apart():
    mesh = card(70)
    deep = mesh.depth.clone()
    deep[66, 30, 30] = 9.0  # seen from the card's middle in one frame only
    mesh = build_dw_mesh(mesh.rgb, deep, style="paper", depth_jump=0.1)
    surface = surface_of(mesh, range(70), 4000)
    counts = {t: int(surface.visible(t).sum()) for t in range(70)}
    assert len({counts[t] for t in range(70) if t != 66}) == 1 and counts[66] < counts[65]


def test_faces_collapse_to_a_point_exactly_while_they_are_occluded():
    mesh = card(3, moving=True)
    scene = asset_scene(mesh)
    surface = surface_of(mesh, range(3), 4000)
    shape = collapsing(surface)
    for t in range(3):
        positions = scene.positions(t, surface.vertices)
        corners = shape.at(t, positions)[shape.faces]
        visible = surface.visible(t)
        assert (corners[visible] == positions[surface.faces[visible]]).all()
        assert (corners[~visible] == corners[~visible][:, :1]).all()
        assert (~visible).any()


def test_motion_of_few_kinds_is_mixed_from_few_shapes():
    rng = np.random.default_rng(2)
    kinds, base = rng.normal(size=(2, 500, 3)), rng.normal(size=(500, 3))
    amounts = rng.normal(size=(20, 2))
    moved = (base + np.tensordot(amounts, kinds, 1)).astype(np.float32)
    first, shapes, weights = as_shapes(moved.copy(), 1.0)
    assert len(shapes) <= 3 and weights.min() == 0 == np.abs(weights[0]).max() and weights.max() == 1
    assert np.abs(first + np.tensordot(weights, shapes, 1) - moved).max() < 1e-4


def test_motion_of_its_own_in_each_frame_keeps_a_shape_for_each():
    moved = np.random.default_rng(3).normal(size=(6, 40, 3)).astype(np.float32)
    first, shapes, weights = as_shapes(moved.copy(), 1.0)
    assert len(shapes) == 5 and set(np.unique(weights)) == {0, 1}
    assert np.abs(first + np.tensordot(weights, shapes, 1) - moved).max() < 1e-6


def test_what_stands_still_needs_no_shape():
    rng = np.random.default_rng(4)
    moved = np.repeat(rng.normal(size=(1, 40, 3)).astype(np.float32), 6, axis=0)
    assert len(as_shapes(moved.copy(), 1.0)[1]) == 0
    trembling = moved + rng.uniform(-1e-5, 1e-5, moved.shape).astype(np.float32)  # less than anybody sees
    first, shapes, weights = as_shapes(trembling.copy(), 1.0)
    assert (first == trembling[0]).all() and len(shapes) == 0 and weights.shape == (6, 0)


def test_khronos_validator_has_nothing_against_any_glb(mesh, path, tmp_path):
    zooming = Trajectory.from_json(
        {
            "version": 1, "frames": FRAMES, "fps": 12, "interpolation": "linear", "pivot": [0, 0, 2], "radius": 2,
            "keyframes": [
                {"frame": 0, "position": [0, 0, 0], "target": [0, 0, 2], "fov": 40},
                {"frame": 4, "position": [1, 0, 0], "target": [0, 0, 2], "fov": 60},
            ],
        }
    )  # fmt: skip
    one = AssetOptions(1500, "one picture", picture=2, between="blend")
    files = [
        *save_asset(tmp_path / "each", mesh, path, options=AssetOptions(1500)).files,
        *save_asset(tmp_path / "one", mesh, zooming, options=one).files,
        *save_asset(tmp_path / "still", mesh, format="glb frame", options=AssetOptions(0, picture=3)).files,
        *save_asset(tmp_path / "sequence", mesh, path, format="glb sequence", options=AssetOptions(500)).files[:2],
        *save_asset(tmp_path / "fixed", mesh.part(slice(0, 1)), path, options=AssetOptions(500)).files,
    ]
    assert len(files) == 6
    assert_valid(*files)


def expected_at(mesh: DWMesh, vertices: np.ndarray, t: int, scale: float) -> np.ndarray:
    """y up, -z forward, in the file's unit."""
    return mesh.vertices_in_world(t).numpy()[vertices] * np.float32([scale, -scale, -scale])


def camera_to_world(trajectory: Trajectory, scale: float) -> np.ndarray:
    poses = invert_pose(y_up_from_opencv(trajectory.world_to_camera))
    poses[:, :3, 3] *= scale
    return poses


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_trimesh_reads_back_vertices_pictures_and_camera(mesh, path, tmp_path, scale):
    written = save_asset(tmp_path / "clip.glb", mesh, path, options=AssetOptions(2000), scale=scale)
    loaded = trimesh.load(written.files[0], process=False)
    poses = camera_to_world(path, scale)
    assert np.abs(loaded.graph.get("EX-4D camera")[0] - poses[0]).max() < 1e-4
    for t in (0, FRAMES // 2, FRAMES - 1):
        surface = surface_of(mesh, [t], 2000)
        geometry = loaded.geometry[f"frame {t:04}"]
        assert (
            np.abs(geometry.vertices - expected_at(mesh, surface.vertices, t, scale)).max() < 1e-3 * mesh.radius * scale
        )
        assert (geometry.faces == surface.faces).all()
        picture = np.asarray(geometry.visual.material.baseColorTexture, np.float64)
        assert np.abs(picture - mesh.rgb[t].numpy()).mean() < 3
        # trimesh turns v over, so that it counts from the lower left corner
        places = geometry.visual.uv * [mesh.width, -mesh.height] + [0, mesh.height]
        assert np.abs(places - 0.5 - np.stack(np.divmod(surface.vertices, mesh.width)[::-1], -1)).max() < 1e-3


def test_trimesh_reads_back_every_file_of_a_sequence(mesh, path, tmp_path):
    files = save_asset(tmp_path / "shot", mesh, path, format="glb sequence", options=AssetOptions(800)).files
    assert [file.name for file in files] == [f"shot.{n:04}.glb" for n in range(FRAMES)]
    poses = camera_to_world(path, 1.0)
    for n, file in enumerate(files):
        loaded = trimesh.load(file, process=False)
        assert np.abs(loaded.graph.get("EX-4D camera")[0] - poses[n]).max() < 1e-4
        vertices = surface_of(mesh, [n], 800).vertices
        got = loaded.geometry[f"frame {n:04}"].vertices
        assert np.abs(got - expected_at(mesh, vertices, n, 1.0)).max() < 1e-5
    plys = save_asset(tmp_path / "shot", mesh, path, format="ply sequence", options=AssetOptions(0)).files
    loaded = trimesh.load(plys[2], process=False)
    surface = surface_of(mesh, [2])
    assert len(loaded.faces) == len(surface.faces)
    assert np.abs(loaded.vertices - expected_at(mesh, surface.vertices, 2, 1.0)).max() < 1e-5
    assert (loaded.visual.vertex_colors[:, :3] == mesh.rgb[2].numpy().reshape(-1, 3)[surface.vertices]).all()


def test_one_mesh_moves_through_all_frames_in_step_with_its_path(mesh, tmp_path):
    document = {
        "version": 1, "frames": 4, "fps": 8, "interpolation": "linear", "pivot": [0, 0, 2], "radius": 2,
        "keyframes": [
            {"frame": 0, "time": 4, "position": [0, 0, 0], "target": [0, 0, 2]},
            {"frame": 3, "time": 1, "position": [1, 0, 0], "target": [0, 0, 2]},
        ],
    }  # fmt: skip
    path = Trajectory.from_json(document)
    options = AssetOptions(2000, "one picture", picture=1)
    written = save_asset(tmp_path / "clip", mesh, path, options=options)
    document, binary = parse(written.files[0].read_bytes())
    buffers = Buffers(document, binary, tmp_path)
    part = document["meshes"][0]["primitives"][0]
    base = buffers.accessor(part["attributes"]["POSITION"])
    shapes = np.stack([buffers.accessor(target["POSITION"]) for target in part["targets"]])
    animation = document["animations"][0]
    channel = next(each for each in animation["channels"] if each["target"]["path"] == "weights")
    sampler = animation["samplers"][channel["sampler"]]
    assert sampler["interpolation"] == "STEP"
    assert np.allclose(buffers.accessor(sampler["input"])[:, 0], np.arange(5) / 8)
    weights = buffers.accessor(sampler["output"]).reshape(5, len(shapes))
    shown = (4, 3, 2, 1)
    surface = surface_of(mesh, sorted(shown), 2000)
    shape = collapsing(surface)
    for n, frame in enumerate((*shown, shown[-1])):
        k = surface.frames.index(frame)
        want = shape.at(k, expected_at(mesh, surface.vertices, frame, 1.0))
        assert np.abs(base + np.tensordot(weights[n], shapes, 1) - want).max() < 1e-3 * mesh.radius
    assert np.allclose(document["meshes"][0]["weights"], weights[0])


def test_the_point_cache_moves_the_obj(mesh, path, tmp_path):
    for kind in ("mdd", "pc2"):
        options = AssetOptions(1000, picture=1)
        written = save_asset(tmp_path / "clip", mesh, path, format=f"obj + {kind}", options=options, scale=2.0)
        assert {file.suffix for file in written.files} == {".obj", ".mtl", ".jpg", f".{kind}"}
        assert written.files[0].suffix == ".obj"
        loaded = trimesh.load(written.files[0], process=False, maintain_order=True)
        lines = written.files[0].read_text().splitlines()
        vertices = np.array([line.split()[1:] for line in lines if line.startswith("v ")], float)
        data = (tmp_path / f"clip.{kind}").read_bytes()
        if kind == "mdd":
            frames, points = struct.unpack(">ii", data[:8])
            times = np.frombuffer(data, ">f4", frames, 8)
            assert np.allclose(times, np.arange(FRAMES) / 12)
            moved = np.frombuffer(data, ">f4", offset=8 + 4 * frames).reshape(frames, points, 3)
        else:
            assert data[:12] == b"POINTCACHE2\0"
            version, points, start, every, frames = struct.unpack("<iiffi", data[12:32])
            assert (version, start, every) == (1, 0, 1)
            moved = np.frombuffer(data, "<f4", offset=32).reshape(frames, points, 3)
        assert (frames, points) == (FRAMES, len(vertices)) and len(loaded.faces) == written.faces
        assert np.abs(moved[0] - vertices).max() < 1e-5
        surface = surface_of(mesh, range(FRAMES), 1000)
        shape = collapsing(surface)
        want = shape.at(4, expected_at(mesh, surface.vertices, 4, 2.0))
        assert np.abs(moved[4] - want).max() < 1e-5


def test_usd_reads_back_points_cameras_and_lens_shift(mesh, tmp_path):
    usd = pytest.importorskip("pxr.Usd")
    from pxr import UsdGeom, UsdShade

    lens = Intrinsics(90.0, 80.0, 50.0, 36.0, 96, 80)
    poses = np.tile(np.eye(4), (FRAMES, 1, 1))
    poses[:, 0, 3] = np.arange(FRAMES) / 10
    path = Trajectory(poses, (lens,) * FRAMES, 12.0)
    options = AssetOptions(1000)
    written = save_asset(tmp_path / "clip", mesh, path, format="usdz", options=options, scale=0.5)
    assert [file.name for file in written.files] == ["clip.usdz"]
    stage = usd.Stage.Open(str(written.files[0]))
    assert UsdGeom.GetStageUpAxis(stage) == "Y" and UsdGeom.GetStageMetersPerUnit(stage) == 1
    assert (stage.GetTimeCodesPerSecond(), stage.GetEndTimeCode()) == (12, FRAMES - 1)
    surface = surface_of(mesh, range(FRAMES), 1000)
    shape = collapsing(surface)
    points = UsdGeom.Mesh(stage.GetPrimAtPath("/World/Clip")).GetPointsAttr()
    for t in (0, 2, FRAMES - 1):
        want = shape.at(t, expected_at(mesh, surface.vertices, t, 0.5))
        assert np.abs(np.array(points.Get(t)) - want).max() < 1e-5
    camera = UsdGeom.Camera(stage.GetPrimAtPath("/World/EX4D_camera"))
    matrix = np.array(UsdGeom.Xformable(camera).ComputeLocalToWorldTransform(3)).T
    assert np.abs(matrix - camera_to_world(path, 0.5)[3]).max() < 1e-5
    frustum = camera.GetCamera(3).frustum
    # The picture's corners as tangents: what the lens says, in axes that point right and up.
    low, high = frustum.GetWindow().GetMin(), frustum.GetWindow().GetMax()
    assert np.allclose(low, [-50 / 90, -(80 - 36) / 80], atol=1e-5)
    assert np.allclose(high, [(96 - 50) / 90, 36 / 80], atol=1e-5)
    file = UsdShade.Shader(stage.GetPrimAtPath("/World/Picture/Texture")).GetInput("file")
    for t in (0, 4):
        assert file.Get(t).path == f"./frame_{t:04}.jpg" and "clip.usdz[" in file.Get(t).resolvedPath


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "fbx"}, "format must be one of glb"),
        ({"options": AssetOptions(faces=20)}, "at least 100 faces"),
        ({"options": AssetOptions(picture=FRAMES)}, "frames 0 to 4; the picture of frame 5"),
        ({"options": AssetOptions(colors="none")}, "colors must be one of each frame, one picture"),  # type: ignore[arg-type]
        ({"options": AssetOptions(between="fade")}, "between must be one of hold, blend"),
        ({"fps": 0.0}, "fps must lie between"),
        ({"scale": float("nan")}, "scale must lie between"),
        ({"trajectory": Trajectory.preset("30", frames=7)}, "5 frames, the camera path 7"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_left(mesh, tmp_path, changes, said):
    with pytest.raises(EX4DError, match=said):
        save_asset(tmp_path / "new" / "clip", mesh, **changes)
    assert not list(tmp_path.iterdir())


def test_a_mesh_without_a_visible_face_is_refused(tmp_path):
    depth = torch.full((1, 16, 16), 2.0)
    depth[:, ::2] = 9.0
    mesh = build_dw_mesh(torch.zeros(1, 16, 16, 3), depth, style="paper", depth_jump=0.01)
    with pytest.raises(EX4DError, match="No frame of this mesh has a visible face"):
        save_asset(tmp_path / "clip", mesh)
    with pytest.raises(EX4DError, match="at least 4x4 pixels"):
        save_asset(tmp_path / "clip", build_dw_mesh(torch.zeros(1, 3, 3, 3), torch.ones(1, 3, 3)))


@pytest.mark.parametrize("format", ASSET_FORMATS)
def test_progress_ends_at_its_total_and_cancelling_leaves_nothing(mesh, tmp_path, format):
    seen: list[tuple[int, int]] = []
    options = AssetOptions(500, "one picture")
    save_asset(
        tmp_path / "done" / "clip", mesh, format=format, options=options, progress=lambda *step: seen.append(step)
    )
    if "frame" not in format:
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1][0] == seen[-1][1] and len({total for _, total in seen}) == 1
        calls = iter([False, False, False, True])
        with pytest.raises(Cancelled):
            save_asset(tmp_path / "new" / "clip", mesh, format=format, options=options, cancel=lambda: next(calls))
        assert not (tmp_path / "new").exists()
