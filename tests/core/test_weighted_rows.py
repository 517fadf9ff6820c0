"""Rows that rest on networks: the arithmetic equals the reference implementations, files are told apart, networks are loaded."""

from __future__ import annotations

import hashlib
import json
import math
import threading
import warnings

import numpy as np
import pytest
import torch

from ex4d_core.commands.cli import main
from ex4d_core.errors import Cancelled
from ex4d_core.evaluation.weighted import files, judged, networks, vbench
from ex4d_core.evaluation.weighted.distances import frechet_distance, kernel_distance, polynomial_mmd

RECORDED = {"fid": 3.968334009381582, "mmd": 0.3224858707445861, "kid": 0.2778305652050067}
"""Of the features below by torch-fidelity 0.4.0: fid_statistics_to_metric, kernel_mmd of the first 40, and
kid_features_to_metric with 100 subsets of 40 and its own seed."""


def features() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.standard_normal((40, 12)), 0.3 + 1.2 * rng.standard_normal((50, 12))


def clip(frames: int = 10, side: int = 40) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (frames, side, side, 3), dtype=np.uint8))


def test_frechet_and_kernel_distances_are_those_of_torch_fidelity():
    one, two = features()
    assert frechet_distance(one, two) == pytest.approx(RECORDED["fid"], abs=1e-4)
    assert polynomial_mmd(one, two[:40]) == pytest.approx(RECORDED["mmd"], abs=1e-4)
    assert kernel_distance(one, two) == pytest.approx(RECORDED["kid"], abs=1e-4)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-6)
    assert math.isnan(frechet_distance(one[:1], two)) and math.isnan(kernel_distance(one[:1], two))


def test_vbench_formulas_are_its_loops():
    said = torch.from_numpy(np.random.default_rng(5).standard_normal((6, 9)))
    total, unit = 0.0, [row / row.norm() for row in said]
    for t in range(1, 6):
        total += (max(0.0, float(unit[t - 1] @ unit[t])) + max(0.0, float(unit[0] @ unit[t]))) / 2
    assert vbench.consistency(said) == pytest.approx(total / 5, abs=1e-9)
    flow = np.random.default_rng(6).standard_normal((20, 30, 2))
    fastest = sorted((float(math.hypot(*uv)) for uv in flow.reshape(-1, 2)), reverse=True)[: int(600 * 0.05)]
    assert vbench.pair_speed(flow) == pytest.approx(sum(fastest) / len(fastest))
    assert vbench.is_dynamic([13, 13, 13, 1, 1, 1, 1], (512, 900)) == 1  # 2 of 8 frames' pairs are asked for
    assert vbench.is_dynamic([13, 1, 1, 1, 1, 1, 1], (512, 900)) == 0 and math.isnan(vbench.is_dynamic([], (512, 900)))
    frames = clip(5)
    assert vbench.smoothness(frames, frames[1::2]) == 1
    assert vbench.smoothness(frames, (255 - frames[1::2])) == pytest.approx(
        float((255 - (2 * frames[1::2].double() - 255).abs().mean()) / 255)
    )
    assert len(vbench.sampled(frames, 16.0)) == 3 and len(vbench.sampled(frames, 8.0)) == 5


def test_a_file_is_unverified_unless_its_name_states_its_digest(tmp_path):
    right = hashlib.sha256(b"weights").hexdigest()
    for name in (f"net-{right[:8]}.pth", "net-00000000.pth", "net.pt"):
        (tmp_path / name).write_bytes(b"weights")
    assert files.note(tmp_path / f"net-{right[:8]}.pth") is None
    assert files.note(tmp_path / "net-00000000.pth") == (
        f"(unverified file) net-00000000.pth: sha256 {right}, not the 00000000 of its name"
    )
    assert right in str(files.note(tmp_path / "net.pt"))


class Features(torch.nn.Module):
    """Stands where I3D would: the same call, features from fixed random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mix", torch.from_numpy(np.random.default_rng(2).standard_normal((3, 5))).float())

    def forward(self, clip: torch.Tensor, rescale: bool, resize: bool, return_features: bool) -> torch.Tensor:
        return clip.mean((2, 3, 4)) @ self.mix


@pytest.fixture()
def weights(tmp_path):
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.jit.script(Features()).save(str(folder / judged.I3D))
    return folder


def test_the_published_format_is_read_without_advice_to_change_it(weights, monkeypatch):
    load = torch.jit.load

    def advising(*arguments, **keywords):
        warnings.warn("export it", FutureWarning, stacklevel=1)
        return load(*arguments, **keywords)

    monkeypatch.setattr(torch.jit, "load", advising)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        networks.i3d(weights, judged.I3D)


def test_video_distances_are_of_all_clips_together(weights, tmp_path, capsys):
    for side, shift in (("results", 0), ("truths", 30)):
        (tmp_path / side).mkdir()
        for n in range(3):
            rgb = (clip() // 2 + 20 * n + shift).to(torch.uint8)
            np.savez(tmp_path / side / f"{n}.npz", rgb=rgb.numpy())
    words = ["evaluate", str(tmp_path / "results"), "--against", str(tmp_path / "truths"), "--weights", str(weights)]
    assert main([*words, "--json", str(tmp_path / "r.json"), "--require", "kvd"]) == 2  # one clip alone has none
    report = json.loads((tmp_path / "r.json").read_text())
    found = report["of_all_clips"]
    network = networks.i3d(weights, judged.I3D)
    sides = [
        np.concatenate([network((clip() // 2 + 20 * n + shift).to(torch.uint8)).numpy() for n in range(3)])
        for shift in (0, 30)
    ]
    assert found["fvd"]["value"] == pytest.approx(frechet_distance(*sides), abs=1e-4) and found["fvd"]["features"] == 3
    assert found["kvd"]["value"] == pytest.approx(polynomial_mmd(*sides), abs=1e-4)
    assert found["fid"]["value"] is None and "needs pt_inception" in found["fid"]["not_computed"]
    assert "(unverified file) i3d_torchscript.pt" in report["clips"]["0"]["unverified"]["fvd"]
    assert "FVD" in capsys.readouterr().out


def test_rows_say_what_they_lack(weights):
    said = judged.judge(clip(4), clip(4), weights)
    assert (
        "needs 10 frames" in said.reasons["fvd"] and "amt-s.pth (12 MB, CC BY-NC" in said.reasons["vbench_smoothness"]
    )
    assert said.reasons["clip"].startswith("needs clip-vit-base-patch16") and not said.values
    (weights / "alexnet-owt-7be5be79.pth").write_bytes(b"no tensors")
    assert set(said.reasons) == {row.name for row in judged.WEIGHTED}
    (weights / judged.I3D).write_bytes(b"no archive")
    judged._network.cache_clear()
    assert "could not be used" in judged.judge(clip(), clip(), weights).reasons["fvd"]


def test_networks_at_work_are_left_when_the_user_cancels(weights, monkeypatch):
    at_work = threading.Event()
    monkeypatch.setattr(judged, "_judge_row", lambda *_: at_work.wait(30))
    with pytest.raises(Cancelled):
        judged.judge(clip(), clip(), weights, cancel=lambda: True)
    at_work.set()


def test_clip_and_dino_folders_are_loaded(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    picture = {**small, "image_size": 32, "patch_size": 16}
    transformers.ViTModel(transformers.ViTConfig(**picture)).save_pretrained(tmp_path / judged.DINO)
    config = transformers.CLIPConfig(text_config={**small, "vocab_size": 99}, vision_config=picture, projection_dim=8)
    network = transformers.CLIPModel(config)
    network.save_pretrained(tmp_path / judged.CLIP_L14)
    network.save_pretrained(tmp_path / judged.CLIP_B32)
    torch.save({"weight": torch.ones(1, 8), "bias": torch.tensor([5.0])}, tmp_path / judged.HEAD)
    said = judged.judge(clip(3, 48), None, tmp_path)
    assert 0 < said.values["vbench_subject"] <= 1 and 0 < said.values["vbench_background"] <= 1
    (tmp_path / "other" / judged.DINO).mkdir(parents=True)  # a folder that was never filled costs its own row alone
    assert "could not be used" in judged.judge(clip(3, 48), None, tmp_path / "other").reasons["vbench_subject"]
    unit = torch.nn.functional.normalize(networks.clip_images(tmp_path, judged.CLIP_L14)(clip(3, 48)), dim=-1)
    assert said.values["vbench_aesthetic"] == pytest.approx(float(unit.sum(-1).mean() + 5) / 10, abs=1e-5)


def test_lpips_heads_are_those_of_the_wheel(tmp_path):
    lpips = pytest.importorskip("lpips")
    torchvision = pytest.importorskip("torchvision")
    torch.manual_seed(4)
    alexnet = torchvision.models.alexnet(weights=None)
    torch.save(alexnet.state_dict(), tmp_path / "a.pth")
    torch.manual_seed(4)
    reference = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)  # the same trunk, drawn anew
    one, two = clip(2, 64), clip(2, 64).flip(0)
    for mine, theirs in zip(alexnet.features.parameters(), reference.net.parameters(), strict=True):
        theirs.data.copy_(mine.data)
    found = networks.lpips(tmp_path, "a.pth")(one, two)
    with torch.inference_mode():
        wanted = reference.eval()(2 * networks.planes(one) - 1, 2 * networks.planes(two) - 1).reshape(-1)
    assert torch.allclose(found, wanted, atol=1e-6) and found.min() > 0
