"""How well meshes of single frames are placed in front of the camera that filmed them, on bodies with exact truth.

Ten sequences of 16 key frames: puppets, walkers and jellies that move and turn, filmed at 192x192. Each key frame's mesh is
tessellated anew, noisy, partly missing, in a pose and scale of its own. Told are the angles between fitted and true poses, flips
(more than 30 degrees), where the fit puts the mesh's middle, and processor time.

    python benchmarks/mesh_fit.py --sequences 10 --keys 16 --given masks
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ex4d_core.animate.fit import Placed, fit_meshes
from ex4d_core.animate.meshes import MeshFrames, TriangleMesh
from ex4d_core.animate.truth import FLIP, degrees_between
from ex4d_core.camera import Intrinsics
from ex4d_core.demo_scene.bodies import KINDS, Body
from ex4d_core.render import Triangles, render_triangles
from ex4d_core.trajectory import Trajectory

SIDE = 192
GIVEN = ("masks", "depth", "colors")
"""What the fit is given: masks alone, depth too (with noise), colours of video and meshes too."""
DEPTH_NOISE = 0.01


def sequence(seed: int, keys: int, color: bool) -> tuple[MeshFrames, np.ndarray, tuple[np.ndarray, ...], Intrinsics]:
    """Meshes of key frames, their true poses (N, 4, 4), the film as colour, mask and depth, and its lens."""
    body, lens = Body(KINDS[seed % len(KINDS)], seed), Intrinsics.default(SIDE, SIDE)
    times = np.linspace(0, 1, keys)
    rest, faces = body.surface(48)
    points = np.stack([body.moved(rest, float(t)) for t in times]).astype(np.float32)
    painted = torch.from_numpy((body.colors(rest) * 255).round().astype(np.uint8))
    still = Trajectory(np.tile(np.eye(4, dtype=np.float32), (keys, 1, 1)))
    mesh = Triangles(torch.from_numpy(points), torch.from_numpy(faces), painted)
    film = tuple(part.numpy() for part in render_triangles(mesh, still, lens, supersample=2))
    made = [body.generated(float(t), n) for n, t in enumerate(times)]
    meshes = [TriangleMesh(m.vertices, m.faces, m.colors if color else None) for m in made]
    return MeshFrames(tuple(range(keys)), tuple(meshes)), np.stack([m.pose for m in made]), film, lens


def fitted(seed: int, keys: int, given: str) -> tuple[Placed, np.ndarray, float]:
    """One sequence: the result, the angles, and processor seconds."""
    meshes, poses, (color, mask, depth), lens = sequence(seed, keys, given == "colors")
    noise = np.random.default_rng(seed).normal(0, DEPTH_NOISE, depth.shape)
    noisy = None if given == "masks" else (depth * np.exp(noise)).astype(np.float32)
    began = time.process_time()
    placed = fit_meshes(meshes, mask, lens, depth=noisy, images=color if given == "colors" else None)
    spent = time.process_time() - began
    assert placed.meshes.poses is not None
    return placed, degrees_between(placed.meshes.poses, poses), spent


def main() -> None:
    """Print a row for each sequence and one for all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sequences", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--keys", type=int, default=16)
    parser.add_argument("--given", choices=GIVEN, default="depth")
    args = parser.parse_args()
    rows = []
    for seed in range(args.first, args.first + args.sequences):
        placed, off, spent = fitted(seed, args.keys, args.given)
        rows.append(off)
        print(
            f"{seed} {KINDS[seed % len(KINDS)]:7} median {np.median(off):5.2f} largest {off.max():6.2f} degrees, "
            f"{int((off > FLIP).sum())} flips, IoU {placed.iou.min():.3f}, outline {placed.outline.max():.2f} px, "
            f"processor {spent:.1f} s",
            flush=True,
        )
    off = np.concatenate(rows)
    print(
        f"all, given {args.given}: median {np.median(off):.2f}, 90 % {np.percentile(off, 90):.2f}, largest {off.max():.2f} "
        f"degrees, {int((off > FLIP).sum())} flips of {len(off)}"
    )


if __name__ == "__main__":
    main()
