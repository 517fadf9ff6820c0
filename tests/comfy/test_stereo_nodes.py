"""Two eyes, panoramas and VR files in a real ComfyUI."""

from __future__ import annotations

import struct

import av
import pytest
import torch
from test_geometry_nodes import record, scene
from test_trajectory_nodes import camera

STEREO = {
    "eye_distance": 0.06,
    "unit": "scene units",
    "convergence": 0.0,
    "layout": "side by side",
    "path_is": "both",
    "backend": "auto",
    "width": 0,
    "height": 0,
    "hole_color": "black",
}
PANORAMA = {
    "projection": "180",
    "eyes": "side by side",
    "height": 64,
    "eye_distance": 0.06,
    "unit": "scene units",
    "supersample": 1,
    "hole_color": "grey",
}
FILE = {"fps": 15.0, "name": "EX-4D/vr", "view": "180", "eyes": "side by side"}


def node(kind, defaults, **values):
    return {"class_type": kind, "inputs": defaults | values}


def eyes(**values):
    return node("EX4DStereo", STEREO, mesh=["mesh", 0], trajectory=["path", 0], **values)


def panorama(**values):
    return node("EX4DRenderPanorama", PANORAMA, mesh=["mesh", 0], trajectory=["path", 0], **values)


def saved(**values):
    return node("EX4DSaveVRVideo", FILE, **values)


def test_from_mesh_to_a_file_that_players_read(client, server):
    """Both eyes, the second guided by the first; a panorama; each in a file that says what it is."""
    graph = {**scene(), "path": camera("mesh")}
    graph["first"] = eyes()
    graph["second"] = eyes(layout="anaglyph", left_result=["first", 1])
    graph["all"] = panorama()
    # Names of their own: others save under the nodes' defaults.
    graph["flat"] = saved(images=["first", 1], right=["second", 3], view="flat", eyes="over under", name="stereo/flat")
    graph["vr"] = saved(images=["all", 0], name="stereo/vr")
    graph["stereo"], graph["mixed"] = record("first", 0, "vr_stereo"), record("second", 0, "vr_mixed")
    graph["seen"] = record("all", 1, "vr_seen")
    result = client.queue(graph).ok()
    stereo, mixed, seen = (
        torch.load(server.output / f"vr_{n}.pt", weights_only=True) for n in ("stereo", "mixed", "seen")
    )
    assert stereo.shape == (5, 48, 128, 3) and mixed.shape == (5, 48, 64, 3)
    assert seen.shape == (5, 64, 128) and 0 < seen.mean() < 1
    assert "disparity" in result.text("first") and "after carrying over" in result.text("second")
    for name, size, mode in (("flat", (64, 96), 2), ("vr", (128, 64), 1)):
        with av.open(str(server.output / "stereo" / f"{name}_00001_.mp4")) as container:
            frame = next(container.decode(video=0))
            told = {kind: bytes(entry) for kind in ("SPHERICAL", "STEREO3D") if (entry := frame.side_data.get(kind))}
        assert (frame.width, frame.height) == size and struct.unpack_from("<i", told["STEREO3D"]) == (mode,)
        assert ("SPHERICAL" in told) == (name == "vr")
        assert client.view(result.outputs[name]["images"][0])


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (eyes(eye_distance=0.0), "eyes must be apart"),
        (eyes(convergence=-1.0), "convergence must lie between 0"),
        (eyes(left_result=["small", 0]), "left_result has 5 frames of 32x32"),
        (saved(images=["clip", 0]), "frames of 2:1, got 64x48"),
        (saved(images=["clip", 0], right=["clip", 0], eyes="mono"), "eyes is mono"),
    ],
)
def test_bad_values_are_told(client, last, said):
    from test_geometry_nodes import images

    graph = {**scene(), "path": camera("mesh"), "small": images(width=32, height=32), "last": last}
    assert said in client.queue(graph).message
