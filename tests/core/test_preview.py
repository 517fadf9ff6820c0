"""The editor's preview file: small, exact where it matters, refused when damaged, published once."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch

from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.mesh import build_dw_mesh
from ex4d_core.preview import scene_file as preview


def scene(frames: int = 3, width: int = 96, height: int = 64, style: str = "released"):
    """A ramp with a near disc, and noise in depth so that compression has something to do."""
    noise = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width]
    depth = np.stack([3 + 0.02 * x + 0.01 * t for t in range(frames)]).astype(np.float32)
    depth[:, (x - 40) ** 2 + (y - 30) ** 2 < 200] = 2.6
    depth *= 1 + 1e-3 * noise.standard_normal(depth.shape).astype(np.float32)
    rgb = np.stack([np.stack([x * 2, y * 3, 0 * x + 20 * t], -1) for t in range(frames)]).astype(np.uint8)
    return build_dw_mesh(torch.from_numpy(rgb), torch.from_numpy(depth), style=style)


def test_round_trip_keeps_depth_edges_and_facts():
    mesh = scene()
    found = preview.decode_preview(preview.encode_preview(mesh))
    header = found.header
    assert (header["width"], header["height"], header["frames"], header["source"]) == (96, 64, 3, [96, 64])
    assert header["radius"] == pytest.approx(mesh.radius) and header["border_depth"] == mesh.border_depth
    inner = np.s_[:, 1:-1, 1:-1]
    # 16 bits of inverse depth between near and far: no value moves by more than half a step.
    np.testing.assert_allclose(found.depth[inner], mesh.depth.numpy()[inner], rtol=3e-5)
    assert np.abs(found.rgb.astype(int) - mesh.rgb.numpy()).mean() < 2.5
    assert header["max_jump"] is None
    assert preview.decode_preview(preview.encode_preview(scene(style="paper"))).header["max_jump"] > 0


@pytest.mark.parametrize("levels", [65535, 4095])
def test_packed_depth_is_within_half_a_level(levels):
    depth = np.random.default_rng(1).uniform(1, 50, (17, 23)).astype(np.float32)
    back = preview.unpack_depth(preview.pack_depth(depth, 1.0, 50.0, levels), 23, 17, 1.0, 50.0, levels)
    step = (1 / 1.0 - 1 / 50.0) / levels
    assert np.abs(1 / back.astype(np.float64) - 1 / depth.astype(np.float64)).max() <= 0.5 * step + 1e-7


def test_the_mesh_that_the_editor_draws_is_a_coarser_one():
    mesh = scene(style="paper")
    drawn, coarse = preview.decode_preview(preview.encode_preview(mesh, pixels=1500)).mesh(), mesh.coarser(1500)
    assert (drawn.style, drawn.border_depth, drawn.radius) == ("paper", mesh.border_depth, mesh.radius)
    assert (drawn.max_jump, drawn.min_angle, drawn.intrinsics) == (mesh.max_jump, mesh.min_angle, coarse.intrinsics)
    torch.testing.assert_close(drawn.depth, coarse.depth, rtol=3e-5, atol=0)
    assert (drawn.rgb.int() - coarse.rgb.int()).abs().float().mean() < 3


def test_a_noisy_clip_stays_under_the_limit():
    noise = np.random.default_rng(2).normal(size=(4, 256, 256)).astype(np.float32)
    rgb = np.random.default_rng(3).integers(100, 130, (4, 256, 256, 3), dtype=np.uint8)
    mesh = build_dw_mesh(rgb, 5 * np.exp(0.2 * noise))
    data = preview.encode_preview(mesh)
    header = preview.decode_preview(data).header
    assert header["levels"] < 65535 or header["width"] < 256, "16 bits of noise at full size do not fit"
    assert len(data) <= 4 * preview.BYTES_PER_FRAME + 2000


def test_long_clips_are_thinned_evenly():
    mesh = scene(frames=preview.MAX_FRAMES + 40, width=8, height=8)
    header = preview.decode_preview(preview.encode_preview(mesh)).header
    numbers = header["frame_numbers"]
    assert header["frames"] == len(numbers) == preview.MAX_FRAMES and header["clip_frames"] == preview.MAX_FRAMES + 40
    assert numbers[0] == 0 and numbers[-1] == mesh.frames - 1 and max(np.diff(numbers)) <= 2


def test_damage_is_refused():
    data = preview.encode_preview(scene(frames=1))
    with pytest.raises(EX4DError, match="no EX-4D preview"):
        preview.decode_preview(b"RIFF" + data)
    with pytest.raises(EX4DError, match="too early"):
        preview.decode_preview(data[:-10])


def test_saving_writes_once_per_mesh_and_cancels_clean(tmp_path):
    mesh, folder = scene(), tmp_path / "made"
    first = preview.save_preview(mesh, folder)
    file = folder / first
    os.utime(file, ns=(1, 1))
    assert preview.save_preview(mesh, folder) == first
    assert preview.save_preview(scene(), folder) == first, "the same scene has the same name"
    assert file.stat().st_mtime_ns == 1, "it was not written again"
    file.unlink()
    assert preview.save_preview(mesh, folder) == first and file.is_file(), "ComfyUI may empty its temp folder"
    with pytest.raises(Cancelled):
        preview.save_preview(scene(frames=5), folder, cancel=lambda: True)
    with pytest.raises(ZeroDivisionError):
        preview.save_preview(scene(frames=4), folder, progress=lambda done, total: 1 // 0)
    assert [path.name for path in folder.iterdir()] == [first]


def test_a_folder_that_cannot_be_written_is_told_in_a_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(EX4DError, match="cannot be written"):
        preview.save_preview(scene(), tmp_path / "file" / "below")
