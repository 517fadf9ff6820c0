"""Models that the nodes download themselves, from a stand-in for Hugging Face, in a real ComfyUI."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from harness.fourdnex import TinyHalves
from harness.hosts import find_hosts
from harness.hub import FakeHub
from harness.server import Server
from harness.wan import Tiny
from test_depthcrafter_node import depthcrafter
from test_geometry_nodes import images, record

ADAPTER = "ex4d.ckpt (download from Hugging Face)"
UNET = "diffusion_pytorch_model.safetensors"
FOURDNEX = "FrozenBurning/4DNex-Lora"
VECTORS = "learnable_domain_embeddings.pt"


def repositories(reference: Path) -> dict[str, bytes]:
    """The recorded tiny models under the names of the published ones."""
    sources = {
        "tencent/DepthCrafter": reference / "depthcrafter" / "depthcrafter_unet_tiny",
        "stabilityai/stable-video-diffusion-img2vid": reference / "depthcrafter" / "svd_tiny",
        FOURDNEX: reference / "fourdnex" / "adapter_r8",
    }
    files = {
        f"{repository}/{file.relative_to(source).as_posix()}": file.read_bytes()
        for repository, source in sources.items()
        for file in source.rglob("*")
        if file.is_file()
    }
    return files | {"yihouxiang/EX-4D/ex4d.ckpt": (reference / "adapter" / "ex4d_tiny_r16.ckpt").read_bytes()}


@pytest.fixture(scope="module")
def online(tmp_path_factory, reference):
    """The stand-in, and a server of the newest host that may download; its folders of our models lie elsewhere."""
    hosts = find_hosts()
    if not hosts:
        pytest.skip("no ComfyUI")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    paths = elsewhere / "extra_model_paths.yaml"
    mine = {"base_path": elsewhere.as_posix(), "is_default": "true", "depthcrafter": "depth", "ex4d": "adapters"}
    mine["4dnex"] = "halves"
    paths.write_text("mine:\n" + "".join(f"  {key}: {value}\n" for key, value in mine.items()), encoding="utf-8")
    with FakeHub(repositories(reference)) as hub:
        environment = {"HF_ENDPOINT": hub.url, "HF_HUB_OFFLINE": "0"}
        arguments = ("--extra-model-paths-config", str(paths))
        base = tmp_path_factory.mktemp("online")
        with Server(hosts[-1], base, arguments=arguments, environment=environment) as server:
            yield hub, server, elsewhere


@pytest.mark.comfy
def test_depthcrafter_is_downloaded_cancelled_and_resumed(online):
    hub, server, elsewhere = online
    folder = elsewhere / "depth"
    prompt = {"clip": images("colour", 64, 64, 1), "node": depthcrafter(steps=1), "sink": record("node", 0, "depth")}
    hub.delay = 0.02

    def cancel_within_the_unet(kind, data):
        if kind == "executing" and data.get("node") == "node":
            while not any(method == "GET" and UNET in name for method, name, *_ in list(hub.requests)):
                time.sleep(0.02)
            server.client.interrupt()

    assert server.client.queue(prompt, on_message=cancel_within_the_unet).status == "interrupted"
    part = next((folder / "DepthCrafter").glob(f"{UNET}.*.part"))
    size = part.stat().st_size
    assert 0 < size < len(hub.files[f"tencent/DepthCrafter/{UNET}"])
    hub.delay = 0
    result = server.client.queue(prompt).ok()
    assert ("GET", f"storage:tencent/DepthCrafter/{UNET}", f"bytes={size}-", False) in hub.requests
    assert (folder / "DepthCrafter" / UNET).read_bytes() == hub.files[f"tencent/DepthCrafter/{UNET}"]
    assert not list(folder.rglob("*.part")) and not (folder / "stable-video-diffusion-img2vid" / "unet").exists()
    assert len(hub.files[f"tencent/DepthCrafter/{UNET}"]) in {total for _, _, total in result.progress}


@pytest.mark.comfy
def test_the_adapter_is_downloaded_once(online, reference):
    hub, server, elsewhere = online
    prompt = Tiny(server, reference).loaders(ADAPTER)
    prompt = {name: prompt[name] for name in ("model", "adapter")} | {"sink": record("adapter", 0, "adapter")}
    result = server.client.queue(prompt).ok()
    data = hub.files["yihouxiang/EX-4D/ex4d.ckpt"]
    assert (elsewhere / "adapters" / "ex4d.ckpt").read_bytes() == data
    assert ("adapter", len(data), len(data)) in result.progress
    hub.requests.clear()
    prompt["adapter"]["inputs"]["lora_strength"] = 0.5
    server.client.queue(prompt).ok()
    assert hub.requests == []


@pytest.mark.comfy
def test_both_files_of_4dnex_are_downloaded_and_found_where_they_lie(online, reference):
    hub, server, elsewhere = online
    tiny = TinyHalves(server, reference / "fourdnex", reference / "adapter")
    prompt = tiny.loaders(vectors="in the same file or beside it")
    prompt = {name: prompt[name] for name in ("model", "adapter")} | {"sink": record("adapter", 0, "adapter")}
    prompt["adapter"]["inputs"]["file"] = "4DNeX (download from Hugging Face)"
    assert "two vectors of 128" in server.client.queue(prompt).ok().text("adapter")
    files = {name: data for name, data in hub.files.items() if name.startswith(FOURDNEX)}
    assert len(files) == 2
    for name, data in files.items():
        assert (elsewhere / "halves" / Path(name).name).read_bytes() == data
    (elsewhere / "halves" / VECTORS).rename(server.base / "models" / "4dnex" / VECTORS)
    hub.requests.clear()
    prompt["adapter"]["inputs"]["lora_strength"] = 0.5
    assert "two vectors of 128" in server.client.queue(prompt).ok().text("adapter")
    assert hub.requests == []


def test_offline_the_adapter_tells_what_to_put_where(client, server, reference):
    prompt = Tiny(server, reference).loaders(ADAPTER)
    prompt = {name: prompt[name] for name in ("model", "adapter")} | {"sink": record("adapter", 0, "adapter")}
    message = client.queue(prompt).message
    assert "https://huggingface.co/yihouxiang/EX-4D/resolve/main/ex4d.ckpt as " in message
    assert str(server.base / "models" / "ex4d" / "ex4d.ckpt") in message
