"""What JavaScript repeats of Python: choice lists, limits and numbers, and which path documents are accepted."""

from __future__ import annotations

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ex4d_core.camera import Intrinsics
from ex4d_core.camera_io.film import FILM_BACKS, lens_of_millimetres
from ex4d_core.errors import EX4DError
from ex4d_core.preview import memory_file, scene_file
from ex4d_core.published import RENDER_FAR, RENDER_NEAR
from ex4d_core.render.color_mask import IDENTITY_TOLERANCE
from ex4d_core.trajectory import DEFAULT_RADIUS, EASES, INTERPOLATIONS, MAX_FRAMES, PRESETS, VERSION, parse_document
from ex4d_core.trajectory.bake import BAKE_TOLERANCE
from ex4d_core.trajectory.document import FPS_RANGE
from ex4d_core.trajectory.evaluate import SHORTEST
from ex4d_core.trajectory.horizon import LEVELLING

SCRIPT = Path(__file__).parents[1] / "js" / "twins.mjs"
KEY = {
    "frame": 4,
    "position": [0, 1, 2],
    "target": [0, 0, 3],
    "roll": 1,
    "fov": 40,
    "lens_shift": [0, 0.1],
    "ease": "in",
}
FREE = {"frame": 4, "position": [0, 1, 2], "quaternion": [1, 0, 0, 0]}
KEYED = {
    "version": 1,
    "frames": 9,
    "fps": 15,
    "width": 512,
    "height": 288,
    "interpolation": "smooth",
    "pivot": [0, 0, 2],
    "radius": 2,
    "source": None,
    "keyframes": [KEY],
}
PRESET = {"version": 1, "frames": 9, "source": {"preset": "orbit", "params": {"angle": 30, "ease": "in"}}}
# Values of every kind that JSON knows, and the edges of every range.
ODD: list[Any] = [None, True, False, "", "x", "5", [], {}, [1, 2], [1, 2, 3], [1, 2, 3, 4], [0, None, 1], ["1", 2, 3]]
ODD += [0, -1, 1, 2.5, 8, 9, 0.1, 0.09, 179, 179.5, 36000, 36001, -36000, -36001, 10000, 10001, 65536, 65537, 1e-3]
ODD += [9e-4, 1000, 1000.5, 1e-6, 9e-7, 1e9, 1.1e9, [1e9, 0, 0], [1.1e9, 0, 0], [100, -100], [100.5, 0], [0, 0, 0, 0]]
ODD += ["linear", "in-out", "smooth", "catmull-rom", "Linear"]


def replaced(base: dict, *way: str | int) -> list[dict]:
    """Copies of a document with each odd value at one place, and one without that place."""
    found = []
    for value in [*ODD, "absent"]:
        changed = copy.deepcopy(base)
        at: Any = changed
        for step in way[:-1]:
            at = at[step]
        if value == "absent":
            at.pop(way[-1], None)
        else:
            at[way[-1]] = value
        found.append(changed)
    return found


def documents() -> dict[str, list[dict]]:
    """Documents to try, by the field that is odd in them."""
    tried = {name: replaced(KEYED, name) for name in KEYED}
    tried |= {f"preset's {name}": replaced(PRESET, name) for name in KEYED}
    tried |= {f"keyframe's {name}": replaced(KEYED, "keyframes", 0, name) for name in KEY}
    tried["loop"] = [KEYED | {"loop": value} for value in (True, False, None, 1, "true")]
    timed = KEYED | {"keyframes": [KEY | {"time": 3, "time_ease": "in"}]}
    tried["keyframe's time"] = replaced(timed, "keyframes", 0, "time")
    tried["keyframe's time_ease"] = replaced(timed, "keyframes", 0, "time_ease")
    free = KEYED | {"keyframes": [FREE]}
    tried["keyframe's quaternion"] = replaced(free, "keyframes", 0, "quaternion")
    tried["source's preset"] = replaced(PRESET, "source", "preset")
    tried["source's params"] = replaced(PRESET, "source", "params")
    tried["keyframes' order"] = [
        KEYED | {"keyframes": [KEY | {"frame": first}, KEY | {"frame": second}]} for first, second in [(1, 2), (2, 2)]
    ]
    for preset in PRESETS.values():
        for name in ["ease", *(param.name for param in preset.params)]:
            source = {"preset": preset.name, "params": {}}
            values = [
                None,
                "in",
                "x",
                True,
                *(edge for param in preset.params for edge in edges(param.low, param.high)),
            ]
            tried[f"{preset.name}'s {name}"] = [
                PRESET | {"source": source | {"params": {name: value}}} for value in values
            ]
    for name in ("unknown", "frame"):
        tried[f"a field called {name}"] = [
            KEYED | {name: 1},
            KEYED | {"keyframes": [KEY | {"x" + name: 1}]},
            PRESET | {"source": {"preset": "orbit", name: 1}},
            PRESET | {"source": {"preset": "orbit", "params": {name: 1}}},
        ]
    return tried


def edges(low: float, high: float) -> list[float]:
    """Both ends of a range, and a little beyond."""
    return [low, high, low - 0.5, high + 0.5]


@pytest.fixture(scope="module")
def tried() -> dict[str, list[dict]]:
    return documents()


@pytest.fixture(scope="module")
def browser(tried) -> dict:
    """What the JavaScript says of its constants and of the documents."""
    node = shutil.which("node")
    if node is None:
        text = "node is missing: the JavaScript twins were not compared"
        pytest.fail(text) if os.environ.get("CI", "").lower() == "true" else pytest.skip(text)
    given = json.dumps([each for group in tried.values() for each in group])
    done = subprocess.run(
        [node, str(SCRIPT)], input=given, capture_output=True, text=True, encoding="utf-8", timeout=120
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_lists_and_limits_are_the_same(browser):
    constants = browser["constants"]
    assert constants["version"] == VERSION
    assert constants["eases"] == list(EASES)
    assert constants["interpolations"] == list(INTERPOLATIONS)
    assert constants["max_frames"] == MAX_FRAMES
    assert constants["fps_range"] == list(FPS_RANGE)
    assert constants["default_radius"] == DEFAULT_RADIUS
    assert constants["shortest"] == SHORTEST
    assert constants["levelling"] == LEVELLING
    assert constants["bake_tolerance"] == BAKE_TOLERANCE


def test_presets_and_their_parameters_are_the_same(browser):
    assert browser["constants"]["presets"] == [
        {
            "name": preset.name,
            "label": preset.label,
            "turns": list(preset.turns),
            "params": [
                {
                    "name": param.name,
                    "default": param.default,
                    "min": param.low,
                    "max": param.high,
                    "unit": param.unit,
                    "description": param.description,
                }
                for param in preset.params
            ],
        }
        for preset in PRESETS.values()
    ]


def test_a_document_has_the_same_fields(browser):
    whole = parse_document(json.dumps(KEYED | {"frame_of_reference": "world", "loop": True})).to_dict()
    assert sorted(browser["constants"]["fields"]) == sorted(whole)
    free = parse_document(KEYED | {"keyframes": [FREE | {"time": 2, "time_ease": "in"}]}).to_dict()
    keys = set(whole["keyframes"][0]) | set(free["keyframes"][0])
    assert set(browser["constants"]["keyframe_fields"]) == keys


def test_the_lens_and_the_range_of_a_shot_are_the_renderers(browser):
    constants = browser["constants"]
    lens = Intrinsics.default(832, 480)
    assert constants["default_lens"] == pytest.approx(
        {"fx": lens.fx, "fy": lens.fy, "cx": lens.cx, "cy": lens.cy, "width": 832, "height": 480}
    )
    assert constants["preview_magic"].encode() == scene_file.MAGIC
    assert constants["memory_magic"].encode() == memory_file.MEMORY_MAGIC
    assert constants["shot_range"][:2] == [{"near": RENDER_NEAR, "far": RENDER_FAR}] * 2
    # A hair inside of the renderer's own tolerance and a hair beyond it.
    assert [amount <= IDENTITY_TOLERANCE for amount in (0.9e-4, 1.1e-4)] == constants["identity"] == [True, False]
    assert constants["shot_range"][2] == {"near": RENDER_NEAR * 1000, "far": RENDER_FAR * 1000}


def test_millimetres_mean_the_same_on_every_film_back(browser):
    constants = browser["constants"]
    assert constants["film_backs"] == [[name, list(size)] for name, size in FILM_BACKS.items()]
    lenses = [lens_of_millimetres(35, name, 1920, 800) for name in FILM_BACKS]
    assert constants["fovs"] == pytest.approx([lens.vertical_fov for lens in lenses])
    assert constants["millimetres"] == pytest.approx([35] * len(lenses))


def test_documents_are_accepted_by_both_and_mean_the_same(browser, tried):
    answers = iter(browser["documents"])
    apart = []
    for field, group in tried.items():
        for each in group:
            try:
                ours = parse_document(json.dumps(each)).to_dict()
            except EX4DError:
                ours = None
            theirs = next(answers)
            if ours != theirs:
                apart.append(f"{field}: {json.dumps(each)}\n  Python {ours}\n  JavaScript {theirs}")
    assert not apart, "\n".join(apart)
