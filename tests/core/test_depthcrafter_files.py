"""DepthCrafter's files: loading, refusing wrong ones, and downloading from a small stand-in for the hub."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from ex4d_core.depth.depthcrafter import download
from ex4d_core.depth.depthcrafter.loading import load_networks
from ex4d_core.errors import Cancelled, EX4DError

pytest.importorskip("diffusers")
pytest.importorskip("transformers")
hub = pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"


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


class Hub:
    """A stand-in for the hub: two repositories, ranges, and faults on demand."""

    def __init__(self, files: dict[str, bytes]):
        self.files = files
        self.requests: list[tuple[str, str, str | None]] = []
        self.cut_after: int | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, body: bool):
                key = self.path.lstrip("/").replace(f"resolve/{COMMIT}/", "").replace("resolve/main/", "")
                key = key.replace(f"resolve/{download.PINNED[download.BASE_ID]}/", "")
                outer.requests.append((self.command, key, self.headers.get("Range")))
                data = outer.files.get(key)
                if data is None:
                    self.send_response(404)
                    self.send_header("Content-Length", "0")
                    self.send_header("X-Error-Code", "EntryNotFound")
                    self.end_headers()
                    return
                start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
                self.send_response(206 if start else 200)
                self.send_header("Content-Length", str(len(data) - start))
                self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.end_headers()
                if body:
                    part = data[start:]
                    if outer.cut_after is not None:
                        part, outer.cut_after = part[: outer.cut_after], None
                        self.close_connection = True
                    self.wfile.write(part)

            def do_HEAD(self):
                self.answer(False)

            def do_GET(self):
                self.answer(True)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture()
def fake_hub(reference: Path, monkeypatch):
    folder = reference / "depthcrafter"
    files = {}
    for repository, source in ((download.UNET_ID, "depthcrafter_unet_tiny"), (download.BASE_ID, "svd_tiny")):
        for file in (folder / source).rglob("*"):
            if file.is_file():
                files[f"{repository}/{file.relative_to(folder / source).as_posix()}"] = file.read_bytes()
    running = Hub(files)
    url = hub.hf_hub_url
    monkeypatch.setattr(hub, "hf_hub_url", lambda *a, **k: url(*a, **k, endpoint=running.url))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(download, "BLOCK", 2**16)
    monkeypatch.setattr(download.time, "sleep", lambda seconds: None)
    yield running
    running.server.shutdown()
    running.server.server_close()


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


def test_a_cancelled_download_is_resumed(fake_hub, tmp_path):
    blocks = []

    def cancel():
        blocks.append(1)
        return len(blocks) == 20

    with pytest.raises(Cancelled):
        download.fetch(download.UNET_ID, download.UNET_FILES, [tmp_path], cancel=cancel)
    part = next((tmp_path / "DepthCrafter").glob("*.part"))
    size = part.stat().st_size
    assert size > 0
    with pytest.raises(EX4DError, match="interrupted"):
        download_check(tmp_path)
    folder = download.fetch(download.UNET_ID, download.UNET_FILES, [tmp_path])
    assert any(request[2] == f"bytes={size}-" for request in fake_hub.requests)
    key = "tencent/DepthCrafter/diffusion_pytorch_model.safetensors"
    assert (folder / "diffusion_pytorch_model.safetensors").read_bytes() == fake_hub.files[key]
    assert not list(folder.glob("*.part"))


def download_check(tmp_path: Path) -> None:
    from ex4d_core.depth.depthcrafter.loading import UNET_NAMES, find_weights

    find_weights(tmp_path / "DepthCrafter", UNET_NAMES, torch.float16)


def test_a_broken_connection_is_picked_up_again(fake_hub, tmp_path):
    fake_hub.files = dict(fake_hub.files)
    download.fetch(download.UNET_ID, (("config.json",),), [tmp_path])
    fake_hub.cut_after = 300_000
    folder = download.fetch(download.UNET_ID, download.UNET_FILES, [tmp_path])
    assert (folder / "diffusion_pytorch_model.safetensors").is_file()
    assert any(request[2] for request in fake_hub.requests)


def test_a_server_that_sends_nothing_does_not_keep_it_waiting_for_ever(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr(download, "_append", lambda *_: calls.append(1) if len(calls) < 50 else pytest.fail("endless"))
    monkeypatch.setattr(download.time, "sleep", lambda _: None)
    file = download.RemoteFile("unet.safetensors", "http://127.0.0.1", 10, "a", "b", None)
    with pytest.raises(EX4DError, match="run again"):
        download._download(file, tmp_path, lambda _: None, None)
    assert len(calls) == download.ATTEMPTS


def test_damaged_data_is_not_kept(fake_hub, tmp_path):
    key = "tencent/DepthCrafter/diffusion_pytorch_model.safetensors"
    folder = tmp_path / "DepthCrafter"
    folder.mkdir()
    tag = hashlib.sha256(fake_hub.files[key]).hexdigest()[:12]
    (folder / f"diffusion_pytorch_model.safetensors.{tag}.part").write_bytes(b"x" * 1000)
    with pytest.raises(EX4DError, match="damaged"):
        download.fetch(download.UNET_ID, download.UNET_FILES, [tmp_path])
    assert not list(folder.glob("diffusion*"))


def test_a_missing_repository_tells_what_to_do(fake_hub, tmp_path):
    with pytest.raises(EX4DError, match="could not be reached") as caught:
        download.fetch("someone/else", download.UNET_FILES, [tmp_path])
    assert str(tmp_path / "else" / "config.json") in str(caught.value)


def test_all_model_folders_are_searched_before_anything_is_downloaded(fake_hub, tmp_path, folders):
    assert download.fetch(download.UNET_ID, download.UNET_FILES, [tmp_path / "a", folders[0].parent]) == folders[0]
    assert fake_hub.requests == []
