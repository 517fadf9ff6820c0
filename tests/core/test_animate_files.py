"""Meshes of generators: read from files, cleaned, reduced, and written as one that moves."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from harness.gltf import assert_valid
from PIL import Image
from scipy.spatial import KDTree

from ex4d_core import save_video
from ex4d_core.animate import fewer
from ex4d_core.animate.clean import cleaned
from ex4d_core.animate.decimate import decimated
from ex4d_core.animate.frames import facts, frame_numbers, mesh_files, mesh_frames
from ex4d_core.animate.meshes import MeshClip, TriangleMesh
from ex4d_core.animate.read import read_mesh
from ex4d_core.animate.save import save_mesh_clip
from ex4d_core.animate.scores import ROWS, check_truth, load_truth, mesh_scores
from ex4d_core.animate.surface import distances, signed_volume
from ex4d_core.camera import Intrinsics
from ex4d_core.commands import animate, cli
from ex4d_core.commands.flags import Parser
from ex4d_core.demo_scene.bodies import PERFECT, Body, Flaws
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.render import Triangles, render_triangles
from ex4d_core.trajectory import Trajectory


@pytest.fixture(scope="module")
def made():
    return Body("jelly", 1).generated(0.2, 0, Flaws(cells=16, noise=0, holes=0))


@pytest.fixture(scope="module")
def mesh(made) -> TriangleMesh:
    return TriangleMesh(made.vertices, made.faces, made.colors)


def exported(mesh: TriangleMesh, kind: str, **options: object) -> bytes:
    colors = None if mesh.colors is None else np.round(mesh.colors * 255).astype(np.uint8)
    scene = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colors, process=False)
    data = scene.export(file_type=kind, **options)
    return data.encode() if isinstance(data, str) else data


@pytest.mark.parametrize(
    ("kind", "options"), [("glb", {}), ("obj", {}), ("ply", {}), ("ply", {"encoding": "ascii"})], ids=str
)
def test_what_another_program_wrote_is_read(tmp_path, mesh, kind, options):
    path = tmp_path / f"mesh.{kind}"
    path.write_bytes(exported(mesh, kind, **options))
    found = read_mesh(path)
    np.testing.assert_array_equal(found.faces, mesh.faces)
    np.testing.assert_allclose(found.vertices, mesh.vertices, atol=1e-5)
    assert found.colors is not None and mesh.colors is not None
    if kind != "glb":  # trimesh writes sRGB bytes where glTF wants linear ones
        np.testing.assert_allclose(found.colors, mesh.colors, atol=0.01)


def test_a_texture_becomes_colours_of_vertices_and_nodes_place_their_meshes(tmp_path):
    from PIL import Image

    picture = Image.fromarray(np.array([[[250, 0, 0], [0, 0, 250]]], np.uint8))
    square = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], [[0, 1, 2], [0, 2, 3]], process=False)
    paint = trimesh.visual.material.PBRMaterial(baseColorTexture=picture)
    square.visual = trimesh.visual.TextureVisuals(uv=[[0.1, 0.5], [0.9, 0.5], [0.9, 0.5], [0.1, 0.5]], material=paint)
    scene = trimesh.Scene()
    scene.add_geometry(square, transform=trimesh.transformations.translation_matrix([0, 0, 5]))
    path = tmp_path / "square.glb"
    path.write_bytes(scene.export(file_type="glb"))
    found = read_mesh(path)
    assert found.colors is not None
    np.testing.assert_allclose(found.vertices[:, 2], 5)
    np.testing.assert_allclose(found.colors[0], [250 / 255, 0, 0], atol=0.02)
    np.testing.assert_allclose(found.colors[1], [0, 0, 250 / 255], atol=0.02)


def test_polygons_become_triangles_and_big_endian_is_read(tmp_path):
    obj = tmp_path / "quad.obj"
    obj.write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvn 0 0 1\nf 1//1 2//1 3//1 4//1\nf -4 -3 -2\n")
    np.testing.assert_array_equal(read_mesh(obj).faces, [[0, 1, 2], [0, 2, 3], [0, 1, 2]])
    header = (
        "ply\nformat binary_big_endian 1.0\nelement vertex 4\nproperty float x\nproperty float y\nproperty float z\n"
        "element face 2\nproperty list uchar int vertex_indices\nend_header\n"
    )
    points = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], ">f4").tobytes()
    rows = [b"\x03" + np.array([0, 1, 2], ">i4").tobytes(), b"\x04" + np.array([0, 1, 2, 3], ">i4").tobytes()]
    ply = tmp_path / "mixed.ply"
    ply.write_bytes(header.encode() + points + b"".join(rows))
    np.testing.assert_array_equal(read_mesh(ply).faces, [[0, 1, 2], [0, 1, 2], [0, 2, 3]])


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        ("mesh.fbx", b"", "is no mesh file that is read here; expected .glb"),
        ("mesh.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\n", "has no faces"),
        ("mesh.obj", b"v 0 0\nf 1 1 1\n", "neither 3 numbers nor 6"),
        ("mesh.obj", b"v a b c\n", "a line of this OBJ file is damaged"),
        ("mesh.ply", b"ply\nformat ascii 1.0\nelement vertex 3\n", "damaged or cut off"),
        ("mesh.ply", b"solid", "this is no PLY file"),
        ("mesh.glb", b"glTF\0\0\0\0", "no|cut off|not a complete"),
        ("mesh.gltf", b'{"asset": {"version": "2.0"}, "scenes": [{}]}', "holds no triangles"),
    ],
)
def test_files_that_hold_no_mesh_are_refused(tmp_path, name, data, told):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(EX4DError, match=told):
        read_mesh(tmp_path / name)


def test_fewer_faces_of_the_same_shape():
    body = Body("puppet", 0).generated(0, 0, PERFECT)
    size = np.linalg.norm(np.ptp(body.vertices, axis=0))
    vertices, faces, colors = decimated(body.vertices, body.faces, 1500, body.colors)
    assert 1450 <= len(faces) <= 1500 and colors is not None and len(colors) == len(vertices)
    assert distances(body.vertices, vertices, faces).max() < 0.01 * size
    assert signed_volume(vertices, faces) == pytest.approx(signed_volume(body.vertices, body.faces), rel=0.02)
    check = trimesh.Trimesh(vertices, faces, process=False)
    assert check.is_watertight and check.is_winding_consistent and check.euler_number == 2


def test_fast_simplification_is_taken_where_it_is_installed(monkeypatch):
    pytest.importorskip("fast_simplification")
    body = Body("puppet", 0).generated(0, 0, PERFECT)
    size = np.linalg.norm(np.ptp(body.vertices, axis=0))
    monkeypatch.setattr(fewer, "decimated", None)
    vertices, faces, colors = fewer.with_fewer_faces(1e4 * body.vertices, body.faces, 1500, body.colors)
    assert 1450 <= len(faces) <= 1530 and colors is not None and faces.max() == len(vertices) - 1 == len(colors) - 1
    assert distances(body.vertices, 1e-4 * vertices, faces).max() < 0.02 * size
    nearest = KDTree(1e4 * body.vertices).query(vertices)[1]
    assert np.abs(colors - body.colors[nearest]).mean() < 0.03


def test_without_fast_simplification_or_where_it_stops_short_edges_are_collapsed_here(monkeypatch):
    body = Body("walker", 0).generated(0, 0, Flaws(cells=12))
    monkeypatch.setattr(fewer.extras, "has", lambda _: False)
    own = fewer.with_fewer_faces(body.vertices, body.faces, 300, body.colors)
    monkeypatch.setattr(fewer.extras, "has", lambda _: True)
    monkeypatch.setattr(fewer, "_quickly", lambda vertices, faces, _: (vertices, faces))
    short = fewer.with_fewer_faces(body.vertices, body.faces, 300, body.colors)
    for one, other in zip(own, short, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    assert len(own[1]) <= 300


def test_a_generators_mesh_is_welded_turned_and_rid_of_crumbs(mesh):
    corners = mesh.vertices[mesh.faces].reshape(-1, 3)  # every face for itself, as exporters with textures write
    crumb = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]) * 0.02 * mesh.size + corners.max(axis=0) * 1.05
    soup = TriangleMesh(
        np.concatenate([corners, crumb]),
        np.concatenate(
            [np.arange(len(corners)).reshape(-1, 3)[:, ::-1], len(corners) + np.array([[0, 2, 1], [0, 1, 3]])]
        ),
    )
    done = cleaned(soup, faces=0)
    assert (done.dropped, done.turned, done.before) == (1, True, len(mesh.faces) + 2)
    assert len(done.mesh.vertices) == len(mesh.vertices)
    assert signed_volume(done.mesh.vertices, done.mesh.faces) > 0
    with pytest.raises(EX4DError, match="faces must be 0"):
        cleaned(mesh, faces=3)
    far = mesh.vertices + np.array([0, 0, 2 * mesh.size])
    both = TriangleMesh(np.concatenate([mesh.vertices, far]), np.concatenate([mesh.faces, mesh.faces + len(far)]))
    with pytest.raises(EX4DError, match="Frame 4: The mesh holds two objects"):
        mesh_frames([mesh, both], [0, 4])
    flat = TriangleMesh([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]])
    with pytest.raises(EX4DError, match="None of the mesh's faces has an area"):
        cleaned(flat)


def test_meshes_are_cleaned_and_told_of(mesh):
    done, notes = mesh_frames([mesh, mesh], [0, 5], faces=500)
    assert [len(each.faces) <= 500 for each in done.meshes] == [True, True]
    assert facts(done, notes)[0].startswith("2 meshes of frames 0 to 5")
    with pytest.raises(Cancelled):
        mesh_frames([mesh], [0], cancel=lambda: True)


@pytest.mark.parametrize(
    ("text", "names", "expected"),
    [
        ("", [], [0, 1, 2]),
        ("", ["a_0004.glb", "a_0008.glb", "a_0012.glb"], [4, 8, 12]),
        ("", ["9.glb", "3.glb", "5.glb"], [0, 1, 2]),
        ("every 6", [], [0, 6, 12]),
        ("0, 3; 9", [], [0, 3, 9]),
    ],
)
def test_frames_are_taken_from_words_or_names(text, names, expected):
    assert frame_numbers(text, 3, names) == expected


@pytest.mark.parametrize(
    ("text", "told"), [("0 1", "names 2 frames for 3 meshes"), ("often", "got 'often'"), ("every 0", "every 1 or more")]
)
def test_frames_that_mean_nothing_are_refused(text, told):
    with pytest.raises(EX4DError, match=told):
        frame_numbers(text, 3)


def clip(mesh: TriangleMesh, **fields: object) -> MeshClip:
    moved = np.stack([mesh.vertices * (1, 1 + 0.1 * t, 1) + (t, 0, 0) for t in range(4)])
    return MeshClip(**{"vertices": moved, "faces": mesh.faces, "colors": mesh.colors, "fps": 10} | fields)


def test_a_moving_mesh_is_one_glb_that_plays(tmp_path, mesh):
    moving = clip(mesh)
    written = save_mesh_clip(tmp_path / "clip", moving)
    assert [file.name for file in written.files] == ["clip.glb"] and written.shapes <= 2
    found = read_mesh(written.files[0])
    np.testing.assert_allclose(found.vertices, moving.vertices[0], atol=1e-5)
    assert found.colors is not None
    np.testing.assert_allclose(found.colors, moving.colors, atol=1e-3)
    assert written.lines()[1].startswith(f"4 frames, {len(mesh.faces)} faces")


def test_a_texture_keeps_its_places_and_the_camera_its_axes(tmp_path):
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    uv = np.array([[[0, 0], [0.3, 0], [0.3, 1]], [[0.75, 0], [1, 1], [0.75, 1]]])
    texture = np.zeros((4, 8, 3), np.uint8)
    texture[:, :4, 0], texture[:, 4:, 2] = 250, 250
    square = np.array([[[0, 0, 3], [1, 0, 3], [1, 1, 3], [0, 1, 3]]])
    moving = MeshClip(square, faces, uv=uv, texture=texture, space="camera")
    written = save_mesh_clip(tmp_path / "square.glb", moving, scale=2, format="glb frame")
    assert written.vertices == 6  # two corners have a place on either side of the seam
    found = read_mesh(written.files[0])
    np.testing.assert_allclose(sorted(set(found.vertices[:, 1])), [-2, 0])
    np.testing.assert_allclose(found.vertices[:, 2], -6)
    assert found.colors is not None and (found.colors[:, 2] > 0.9).sum() == 3


def test_frames_are_written_alone_or_one_by_one(tmp_path, mesh):
    moving = clip(mesh)
    still = save_mesh_clip(tmp_path / "one", moving, format="ply frame", frame=2)
    np.testing.assert_allclose(read_mesh(still.files[0]).vertices, moving.vertices[2], atol=1e-6)
    files = save_mesh_clip(tmp_path / "all", moving, format="glb sequence").files
    assert [file.name for file in files] == [f"all.{t:04}.glb" for t in range(4)]
    for options, told in (
        ({"format": "usdz"}, "one of glb"),
        ({"format": "ply frame", "frame": 4}, "frames 0 to 3; frame 4"),
        ({"between": "jump"}, "between must be one of"),
    ):
        with pytest.raises(EX4DError, match=told):
            save_mesh_clip(tmp_path / "none", moving, **options)
    with pytest.raises(Cancelled):
        save_mesh_clip(tmp_path / "none", moving, cancel=lambda: True)
    assert not list(tmp_path.glob("none*"))


def textured(mesh: TriangleMesh) -> dict[str, object]:
    """A texture, and places in it that differ on the two sides of every edge."""
    uv = np.random.default_rng(0).uniform(0, 1, (len(mesh.faces), 3, 2))
    return {"colors": None, "uv": uv, "texture": np.full((8, 8, 3), 128, np.uint8)}


def test_khronos_validator_has_nothing_against_any_moving_mesh(tmp_path, mesh):
    still = np.repeat(mesh.vertices[None], 3, axis=0)
    files = [
        *save_mesh_clip(tmp_path / "colours", clip(mesh), between="hold").files,
        *save_mesh_clip(tmp_path / "texture", clip(mesh, **textured(mesh)), scale=0.01).files,
        *save_mesh_clip(tmp_path / "plain", clip(mesh, colors=None, space="camera")).files,
        *save_mesh_clip(tmp_path / "fixed", clip(mesh, vertices=still)).files,
        *save_mesh_clip(tmp_path / "one", clip(mesh), format="glb frame", frame=1).files,
        *save_mesh_clip(tmp_path / "each", clip(mesh, **textured(mesh)), format="glb sequence").files[:1],
    ]
    assert len(files) == 6
    assert_valid(*files)


def test_the_command_makes_one_file_of_many(tmp_path, capsys):
    body = Body("jelly", 1)
    for n in range(2):
        each = body.generated(0.02 * n, n, Flaws(cells=12, posed=False))
        (tmp_path / f"frame_{2 * n:03}.ply").write_bytes(
            exported(TriangleMesh(each.vertices, each.faces, each.colors), "ply")
        )
    out = tmp_path / "out" / "jelly.glb"
    rest, faces = body.surface(12)
    truth = {"vertices": np.array([body.moved(rest, 0.01 * n) for n in range(3)]), "faces": faces}
    np.savez(tmp_path / "truth.npz", **truth)
    words = ["animate", "--meshes", str(tmp_path), "--faces", "800", "--output", str(out), "--fps", "12"]
    code = cli.main([*words, "--truth", str(tmp_path / "truth.npz"), "--json", str(tmp_path / "told.json")])
    told = capsys.readouterr()
    assert code == 0, told.err
    assert told.out.startswith(str(out)) and out.is_file()
    assert "2 meshes of frames 0 to 2" in told.err and "3 frames" in told.err
    scores = json.loads((tmp_path / "told.json").read_text())
    assert list(scores) == [row.name for row in ROWS] and f"{scores['same_point']:.2f} % of size" in told.out
    assert 0 < scores["surface"] < 1.5 and 0 < scores["same_point"] <= scores["same_point_worst"] < 3
    assert scores["flips"] is None and "not computed: no poses to compare" in told.out


def test_the_command_drives_one_mesh_with_a_video_and_paints_it(tmp_path, capsys):
    """A ball that goes to the side, as folders of pictures: the clip's last frame stands where the ball went."""
    ball = trimesh.creation.icosphere(subdivisions=2, radius=0.5)
    ball.export(tmp_path / "ball_0.ply")
    lens = Intrinsics.default(64, 64)
    points = np.stack([ball.vertices + np.array([0.08 * t, 0, 3.0]) for t in range(2)]).astype(np.float32)
    stripes = torch.from_numpy((127 + 120 * np.sin(9 * ball.vertices)).astype(np.uint8))
    mesh = Triangles(torch.from_numpy(points), torch.from_numpy(ball.faces.astype(np.int32)), stripes)
    still = Trajectory(np.tile(np.eye(4, dtype=np.float32), (2, 1, 1)))
    color, mask, depth = render_triangles(mesh, still, lens, supersample=2, out_dtype="uint8")
    for name, frames in (("film", color), ("masks", mask[..., None].expand(-1, -1, -1, 3))):
        (tmp_path / name).mkdir()
        for t, frame in enumerate(frames):
            Image.fromarray(frame.numpy()).save(tmp_path / name / f"{t:03}.png")
    np.savez(tmp_path / "depth.npz", depth=np.where(depth > 0, depth, 9.0))
    poses = np.eye(4)[None]
    poses[0, 2, 3] = 3.0
    np.savez(tmp_path / "poses.npz", poses=poses)
    out = tmp_path / "out.glb"
    words = ["animate", "--meshes", str(tmp_path / "ball_0.ply"), "--poses", str(tmp_path / "poses.npz"), "--paint"]
    words += ["vertex colors", "--input_video", str(tmp_path / "film"), "--masks", str(tmp_path / "masks")]
    code = cli.main([*words, "--depth", str(tmp_path / "depth.npz"), "--depth_kind", "depth", "--output", str(out)])
    told = capsys.readouterr()
    assert code == 0, told.err
    assert "2 frames, 162 vertices, 320 faces" in told.err and "of the surface" in told.err
    painted = read_mesh(out).colors
    assert painted is not None and painted.std() > 0.1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--meshes", "nowhere"], "There is no file or folder"),
        (["--meshes", "{folder}", "--reference", "1"], "--reference must be below the number of meshes, 1"),
        (["--meshes", "{folder}", "--poses", "{folder}/mesh.obj"], "is no .npz file"),
        (["--meshes", "{folder}", "--frames", "1 2"], "names 2 frames for 1 meshes"),
        (["--meshes", "{folder}/empty"], "There is no mesh file"),
        (["--meshes", "{folder}", "--masks", "m.mp4"], "--masks was given without --input_video"),
        (["--meshes", "{folder}", "--fov", "40"], "--depth and --fov are of a video"),
        (["--meshes", "{folder}", "--json", "told.json"], "give --truth too"),
        (["--meshes", "{folder}", "--truth", "{folder}/mesh.obj"], "no readable .npz|not an? .npz|is no"),
    ],
)
def test_the_command_refuses_before_it_works(tmp_path, words, told):
    (tmp_path / "empty").mkdir()
    (tmp_path / "mesh.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    parser = Parser(prog="animate", description=None)
    animate.add_arguments(parser)
    args = argparse.Namespace()
    parser.parse_args([*(word.format(folder=tmp_path) for word in words), "--output", str(tmp_path / "a.glb")], args)
    with pytest.raises(EX4DError, match=told):
        animate.animate_job(args)


def test_the_command_takes_the_video_s_rate_where_none_is_asked_for(tmp_path):
    (tmp_path / "mesh.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    save_video(tmp_path / "film.mp4", torch.zeros(2, 16, 16, 3, dtype=torch.uint8), 24)
    parser = Parser(prog="animate", description=None)
    animate.add_arguments(parser)
    plain = ["--meshes", str(tmp_path / "mesh.obj"), "--output", str(tmp_path / "a.glb")]
    filmed = [*plain, "--input_video", str(tmp_path / "film.mp4"), "--masks", "masks.mp4"]
    for words, fps in ((plain, 15), (filmed, 24), ([*filmed, "--fps", "12"], 12)):
        assert animate.animate_job(parser.parse_args(words)).fps == fps


def test_files_come_in_the_order_of_their_numbers(tmp_path):
    for name in ("m_10.obj", "m_9.obj", "notes.txt"):
        (tmp_path / name).write_text("")
    assert [Path(file).name for file in mesh_files([tmp_path])] == ["m_9.obj", "m_10.obj"]


def test_errors_against_the_truth_are_rows(tmp_path, mesh):
    """A mesh that slides away by 1, 2, 3 % of its size along itself, and one of two key frames turned back to front."""
    size, count = float(np.linalg.norm(np.ptp(mesh.vertices.astype(float), axis=0))), 4
    still = np.repeat(mesh.vertices[None].astype(float), count, axis=0)
    moved = still + np.arange(count)[:, None, None] * np.array([0.01 * size, 0, 0])
    back = np.stack([np.eye(4), np.diag([-1.0, 1.0, -1.0, 1.0])])
    np.savez(tmp_path / "truth.npz", vertices=still, faces=mesh.faces, poses=np.stack([np.eye(4)] * 2))
    truth = load_truth(tmp_path / "truth.npz")
    scores = mesh_scores(MeshClip(moved, mesh.faces), range(count), 0, truth, back)
    assert scores["same_point"] == pytest.approx(1.5, abs=0.01) and scores["same_point_slope"] == pytest.approx(
        3, abs=0.01
    )
    assert scores["same_point_last"] == scores["same_point_worst"] == pytest.approx(3, abs=0.01)
    assert 0 < scores["chamfer"] <= scores["surface"] < scores["same_point"]
    assert (scores["turn"], scores["turn_worst"], scores["flips"]) == pytest.approx((90, 180, 1))
    with pytest.raises(EX4DError, match="truth has 4 frames, and a mesh stands for frame 4"):
        check_truth(truth, [0, 4])
    with pytest.raises(EX4DError, match="truth has 4 frames, and the mesh is driven through the video's 5"):
        check_truth(truth, [0], 5)
    with pytest.raises(EX4DError, match="the mesh moves until frame 4"):
        mesh_scores(MeshClip(moved, mesh.faces), range(1, 5), 1, truth)
    with pytest.raises(EX4DError, match="poses of 2 meshes; 3 are given"):
        check_truth(truth, [0, 1, 2])
    for bad, told in (
        ({"vertices": still[0], "faces": mesh.faces}, "finite vertices"),
        ({"vertices": still, "faces": mesh.faces + 10**6}, "whole numbers"),
        ({"vertices": still, "faces": mesh.faces, "poses": np.eye(4)}, "poses of a truth"),
    ):
        np.savez(tmp_path / "bad.npz", **bad)
        with pytest.raises(EX4DError, match=told):
            load_truth(tmp_path / "bad.npz")
