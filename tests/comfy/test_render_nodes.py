"""Render Color + Mask and Draft Fill in a real ComfyUI: outputs for our nodes and stock ones, progress, cancelling."""

from __future__ import annotations

import json

import torch
from harness.cancel import check_cancelled, watch
from test_geometry_nodes import depth_from, images, mesh_from, record


def path_of(preset="30", mesh="mesh"):
    return {"class_type": "EX4DTestTrajectory", "inputs": {"mesh": [mesh, 0], "preset": preset}}


def render_of(**values):
    inputs = {"backend": "auto", "width": 0, "height": 0, "first_frame": "auto", "supersample": 1}
    return {
        "class_type": "EX4DRenderColorMask",
        "inputs": inputs | {"mesh": ["mesh", 0], "trajectory": ["path", 0]} | values,
    }


def shot(preset="30", width=64, height=48, frames=5, **values):
    return {
        "clip": images("colour", width, height, frames),
        "depth": images("depth", width, height, frames),
        "metric": depth_from(),
        "mesh": mesh_from(),
        "path": path_of(preset),
        "render": render_of(**values),
    }


def tensors(client, server, prompt, **slots):
    """Run and bring back outputs of the render node by slot."""
    sinks = {f"r_{name}": record("render", slot, f"render_{name}") for name, slot in slots.items()}
    result = client.queue(prompt | sinks).ok()
    load = lambda name: torch.load(server.output / f"render_{name}.pt", weights_only=True)  # noqa: E731
    return result, {name: load(name) for name in slots}


def test_outputs_agree_with_each_other(client, server):
    result, out = tensors(client, server, shot("60"), color=0, seen=1, holes=2, depth=3)
    assert out["color"].shape == (5, 48, 64, 3) and out["seen"].shape == (5, 48, 64)
    assert torch.equal(out["holes"], 1 - out["seen"])
    assert out["seen"][0].min() == 1, "the first frame is kept"
    assert 0 < out["holes"][-1].mean() < 1
    assert out["color"][out["seen"] == 0].max() == 0, "holes are black"
    assert out["depth"].max() == 1 and out["depth"].min() == 0 and out["depth"].shape == (5, 48, 64, 3)
    assert "holes" in result.text("render") and result.outputs["render"]["animated"] == [True]


def test_progress_counts_frames(client):
    result = client.queue(shot("90")).ok()
    values = [(value, total) for node, value, total in result.progress if node == "render"]
    assert values[-1] == (5, 5)


def test_another_size_is_rendered_not_scaled(client, server):
    _, out = tensors(
        client, server, shot("30", width=64, height=48) | {"render": render_of(width=128, height=96)}, color=0
    )
    assert out["color"].shape == (5, 96, 128, 3)


def test_stock_nodes_take_the_outputs(client):
    """Masks and images go straight into core nodes."""
    prompt = shot("30") | {
        "grown": {
            "class_type": "GrowMask",
            "inputs": {"mask": ["render", 2], "expand": 2, "tapered_corners": True},
        },
        "scaled": {
            "class_type": "ImageScale",
            "inputs": {
                "image": ["render", 3],
                "upscale_method": "bilinear",
                "width": 32,
                "height": 32,
                "crop": "center",
            },
        },
        "video": {"class_type": "CreateVideo", "inputs": {"images": ["render", 0], "fps": 15.0}},
        "r1": record("grown"),
        "r2": record("scaled"),
        "r3": record("video"),
    }
    result = client.queue(prompt).ok()
    assert json.loads(result.text("r1"))["shape"] == [5, 48, 64]
    assert json.loads(result.text("r2"))["shape"] == [5, 32, 32, 3]


def test_path_of_another_length_is_refused(client):
    prompt = shot("30") | {
        "short": images("colour", 64, 48, 3),
        "short_depth": images("depth", 64, 48, 3),
        "short_metric": depth_from("short_depth"),
        "short_mesh": mesh_from("short", "short_metric"),
        "path": path_of("30", "short_mesh"),
    }
    result = client.queue(prompt)
    assert result.status == "error" and result.error["node_type"] == "EX4DRenderColorMask"
    assert "5 frames" in result.message and "3" in result.message


def test_the_scene_s_memory_fills_holes_and_marks_them(client, server):
    _, off = tensors(client, server, shot("60"), seen=1, memory=4)
    assert not off["memory"].any()
    prompt = shot("60", scene_memory="loose", memory_frames=3)
    result, on = tensors(client, server, prompt, seen=1, holes=2, memory=4)
    assert torch.equal(on["seen"], torch.maximum(off["seen"], on["memory"]))
    assert torch.equal(on["holes"], 1 - on["seen"]) and not (on["memory"] * off["seen"]).any()
    assert "from memory" in result.text("render")
    # The camera editor takes it for the scene of this name.
    (memory,) = result.outputs["render"]["ex4d_memory"]
    scene, choice = memory["filename"].split(".", 1)
    folder = server.base / "temp" / memory["subfolder"]
    assert choice == "loose-3.ex4d" and (folder / f"{scene}.ex4d").is_file()
    assert (folder / memory["filename"]).stat().st_size > 1000


def test_half_a_size_is_refused_before_running(client):
    result = client.queue(shot("30", width=64) | {"render": render_of(width=64)})
    assert "render" in result.node_errors and "render" not in result.executed
    assert "both width and height" in result.message


def test_cancel_ends_a_slow_render_at_its_next_look_and_leaves_all_usable(client):
    prompt = shot("30", 128, 128, 9) | {"render": render_of(backend="torch", supersample=4)}
    whole = watch(client, prompt)
    whole.result.ok()
    assert whole.looks["render"] >= 9, "at least once a frame"
    for at in (2, 5):
        prompt["mesh"] = mesh_from(min_angle=2.5 + 0.01 * at)
        check_cancelled(client, prompt, "render", at)
    client.queue(shot("30", 64, 48, 5) | {"render": render_of(supersample=2)}).ok()


def test_draft_fill_closes_the_holes(client, server):
    prompt = shot("90") | {
        "draft": {
            "class_type": "EX4DDraftFill",
            "inputs": {"color": ["render", 0], "seen": ["render", 1], "fps": 15.0, "depth_images": ["render", 3]},
        },
        "r": record("draft", 0, "draft"),
        "c": record("render", 0, "draft_color"),
        "s": record("render", 1, "draft_seen"),
    }
    result = client.queue(prompt).ok()
    filled, color, seen = (
        torch.load(server.output / f"{name}.pt", weights_only=True) for name in ("draft", "draft_color", "draft_seen")
    )
    assert torch.allclose(filled[seen == 1], color[seen == 1], atol=1 / 255)
    assert (filled[seen == 0].sum(-1) > 0).float().mean() > 0.9
    assert result.outputs["draft"]["animated"] == [True]


def kept_of(**values):
    inputs = {"strength": 1.0, "feather": 2, "blend": "hard", "match_color": True, "fps": 15.0}
    return {
        "class_type": "EX4DKeepSeenPixels",
        "inputs": inputs | {"result": ["dull", 0], "color": ["render", 0], "seen": ["render", 1]} | values,
    }


def test_seen_pixels_are_kept_and_holes_stay(client, server):
    """The draft stands for the generated video; without colour match its holes come back bit for bit."""
    draft = {"color": ["render", 0], "seen": ["render", 1], "fps": 15.0}
    prompt = shot("60") | {
        "dull": {"class_type": "EX4DDraftFill", "inputs": draft},
        "keep": kept_of(match_color=False, mesh=["mesh", 0], trajectory=["path", 0]),
        "r": record("keep", 0, "kept_images"),
        "k": record("keep", 1, "kept_share"),
        "d": record("dull", 0, "kept_result"),
        "s": record("render", 1, "kept_seen"),
    }
    result = client.queue(prompt).ok()
    images, share, before, seen = (
        torch.load(server.output / f"kept_{name}.pt", weights_only=True)
        for name in ("images", "share", "result", "seen")
    )
    assert torch.equal(images[seen == 0], before[seen == 0]) and share[seen == 0].max() == 0 and share.max() == 1
    assert result.outputs["keep"]["animated"] == [True] and "is your own" in result.text("keep")
    alone = client.queue(prompt | {"keep": kept_of(mesh=["mesh", 0])})
    assert alone.status == "error" and "Connect trajectory as well" in alone.message


def test_draft_fill_refuses_another_clips_mask(client):
    prompt = shot("30") | {
        "other": images("depth", 32, 32, 2),
        "draft": {
            "class_type": "EX4DDraftFill",
            "inputs": {"color": ["render", 0], "seen": ["other", 1], "fps": 15.0},
        },
    }
    result = client.queue(prompt)
    assert result.status == "error" and "64x48" in result.message and "32x32" in result.message


def test_hole_colours_and_grown_holes(client, server):
    """Grey as VACE reads it, two pixels larger, feathered over three; the first frame stays whole."""
    _, black = tensors(client, server, shot("60"), seen=1)
    changed = shot("60") | {"render": render_of(hole_color="grey", grow_holes=2, feather=3)}
    _, out = tensors(client, server, changed, color=0, seen=1, holes=2, depth=3)
    hole = out["holes"] == 1
    assert (out["color"][hole] == 0.5).all() and (out["depth"][hole] == 0).all()
    assert torch.equal(out["holes"], 1 - out["seen"])
    grown = torch.nn.functional.max_pool2d(1 - black["seen"][:, None], 5, stride=1, padding=2)[:, 0] == 1
    assert torch.equal(hole, grown) and hole.any() and not hole[0].any()
    assert set(out["seen"].unique().tolist()) == {0, 0.25, 0.5, 0.75, 1}
    picked = shot("60") | {"render": render_of(hole_color="picked", picked_color="#ff00ff")}
    _, out = tensors(client, server, picked, color=0, seen=1)
    assert torch.equal(out["color"][out["seen"] == 0].unique(dim=0), torch.tensor([[1.0, 0.0, 1.0]]))


def test_a_colour_that_is_none_is_refused_before_the_run(client):
    result = client.queue(shot("60") | {"render": render_of(hole_color="picked", picked_color="green")})
    assert "render" in result.node_errors and "#rrggbb" in result.message


def test_two_videos_are_compared(client, server):
    """The draft against itself is identical; against the render it differs in the holes alone."""
    draft = {"color": ["render", 0], "seen": ["render", 1], "fps": 15.0}

    def compared(other):
        inputs = {"result": ["dull", 0], "against": other, "view": "error map", "fps": 15.0, "seen": ["render", 1]}
        return {"class_type": "EX4DCompareVideos", "inputs": inputs}

    prompt = shot("60") | {
        "dull": {"class_type": "EX4DDraftFill", "inputs": draft},
        "same": compared(["dull", 0]),
        "other": compared(["render", 0]),
        "e": record("other", 0, "compared_error"),
        "s": record("render", 1, "compared_seen"),
        "c": record("other", 1, "compared_curve"),
    }
    result = client.queue(prompt).ok()
    assert "PSNR: identical" in result.text("same") and "PSNR, seen: identical" in result.text("other")
    assert "PSNR, hole:" in result.text("other") and result.outputs["other"]["animated"] == [True]
    error, seen, curve = (
        torch.load(server.output / f"compared_{name}.pt", weights_only=True) for name in ("error", "seen", "curve")
    )
    assert error.shape == (*seen.shape, 3) and curve.shape == (1, 360, 960, 3)
    alike = error[seen > 0]
    assert (alike == alike[0]).all() and error[seen == 0].max() > alike[0].max() + 0.2
