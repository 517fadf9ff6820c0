"""The geometry's speed against its targets, with every run kept in a JSON file.

    python benchmarks/geometry.py [--output benchmarks/results/geometry.json] [--runs 5] [--check]

Per target: depth and colour in memory -> mesh -> uint8 colour and mask along the full -90..90 degree sweep, median of
the warm runs. Targets that need a GPU are measured where there is one; their results stay on the GPU. With --check the
exit code is 1 where a target is missed. CPU targets are meant for two cores with nothing else running.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch

from ex4d_core.commands.bench import demo_clip, line, machine, measure
from ex4d_core.render import available_backends

# (size, style, backend, device, milliseconds a frame)
TARGETS = [
    ((512, 512), "released", "numba", "cpu", 12.0),
    ((512, 512), "paper", "numba", "cpu", 12.0),
    ((1024, 576), "released", "numba", "cpu", 28.0),
    ((1024, 576), "paper", "numba", "cpu", 28.0),
    ((512, 512), "released", "nvdiffrast", "cuda", 200.0 / 49),
    ((512, 512), "paper", "nvdiffrast", "cuda", 200.0 / 49),
    ((512, 512), "released", "triton", "cuda", 60.0 / 49),
    ((512, 512), "paper", "triton", "cuda", 60.0 / 49),
    ((1024, 576), "released", "triton", "cuda", 120.0 / 49),
    ((1024, 576), "paper", "triton", "cuda", 120.0 / 49),
    ((512, 512), "released", "torch", "cuda", 500.0 / 49),
    ((512, 512), "paper", "torch", "cuda", 500.0 / 49),
]
FRAMES = 49


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default=str(Path(__file__).parent / "results" / "geometry.json"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    clips, results, missed = {}, [], 0
    for size, style, backend, device, target in TARGETS:
        if backend not in available_backends() or (device == "cuda" and not torch.cuda.is_available()):
            print(f"{size[0]}x{size[1]} {style} {backend} on {device}: not measured, it is not here")
            continue
        if size not in clips:
            clips[size] = demo_clip(*size, FRAMES)
        result = measure(*clips[size], style=style, backend=backend, device=device, runs=args.runs)
        result["target"] = target
        results.append(result)
        missed += result["total"] > target
        print(line(result), f"| target {target:.1f}: {'met' if result['total'] <= target else 'MISSED'}")
    output = Path(args.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"machine": machine(), "results": results}, indent=1) + "\n")
    print(f"written to {output}")
    return int(args.check and missed > 0)


if __name__ == "__main__":
    sys.exit(main())
