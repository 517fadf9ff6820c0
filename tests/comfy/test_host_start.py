"""What the pack costs and survives at the host's start; each test starts servers of its own."""

from __future__ import annotations

import json
import re

import pytest
from harness.server import Server

LIMIT = 0.3


def reported_seconds(server: Server, folder: str) -> float:
    """The time the host itself measured for importing a custom node folder."""
    lines = re.findall(r"([\d.]+) seconds( \(IMPORT FAILED\))?: (.*)", server.log())
    own = [(seconds, failed) for seconds, failed, path in lines if path.rstrip("/\\").endswith(folder)]
    assert own, server.log()[-3000:]
    assert not own[-1][1], server.log()[-3000:]
    return float(own[-1][0])


def test_import_is_fast_and_loads_nothing_heavy(server):
    assert reported_seconds(server, server.folder_name) < LIMIT


@pytest.fixture()
def broken(tmp_path):
    """A folder for PYTHONPATH in which optional packages are there, and raise when imported."""
    for name in ("numba", "nvdiffrast", "cv2"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        (tmp_path / "broken" / name / "__init__.py").write_text(f"raise ImportError('{name} is broken')\n")
    return tmp_path / "broken"


def test_broken_optional_packages_cost_only_what_needs_them(host, tmp_path, broken):
    """A folder name with every kind of character that is allowed, and a copy in place of a link."""
    with Server(host, tmp_path / "base", "EX4D_copy-3", copy=True, python_path=(broken,)) as server:
        assert reported_seconds(server, "EX4D_copy-3") < LIMIT
        client = server.client
        size = {"width": 64, "height": 48, "frames": 3}
        prompt = {
            "clip": {"class_type": "EX4DTestImages", "inputs": {"kind": "colour", **size}},
            "pictures": {"class_type": "EX4DTestImages", "inputs": {"kind": "depth", **size}},
            "depth": {
                "class_type": "EX4DDepthFromImage",
                "inputs": {"images": ["pictures", 0], "kind": "inverse", "near": 1.0, "far": 10.0},
            },
            "mesh": {
                "class_type": "EX4DBuildDWMesh",
                "inputs": {"images": ["clip", 0], "depth": ["depth", 0], "style": "released", "min_angle": 2.5}
                | {"depth_jump": 0.013, "focal": 0.0, "border_depth": 0.0},
            },
            "path": {"class_type": "EX4DTestTrajectory", "inputs": {"mesh": ["mesh", 0], "preset": "30"}},
            "render": {
                "class_type": "EX4DRenderColorMask",
                "inputs": {"mesh": ["mesh", 0], "trajectory": ["path", 0], "backend": "auto", "width": 0, "height": 0}
                | {"first_frame": "auto", "supersample": 1},
            },
            "record": {"class_type": "EX4DTestRecord", "inputs": {"value": ["render", 0], "name": "color"}},
        }
        assert json.loads(client.queue(prompt).ok().text("record"))["shape"] == [3, 48, 64, 3]
        told = client.queue(prompt).ok().text("render")
        assert "rendered by torch" in told and "numba is broken" in told
        for package in ("numba", "nvdiffrast"):
            prompt["render"]["inputs"]["backend"] = package
            named = client.queue(prompt)
            assert named.status == "error" and package in named.message, named.message
        demo = client.queue(
            {
                "demo": {"class_type": "EX4DDemoClip", "inputs": size},
                "record": prompt["record"] | {"inputs": {"value": ["demo", 0], "name": "demo"}},
            }
        )
        assert json.loads(demo.ok().text("record"))["shape"] == [3, 48, 64, 3]
        assert "torch casts the demo scene's rays" in server.log()


def test_a_stage_that_fails_costs_its_own_nodes_and_one_line(host, tmp_path):
    """One stage that cannot be imported and one whose schema the host refuses, as after a change of the host."""
    server = Server(host, tmp_path / "base", "EX4D_broken", copy=True, test_nodes=False)
    nodes = server.base / "custom_nodes" / "EX4D_broken" / "nodes"
    with open(nodes / "depth.py", "a", encoding="utf-8") as file:
        file.write("\nimport a_module_that_is_not_there\n")
    with open(nodes / "render.py", "a", encoding="utf-8") as file:
        file.write(
            "\nEX4DDraftFill.define_schema = classmethod(lambda cls: io.Schema(node_id=1, of_another_age=True))\n"
        )
    with server:
        assert reported_seconds(server, "EX4D_broken") < LIMIT
        listed = {name for name, info in server.client.object_info().items() if info["category"] == "EX-4D"}
        complaints = [line for line in server.log().splitlines() if "EX-4D: the" in line]
    assert "EX4DDepthFromImage" not in listed and not listed & {"EX4DRenderColorMask", "EX4DDraftFill"}
    assert {"EX4DLoadVideo", "EX4DDepthCrafter", "EX4DBuildDWMesh", "EX4DCameraTrajectory", "WanEX4DSampler"} <= listed
    assert len(complaints) == 2
    assert "depth nodes" in complaints[0] and "a_module_that_is_not_there" in complaints[0]
    assert "render nodes" in complaints[1] and "of_another_age" in complaints[1]
