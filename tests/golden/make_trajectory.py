"""Writes trajectory.json: documents and what they evaluate to, which pytest and the JavaScript tests both read.

Run it after a deliberate change of the interpolation, look at the difference, and commit both::

    python tests/golden/make_trajectory.py
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from ex4d_core.camera import Intrinsics
from ex4d_core.trajectory import (
    EASES,
    FRAMES_OF_REFERENCE,
    INTERPOLATIONS,
    PRESETS,
    bake_document,
    evaluate_document,
    parse_document,
    preset_document,
    resample_document,
    source_frames,
)

SCENE = Intrinsics(500.0, 500.0, 300.0, 250.0, 512, 512)
TURNED = [0.9, 0.1, -0.4, 0.15]


def key(frame: int, position: list[float], **fields) -> dict:
    """A keyframe that looks at the point (0, 0, 2.7) unless told otherwise."""
    aim = {} if "quaternion" in fields else {"target": [0.0, 0.0, 2.7]}
    return {"frame": frame, "position": position, **aim, **fields}


def document(keyframes: list[dict], **fields) -> dict:
    return {"version": 1, "frames": 25, "fps": 15, "radius": 2.7, "keyframes": keyframes, **fields}


def asked(preset: str, **values) -> dict:
    return preset_document(preset, **values).to_dict()


def documents() -> dict[str, dict]:
    """Every case by name."""
    positions = [key(0, [0, 0, 0]), key(7, [1, -0.3, 0.4]), key(12, [2, 0.1, 1.5]), key(24, [2.4, -0.8, 3])]
    cases = {f"preset {name}": asked(name, frames=13, radius=2.74) for name in PRESETS}
    cases |= {
        f"positions {mode}": document(positions, interpolation=mode) for mode in ("linear", "smooth", "catmull-rom")
    }
    eases = [key(0, [0, 0, 0])]
    eases += [
        key(6 * i + 6, [0.5 * i, 0.2, 0.1], ease=ease) for i, ease in enumerate(("linear", "in", "out", "in-out"))
    ]
    cases["eases"] = document(eases, interpolation="smooth")
    turns = [
        key(0, [0, 0, 0], quaternion=[1, 0, 0, 0]),
        key(9, [1, 0, 0], quaternion=TURNED, roll=30, ease="in-out"),
        key(18, [1, 1, 0], quaternion=[-0.3, 0.2, 0.7, 0.1]),
        key(24, [1, 1, 1], quaternion=[-0.5, 0.5, 0.5, 0.5], roll=-400),
    ]
    cases |= {f"quaternions {mode}": document(turns, interpolation=mode) for mode in ("linear", "catmull-rom")}
    mixed = [turns[0], key(6, [0.5, 0, 0]), key(12, [1, -1, 0.5]), {**turns[1], "frame": 17}, key(22, [2, 0, 2])]
    cases |= {f"targets and quaternions {mode}": document(mixed, interpolation=mode) for mode in ("linear", "smooth")}
    over = [key(0, [0, 0, 0]), key(8, [0.02, -2.6, 2.2]), key(16, [0.05, -2.5, 3.4]), key(24, [0, 0, 5.4])]
    cases["over the pole"] = document(over, interpolation="smooth")
    cases["over the pole, exactly"] = asked("arc_over", frames=21, angle=200, radius=2)
    cases["starts looking up"] = document([key(0, [0.1, 2.7, 2.7]), key(24, [2.7, 1, 2.7])], interpolation="linear")
    cases["orbit close to the pole"] = document([key(i, [0.2 * (i % 3), -2.5, 2.5 + i / 20]) for i in range(0, 25, 3)])
    lens = [
        key(0, [0, 0, 0], fov=40, lens_shift=[0.1, 0]),
        key(12, [0, 0, 0.5], ease="out"),
        key(20, [0, 0, 1], fov=90, lens_shift=[-0.2, 0.25]),
    ]
    cases["lens"] = document(lens, interpolation="catmull-rom")
    cases["lens at a wide size"] = document(lens, width=640, height=352)
    cases["lens at the scene's aspect"] = document(lens, width=256, height=256)
    cases["one keyframe"] = document([key(5, [0.3, 0.2, 0.1], roll=10, fov=50)])
    cases["one frame"] = document([key(0, [0, 0, 0])], frames=1)
    fine = [key(0, [0, 0, 1e-8 / 3], target=[0, 1e-8, 1e-8]), key(1, [-1e-17, 0, 1 / 3], roll=1 / 7, fov=200 / 3)]
    cases["finer than compact text"] = document(fine, frames=2, radius=0.02 / 3)
    off_axis = {"frames": 9, "radius": 3, "pivot": [1.0, -0.5, 4.0]}
    cases |= {f"{name} around a pivot off the axis": asked(name, **off_axis, ease="in-out") for name in AROUND}
    cases["orbit to the left, all the way"] = asked("orbit", frames=17, angle=-400, rise=0.5, ease="in")
    cases["sweep of few frames"] = asked("sweep", frames=5, angle=45)
    cases["sweep of two frames"] = asked("sweep", frames=2, angle=45)
    cases["baked orbit"] = bake_document(preset_document("orbit", angle=170)).to_dict()
    cases["keyframes in the world"] = document(positions, frame_of_reference="world")
    cases["a preset in the world"] = asked("orbit", frames=9, frame_of_reference="world")
    cases["riding on the source, said"] = document(positions, frame_of_reference="source")
    timed = [key(0, [0, 0, 0], time=3.25), key(7, [1, 0, 0], time=20), key(12, [1, 1, 0]), key(18, [2, 0, 1], time=20)]
    cases["slow, then frozen, then on"] = document([*timed, key(24, [2, 2, 2])])
    cases["backwards from a key in the middle"] = document([key(4, [0, 0, 0], time=23), key(20, [1, 0, 0], time=0.5)])
    cases["one time alone"] = document(
        [key(0, [0, 0, 0]), key(24, [1, 0, 0]), key(30, [2, 0, 0], time=11.5)], frames=40
    )
    curves = [key(4, [0, 0, 0], time=2), key(9, [1, 0, 0], time=14, time_ease="in-out"), key(13, [1, 1, 0], ease="in")]
    curves += [key(17, [2, 0, 1], time=3, time_ease="in"), key(21, [2, 1, 1], time=17.5, time_ease="out")]
    cases["time along its own curves"] = document(curves)
    cases |= {f"loop {mode}": document(positions, interpolation=mode, loop=True) for mode in INTERPOLATIONS}
    cases["loop of quaternions, of keys off the ends, lens, roll and time"] = document(
        [
            key(3, [0, 0, 0], quaternion=[1, 0, 0, 0], fov=40, time=4, time_ease="in-out"),
            key(9, [1, 0, 0], quaternion=TURNED, roll=150, ease="in-out"),
            key(18, [1, 1, 0], quaternion=[-0.3, 0.2, 0.7, 0.1], roll=290, lens_shift=[0.1, 0], time=21.5),
        ],
        interpolation="smooth",
        loop=True,
    )
    cases["loop of targets and quaternions"] = document(mixed, interpolation="catmull-rom", loop=True)
    cases["loop of targets around a quaternion"] = document([mixed[1], turns[1], mixed[2]], loop=True)
    cases["loop over the pole"] = document([*over[:3], key(20, [2, 0, 3])], interpolation="catmull-rom", loop=True)
    cases["loop of one key"] = document([key(5, [0.3, 0.2, 0.1], time=7)], loop=True)
    cases["loop of one frame"] = document([key(0, [0, 0, 0])], frames=1, loop=True)
    cases["a preset that goes round"] = asked("orbit", frames=24, angle=-360, loop=True)
    cases["a preset that goes there and back"] = asked("sweep", frames=24, angle=60, ease="in", loop=True)
    cases["bullet time"] = asked("bullet_time", frames=25, freeze=9, hold=8, angle=120, ease="in-out")
    cases["bullet time that ends around"] = asked("bullet_time", frames=20, freeze=9, hold=30)
    cases["bullet time there and back"] = asked("bullet_time", frames=25, freeze=5, hold=9, loop=True)
    cases["baked bullet time"] = bake_document(parse_document(cases["bullet time"])).to_dict()
    cases["baked bullet time there and back"] = bake_document(
        parse_document(cases["bullet time there and back"])
    ).to_dict()
    cases["loop resampled"] = resample_document(parse_document(cases["loop smooth"]), 40).to_dict()
    cases["loop resampled until keys collide"] = resample_document(
        parse_document(cases["loop of quaternions, of keys off the ends, lens, roll and time"]), 4, SCENE
    ).to_dict()
    spun = [{**key, "time": time} for key, time in zip(turns, (0, 10, 5, 24), strict=True)]
    cases["times resampled until keys collide"] = resample_document(parse_document(document(spun)), 3).to_dict()
    cases["resampled keyframes"] = resample_document(parse_document(cases["positions smooth"]), 40).to_dict()
    cases["resampled until keys collide"] = resample_document(parse_document(cases["quaternions linear"]), 3).to_dict()
    return cases


AROUND = ("orbit", "sweep", "arc_over")

REFUSED = {
    "not an object": [1],
    "no version": {"frames": 3},
    "another version": document([key(0, [0, 0, 0])], version=2),
    "frames 0": document([key(0, [0, 0, 0])], frames=0),
    "unknown field": document([key(0, [0, 0, 0])], speed=3),
    "no keyframes": document([]),
    "eye is target": document([key(0, [0, 0, 0]), key(9, [0, 0, 2.7])]),
    "fov 0": document([key(0, [0, 0, 0]), key(9, [0, 0, 1], fov=0)]),
    "text for a number": document([key(0, [0, 0, 0]), key(9, [0, "1", 1])]),
    "unsorted": document([key(4, [0, 0, 0]), key(3, [0, 0, 1])]),
    "beyond the end": document([key(25, [0, 0, 0])]),
    "target and quaternion": document([key(0, [0, 0, 0]), {**key(3, [0, 0, 1]), "quaternion": [1, 0, 0, 0]}]),
    "no orientation": document([{"frame": 0, "position": [0, 0, 0]}]),
    "zero quaternion": document([key(0, [0, 0, 0], quaternion=[0, 0, 0, 0])]),
    "unknown ease": document([key(0, [0, 0, 0], ease="bounce")]),
    "unknown interpolation": document([key(0, [0, 0, 0])], interpolation="cubic"),
    "unknown preset": {"version": 1, "frames": 5, "source": {"preset": "fly"}},
    "unknown parameter": {"version": 1, "frames": 5, "source": {"preset": "orbit", "params": {"angel": 3}}},
    "parameters in a list": {"version": 1, "frames": 5, "source": {"preset": "orbit", "params": []}},
    "parameters that are no object": {"version": 1, "frames": 5, "source": {"preset": "orbit", "params": 0}},
    "parameter out of range": {"version": 1, "frames": 5, "source": {"preset": "orbit", "params": {"angle": 1e9}}},
    "unknown frame of reference": document([key(0, [0, 0, 0])], frame_of_reference="camera"),
    "no frame of reference": document([key(0, [0, 0, 0])], frame_of_reference=None),
    "time before the clip": document([key(0, [0, 0, 0], time=-1)]),
    "time that is text": document([key(0, [0, 0, 0], time="3")]),
    "unknown time ease": document([key(0, [0, 0, 0], time=3, time_ease="hold")]),
    "time ease without a time": document([key(0, [0, 0, 0], time_ease="in")]),
    "loop that is a number": document([key(0, [0, 0, 0])], loop=1),
    "loop that is nothing": document([key(0, [0, 0, 0])], loop=None),
    "half a size": document([key(0, [0, 0, 0])], width=640),
    "through the target": document([key(0, [0, 0, 0]), key(24, [0, 0, 5.4])], interpolation="linear"),
}


def choices() -> dict:
    """What a document may choose from; JavaScript must know the same."""
    presets = [
        {
            "name": preset.name,
            "label": preset.label,
            "turns": list(preset.turns),
            "params": [[p.name, p.default, p.low, p.high, p.unit, p.description] for p in preset.params],
        }
        for preset in PRESETS.values()
    ]
    return {
        "eases": list(EASES),
        "frames_of_reference": list(FRAMES_OF_REFERENCE),
        "interpolations": list(INTERPOLATIONS),
        "presets": presets,
    }


def golden() -> dict:
    """The file's content; seven evaluated frames a case, some between the whole ones."""
    cases = []
    for name, case in documents().items():
        last = case["frames"] - 1
        times = sorted({0, 1 if last else 0, last // 4, last // 2 + (0.3 if last > 1 else 0), 3 * last // 4, last})
        parsed = parse_document(case)
        evaluated = evaluate_document(parsed, intrinsics=SCENE, times=times)
        lenses = [] if evaluated.intrinsics is None else evaluated.intrinsics
        cases.append(
            {
                "name": name,
                "document": case,
                "times": times,
                "world_to_camera": evaluated.world_to_camera.reshape(-1, 16).round(12).tolist(),
                "intrinsics": [[k.fx, k.fy, k.cx, k.cy, k.width, k.height] for k in lenses],
                "shown": {
                    str(count): frames.tolist()
                    for count in (25, 31)
                    if (frames := source_frames(parsed, count)) is not None
                },
                "baked": [key.frame for key in bake_document(parsed).keyframes],
                "compact": json.loads(parsed.to_compact_json())["keyframes"],
            }
        )
    scene = [SCENE.fx, SCENE.fy, SCENE.cx, SCENE.cy, SCENE.width, SCENE.height]
    return {"scene": scene, **choices(), "cases": cases, "refused": REFUSED}


if __name__ == "__main__":
    target = Path(__file__).with_name("trajectory.json")
    target.write_text(json.dumps(golden(), indent=None, separators=(",", ":"), ensure_ascii=False) + "\n", "utf-8")
    print(f"{target} {target.stat().st_size} bytes")
