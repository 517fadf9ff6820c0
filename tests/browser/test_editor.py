"""The camera editor in real frontends: gestures, state, and preview = render."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ex4d_core.camera_io.film import lens_of_millimetres
from ex4d_core.mesh import DWMesh
from ex4d_core.preview.scene_file import decode_preview
from ex4d_core.render import render_color_mask
from ex4d_core.trajectory import Trajectory

FRAMES = 9


def preview_mesh(data: bytes) -> DWMesh:
    """The mesh that the editor draws, rebuilt from its file."""
    return decode_preview(data).mesh()


def compare(mesh: DWMesh, path: str, pictures: Path, prefix: str) -> list[tuple[float, float]]:
    """Per frame: IoU of the masks, and mean colour difference (of 255) where both see something."""
    trajectory = Trajectory.from_json(path, intrinsics=mesh.intrinsics)
    trajectory = replace(trajectory, intrinsics=None) if trajectory.path.width is None else trajectory
    colour, mask, _ = render_color_mask(mesh, trajectory, keep_first_frame=False, out_dtype="uint8")
    found = []
    for frame in range(mesh.frames):
        shape = (mesh.height, mesh.width, 4)
        seen = np.fromfile(pictures / f"{prefix}-mask-{frame}.rgba", np.uint8).reshape(shape)[..., 0] > 127
        drawn = np.fromfile(pictures / f"{prefix}-colour-{frame}.rgba", np.uint8).reshape(shape)[..., :3]
        expected = mask[frame].numpy() > 127
        both = seen & expected
        difference = np.abs(drawn.astype(int) - colour[frame].numpy())[both].mean()
        found.append((both.sum() / (seen | expected).sum(), float(difference)))
    return found


def test_editor_in_litegraph_nodes(browse, server, host, keep, tmp_path):
    check(browse("editor.mjs", tmp_path, "litegraph"), server, tmp_path, "editor-litegraph")
    keep(host.version)


def test_editor_in_vue_nodes(browse_vue, vue_server, host, keep, tmp_path):
    check(browse_vue("editor.mjs", tmp_path, "vue"), vue_server, tmp_path, "editor-vue")
    keep(f"vue-{host.version}")


def check(report: dict, server, folder: Path, prefix: str) -> None:
    assert report["firstRun"]["status"] == report["secondRun"]["status"] == "success"
    assert not [text for text in report["seen"]["policy"] if "ex4d" in text.lower() or "blob:" in text]
    # The frontend and the host have errors of their own; ours would name the pack's files.
    ours = [text for text in report["seen"]["errors"] if "/extensions/" in text or "ex4d" in text.lower()]
    assert all("nothing.ex4d" in text for text in ours), ours

    # Before a run: the node's own preset over a neutral stage. After it: the scene, in its own size and radius.
    assert "run the graph" in report["before"]["note"] and report["before"]["frames"] == 49
    assert report["scene"]["frames"] == FRAMES
    kept = report["scene"]["kept"]
    assert kept["type"] == "temp"
    file = server.base / "temp" / kept["subfolder"] / kept["filename"]
    assert file.stat().st_size < 4 * 1024 * 1024

    # The path of the preset widgets is the same in the editor as in the node.
    assert json.loads(report["preset"]["editor"]) == json.loads(report["preset"]["python"])

    # The gesture: an orbit at the playhead, distance kept, one undo step, picture changed.
    gesture = report["gesture"]
    assert gesture["changedText"] and gesture["undoSteps"] == 1 and gesture["changedPixels"] > 100
    assert abs(gesture["angleAfter"] - gesture["angleBefore"]) > 5
    assert abs(gesture["distanceAfter"] - gesture["distanceBefore"]) < 1e-3
    assert report["nodesKept"] and report["undone"] != report["keys"] and report["redone"] == report["keys"]

    # Numbers for the reader (pytest -s), not checks: they belong to the machine as much as to the editor.
    assert report["drag"]["draws"] > 1, "the shot is drawn while the mouse moves"
    rate = report["drag"]["draws"] / report["drag"]["seconds"]
    print(
        f"{rate:.1f} frames a second while dragging, first picture after {report['firstPicture']} ms, {file.stat().st_size} bytes"
    )

    # One JSON string, in the prompt, the file and after reloading the page; the viewport is in none of them.
    path = report["path"]
    assert json.loads(path)["source"] is None
    assert report["prompt"]["path"] == path and "camera_editor" not in report["prompt"]["names"]
    assert path in report["saved"]
    assert report["reloaded"]["path"] == path

    found = compare(preview_mesh(file.read_bytes()), path, folder, prefix)
    print("mask IoU", [round(iou, 4) for iou, _ in found], "colour", [round(colour, 2) for _, colour in found])
    assert min(iou for iou, _ in found) >= 0.99
    assert max(colour for _, colour in found) <= 2.0

    lens = report["lens"]
    assert [lens["fullFrame"], lens["super35"]] == [
        pytest.approx(lens_of_millimetres(50, back, 16, 9).vertical_fov)
        for back in ("full frame 36x24", "super 35 24.89x18.66")
    ]
    assert lens["shown"] == f"{50 * 18.66 / 24:.1f}" and lens["emptied"] is None

    foreign = report["foreign"]
    assert "version" in foreign["problem"] and foreign["kept"] == '{"nodes": []}' and foreign["healed"]
    assert report["copy"] == {"same": True, "two": True, "disposed": True, "alive": True}
    assert report["context"]["before"] == report["context"]["after"] and "reset" in report["context"]["told"]
    assert "Run the camera node again" in report["gone"]
