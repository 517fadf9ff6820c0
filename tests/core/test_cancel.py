"""Cancelling while something runs that cannot be stopped: the caller is free at once, the work ends by itself."""

from __future__ import annotations

import contextvars
import gc
import threading
import time
import weakref
from contextlib import suppress

import pytest
import torch

from ex4d_core.demo_scene import DemoScene, raycast_still
from ex4d_core.depth.depthcrafter import DepthCrafter, pipeline
from ex4d_core.errors import Cancelled
from ex4d_core.machine.cancel import unless_cancelled
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.render import numba_backend, render_color_mask
from ex4d_core.trajectory import Trajectory


class Stuck:
    """Stands for the compiler: once called it returns when it is let go, and not when it is cancelled."""

    def __init__(self):
        self.called, self.let_go = threading.Event(), threading.Event()

    def __call__(self, *arguments, **keywords):
        self.called.set()
        assert self.let_go.wait(60)

    def pressed(self) -> bool:
        """The ``cancel`` callback of somebody who presses while the work is running."""
        return self.called.is_set()


@pytest.fixture()
def stuck():
    work = Stuck()
    yield work
    work.let_go.set()


def test_work_gives_its_result_its_error_and_sees_the_callers_context():
    name = contextvars.ContextVar("name", default="")
    name.set("caller")
    assert unless_cancelled(name.get, lambda: False) == "caller"
    with pytest.raises(ZeroDivisionError):
        unless_cancelled(lambda: 1 / 0, lambda: False)
    thread = unless_cancelled(threading.get_ident, None)
    assert thread == threading.get_ident(), "without a cancel there is nothing to poll"


@pytest.mark.parametrize("cancel", [None, lambda: False], ids=["direct", "thread"])
def test_an_error_does_not_keep_what_the_work_had_in_hand(cancel):
    class Frames:
        """Stands for a clip of some gigabytes."""

    held = []

    def work():
        frames = Frames()
        held.append(weakref.ref(frames))
        raise MemoryError

    gc.disable()
    try:
        with suppress(MemoryError):
            unless_cancelled(work, cancel)
        deadline = time.monotonic() + 60
        while held[0]() is not None and time.monotonic() < deadline:
            time.sleep(0.01)  # the thread may still be on its way out
        assert held[0]() is None
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("camera", "owner", "name"),
    [("handheld", DemoScene, "frame"), ("locked-off", raycast_still, "StillCamera")],
    ids=["compiling", "casting what stands still"],
)
def test_the_demo_scene_is_left_at_its_first_frame(stuck, monkeypatch, camera, owner, name):
    monkeypatch.setattr(owner, name, stuck)
    with pytest.raises(Cancelled):
        DemoScene(16, 16, 2, camera=camera).clip(cancel=stuck.pressed)
    assert not stuck.let_go.is_set()


def test_rendering_is_left_while_it_compiles(stuck, monkeypatch):
    monkeypatch.setattr(numba_backend, "_draw", stuck)
    mesh = build_dw_mesh(torch.rand(2, 8, 8, 3), torch.rand(2, 8, 8) + 2)
    path = Trajectory.preset("orbit", frames=2, radius=mesh.radius)
    with pytest.raises(Cancelled):
        render_color_mask(mesh, path, backend="numba", cancel=stuck.pressed)
    assert not stuck.let_go.is_set()


def test_depthcrafter_is_left_while_it_reads_its_files(stuck, monkeypatch, tmp_path):
    monkeypatch.setattr(pipeline, "load_networks", stuck)
    for name in ("unet", "base"):
        (tmp_path / name).mkdir()
    with pytest.raises(Cancelled):
        DepthCrafter.from_pretrained(tmp_path / "unet", tmp_path / "base", device="cpu", cancel=stuck.pressed)
    assert not stuck.let_go.is_set()
