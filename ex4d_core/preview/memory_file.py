"""What the camera editor draws into holes: the memory of the scene that a scene file (`scene_file`) holds, made of that file.

One file::

    8 bytes   magic "EX4DMEM1"
    4 bytes   length of the header, little endian
    header    JSON (see `encode_memory`)
    quads     per remembered frame, deflated: a bit for each quad of neighbouring samples, row by row, 1 = in the layer
    solids    per frame of the scene file: where they begin, where they end, packed as depth is there, and a bit for each
              cell, 1 = moves, deflated

The layer's points and colours are samples of the scene file and are not stored again. Its rims, half a pixel wide, are left out.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..mesh import DWMesh
from ..scene_memory import CELL, DEFAULT_FRAMES, SceneMemory, Strictness, remember_scene
from ..storage.staging import staged_file
from .scene_file import decode_preview, pack_depth, save_preview

MEMORY_MAGIC = b"EX4DMEM1"
LEVELS = 2**16 - 1
"""Of inverse depth, from 0 to that of the nearest solid."""


def encode_memory(memory: SceneMemory, mesh: DWMesh) -> bytes:
    """A memory as one file.

    Args:
        memory: of the mesh.
        mesh: the one that a scene file holds (`Preview.mesh`).

    Returns:
        The file's bytes. Its header holds: version, frames (of the scene file, those remembered), cell (samples a side), cells
        [columns, rows], near (depth of the nearest solid), levels, tolerance (share of depth), quads [bytes, ...] and solids
        [[begin, end, moving bytes], ...].
    """
    layer, size = memory.layer.without_rims(), mesh.height * mesh.width
    corner = layer.source[layer.faces[::2, 0].long()].cpu()  # of each quad the upper left one
    quads = []
    for frame in memory.frames:
        here = np.zeros((mesh.height, mesh.width), bool)
        here.reshape(-1)[(corner[corner // size == frame] % size).numpy()] = True
        quads.append(_bits(here[:-1, :-1]))
    front, back = (part.cpu().numpy() for part in (memory.solids.front, memory.solids.back))
    near = float(front.min())
    solids = [
        [*(pack_depth(depth, near, math.inf, LEVELS) for depth in (begin, end)), _bits(moving)]
        for begin, end, moving in zip(front, back, memory.moving.cpu().numpy(), strict=True)
    ]
    header = {
        "version": 1,
        "frames": list(memory.frames),
        "cell": CELL,
        "cells": [front.shape[2], front.shape[1]],
        "near": near,
        "levels": LEVELS,
        "tolerance": memory.tolerance,
        "quads": [len(part) for part in quads],
        "solids": [[len(part) for part in parts] for parts in solids],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    body = b"".join([*quads, *(part for parts in solids for part in parts)])
    return MEMORY_MAGIC + struct.pack("<I", len(text)) + text + body


def _bits(marks: np.ndarray) -> bytes:
    return zlib.compress(np.packbits(marks.reshape(-1)).tobytes(), 1)


def save_memory(
    mesh: DWMesh,
    folder: str | Path,
    *,
    frames: int = DEFAULT_FRAMES,
    strictness: Strictness = "normal",
    progress: Callable[[int, int], None] | None = None,
    cancel: Callable[[], bool] | None = None,
) -> str:
    """Write the memory of a mesh's scene file beside that, once per mesh and choice.

    Args:
        mesh: the clip's mesh.
        folder: made if missing.
        frames: as in `remember_scene`.
        strictness: as in `remember_scene`.
        progress: as in `remember_scene`; not called where the file is there already.
        cancel: as in `remember_scene`.

    Returns:
        The file's name: the scene file's up to the first dot, then the choice.

    Raises:
        EX4DError: see `save_preview` and `remember_scene`.
        Cancelled: ``cancel()`` returned True.
    """
    folder = Path(folder)
    scene = save_preview(mesh, folder, cancel=cancel)
    name = f"{Path(scene).stem}.{strictness}-{frames}.ex4d"
    if not (folder / name).is_file():
        shown = decode_preview((folder / scene).read_bytes()).mesh()
        memory = remember_scene(shown, frames=frames, strictness=strictness, progress=progress, cancel=cancel)
        with staged_file(folder / name) as part:
            part.write_bytes(encode_memory(memory, shown))
    return name
