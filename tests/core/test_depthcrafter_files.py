"""DepthCrafter's files: loading, refusing wrong ones, and downloading from a small stand-in for the hub."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from harness.hub import COMMIT, FakeHub

from ex4d_core.depth.depthcrafter import download
from ex4d_core.depth.depthcrafter.loading import UNET_NAMES, find_weights, load_networks
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.storage import hub

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
huggingface_hub = pytest.importorskip("huggingface_hub")


@pytest.fixture()
def folders(reference: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Writable copies of the tiny models."""
    unet, base = tmp_path / "DepthCrafter", tmp_path / "svd"
    for source, target in (
        (reference / "depthcrafter/depthcrafter_unet_tiny", unet),
        (reference / "depthcrafter/svd_tiny", base),
    ):
        for file in source.rglob("*"):
            if file.is_file():
                copy = target / file.relative_to(source)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)
    return unet, base


def edit_config(folder: Path, **changes) -> None:
    config = json.loads((folder / "config.json").read_text())
    config.update(changes)
    (folder / "config.json").write_text(json.dumps(config))


def test_the_type_asked_for_is_the_type_loaded(folders):
    # The image encoder's config says float16 on purpose.
    full = load_networks(*folders, torch.float32)
    assert {p.dtype for part in full.parts().values() for p in part.parameters()} == {torch.float32}
    half = load_networks(*folders, torch.float16)
    kinds = {name: {p.dtype for p in part.parameters()} for name, part in half.parts().items()}
    assert kinds["clip"] == kinds["unet"] == kinds["decoder"] == {torch.float16}
    assert kinds["encoder"] == {torch.float32}  # force_upcast
    assert not any(p.is_meta or p.requires_grad for part in half.parts().values() for p in part.parameters())
    with pytest.raises(EX4DError, match="float16 or float32"):
        load_networks(*folders, torch.bfloat16)


def test_stable_video_diffusions_own_unet_is_refused(folders):
    edit_config(folders[0], _class_name="UNetSpatioTemporalConditionModel")
    with pytest.raises(EX4DError, match="Stable Video Diffusion's own UNet"):
        load_networks(*folders, torch.float32)


def test_a_unet_of_another_size_is_refused(folders):
    edit_config(folders[0], cross_attention_dim=48)
    with pytest.raises(EX4DError, match="does not match the config"):
        load_networks(*folders, torch.float32)
    edit_config(folders[0], cross_attention_dim=32, layers_per_block=2)
    with pytest.raises(EX4DError, match="tensors are missing"):
        load_networks(*folders, torch.float32)


@pytest.mark.parametrize("keep", [0, 5, 4000, -1])
def test_a_half_downloaded_file_is_refused(folders, keep):
    path = folders[0] / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(EX4DError, match="again") as caught:
        load_networks(*folders, torch.float32)
    assert str(path) in str(caught.value)


def test_files_that_are_something_else_are_refused(folders):
    (folders[0] / "diffusion_pytorch_model.safetensors").write_bytes(b"<html>not found</html>" * 100)
    with pytest.raises(EX4DError, match="safetensors"):
        load_networks(*folders, torch.float32)
    (folders[0] / "config.json").write_text("<html>")
    with pytest.raises(EX4DError, match="JSON"):
        load_networks(*folders, torch.float32)


def test_wrong_and_missing_folders_are_named(folders, tmp_path):
    with pytest.raises(EX4DError, match=r"config\.json"):
        load_networks(folders[1], folders[1], torch.float32)
    with pytest.raises(EX4DError, match="does not exist"):
        load_networks(folders[0], tmp_path / "nowhere", torch.float32)
    shutil.rmtree(folders[1] / "image_encoder")
    with pytest.raises(EX4DError, match="image encoder"):
        load_networks(*folders, torch.float32)
    with pytest.raises(EX4DError, match="does not exist"):
        download.resolve(str(tmp_path / "nowhere"), str(folders[1]))


def test_offline_the_message_lists_every_file_and_its_place(tmp_path):
    with pytest.raises(EX4DError) as caught:
        download.resolve(download.UNET_ID, download.BASE_ID, folder=tmp_path, offline=True)
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        assert str(tmp_path / "DepthCrafter" / name) in str(caught.value)
        assert f"https://huggingface.co/tencent/DepthCrafter/resolve/main/{name}" in str(caught.value)


@pytest.fixture()
def fake_hub(reference: Path, monkeypatch):
    """The tiny models under the published names, with a file of the base that nobody needs."""
    folder = reference / "depthcrafter"
    files = {f"{download.BASE_ID}/unet/diffusion_pytorch_model.safetensors": bytes(10)}
    for repository, source in ((download.UNET_ID, "depthcrafter_unet_tiny"), (download.BASE_ID, "svd_tiny")):
        for file in (folder / source).rglob("*"):
            if file.is_file():
                files[f"{repository}/{file.relative_to(folder / source).as_posix()}"] = file.read_bytes()
    with FakeHub(files) as running:
        url = huggingface_hub.hf_hub_url
        monkeypatch.setattr(huggingface_hub, "hf_hub_url", lambda *a, **k: url(*a, **k, endpoint=running.url))
        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
        yield running


def test_only_the_files_needed_are_downloaded_and_they_load(fake_hub, tmp_path):
    seen = []
    unet, base = download.resolve(
        download.UNET_ID, download.BASE_ID, folder=tmp_path, progress=lambda done, total: seen.append((done, total))
    )
    names = sorted(p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file())
    assert names == [
        "DepthCrafter/config.json",
        "DepthCrafter/diffusion_pytorch_model.safetensors",
        "DepthCrafter/revision.txt",
        "stable-video-diffusion-img2vid/image_encoder/config.json",
        "stable-video-diffusion-img2vid/image_encoder/model.fp16.safetensors",
        "stable-video-diffusion-img2vid/revision.txt",
        "stable-video-diffusion-img2vid/vae/config.json",
        "stable-video-diffusion-img2vid/vae/diffusion_pytorch_model.fp16.safetensors",
    ]
    assert (unet / "revision.txt").read_text().strip() == COMMIT
    assert seen[-1][0] == seen[-1][1] and all(done <= total for done, total in seen)
    load_networks(unet, base, torch.float16)
    before = len(fake_hub.requests)
    assert download.resolve(download.UNET_ID, download.BASE_ID, folder=tmp_path, offline=True) == (unet, base)
    assert len(fake_hub.requests) == before


def test_a_resumed_download_stays_with_the_commit_of_the_first(fake_hub, tmp_path):
    def stop():
        return True

    with pytest.raises(Cancelled):
        download.fetch(download.UNET_ID, download.UNET_FILES, [tmp_path], cancel=stop)
    with pytest.raises(Cancelled):
        download.fetch(download.BASE_ID, download.BASE_FILES, [tmp_path], cancel=stop)
    asked = []
    look_up = hub.look_up

    def spy(repository, names, folder, **options):
        asked.append((repository, options["revision"]))
        return look_up(repository, names, folder, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hub, "look_up", spy)
        download.fetch(download.UNET_ID, download.UNET_FILES, [tmp_path])
        download.fetch(download.BASE_ID, download.BASE_FILES, [tmp_path])
        download.fetch(download.UNET_ID, download.UNET_FILES, [tmp_path / "other"], "v2")
    pinned = download.PINNED[download.BASE_ID]
    assert asked == [(download.UNET_ID, COMMIT), (download.BASE_ID, pinned), (download.UNET_ID, "v2")]


def test_a_part_is_not_taken_for_the_file(fake_hub, tmp_path):
    folder = tmp_path / "DepthCrafter"
    folder.mkdir()
    (folder / "diffusion_pytorch_model.safetensors.0123456789ab.part").write_bytes(b"x" * 1000)
    with pytest.raises(EX4DError, match="interrupted"):
        find_weights(folder, UNET_NAMES, torch.float16)
    download.fetch(download.UNET_ID, download.UNET_FILES, [tmp_path])
    assert not list(folder.glob("*.part"))
    assert find_weights(folder, UNET_NAMES, torch.float16).stat().st_size > 10**6


def test_all_model_folders_are_searched_before_anything_is_downloaded(fake_hub, tmp_path, folders):
    assert download.fetch(download.UNET_ID, download.UNET_FILES, [tmp_path / "a", folders[0].parent]) == folders[0]
    assert fake_hub.requests == []
