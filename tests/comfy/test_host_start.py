"""What the pack needs and survives at the host's start, in servers of its own."""

from __future__ import annotations

import json
import re

import pytest
from harness.hosts import ROOT
from harness.server import Server, place

FOLDER = "EX4D_copy-3"
"""A folder name with every kind of character that is allowed."""
BROKEN = ("numba", "nvdiffrast", "cv2")

WATCH = f"""
import builtins, os

imported = __import__

def watched(name, globals=None, locals=None, fromlist=(), level=0):
    if level == 0 and {FOLDER!r} in str((globals or {{}}).get("__file__")):
        with open(os.environ["EX4D_IMPORTED"], "a") as file:
            print(name, file=file)
    return imported(name, globals, locals, fromlist, level)

builtins.__import__ = watched
"""
"""Run by Python as it starts: writes down every module that the pack's own files import by an absolute name."""


def check_loaded(server: Server, folder: str) -> None:
    """The host reports the pack as imported."""
    lines = re.findall(r"[\d.]+ seconds( \(IMPORT FAILED\))?: (.*)", server.log())
    own = [failed for failed, path in lines if path.rstrip("/\\").endswith(folder)]
    assert own and not own[-1], server.log()[-3000:]


@pytest.fixture(scope="module")
def meagre(host, tmp_path_factory):
    """A server in which optional packages raise when they are imported; and what the pack had imported as it loaded.

    The pack is a copy in place of a link.
    """
    base = tmp_path_factory.mktemp("meagre")
    for name in BROKEN:
        (base / "path" / name).mkdir(parents=True)
        (base / "path" / name / "__init__.py").write_text(f"raise ImportError('{name} is broken')\n")
    (base / "path" / "sitecustomize.py").write_text(WATCH)
    noted = base / "imported.txt"
    environment = {"EX4D_IMPORTED": str(noted)}
    paths = (base / "path",)
    with Server(host, base / "base", FOLDER, copy=True, python_path=paths, environment=environment) as server:
        check_loaded(server, FOLDER)
        yield server, {name.partition(".")[0] for name in noted.read_text().split()}


def test_loading_the_pack_imports_nothing_heavy(meagre):
    """torch is the host's. Seconds depend on the machine: benchmarks/graph_overhead.py measures them."""
    _, imported = meagre
    assert {"torch", "numpy", "comfy_api"} <= imported
    heavy = {"av", "diffusers", "huggingface_hub", "llvmlite", "peft", "PIL", "safetensors", "scipy", "transformers"}
    assert not imported & (heavy | set(BROKEN))


def test_broken_optional_packages_cost_only_what_needs_them(meagre):
    server, _ = meagre
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
            "demo": {"class_type": "EX4DDemoClip", "inputs": size | {"camera": "handheld"}},
            "record": prompt["record"] | {"inputs": {"value": ["demo", 0], "name": "demo"}},
        }
    )
    assert json.loads(demo.ok().text("record"))["shape"] == [3, 48, 64, 3]
    assert "torch casts the demo scene's rays" in server.log()


def test_a_stage_that_fails_costs_its_own_nodes_and_one_line(host_process, tmp_path):
    """One stage that cannot be imported and one whose schema the host refuses, as after a change of the host."""
    place(ROOT, tmp_path / "EX4D_broken", copy=True)
    nodes = tmp_path / "EX4D_broken" / "nodes"
    with open(nodes / "depth.py", "a", encoding="utf-8") as file:
        file.write("\nimport a_module_that_is_not_there\n")
    with open(nodes / "render.py", "a", encoding="utf-8") as file:
        file.write(
            "\nEX4DDraftFill.define_schema = classmethod(lambda cls: io.Schema(node_id=1, of_another_age=True))\n"
        )
    loaded, log = host_process.load(tmp_path / "EX4D_broken")
    complaints = [line for line in log.splitlines() if "EX-4D: the" in line]
    assert "EX4DDepthFromImage" not in loaded and not {"EX4DRenderColorMask", "EX4DDraftFill"} & set(loaded)
    assert {"EX4DLoadVideo", "EX4DDepthCrafter", "EX4DBuildDWMesh", "EX4DCameraTrajectory", "WanEX4DSampler"} <= set(
        loaded
    )
    assert len(complaints) == 2
    assert "depth nodes" in complaints[0] and "a_module_that_is_not_there" in complaints[0]
    assert "render nodes" in complaints[1] and "of_another_age" in complaints[1]
