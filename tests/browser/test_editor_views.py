"""The shot view against the renderer where they could part: both styles, the rim, the near plane, the coarse grid; where time is
bent before a source camera that moves; and where holes are filled with what other frames saw."""

from __future__ import annotations

import base64
import json
from dataclasses import replace

import numpy as np
import torch
from test_editor import preview_mesh

from ex4d_core.mesh import build_dw_mesh
from ex4d_core.preview.memory_file import encode_memory
from ex4d_core.preview.scene_file import decode_preview, encode_preview
from ex4d_core.render import render_color_mask
from ex4d_core.scene_memory import remember_scene
from ex4d_core.trajectory import Trajectory

WIDTH, HEIGHT = 160, 120
# Where the source camera stood; from the side; so low over the floor that a farther near plane would cut it.
PATH = {
    "version": 1,
    "frames": 3,
    "interpolation": "linear",
    "keyframes": [
        {"frame": 0, "position": [0, 0, 0], "target": [0, 0, 4]},
        {"frame": 1, "position": [1.2, -0.4, 0.6], "target": [0, 0, 3]},
        {"frame": 2, "position": [0.1, 0.24, 0.9], "target": [0, 0.3, 4]},
    ],
}


# Closed, in the world, seven frames of a clip of three: slowly there, held, and back on a curve of its own.
BENT = {
    "version": 1,
    "frames": 7,
    "interpolation": "smooth",
    "frame_of_reference": "world",
    "loop": True,
    "keyframes": [
        {"frame": 0, "position": [0, 0, 0], "target": [0, 0, 4], "time": 0},
        {"frame": 2, "position": [0.5, -0.3, 0.4], "target": [0, 0, 3], "time": 1.2, "time_ease": "in"},
        {"frame": 4, "position": [0.9, -0.2, 0.2], "target": [0, 0, 3], "time": 2},
        {"frame": 5, "position": [0.6, -0.1, 0.1], "target": [0, 0.1, 3], "time": 2},
    ],
}
SHOWN = [0, 0, 1, 2, 2, 2, 1]


def box_over_floor(style: str, moves: bool = False):
    """Three frames of a floor that comes to the camera under a wall on the back plate, with a box in front of it."""
    rows = np.linspace(0, 1, HEIGHT)[:, None]
    depth = np.where(rows < 0.5, 4.0, 4.0 / (1 + 8 * (rows - 0.5))) * np.ones((1, WIDTH))
    depth[40:85, 60:110] = 1.6
    colours = np.full((3, HEIGHT, WIDTH, 3), 0.5, np.float32)
    depth = np.stack([depth] * 3)
    poses = np.tile(np.eye(4), (3, 1, 1))
    if moves:
        poses[:, 0, 3] = [0, -0.2, -0.5]
        depth[2, 10:30, 20:60] = 2.0  # another thing in every frame, so that the wrong one would be seen
        depth[1, 50:70, 10:40] = 1.8
    source = Trajectory(poses, frame_of_reference="world") if moves else None
    return build_dw_mesh(
        colours, torch.from_numpy(depth.astype(np.float32)), style=style, border_depth=4.02, source_camera=source
    )


# In the world, past the box, whose place is another in every frame.
PAST = {
    "version": 1,
    "frames": 5,
    "interpolation": "linear",
    "frame_of_reference": "world",
    "keyframes": [
        {"frame": 0, "position": [0.3, -0.1, 0.0], "target": [0.2, 0, 3]},
        {"frame": 4, "position": [-0.5, -0.3, 0.3], "target": [0.2, 0, 3]},
    ],
}


def box_before_a_wall():
    """Five frames of a camera that goes along a slanted wall, with a box that moves in front of it."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    focal = 500 * WIDTH / 512
    u, v = (columns + 0.5 - WIDTH / 2) / focal, (rows + 0.5 - HEIGHT / 2) / focal
    depth, colours = np.empty((5, HEIGHT, WIDTH)), np.empty((5, HEIGHT, WIDTH, 3))
    poses = np.tile(np.eye(4), (5, 1, 1))
    for t in range(5):
        eye = 0.15 * t
        poses[t, 0, 3] = -eye
        z = depth[t] = (4 + 0.3 * eye) / (1 - 0.3 * u)
        x, y = u * z + eye, v * z
        colours[t] = np.stack([np.sin(3 * x), np.cos(2.3 * x + 2 * y), np.sin(2 * y)], -1) * 0.4 + 0.5
        box = slice(35, 90), slice(20 + 18 * t, 50 + 18 * t)
        depth[t][box], colours[t][box] = 1.6, (0.9, 0.2, 0.1)
    source = Trajectory(poses, frame_of_reference="world")
    frames, clip = (torch.from_numpy(part.astype(np.float32)) for part in (colours, depth))
    return build_dw_mesh(frames, clip, border_depth=7.0, source_camera=source)


def bytes_of(texts: list[str], *shape: int) -> np.ndarray:
    return np.stack([np.frombuffer(base64.b64decode(text), np.uint8).reshape(shape) for text in texts])


def masks(report: dict, name: str, step: int | str, larger: float = 1) -> np.ndarray:
    texts = report["masks"][name][str(step)]
    return bytes_of(texts, int(larger * HEIGHT), int(larger * WIDTH)) > 0


def rendered(data: bytes, path: dict) -> np.ndarray:
    """The renderer's masks of what the editor draws."""
    assert decode_preview(data).header["width"] == WIDTH
    mesh = preview_mesh(data)
    trajectory = replace(Trajectory.from_json(path, intrinsics=mesh.intrinsics), intrinsics=None)
    _, mask, _ = render_color_mask(mesh, trajectory, keep_first_frame=False, out_dtype="uint8")
    return mask.numpy() > 127


def test_shot_agrees_with_the_renderer(oldest_frontend, browse, server, host, keep, tmp_path):
    folder = server.base / "temp" / "ex4d_preview"
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{style}.ex4d": encode_preview(box_over_floor(style)) for style in ("released", "paper")}
    moving = encode_preview(box_over_floor("paper", moves=True))
    seen = encode_preview(box_before_a_wall())
    shown = preview_mesh(seen)
    memory = remember_scene(shown)
    memory = replace(memory, layer=memory.layer.without_rims())  # which the file leaves out
    more = {"moving.ex4d": moving, "seen.ex4d": seen, "seen.normal-8.ex4d": encode_memory(memory, shown)}
    for name, data in {**files, **more}.items():
        (folder / name).write_bytes(data)
    paths = {**dict.fromkeys(files, PATH), "moving.ex4d": BENT, "seen.ex4d": PAST}
    report = browse("views.mjs", tmp_path, json.dumps(paths), "seen.normal-8.ex4d")
    check_memory(report, shown, memory)

    assert Trajectory.from_json(BENT).shown_frames(3) == SHOWN
    expected, drawn = rendered(moving, BENT), masks(report, "moving.ex4d", 1)
    overlap = [(a & b).sum() / (a | b).sum() for a, b in zip(drawn, expected, strict=True)]
    print("time", [round(float(v), 4) for v in overlap])
    assert min(overlap) >= 0.98  # one frame of the clip off, it is 0.82 at most

    for name, data in files.items():
        expected = rendered(data, PATH)
        drawn = masks(report, name, 1)
        overlap = [(a & b).sum() / (a | b).sum() for a, b in zip(drawn, expected)]
        print(name, [round(float(v), 4) for v in overlap])
        assert overlap[0] >= 0.999
        assert min(overlap) >= 0.99

        # The coarse grid may lose detail at edges, but stretches no sheet over a jump in depth.
        coarse = masks(report, name, 2)
        assert (coarse[1] & ~drawn[1]).mean() < 0.005
        assert coarse[1].sum() > 0.8 * drawn[1].sum()

        # As points: from the source's place without gaps but for the rim; from a step aside the floor thins
        # out, and points of faces that are cut away stay.
        dots = masks(report, name, "points")
        assert dots[0][3:-3, 3:-3].mean() > 0.99
        gaps = ~masks(report, name, "larger points", 2.5)[0][8:-8, 8:-8]
        print(name, "gaps between points", gaps.mean())
        assert gaps.mean() < 0.01
        assert 0.6 * drawn[1].sum() < (dots[1] & drawn[1]).sum()
    assert report["points"]
    print("milliseconds a picture", report["paces"])
    keep(host.version)


def check_memory(report: dict, mesh, memory) -> None:
    """Holes are filled where the renderer fills them, with what it fills them with, and are counted so."""
    filled, before = report["filled"], masks(report, "seen.ex4d", 1)
    trajectory = replace(Trajectory.from_json(PAST, intrinsics=mesh.intrinsics), intrinsics=None)
    colour, mask, _, remembered = (
        part.numpy()
        for part in render_color_mask(mesh, trajectory, memory=memory, keep_first_frame=False, out_dtype="uint8")
    )
    drawn, expected = bytes_of(filled["masks"], HEIGHT, WIDTH) > 127, mask > 127
    overlap = [(a & b).sum() / (a | b).sum() for a, b in zip(drawn, expected, strict=True)]
    pixels, both = bytes_of(filled["colours"], HEIGHT, WIDTH, 3).astype(int), drawn & expected
    apart = np.abs(pixels - colour).mean(-1)
    recalled = both & (remembered > 127)
    print("memory", [round(float(v), 4) for v in overlap], apart[both].mean(), apart[recalled].mean(), filled["paces"])
    assert min(overlap) >= 0.99
    assert all((~part & known).sum() > 500 for part, known in zip(before, drawn, strict=True))  # there is much to fill
    assert apart[both & ~recalled].mean() <= 2 and apart[recalled].mean() <= 2
    assert np.allclose(filled["holes"], 1 - drawn.mean((1, 2)), atol=0.02)
    assert filled["offered"] == [False, True] and filled["memory"] and filled["off"]
