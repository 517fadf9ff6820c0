"""What travels into our nodes and out of them: pictures of any kind that core nodes take, sentences, ordinary tensors."""

from __future__ import annotations

import json

import pytest
from harness import chain, workflow
from harness.documents import pack_nodes
from harness.wan import Tiny, node
from test_depthcrafter_node import depthcrafter
from test_geometry_nodes import images, record, scene
from test_render_nodes import render_of
from test_trajectory_nodes import camera

from ex4d_core.trajectory import Trajectory

TENSORS = {"IMAGE", "MASK", "LATENT", "SIGMAS"}
SOURCES = {
    "IMAGE": ["clip", 0],
    "MASK": ["clip", 1],
    "EX4D_DEPTH": ["metric", 0],
    "EX4D_DWMESH": ["mesh", 0],
    "EX4D_TRAJECTORY": ["path", 0],
}
"""What a node that the prompt below does not name is connected to, by the kind of its sockets."""
ELSEWHERE = ("FourDNeX", "PointMap", "EX4DMeshFrames", "Meshes", "EX4DDriveMesh", "EX4DBakeTexture")
"""In the names of nodes that need models and files of their own: test_fourdnex_exact.py, test_pointmap_nodes.py,
test_animate_nodes.py."""
SETTINGS = {
    "EX4DSourceCamera": {"file": "sockets.json", "scale": 1.0},
    "EX4DSimulateMasks": {"kind": "random"},
    "EX4DSavePointCloud": {"mesh": ["mesh", 0]},
    "EX4DSaveVRVideo": {"view": "flat"},
}
"""With which such a node needs neither OpenCV nor more than its required sockets."""


@pytest.fixture(scope="module")
def everything(server, reference):
    """A prompt with every node of the pack."""
    tiny = Tiny(server, reference)
    load = {"file": "", "start": 0, "frames": 0, "fps": 0.0, "width": 0, "height": 0, "fit": "crop"}
    parts = scene(min_angle=4.0) | {
        "path": camera("mesh", angle=40.0),
        "render": render_of(),
        "draft": node("EX4DDraftFill", color=["render", 0], seen=["render", 1], fps=15.0, depth_images=["render", 3]),
        "demo": node("EX4DDemoClip", frames=5, width=64, height=48),
        "video": node("CreateVideo", images=["clip", 0], fps=15.0),
        "load": node("EX4DLoadVideo", **load, video=["video", 0]),
        "estimated": depthcrafter(steps=1),
        "sigmas": node("EX4DScheduler", steps=4, shift=5.0),
        "wan_clip": tiny.loaders()["clip"],
    }
    wan = tiny.loaders() | tiny.conditioning() | {"sampled": tiny.sampler(("adapter", 0), steps=1, cfg=1.0)["sampled"]}
    for key in ("ready", "sampled"):
        wan[key]["inputs"] |= {"color": ["wan_clip", 0], "mask": ["wan_clip", 1]}
    del wan["clip"]
    prompt = parts | wan
    Trajectory.preset("orbit", frames=5, radius=3.0).save(server.input / "sockets.json")
    for name, info in pack_nodes(server.client.object_info()).items():
        if name not in classes(prompt).values() and not any(part in name for part in ELSEWHERE):
            types = {key: str(spec[0]) for key, spec in info["input"]["required"].items()}
            # A socket that takes one of several kinds names them all.
            sockets = {key: SOURCES[one] for key, kind in types.items() for one in kind.split(",") if one in SOURCES}
            prompt[name] = node(name, **workflow.widget_defaults(info) | sockets | SETTINGS.get(name, {}))
    with chain.depth_models(server, reference):
        yield prompt


def kinds(client, names: dict[str, str]) -> dict[str, dict]:
    """The pack's nodes of a prompt, id -> what the host says of its class."""
    pack = pack_nodes(client.object_info())
    return {key: pack[kind] for key, kind in names.items() if kind in pack}


def classes(prompt: dict) -> dict[str, str]:
    return {key: entry["class_type"] for key, entry in prompt.items()}


def test_every_tensor_that_leaves_a_node_is_an_ordinary_one(client, everything):
    """Nodes that write in place, as others' do, can, and change no other output by that."""
    links = [
        (key, slot)
        for key, info in kinds(client, classes(everything)).items()
        for slot, kind in enumerate(info["output"])
        if kind in TENSORS
    ]
    videos = [
        (key, slot)
        for key, info in kinds(client, classes(everything)).items()
        for slot, kind in enumerate(info["output"])
        if kind == "VIDEO"
    ]
    assert len(links) >= 13 and videos
    parts = {f"of {key}": node("GetVideoComponents", video=[key, slot]) for key, slot in videos}
    links += [(key, 0) for key in parts]
    sinks = {f"{key} {slot}": node("EX4DTestInPlace", value=[key, slot]) for key, slot in links}
    result = client.queue(everything | parts | sinks).ok()
    assert "no preview" not in "".join(result.text(key) for key in everything), "which would hide a mistake of ours"
    told = {name: json.loads(result.text(name)) for name in sinks}
    assert {name for name, tensor in told.items() if not tensor["contiguous"]} == set()
    places = [tensor["storage"] for tensor in told.values()]
    assert len(set(places)) == len(places)


def inputs_of(client, prompt: dict, kind: str) -> list[tuple[str, str]]:
    """(node id, input) of every socket of a kind that is connected in a prompt."""
    return [
        (key, name)
        for key, info in kinds(client, classes(prompt)).items()
        for name, spec in workflow.input_specs(info).items()
        if spec[0] == kind and isinstance(prompt[key]["inputs"].get(name), list)
    ]


def changed(prompt: dict, key: str, name: str, how: str) -> dict:
    """The prompt with another kind of value at one socket, and only what that node needs."""
    entry = prompt[key] | {"inputs": prompt[key]["inputs"] | {name: ["changed", 0]}}
    value = node("EX4DTestReshape", value=prompt[key]["inputs"][name], how=how)
    needed, wanted = {"changed": value, key: entry}, [value, entry]
    while wanted:
        for link in wanted.pop()["inputs"].values():
            if isinstance(link, list) and link[0] not in needed:
                needed[link[0]] = prompt[link[0]]
                wanted.append(prompt[link[0]])
    return needed | {"sink": record(key)}


@pytest.mark.parametrize(
    ("kind", "how", "words"),
    [
        ("IMAGE", "no frames", "holds no frames"),
        ("IMAGE", "empty list", "is an empty list"),
        ("IMAGE", "first frame", "takes pictures (frames, height, width"),
        ("IMAGE", "two channels", "takes pictures (frames, height, width"),
        ("MASK", "no frames", "holds no frames"),
        ("MASK", "empty list", "is an empty list"),
        ("MASK", "text", "takes a mask (frames, height, width), got a str"),
    ],
)
def test_what_is_no_picture_and_no_mask_is_told_by_its_socket(client, everything, kind, how, words):
    sockets = inputs_of(client, everything, kind)
    assert len(sockets) >= (3 if kind == "MASK" else 7)
    for key, name in sockets:
        result = client.queue(changed(everything, key, name, how))
        assert result.status == "error" and result.message.startswith(f"{name} {words}"), (
            f"{key}.{name}: {result.message}"
        )


@pytest.mark.parametrize(("kind", "how"), [("IMAGE", "grey"), ("IMAGE", "alpha"), ("MASK", "channel axis")])
def test_pictures_and_masks_that_core_nodes_take_are_taken(client, everything, kind, how):
    for key, name in inputs_of(client, everything, kind):
        result = client.queue(changed(everything, key, name, how))
        assert result.status == "success", f"{key}.{name}: {result.message}"


def test_grey_frames_are_all_three_channels(client, server):
    grey = node("EX4DTestReshape", value=["clip", 0], how="grey")
    three = node("EX4DTestReshape", value=["grey", 0], how="three channels")
    answers = {}
    for name, given in (("of one", "grey"), ("of three", "three")):
        prompt = scene(images=given) | {"grey": grey, "three": three, "sink": record("mesh", 0, name)}
        answers[name] = client.queue(prompt).ok().text("sink")
    assert answers["of one"] == answers["of three"] and '"rgb"' in answers["of one"]


def test_a_mask_without_frames_is_one_frame(client):
    prompt = {
        "clip": images(frames=1),
        "one": node("EX4DTestReshape", value=["clip", 1], how="first frame"),
        "draft": node("EX4DDraftFill", color=["clip", 0], seen=["one", 0], fps=15.0),
        "sink": record("draft"),
    }
    assert json.loads(client.queue(prompt).ok().text("sink"))["shape"] == [1, 48, 64, 3]
