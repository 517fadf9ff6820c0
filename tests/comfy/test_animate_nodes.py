"""Meshes of key frames become one painted mesh that moves, in a real ComfyUI."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
import torch
import trimesh
from harness import workflow
from harness.wan import node
from test_load_video import load
from test_trajectory_nodes import camera

SIDE, FRAMES = 96, (0, 2)


@pytest.fixture(scope="module")
def filmed(server):
    """A walker filmed for three frames, and what a generator makes of two of them, in the server's input folder."""
    from ex4d_core.camera import Intrinsics
    from ex4d_core.demo_scene.bodies import Body, Flaws
    from ex4d_core.render import Triangles, render_triangles
    from ex4d_core.trajectory import Trajectory
    from ex4d_core.video import save_video

    body = Body("walker", 1)
    rest, faces = body.surface(20)
    times = (0.1, 0.13, 0.16)
    points = torch.from_numpy(np.stack([body.moved(rest, time) for time in times]).astype(np.float32))
    painted = torch.from_numpy((body.colors(rest) * 255).astype(np.uint8))
    still = Trajectory(np.tile(np.eye(4, dtype=np.float32), (3, 1, 1)))
    lens = Intrinsics.default(SIDE, SIDE)
    color, mask, _ = render_triangles(Triangles(points, torch.from_numpy(faces), painted), still, lens, backend="torch")
    save_video(server.input / "walker.mp4", color, 15)
    save_video(server.input / "walker_mask.mp4", mask[..., None].expand(-1, -1, -1, 3).contiguous(), 15)
    (server.input / "walker").mkdir(exist_ok=True)
    for frame in FRAMES:
        made = body.generated(times[frame], frame, Flaws(cells=20))
        mesh = trimesh.Trimesh(
            made.vertices, made.faces, vertex_colors=(made.colors * 255).astype(np.uint8), process=False
        )
        mesh.export(server.input / "walker" / f"frame_{frame:03}.ply")


def graph() -> dict:
    film = {"frames": 0, "width": 0, "height": 0}
    return {
        "film": load("walker.mp4", **film),
        "mask film": load("walker_mask.mp4", **film),
        "masks": {"class_type": "ImageToMask", "inputs": {"image": ["mask film", 0], "channel": "red"}},
        "frames": {
            "class_type": "EX4DMeshFrames",
            "inputs": {"files": "walker/frame_*.ply", "frames": "", "faces": 1500, "fps": 15.0},
        },
        "fit": {
            "class_type": "EX4DFitMeshes",
            "inputs": {"meshes": ["frames", 0], "masks": ["masks", 0], "images": ["film", 0], "fov": 0.0},
        },
        "register": {
            "class_type": "EX4DRegisterMeshes",
            "inputs": {"meshes": ["fit", 0], "reference": -1, "smooth": 0.3, "every_frame": True},
        },
        "bake": {
            "class_type": "EX4DBakeTexture",
            "inputs": {"mesh_clip": ["register", 0], "images": ["film", 0], "masks": ["masks", 0], "fov": 0.0}
            | {"paint": "texture", "texture_size": 256},
        },
        "save": {
            "class_type": "EX4DSaveAnimatedMesh",
            "inputs": {"mesh": ["bake", 0], "name": "EX-4D/walker", "format": "glb", "colors": "one picture"}
            | {"faces": 0, "picture": 0, "between": "hold", "scale": 1.0},
        },
    }


def test_meshes_of_key_frames_become_one_painted_mesh_that_moves(client, server, filmed):
    result = client.queue(graph()).ok()
    overlap = re.search(r"2 key frames: IoU ([\d.]+), outlines ([\d.]+) px apart", result.text("fit"))
    assert overlap and float(overlap[1]) > 0.8 and float(overlap[2]) < 1, result.text("fit")
    assert "3 frames" in result.text("register") and "a texture of 256x256" in result.text("bake")
    for key in ("frames", "fit", "register", "bake", "save"):
        assert client.view(result.outputs[key]["images"][0]), key
    saved = trimesh.load(server.output / "EX-4D" / "walker_00001_.glb", process=False)
    (mesh,) = saved.geometry.values()
    assert len(mesh.faces) > 500 and mesh.visual.material.baseColorTexture.size == (256, 256)


def test_one_mesh_follows_the_video_and_is_filmed_in_its_scene(newest_host, client, server, filmed):
    """The graph of one mesh; its scene is a wall behind it, so that a pixel is the mesh's or the wall's."""
    prompt = {key: part for key, part in graph().items() if key in ("film", "mask film", "masks", "frames", "fit")}
    prompt["frames"]["inputs"] |= {"files": "walker/frame_000.ply", "frames": "0"}
    prompt |= {
        "drive": node("EX4DDriveMesh", mesh=["fit", 0], masks=["masks", 0], images=["film", 0], smooth=0.3, fov=0.0),
        "wall": node("EX4DDepthFromImage", images=["mask film", 0], kind="inverse", near=8.0, far=9.0),
        "scene": node("EX4DBuildDWMesh", images=["film", 0], depth=["wall", 0]),
        "path": camera("scene", angle=2.0),
        "render": node("EX4DRenderColorMask", mesh=["scene", 0], trajectory=["path", 0], mesh_clip=["drive", 0]),
    }
    pack = client.object_info()
    for part in prompt.values():
        if part["class_type"].startswith("EX4D"):
            part["inputs"] = workflow.widget_defaults(pack[part["class_type"]]) | part["inputs"]
    for name, source in (("over", ["render", 3]), ("drawn", ["drive", 1])):
        prompt[name] = node("EX4DTestRecord", value=source, name=name)
    result = client.queue(prompt).ok()
    assert re.search(r"3 frames, \d+ vertices, \d+ faces, \d+ tracks", result.text("drive")), result.text("drive")
    overlap = re.search(r"IoU of mesh and mask ([\d.]+)", result.text("drive"))
    assert overlap and float(overlap[1]) > 0.75, result.text("drive")
    assert client.view(result.outputs["drive"]["images"][0])
    # The mesh stands at 1, the wall at 8 and farther: nothing of it is as bright.
    near = torch.load(server.output / "over.pt", weights_only=True)[..., 0] > 0.5
    assert 0.02 < float(near[1].float().mean()) < 0.3
    prompt["frames"]["inputs"] |= {"files": "walker/frame_*.ply", "frames": ""}
    assert "One mesh is driven through the video; got those of 2 frames" in client.queue(prompt).message


def test_what_does_not_fit_is_told_in_a_sentence(client, filmed):
    prompt = graph()
    prompt["frames"]["inputs"]["files"] = "walker/none_*.ply"
    assert "No mesh in ComfyUI's input folder is called 'walker/none_*.ply'" in client.queue(prompt).message
    prompt = graph()
    prompt["frames"]["inputs"]["frames"] = "0, 1, 2"
    assert "2" in client.queue(prompt).message and "3" in client.queue(prompt).message


def test_pictures_and_masks_are_those_that_core_nodes_take(client, server, filmed):
    """Grey pictures are; a list without any is told; what leaves is an ordinary tensor, in which others can write."""
    prompt = graph()
    del prompt["save"]
    prompt["grey"] = {"class_type": "MaskToImage", "inputs": {"mask": ["masks", 0]}}
    prompt["fit"]["inputs"]["images"] = ["grey", 0]
    for name, source in (("overlay", ["fit", 1]), ("render", ["bake", 1])):
        prompt[name] = {"class_type": "EX4DTestRecord", "inputs": {"value": source, "name": name}}
    result = client.queue(prompt).ok()
    shapes = [json.loads(result.text(name))["shape"] for name in ("overlay", "render")]
    assert [shape[0] for shape in shapes] == [2, 3] and all(shape[-1] == 3 for shape in shapes)
    strides = [torch.load(server.output / f"{name}.pt", weights_only=True).stride() for name in ("overlay", "render")]
    assert all(0 not in stride for stride in strides)
    prompt["masks"] = {"class_type": "SolidMask", "inputs": {"value": 1.0, "width": SIDE, "height": SIDE}}
    refused = client.queue(prompt)
    assert refused.status == "error" and "mask" in refused.message, refused.message


def test_comfyui_s_own_meshes_are_taken(client, host, filmed):
    """A batch of them, as its generators give it."""
    prompt = graph()
    del prompt["bake"]
    prompt["save"]["inputs"] |= {"mesh": ["register", 0], "name": "EX-4D/batch"}
    prompt["again"] = {
        "class_type": "EX4DMeshFrames",
        "inputs": {"files": "", "frames": "every 6", "faces": 0, "fps": 15.0, "meshes": ["save", 0]},
    }
    prompt["record"] = {"class_type": "EX4DTestRecord", "inputs": {"value": ["again", 0], "name": "again"}}
    described = json.loads(client.queue(prompt).ok().text("record"))
    assert described["frames"] == [0, 6, 12] and described["meshes"][0]["faces"]["shape"][0] > 500
    if host.release >= (0, 33):  # the first frame of a 3D file
        prompt["again"]["inputs"]["meshes"] = ["save", 1]
        described = json.loads(client.queue(prompt).ok().text("record"))
        assert described["frames"] == [0] and described["meshes"][0]["faces"]["shape"][0] > 500


def test_comfyui_s_own_voxels_are_taken(client):
    """A grid has a surface; sparse voxels have none, which is told."""
    prompt = {
        "voxels": node("EX4DTestVoxels", sparse=False),
        "frames": node("EX4DMeshFrames", files="", frames="every 6", faces=0, fps=15.0, meshes=["voxels", 0]),
        "record": node("EX4DTestRecord", value=["frames", 0], name="voxels"),
    }
    described = json.loads(client.queue(prompt).ok().text("record"))
    assert described["frames"] == [0, 6]
    for mesh, radius in zip(described["meshes"], (0.6, 0.7), strict=True):
        assert mesh["faces"]["shape"][0] > 500
        assert mesh["vertices"]["max"] == pytest.approx(0.91 * radius, abs=0.02) == -mesh["vertices"]["min"]
    prompt["voxels"]["inputs"]["sparse"] = True
    assert "Sparse voxels hold colours and no surface" in client.queue(prompt).message
