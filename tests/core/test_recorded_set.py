"""The recorded set of the repository is what the published code gave, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from harness import recorded
from safetensors.torch import load_file

CUT = "adapter/preprocess_golden.safetensors"
"""Its colours are kept in one patch only."""
PARTS = {"render/synth_90.npz": {"raw"}, "render/synth_180.npz": {"raw"}}


@pytest.fixture(scope="module")
def files() -> dict[str, recorded.Tensors]:
    return recorded.tensors()


def test_every_tensor_has_the_digest_of_the_recorded_one(files):
    """Fails, too, where this machine's torch draws other normal numbers from a seed (no AVX2)."""
    assert recorded.differences(files) == []


def test_another_bit_is_noticed(files):
    changed = {file: dict(tensors) for file, tensors in files.items()}
    bias = changed["adapter/dit_tiny.safetensors"]["head.head.bias"].clone()
    bias.view(torch.int32)[3] ^= 1
    changed["adapter/dit_tiny.safetensors"]["head.head.bias"] = bias
    del changed["render/synth_90.npz"]["out"]
    assert recorded.differences(changed) == ["adapter/dit_tiny.safetensors: head.head.bias", "render/synth_90.npz: out"]


def test_it_stays_small():
    files = [path for path in recorded.SOURCE.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 8_000_000


def load(path: Path) -> dict[str, torch.Tensor]:
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return {name: torch.from_numpy(np.asarray(archive[name])) for name in archive.files}
    if path.suffix == ".pt":
        return {recorded.BARE: torch.load(path, weights_only=True)}
    return torch.load(path, weights_only=True) if path.suffix == ".ckpt" else load_file(path)


def test_it_is_a_part_of_the_large_set(large_reference):
    """Every unpacked file against the file of the same name; colours of the published example in their patch."""
    unpacked = recorded.folder()
    paths = [path for path in unpacked.rglob("*") if path.is_file() and path.suffix != ".json"]
    assert len(paths) > 15
    for path in paths:
        name = path.relative_to(unpacked).as_posix()
        ours, theirs = load(path), load(large_reference / name)
        if name == CUT:
            theirs |= load(large_reference / "training" / "preprocessing.safetensors")
            ours = {key: value for key, value in ours.items() if not key.startswith("picked")}
        for key, value in ours.items():
            if name == CUT and "color" in key:
                assert seen_part_is_the_same(value, theirs[key]), key
            else:
                assert torch.equal(value, theirs[key]), f"{name}: {key}"
        if name in PARTS:
            assert theirs.keys() - ours.keys() == PARTS[name]


def seen_part_is_the_same(patch: torch.Tensor, whole: torch.Tensor) -> bool:
    """Where the patch holds a colour it is the recorded one, and it holds many."""
    seen = (patch > 0).any(-1)
    return bool(torch.equal(patch[seen], whole[seen])) and int(seen.sum()) > 500


def test_videos_of_the_set_have_the_recorded_frames_at_the_picked_places(files):
    color, mask = recorded.whole_videos(files[CUT])
    assert color.shape == (49, 512, 512, 3) and mask.shape == (49, 512, 512)
    for frame in (0, 12, 24, 48):
        assert torch.equal(color[frame], files[CUT][f"color_u8_f{frame}"])
        assert torch.equal(mask[frame], files[CUT][f"mask_raw_u8_f{frame}"])
