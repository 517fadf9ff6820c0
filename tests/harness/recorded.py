"""The recorded set of the repository (tests/golden/recorded), unpacked into the files it was taken from.

Every tensor that is not stored is drawn anew from the generator it came from, or follows from stored ones by one
element-wise formula. tests/core/test_recorded_set.py compares each with the digest of the recorded one.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import zlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from .hosts import ROOT

SOURCE = ROOT / "tests" / "golden" / "recorded"
UNET = "depthcrafter/depthcrafter_unet_tiny/diffusion_pytorch_model.safetensors"
VAE = "depthcrafter/svd_tiny/vae/diffusion_pytorch_model.safetensors"
CLIP = "depthcrafter/svd_tiny/image_encoder/model.safetensors"
STREAMED = (UNET, VAE)
CASES = ("dc_case_a_8f_64x64", "dc_case_b_14f_64x128_w6o2")
PICKED = tuple(range(0, 49, 6))
"""Frames of the preprocessed clip that are stored: those that 9 of 49 are."""
FOLLOWS = {
    "noise_aug", "noise_latents", "latents_init",
    "frames_out", "disparity", "disparity_norm", "depth",
}  # fmt: skip
"""What of a DepthCrafter run follows from its seed and from its decoded frames."""
FOURDNEX_SEED = 42
"""Of the start noise of 4DNeX's runs."""
BARE = "tensor"
"""What a tensor is called here that is all of a .pt file."""
Tensors = dict[str, torch.Tensor]


def digest(tensor: torch.Tensor) -> str:
    """24 hexadecimal digits of a tensor's type, shape and bytes."""
    bits = tensor.view(torch.int16) if tensor.dtype == torch.bfloat16 else tensor  # numpy does not know it
    array = np.asarray(bits.numpy(), order="C")
    text = f"{array.dtype} {list(array.shape)} ".encode()
    return hashlib.sha256(text + array.tobytes()).hexdigest()[:24]


def normal(kind: str, name: str, shape: list[int]) -> torch.Tensor:
    """Standard normal values of the generator that a name seeds."""
    if kind == "numpy":
        generator = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
        return torch.from_numpy(generator.standard_normal(shape, dtype=np.float32))
    return torch.randn(shape, generator=torch.Generator().manual_seed(zlib.crc32(name.encode()) & 0x7FFFFFFF))


def drawn_by_name(entries: dict[str, list], kind: str) -> Tensors:
    """Tensors from name -> [name that seeds, shape, mean, deviation, what the draw is divided by first, or nothing].

    The kind is "torch" or "numpy"; "bfloat16 " in front of it rounds what comes out, as it was stored.
    A mean of 0 changes no sign of a zero.
    """
    source = kind.split()[-1]
    drawn = {
        name: normal(source, seed, shape) / (divisor or [1])[0] * scale + (mean or -0.0)
        for name, (seed, shape, mean, scale, *divisor) in entries.items()
    }
    return drawn if kind == source else {name: value.bfloat16() for name, value in drawn.items()}


def drawn_in_order(seed: int, entries: list[list]) -> Iterator[tuple[str, str, torch.Tensor]]:
    """(file, name, tensor) from one stream of uniform values; entries [number in STREAMED, name, shape, bound, factor].

    An entry without a name stands for draws whose values were replaced later.
    """
    generator = torch.Generator().manual_seed(seed)
    for number, name, shape, bound, factor in entries:
        values = torch.empty(shape).uniform_(-bound, bound, generator=generator)
        if name:
            yield STREAMED[number], name, values * factor


def split_key(key: str) -> tuple[str, str]:
    """(file, tensor) of a stored key; a tensor's name may have a / of its own."""
    at = re.match(r".+?\.(?:safetensors|npz|ckpt|pt)(?=/)", key)
    end = at.end() if at else key.rindex("/")
    return key[:end], key[end + 1 :]


def pick(stored: dict[str, np.ndarray], file: str) -> dict[str, np.ndarray]:
    """The stored arrays of one file, by their own names."""
    return {key.removeprefix(f"{file}/"): value for key, value in stored.items() if key.startswith(f"{file}/")}


def depthcrafter_case(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A recorded run with its noise, and with what follows from its decoded frames."""
    frames, height, width = arrays["frames_u8"].shape[:3]
    torch_generator = torch.Generator().manual_seed(int(arrays["seed"]))
    noise = torch.randn((frames, 3, height, width), generator=torch_generator).numpy()
    latents = torch.randn((1, *arrays["w0_s0_unet_out"].shape[1:]), generator=torch_generator).numpy()
    pictures = np.clip(arrays["decoded_raw"].transpose(0, 2, 3, 1) * np.float32(0.5) + np.float32(0.5), 0, 1)
    disparity = pictures.mean(-1)
    share = (disparity - disparity.min()) / (disparity.max() - disparity.min())
    depth = torch.clamp(10000.0 / torch.clamp(3900 * torch.from_numpy(share)[:, None], min=1e-5), 1e-4, 1e4)
    return arrays | {
        "noise_aug": noise,
        "noise_latents": latents,
        "latents_init": latents * np.float32(arrays["init_noise_sigma"]),
        "frames_out": pictures,
        "disparity": disparity,
        "disparity_norm": share,
        "depth": depth.numpy(),
    }


def preprocessed(stored: dict[str, np.ndarray]) -> Tensors:
    """The recorded preprocessing; colours are there only in one patch of each frame and black around it."""
    arrays = pick(stored, "adapter/preprocess_golden.safetensors")
    top, left, small_top, small_left = (int(v) for v in arrays.pop("patch"))
    height, width = arrays["color_u8"].shape[1:3]
    colors = np.zeros((len(PICKED), 512, 512, 3), np.uint8)
    colors[:, top : top + height, left : left + width] = arrays.pop("color_u8")
    small = np.zeros((len(PICKED), 128, 192, 3), np.uint8)
    part = arrays.pop("small_color")
    small[:, small_top : small_top + part.shape[1], small_left : small_left + part.shape[2]] = part
    masks = arrays.pop("mask_raw_u8")
    result = {name: torch.from_numpy(value) for name, value in arrays.items()}
    for frame in (0, 12, 24, 48):
        number = PICKED.index(frame)
        result[f"color_u8_f{frame}"] = torch.from_numpy(colors[number])
        result[f"mask_raw_u8_f{frame}"] = torch.from_numpy(masks[number])
    for frame in (12, 24, 48):
        masked = np.zeros((512, 512, 3), np.uint8)
        masked[top : top + height, left : left + width] = arrays[f"color_masked_k5_u8_f{frame}"]
        result[f"color_masked_k5_u8_f{frame}"] = torch.from_numpy(masked)
    result["small_color_u8_9x128x192x3"] = torch.from_numpy(small)
    return result | {"picked_color_u8": torch.from_numpy(colors), "picked_mask_u8": torch.from_numpy(masks)}


def whole_videos(preprocess: Tensors) -> tuple[torch.Tensor, torch.Tensor]:
    """Colour (49, 512, 512, 3) and mask (49, 512, 512) uint8 whose picked frames are the recorded ones.

    The frames between them are noise: a preparation that picks one of them gives something else.
    """
    generator = torch.Generator().manual_seed(0)
    color = torch.randint(0, 256, (49, 512, 512, 3), dtype=torch.uint8, generator=generator)
    mask = torch.randint(0, 256, (49, 512, 512), dtype=torch.uint8, generator=generator)
    color[list(PICKED)], mask[list(PICKED)] = preprocess["picked_color_u8"], preprocess["picked_mask_u8"]
    return color, mask


def tensors() -> dict[str, Tensors]:
    """File -> its tensors, stored and rebuilt."""
    draws = json.loads((SOURCE / "draws.json").read_text(encoding="utf-8"))
    stored: dict[str, np.ndarray] = {}
    for path in sorted(SOURCE.glob("*.npz")):
        with np.load(path) as archive:
            stored |= {key: archive[key] for key in archive.files}
    files: dict[str, Tensors] = defaultdict(dict)
    for file, rules in draws["by name"].items():
        files[file] |= drawn_by_name(rules["tensors"], rules["generator"])
    for file, name, values in drawn_in_order(draws["in order"]["seed"], draws["in order"]["entries"]):
        files[file][name] = values
    inputs = files["adapter/inputs.safetensors"]
    inputs["y_mask"] = torch.from_numpy(stored.pop("adapter/inputs.safetensors/y_mask"))
    inputs["y"] = torch.cat([inputs["y_mask"], inputs["y_image_latent"]], dim=1)
    for case in CASES:
        file = f"depthcrafter/{case}.npz"
        for name, value in depthcrafter_case(pick(stored, file)).items():
            files[file][name] = torch.from_numpy(np.asarray(value))
    files["adapter/preprocess_golden.safetensors"] = preprocessed(stored)
    done = (*(f"depthcrafter/{case}.npz/" for case in CASES), "adapter/preprocess_golden.safetensors/")
    for key, value in stored.items():
        if not key.startswith(done):
            file, name = split_key(key)
            files[file][name] = torch.from_numpy(np.asarray(value))
    noise = torch.randn((1, 16, 3, 8, 24), generator=torch.Generator().manual_seed(FOURDNEX_SEED))
    files["fourdnex/inputs.safetensors"]["noise"] = noise
    scene = files.pop("render/synth")
    for name in ("synth_90", "synth_180"):
        files[f"render/{name}.npz"] |= scene
    return dict(files)


def differences(files: dict[str, Tensors]) -> list[str]:
    """What is not as it was recorded: "file: tensor" for another value, a missing tensor or one too many."""
    wanted = json.loads((SOURCE / "digests.json").read_text(encoding="utf-8"))
    found = {file: {name: digest(value) for name, value in content.items()} for file, content in files.items()}
    return [
        f"{file}: {name}"
        for file in sorted(wanted.keys() | found.keys())
        for name in sorted(wanted.get(file, {}).keys() | found.get(file, {}).keys())
        if wanted.get(file, {}).get(name) != found.get(file, {}).get(name)
    ]


def write(files: dict[str, Tensors], target: Path) -> None:
    """All files, as they lie in the large set."""
    metadata = json.loads((SOURCE / "metadata.json").read_text(encoding="utf-8"))
    for file, content in files.items():
        path = target / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".npz":
            np.savez(path, **{name: value.numpy() for name, value in content.items()})
        elif path.suffix == ".ckpt":
            torch.save(content, path)
        elif path.suffix == ".pt":
            torch.save(content[BARE], path)
        else:
            save_file({k: v.contiguous() for k, v in content.items()}, path, metadata.get(file, {"format": "pt"}))
    shutil.copytree(SOURCE / "files", target, dirs_exist_ok=True)
    adapter, rank16 = target / "adapter", files["adapter/ex4d_tiny_r16.safetensors"]
    torch.save(rank16, adapter / "ex4d_tiny_r16.ckpt")
    for file in (VAE, CLIP):
        half = (target / file).with_suffix(".fp16.safetensors")
        save_file({name: value.half() for name, value in files[file].items()}, half, {"format": "pt"})


def folder() -> Path:
    """The unpacked set, in this checkout's cache; unpacked at the first call and whenever it has changed."""
    parts = sorted(path for path in SOURCE.rglob("*") if path.is_file() and path.suffix != ".md")
    state = hashlib.sha256(b"".join(path.read_bytes() for path in [Path(__file__), *parts])).hexdigest()[:16]
    target = ROOT / ".cache" / "recorded" / state
    if not target.is_dir():
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f"{state}-", dir=target.parent))
        try:
            write(tensors(), part)
            os.replace(part, target)
        except OSError:
            if not target.is_dir():  # else another process was faster
                raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
    return target
