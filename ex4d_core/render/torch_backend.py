"""Backend in plain torch, on any device with float64.

Every sample takes the largest of the 64-bit keys that fall on it (float32 bits of 1/z above the inverted face number).
On the processor small quads are drawn many at a time (``torch_quads``), in float32 as seen from each sample; all other faces, and
on a GPU all faces, one by one in float64 (``torch_faces``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from threading import Event

import torch

from ..errors import Cancelled
from ..mesh import DWMesh
from .backend import Backend
from .frames import affordable_threads, draw_on_threads
from .torch_faces import draw_faces
from .torch_quads import draw_quads
from .torch_scene import set_up
from .torch_shade import shade
from .view import Picture, Settings, View, reduce_samples, store

VERTEX_BYTES, SAMPLE_BYTES = 60, 60
"""Of one frame: the projected vertices, and the samples' keys, colour, mask and depth."""


def render(mesh: DWMesh, views: list[View], picture: Picture, settings: Settings) -> None:
    """Fill the picture's frames of ``views``; see `render_color_mask`."""
    if mesh.device.type == "mps":  # the occlusion rule is computed where the mesh lies
        mesh = replace(mesh, rgb=mesh.rgb.cpu(), depth=mesh.depth.cpu())
    if settings.device.type != "cpu":
        for view in views:
            _draw(mesh, view, picture, settings, settings.poll)
            settings.frame_done()
        return
    stop = Event()

    def leave() -> None:
        if stop.is_set():
            raise Cancelled

    threads = affordable_threads(len(views), _held(mesh, picture, settings.supersample))
    draw_on_threads(lambda view: _draw(mesh, view, picture, settings, leave), views, threads, settings, stop.set)


def _draw(mesh: DWMesh, view: View, picture: Picture, settings: Settings, poll: Callable[[], None]) -> None:
    rows, columns = picture.height * settings.supersample, picture.width * settings.supersample
    scene = set_up(mesh, view, settings)
    keys = torch.zeros(rows * columns, dtype=torch.int64, device=settings.device)
    # A GPU is held up by the number of steps, a processor by their size.
    vertex = draw_quads(scene, keys, rows, columns, poll) if keys.device.type == "cpu" else scene.every_quad()
    plate = torch.arange(scene.grid_faces, scene.grid_faces + 2, device=settings.device)
    draw_faces(scene, torch.cat([2 * vertex, 2 * vertex + 1, plate]), keys, rows, columns, poll)
    rgb = mesh.rgb[view.source].to(settings.device).reshape(-1, 3)
    color, mask, depth = shade(scene, keys, rgb, rows, columns, settings.fade, poll)
    pixels = reduce_samples(color[None], mask[None], depth[None], settings.supersample)
    store(picture, slice(view.output, view.output + 1), *pixels, released=not scene.paper)


def _held(mesh: DWMesh, picture: Picture, supersample: int) -> int:
    samples = picture.height * picture.width * supersample**2
    return samples * SAMPLE_BYTES + mesh.height * mesh.width * VERTEX_BYTES


def _device(mesh: DWMesh, asked: torch.device | None) -> torch.device:
    """Apple's GPU has no float64: what lies there is computed on the processor and goes back."""
    device = asked or mesh.device
    return torch.device("cpu") if device.type == "mps" else device


BACKEND = Backend(
    name="torch",
    needs="torch",
    problem=lambda: None,
    takes=lambda *_: True,
    device=_device,
    render=render,
)
