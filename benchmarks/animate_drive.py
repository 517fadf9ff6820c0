"""How well one mesh follows a video, on bodies with exact tracks, on the processor.

    python benchmarks/animate_drive.py [--bodies puppet,2 walker,1 jelly,2] [--given depth+exact depth exact none depth+followed]

A body is filmed for 13 frames over a third of its motion; the mesh is what a generator would make of the first, in its true pose.
Told are, for the last frame and the worst, the mean distances from the mesh's vertices to where the body's own points have gone,
as shares of its size: of all vertices, and of those that the camera sees. Seconds are of processor time.

What is given beside the masks: depth; exact tracks of 200 points with 0.3 pixels of noise; points followed by our own tracker.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ex4d_core.animate.drive import drive
from ex4d_core.animate.meshes import MeshFrames, TriangleMesh
from ex4d_core.animate.surface import closest
from ex4d_core.animate.tracks import PictureTracks
from ex4d_core.camera import Intrinsics
from ex4d_core.demo_scene.bodies import Body, Flaws
from ex4d_core.render import Triangles, render_triangles
from ex4d_core.solve import follow_points
from ex4d_core.trajectory import Trajectory

SIDE, FRAMES, SPAN = 256, 13, 0.36
TRUTH_CELLS, CELLS = 24, 20
SEEN = 0.06
"""Distance in depth, in the body's unit of about 2, within which a point is the one that the camera sees."""
GIVEN = ("depth+exact", "depth+followed", "depth", "exact", "none")


def followed(
    points: np.ndarray, color: np.ndarray, depth: np.ndarray, lens: Intrinsics, kind: str
) -> PictureTracks | None:
    if kind == "followed":
        light = (color @ np.float32([0.299, 0.587, 0.114]) * 255).astype(np.uint8)
        return PictureTracks.followed(follow_points(light).position)
    if kind != "exact":
        return None
    rng = np.random.default_rng(0)
    chosen = points[:, rng.choice(points.shape[1], 200, replace=False)]
    spots, seen = seen_at(chosen, depth, lens)
    return PictureTracks(spots + rng.normal(0, 0.3, spots.shape), seen)


def seen_at(points: np.ndarray, depth: np.ndarray, lens: Intrinsics) -> tuple[np.ndarray, np.ndarray]:
    """(T, N, 2) where points (T, N, 3) are in the pictures, and (T, N) whether the camera sees them."""
    spots = points[..., :2] / points[..., 2:] * (lens.fx, lens.fy) + (lens.cx, lens.cy)
    column, row = np.clip(np.floor(spots), 0, SIDE - 1).astype(int).transpose(2, 0, 1)
    return spots, np.abs(depth[np.arange(len(depth))[:, None], row, column] - points[..., 2]) < SEEN


def measured(kind: str, seed: int, given: str) -> str:
    body, lens = Body(kind, seed), Intrinsics.default(SIDE, SIDE)
    times = np.linspace(0, SPAN, FRAMES)
    rest, faces = body.surface(TRUTH_CELLS)
    points = np.stack([body.moved(rest, time) for time in times])
    painted = torch.from_numpy((body.colors(rest) * 255).astype(np.uint8))
    film = Triangles(torch.from_numpy(points.astype(np.float32)), torch.from_numpy(faces), painted)
    still = Trajectory(np.tile(np.eye(4, dtype=np.float32), (FRAMES, 1, 1)))
    color, mask, depth = (part.numpy() for part in render_triangles(film, still, lens, supersample=2))
    made = body.generated(0.0, 0, Flaws(cells=CELLS))
    mesh = MeshFrames((0,), (TriangleMesh(made.vertices, made.faces),), made.pose[None])
    words = given.split("+")
    tracks = followed(points, color, depth, lens, words[-1])
    started = time.process_time()
    driven = drive(mesh, mask, lens, depth=depth if "depth" in words else None, tracks=tracks)
    seconds = time.process_time() - started
    face, corners = closest(mesh.vertices(0), points[0], faces)
    truth = np.einsum("nk,tnki->tni", corners, points[:, faces[face]])
    off = 100 * np.linalg.norm(driven.clip.vertices - truth, axis=2) / body.size
    every = off.mean(axis=1)
    front = np.array([own[seen].mean() for own, seen in zip(off, seen_at(truth, depth, lens)[1], strict=True)])
    return (
        f"{kind} {seed} {given:15} last {every[-1]:5.2f} % (seen {front[-1]:5.2f}), worst {every.max():5.2f} % "
        f"({front.max():5.2f}), {driven.tracks} tracks, refused {sorted(driven.refused)}, {seconds / FRAMES:.2f} s a frame"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", nargs="+", default=["puppet,2", "walker,1", "jelly,2"], help="kind,seed")
    parser.add_argument("--given", nargs="+", choices=GIVEN, default=GIVEN)
    args = parser.parse_args()
    for body in args.bodies:
        kind, seed = body.split(",")
        for given in args.given:
            print(measured(kind, int(seed), given), flush=True)


if __name__ == "__main__":
    main()
