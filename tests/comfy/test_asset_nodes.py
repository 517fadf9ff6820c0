"""The mesh as 3D files in a real ComfyUI, and in its own 3D nodes."""

from __future__ import annotations

import pytest
import trimesh
from test_geometry_nodes import scene
from test_trajectory_nodes import camera

WIDGETS = {
    "name": "EX-4D/mesh",
    "format": "glb",
    "colors": "each frame",
    "faces": 500,
    "picture": 0,
    "between": "hold",
    "scale": 1.0,
}


def saved(**values):
    return {"class_type": "EX4DSaveAnimatedMesh", "inputs": WIDGETS | {"mesh": ["mesh", 0]} | values}


def test_the_files_are_written_below_the_output_folder_and_shown(client, server):
    graph = {**scene(), "path": camera("mesh")}
    graph["each"] = saved(trajectory=["path", 0], name="EX-4D/each")
    graph["one"] = saved(colors="one picture", picture=2, name="EX-4D/one")
    graph["ply"] = saved(format="ply sequence", name="EX-4D/ply")
    result = client.queue(graph).ok()
    loaded = trimesh.load(server.output / "EX-4D" / "each_00001_.glb", process=False)
    assert len(loaded.geometry) == 5 and "EX-4D camera" in loaded.graph.nodes
    assert list(trimesh.load(server.output / "EX-4D" / "one_00001_.glb", process=False).geometry) == ["clip"]
    assert len(list((server.output / "EX-4D").glob("ply_00001_.*.ply"))) == 5
    for name in ("each", "one", "ply"):
        assert "in ComfyUI's output folder" in result.text(name) and "5 frames" in result.text(name)
        assert client.view(result.outputs[name]["images"][0])


def test_comfyui_s_own_nodes_save_the_meshes_and_preview_the_file(client, server, host):
    graph = {**scene(), "files": saved(name="EX-4D/own")}
    graph["glb"] = {"class_type": "SaveGLB", "inputs": {"mesh": ["files", 0], "filename_prefix": "own/mesh"}}
    graph["preview"] = {"class_type": "Preview3D", "inputs": {"model_file": ["files", 2]}}
    result = client.queue(graph).ok()
    files = sorted((server.output / "own").glob("mesh_*.glb"))
    assert len(files) == 5
    own = next(iter(trimesh.load(files[0], process=False).geometry.values()))
    ours = trimesh.load(server.output / "EX-4D" / "own_00001_.glb", process=False).geometry["frame 0000"]
    assert abs(own.vertices[: len(ours.vertices)] - ours.vertices).max() < 1e-5
    assert result.outputs["preview"]["result"][0] == "EX-4D/own_00001_.glb"
    if host.release >= (0, 33):
        graph["file"] = {"class_type": "SaveGLB", "inputs": {"mesh": ["files", 1], "filename_prefix": "own/file"}}
        client.queue(graph).ok()
        assert (server.output / "own" / "file_00001_.glb").stat().st_size > 1000


def test_points_are_written_and_read_back(client, server):
    """From the mesh, and from a point map that was read; what is connected twice or not at all is told."""

    def cloud(**values):
        widgets = {"name": "EX-4D/cloud", "format": "ply points", "scale": 2.0, "fps": 0.0}
        return {"class_type": "EX4DSavePointCloud", "inputs": widgets | values}

    result = client.queue({**scene(), "cloud": cloud(mesh=["mesh", 0])}).ok()
    assert "5 files" in result.text("cloud") and client.view(result.outputs["cloud"]["images"][0])
    assert len(trimesh.load(server.output / "EX-4D" / "cloud_00001_.0000.ply").vertices) > 100
    load = {"file": "EX-4D/cloud_00001_.0000.ply [output]", "space": "as the file says"}
    graph = {"load": {"class_type": "EX4DLoadPointMap", "inputs": load}}
    again = client.queue(
        {**graph, "cloud": cloud(format="16-bit pictures", name="EX-4D/again", pointmap=["load", 0])}
    ).ok()
    assert "world points" in again.text("load")
    assert (server.output / "EX-4D" / "again_00001_.points.json").is_file()
    both = client.queue({**scene(), **graph, "cloud": cloud(mesh=["mesh", 0], pointmap=["load", 0])})
    assert "mesh and pointmap is connected" in both.message
    assert "nothing is connected" in client.queue({"cloud": cloud()}).message


@pytest.mark.parametrize(
    ("values", "said"),
    [({"name": "../mesh"}, "output folder"), ({"picture": 9}, "frames 0 to 4"), ({"faces": 7}, "at least 100 faces")],
)
def test_bad_values_are_told(client, values, said):
    result = client.queue({**scene(), "files": saved(**values)})
    assert said in result.message
