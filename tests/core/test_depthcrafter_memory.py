"""DepthCrafter's windows, sizes, memory modes, cancelling and running out of memory."""

from __future__ import annotations

import errno
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch

from ex4d_core.depth.depthcrafter import frames as pictures
from ex4d_core.depth.depthcrafter import memory, schedule
from ex4d_core.depth.depthcrafter import networks as nets
from ex4d_core.depth.depthcrafter.pipeline import DepthCrafter
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.storage import scratch

pytest.importorskip("diffusers")
pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def crafter(reference: Path) -> DepthCrafter:
    folder = reference / "depthcrafter"
    return DepthCrafter.from_pretrained(folder / "depthcrafter_unet_tiny", folder / "svd_tiny", device="cpu")


def clip(frames=2, height=64, width=64) -> torch.Tensor:
    return torch.rand((frames, height, width, 3), generator=torch.Generator().manual_seed(1))


@pytest.fixture()
def weights_stay(crafter):
    """After the test every weight is where and what it was."""
    before = {name: [(p.data_ptr(), p.device) for p in m.parameters()] for name, m in crafter.networks.parts().items()}
    yield
    after = {name: [(p.data_ptr(), p.device) for p in m.parameters()] for name, m in crafter.networks.parts().items()}
    assert before == after


@pytest.mark.parametrize(("frames", "count"), [(1, 1), (109, 1), (110, 1), (111, 2), (195, 2), (196, 3), (700, 8)])
def test_windows_cover_every_frame_once_they_are_stitched(frames, count):
    plan = schedule.windows(frames, 110, 25)
    assert len(plan) == count
    assert (plan[0].start, plan[-1].stop) == (0, frames)
    finished = None
    for window in plan:
        part = torch.arange(window.start, window.stop, dtype=torch.float64)[:, None, None, None]
        finished = schedule.stitch(finished, part, window)
    assert torch.allclose(finished.flatten(), torch.arange(frames, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize(("window", "overlap"), [(6, 6), (6, 9), (6, 0), (6, -1), (0, 0)])
def test_windows_that_would_never_end_are_refused(window, overlap):
    with pytest.raises(EX4DError, match=r"window|overlap"):
        schedule.windows(14, window, overlap)


@pytest.mark.parametrize(
    ("size", "limit", "expected"),
    [
        ((512, 512), 1024, (512, 512)),
        ((1080, 1920), 1024, (576, 1024)),
        ((1920, 1080), 1024, (1024, 576)),
        ((17, 1000), 1024, (64, 1024)),
        ((480, 854), 640, (384, 640)),
        ((100, 100), 100, (64, 64)),
        ((3000, 20), 1000, (960, 64)),
    ],
)
def test_working_sizes_are_multiples_of_64_within_the_limit(size, limit, expected):
    height, width = pictures.working_size(*size, limit)
    assert (height, width) == expected
    assert height % 64 == width % 64 == 0 and max(height, width) <= limit


def test_depth_comes_back_at_the_size_of_the_clip_with_its_edges(crafter, weights_stay):
    disparity = crafter(clip(1, 50, 90), steps=1)
    assert disparity.shape == (1, 50, 90)
    step = torch.where(torch.arange(64) < 31, 0.2, 0.8).expand(1, 64, 64)
    large = pictures.restore_size(step, 150, 150)
    assert bool((((large - 0.2).abs() < 1e-5) | ((large - 0.8).abs() < 1e-5)).all())


def test_one_frame_and_uint8_frames(crafter):
    one = clip(1)
    as_bytes = (one * 255).round().to(torch.uint8)
    assert torch.allclose(crafter(as_bytes, steps=2), crafter(as_bytes.float() / 255, steps=2), atol=1e-5)
    assert crafter(one, steps=1).shape == (1, 64, 64)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"steps": 0}, "step"),
        ({"guidance": 0.5}, "uidance"),
        ({"memory": "huge"}, "memory mode"),
        ({"size_limit": 32}, "size limit"),
        ({"window": 1, "overlap": 1}, "overlap"),
        ({"noise": (torch.zeros(1), torch.zeros(1))}, "noise_aug"),
    ],
)
def test_bad_settings_are_refused_before_work_starts(crafter, monkeypatch, options, words):
    monkeypatch.setattr(nets, "embed", lambda *a: pytest.fail("work had started"))
    with pytest.raises(EX4DError, match=words):
        crafter(clip(), **options)


@pytest.mark.parametrize("frames", [torch.zeros(0, 64, 64, 3), torch.zeros(2, 64, 64), torch.zeros(2, 64, 64, 4)])
def test_bad_frames_are_refused(crafter, frames):
    with pytest.raises(EX4DError, match="frames"):
        crafter(frames)


def test_a_clip_without_depth_contrast_is_refused(crafter, monkeypatch):
    monkeypatch.setattr(nets, "decode", lambda decoder, latents, run: latents.new_zeros((len(latents), 3, 64, 64)))
    with pytest.raises(EX4DError, match="everywhere"):
        crafter.depth_clip(clip(), steps=1)


def test_progress_counts_to_its_total(crafter):
    seen = []
    crafter(clip(5), steps=2, window=3, overlap=1, progress=lambda done, total: seen.append((done, total)))
    # 5 frames encoded, 2 windows of 2 steps, 1 chunk decoded
    assert [done for done, _ in seen] == list(range(1, 11))
    assert {total for _, total in seen} == {10}


def test_cancelling_stops_within_a_step(crafter, weights_stay, monkeypatch):
    polled = []

    def cancel():
        polled.append(1)
        return started and len(polled) > 3

    started = []
    denoise = nets.denoise

    def spy(*args):
        started.append(1)
        polled.clear()
        return denoise(*args)

    monkeypatch.setattr(nets, "denoise", spy)
    for mode in ("speed", "low"):
        started.clear()
        with pytest.raises(Cancelled):
            crafter(clip(), memory=mode, cancel=cancel)
        assert len(started) == 1 and len(polled) == 4
    assert crafter(clip(), steps=1).shape == (2, 64, 64)


def test_an_error_in_a_callback_leaves_everything_clean(crafter, weights_stay):
    def progress(done, total):
        raise KeyError("from the host")

    with pytest.raises(KeyError):
        crafter(clip(), memory="low", progress=progress)


def test_running_out_of_memory_goes_on_once_in_the_next_mode(crafter, weights_stay, monkeypatch):
    expected = crafter(clip(), steps=2)
    modes, warnings = [], []
    denoise = nets.denoise

    def hungry(unet, sample, timestep, tokens, ids, run):
        modes.append(run.mode.name)
        if run.mode.name == "speed":
            raise torch.OutOfMemoryError("no memory")
        return denoise(unet, sample, timestep, tokens, ids, run)

    monkeypatch.setattr(nets, "denoise", hungry)
    result = crafter(clip(), steps=2, memory="speed", warn=warnings.append)
    assert modes == ["speed", "balanced", "balanced"]
    assert len(warnings) == 1 and "speed" in warnings[0] and "balanced" in warnings[0]
    assert torch.allclose(result, expected, atol=1e-5)


def test_running_out_of_memory_twice_says_what_to_do(crafter, weights_stay, monkeypatch):
    def hungry(*args):
        raise torch.OutOfMemoryError("no memory")

    monkeypatch.setattr(nets, "decode", hungry)
    for mode in ("speed", "low"):
        with pytest.raises(EX4DError, match="size limit"):
            crafter(clip(), steps=1, memory=mode)


def test_auto_takes_the_fastest_mode_that_fits(crafter):
    needs = {name: crafter.needed_bytes(mode, 110, (576, 1024)) for name, mode in memory.MODES.items()}
    assert needs["speed"] > needs["balanced"] > needs["low"]
    for name, need in needs.items():
        chosen = memory.choose_mode("auto", need, lambda mode: needs[mode.name])
        assert chosen.name == name
    assert memory.choose_mode("auto", 0, lambda mode: needs[mode.name]).name == "low"


def test_pieces_are_even_and_within_the_budget():
    run = memory.Execution(torch.device("cpu"), memory.MemoryMode("test", 100, 1))
    assert run.pieces(10, 30) == [(0, 3), (3, 6), (6, 8), (8, 10)]
    assert run.pieces(3, 1000) == [(0, 1), (1, 2), (2, 3)]
    assert run.pieces(5, 1, most_elements=20, elements_each=10) == [(0, 2), (2, 4), (4, 5)]


def test_borrowed_weights_are_given_back_also_after_an_error():
    layer = torch.nn.Linear(3, 2)
    original = layer.weight.data
    with pytest.raises(RuntimeError), memory.borrowed((layer,), torch.device("meta")):
        assert layer.weight.device.type == "meta"
        raise RuntimeError
    assert layer.weight.data_ptr() == original.data_ptr() and layer.weight.device.type == "cpu"


def test_noise_of_a_long_clip_waits_in_a_file(crafter, monkeypatch, tmp_path):
    expected = crafter(clip(3), steps=1, seed=4, memory="low")
    kept = crafter(clip(3), steps=1, seed=4, memory="speed")
    monkeypatch.setattr(scratch, "LARGE", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    files, memmap = [], np.memmap

    def noted(file, dtype, mode, shape):
        files.append(shape)
        return memmap(file, dtype, mode, shape=shape)

    monkeypatch.setattr(np, "memmap", noted)
    assert torch.equal(crafter(clip(3), steps=1, seed=4, memory="low"), expected)
    assert torch.equal(crafter(clip(3), steps=1, seed=4, memory="speed"), kept)
    assert (3, 3, 64, 64) in files and not list(tmp_path.iterdir())


def test_a_full_disk_for_the_noise_is_told(crafter, monkeypatch):
    class Full:
        def __enter__(self):
            return self

        def __exit__(self, *exception):
            pass

        def write(self, data):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(scratch, "LARGE", 0)
    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    with pytest.raises(EX4DError, match="disk is full"):
        crafter(clip(2), steps=1, memory="low")


def test_depth_of_a_clip_may_be_written_over(crafter):
    depth = crafter.depth_clip(clip(2), steps=1).depth
    mesh = build_dw_mesh(torch.zeros(2, 64, 64, 3, dtype=torch.uint8), depth, in_place=True)
    assert mesh.depth.data_ptr() == depth.data_ptr()
