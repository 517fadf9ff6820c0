"""How well meshes of single frames become one that moves: bodies with exact tracks, ours beside V2M4's terms, on the processor.

    python benchmarks/animate.py [--kinds puppet walker jelly] [--seeds 1] [--keys 16] [--faces 5000] [--baseline] [--tell FILE]

Every key frame's mesh has triangles, noise, holes, a pose and scale of its own; poses are given. Errors are means over the
vertices as shares of the size: "same point", between a vertex and where the body's own point has gone; "surface", between
the two surfaces, the worse way. Seconds are of processor time.

With --baseline the same meshes are registered by the 3D terms of V2M4 (arXiv 2503.09631) without its render term, written anew
from the paper's weights: as-rigid-as-possible 1, chamfer 10, face area 1e6, edge length 1e2, from frame to frame, each against
the frame before, by Adam. Steps and rate are not part of those facts: --steps and --rate.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ex4d_core.animate.clean import cleaned
from ex4d_core.animate.meshes import MeshFrames, TriangleMesh
from ex4d_core.animate.register.sequence import RegisterOptions, register
from ex4d_core.animate.surface import edges_of, samples
from ex4d_core.animate.truth import MeshErrors, mesh_errors, slope
from ex4d_core.demo_scene.bodies import KINDS, Body

WEIGHTS = {"rigid": 1.0, "chamfer": 10.0, "area": 1e6, "length": 1e2}
TRUTH_CELLS = 40
SPACING = 3
"""Frames from key to key."""


def given(body: Body, keys: int, faces: int) -> MeshFrames:
    made = [body.generated(n / (keys - 1), n) for n in range(keys)]
    meshes = tuple(cleaned(TriangleMesh(each.vertices, each.faces), faces).mesh for each in made)
    return MeshFrames(tuple(SPACING * n for n in range(keys)), meshes, np.array([each.pose for each in made]))


def errors(body: Body, vertices: np.ndarray, faces: np.ndarray, times: np.ndarray, reference: int) -> MeshErrors:
    rest, triangles = body.surface(TRUTH_CELLS)
    return mesh_errors(vertices, faces, lambda t: body.moved(rest, float(times[t])), triangles, reference, body.size)


def baseline(meshes: MeshFrames, reference: int, steps: int, rate: float) -> np.ndarray:
    """(N, V, 3) the reference carried from frame to frame by V2M4's 3D terms."""
    result = {reference: meshes.vertices(reference)}
    faces = meshes.meshes[reference].faces.astype(np.int64)
    for side in (range(reference + 1, len(meshes)), range(reference - 1, -1, -1)):
        before = result[reference]
        for n in side:
            before = result[n] = _carried(before, faces, meshes.vertices(n), meshes.meshes[n].faces, steps, rate)
    return np.array([result[n] for n in range(len(meshes))])


def _carried(
    rest: np.ndarray, faces: np.ndarray, goal: np.ndarray, goal_faces: np.ndarray, steps: int, rate: float
) -> np.ndarray:
    import torch
    from scipy.spatial import cKDTree

    unit = float(np.ptp(rest, axis=0).max())
    middle = rest.mean(axis=0)
    points = samples((goal - middle) / unit, goal_faces.astype(np.int64), len(rest)).points
    start = (rest - middle) / unit
    edges = torch.from_numpy(np.concatenate([edges_of(faces)[0], edges_of(faces)[0][:, ::-1]]).copy())
    corners, still = torch.from_numpy(faces), torch.from_numpy(start)
    target, tree = torch.from_numpy(points), cKDTree(points)
    moved = still.clone().requires_grad_()
    adam = torch.optim.Adam([moved], lr=rate)
    lengths = (still[edges[:, 1]] - still[edges[:, 0]]).norm(dim=1)
    areas = _areas(still, corners)
    for _ in range(steps):
        now = moved.detach().numpy()
        to, by = torch.from_numpy(tree.query(now)[1]), torch.from_numpy(cKDTree(now).query(points)[1])
        chamfer = ((moved - target[to]) ** 2).sum(1).mean() + ((moved[by] - target) ** 2).sum(1).mean()
        ways = moved[edges[:, 1]] - moved[edges[:, 0]]
        loss = WEIGHTS["rigid"] * _rigid(still, moved, edges) + WEIGHTS["chamfer"] * chamfer
        loss = loss + WEIGHTS["area"] * ((_areas(moved, corners) - areas) ** 2).mean()
        loss = loss + WEIGHTS["length"] * ((ways.norm(dim=1) - lengths) ** 2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    return moved.detach().numpy() * unit + middle


def _areas(vertices, faces):
    import torch

    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return torch.linalg.cross(b - a, c - a).norm(dim=1) / 2


def _rigid(still, moved, edges):
    """Sum over the edges of how far they are from their turned selves, each vertex' best turn held."""
    import torch

    before, after = still[edges[:, 1]] - still[edges[:, 0]], moved[edges[:, 1]] - moved[edges[:, 0]]
    with torch.no_grad():
        sums = torch.zeros(len(still), 3, 3, dtype=still.dtype)
        sums.index_add_(0, edges[:, 0], before[:, :, None] * after[:, None])
        u, _, v = torch.linalg.svd(sums)
        sign = torch.ones(len(still), 3, dtype=still.dtype)
        sign[:, 2] = torch.sign(torch.linalg.det(u @ v))
        turns = (u * sign[:, None] @ v).transpose(1, 2)
    return ((after - (turns[edges[:, 0]] @ before[:, :, None])[..., 0]) ** 2).sum()


def row(
    name: str, seconds: float, keys: MeshErrors, reference: int, every: MeshErrors | None = None
) -> dict[str, object]:
    """Errors of the key frame farthest from the reference ("last"), of one beside it ("one pair"), and over all."""
    last = 0 if reference > (len(keys.same_point) - 1) / 2 else len(keys.same_point) - 1
    beside = reference + (1 if last > reference else -1)
    found: dict[str, object] = {"name": name, "seconds": seconds}
    for what, own, all_frames in (
        ("same point", keys.same_point, None if every is None else every.same_point),
        ("surface", keys.surface, None if every is None else every.surface),
    ):
        found |= {f"{what}, last key": own[last], f"{what}, one pair": own[beside], f"{what}, worst key": own.max()}
        found[f"{what}, slope over keys"] = slope(own)
        if all_frames is not None:
            found |= {f"{what}, worst frame": all_frames.max(), f"{what}, slope over frames": slope(all_frames)}
    return {key: round(float(value), 5) if not isinstance(value, str) else value for key, value in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="seed")
    parser.add_argument("--keys", type=int, default=16)
    parser.add_argument("--faces", type=int, default=5000)
    parser.add_argument("--reference", type=int, help="key frame; default: found")
    parser.add_argument("--baseline", action="store_true")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--tell", type=Path, help="a JSON line for each row, too")
    args = parser.parse_args()
    for seed in range(args.first, args.first + args.seeds):
        for kind in args.kinds:
            body = Body(kind, seed)
            meshes = given(body, args.keys, args.faces)
            started = time.process_time()
            done = register(meshes, RegisterOptions(reference=args.reference))
            seconds = time.process_time() - started
            every = np.linspace(0, 1, len(done.clip))
            vertices = done.clip.vertices.astype(np.float64)
            truth = errors(body, vertices, done.clip.faces, every, SPACING * done.reference)
            keys = MeshErrors(truth.same_point[::SPACING], truth.surface[::SPACING], truth.chamfer[::SPACING])
            name = f"{kind} {seed}, from key {done.reference}, refused {sorted(done.refused)}"
            rows = [row(name, seconds, keys, done.reference, truth)]
            if args.baseline:
                started = time.process_time()
                carried = baseline(meshes, done.reference, args.steps, args.rate)
                seconds = time.process_time() - started
                faces = meshes.meshes[done.reference].faces.astype(np.int64)
                held = errors(body, carried, faces, np.linspace(0, 1, args.keys), done.reference)
                rows.append(row(f"{kind} {seed}, V2M4's 3D terms", seconds, held, done.reference))
            for each in rows:
                print(json.dumps(each), flush=True)
                if args.tell is not None:
                    with args.tell.open("a") as file:
                        file.write(json.dumps(each) + "\n")


if __name__ == "__main__":
    main()
