"""Makes tests/golden/recorded out of the large recorded set.

    python tests/golden/make_recorded.py ../shared/reference

What a seeded generator gives bit for bit is written down as its seed, in draws.json; what follows from other recorded
tensors by one formula, bit for bit, is left out; the rest is stored. digests.json holds the digest of every recorded
tensor, stored or not. Nothing here computes an expected value: a tensor that no rule gives exactly is stored.
"""

from __future__ import annotations

import io
import json
import math
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from harness import recorded  # noqa: E402
from harness.recorded import CASES, CLIP, PICKED, SOURCE, UNET, VAE, Tensors  # noqa: E402

SEEDS = {
    "adapter/dit_tiny.safetensors": ("torch", ("dit:",)),
    "adapter/ex4d_tiny_r16.safetensors": ("torch", ("lora16:", "cam:")),
    "adapter/ex4d_tiny_r4.ckpt": ("torch", ("lora4:", "cam:")),
    "adapter/vae_tiny8.safetensors": ("numpy", ("vae:",)),
    "fourdnex/wan_tiny.safetensors": ("bfloat16 numpy", ("fourdnex:",)),
}
"""File -> generator, prefixes of the names that seed it."""
INPUTS = {
    "clip_fea": "in:clip",
    "context_pos": "in:ctxp",
    "context_neg": "in:ctxn",
    "video_latent": "in:vl",
    "mask_latent": "in:ml",
    "noise": "in:noise",
    "x": "in:x",
    "y_image_latent": "in:y",
}
FOURDNEX = "fourdnex/inputs.safetensors"
FOURDNEX_INPUTS = {
    "clip_fea": "fourdnex:clip",
    "context_pos": "fourdnex:pos",
    "context_neg": "fourdnex:neg",
}
"""Stand-ins for text and CLIP, rounded to bfloat16."""
STREAM_SEED = 1234
"""Seed of the one stream that DepthCrafter's tiny UNet and VAE were initialised from, one after the other."""
KEPT = {
    "adapter/dit_golden.safetensors": [
        "prior",
        *(f"out_lora_r{rank}_prior_t{t}" for rank in (4, 16) for t in range(3)),
        "out_base_t1",
        "out_base_prior_t1",
        "out_lora_r16_t1",
        "out_lora_r16_prior_neg_t1",
    ],
    "adapter/sampler_golden.safetensors": [
        *(f"traj_{run}_final" for run in ("r16_cfg5", "r16_cfg1", "r4_cfg5")),
        *(f"{kind}_{steps}" for kind in ("sigmas", "timesteps") for steps in (4, 5, 10, 25, 30, 50)),
        "noise_seed0_full_first64",
    ],
    "adapter/vae_golden.safetensors": [
        "pixels_u8_1x3x9x64x96",
        "mask01_1x1x9x64x96",
        "tiny8_z_color",
        "tiny8_z_mask_double",
        "tiny8_z_mask_single",
    ],
    "training/schedule.safetensors": ["sigma", "timestep", "weight"],
    "training/samples.safetensors": [
        *(f"s{clip}_{part}" for clip in range(3) for part in ("target", "colour", "mask_latent", "y")),
        "order",
        "draws_b_index",
    ],
    FOURDNEX: ["source_image_u8", "start_image_u8", "timesteps", "x"],
    "fourdnex/condition.safetensors": ["plane", "mask", "image_latent_raw"],
    "fourdnex/forward.safetensors": ["out_full_t1", "out_full_neg_t1", "out_demb0_t1"],
    "fourdnex/trajectory.safetensors": [
        *("sigmas", "timesteps", "cfg1_sigmas", "cfg1_timesteps", "cfg5_final", "cfg5_steps3_final"),
        *(f"cfg1_latent_{step}" for step in range(4)),
    ],
    "fourdnex/decode.safetensors": ["latent_to_vae", "video_u8_first"],
    "fourdnex/schedule.safetensors": ["sigmas_", "timesteps_", "noise_seed42_full_first64"],
    "fourdnex/adapter_r8/pytorch_lora_weights.safetensors": ["transformer."],
    "fourdnex/adapter_r8/learnable_domain_embeddings.pt": [recorded.BARE],
    "training/steps_random_r4.safetensors": ["loss", "mse", "timestep", "gradient_norm", "after_20/"],
}
"""File -> tensors that are stored; a name that ends with one of /_. stands for all that begin with it."""
TRAINING = "training/samples.safetensors"
FEATURES = {
    **{f"s{clip}_context": (f"train:text{clip}", 0.5) for clip in range(3)},
    **{f"s{clip}_clip_fea": (f"train:clipfea{clip}", 1.0) for clip in range(2)},
}
"""Stand-ins for text and CLIP: the name that seeds each, and its deviation; rounded to bfloat16."""
PATCH, SMALL_PATCH = (256, 192, 64, 96), (64, 72, 16, 36)
"""Top, left, height, width of the colours that are kept, at 512x512 and at 192x128; no output pixel straddles it."""
FILES = (
    "adapter/checkpoint_keys.json",
    "flower/camera_180.npz",
    "depthcrafter/depthcrafter_unet_tiny/config.json",
    "depthcrafter/svd_tiny/model_index.json",
    "depthcrafter/svd_tiny/vae/config.json",
    "depthcrafter/svd_tiny/image_encoder/config.json",
    "depthcrafter/svd_tiny/feature_extractor/preprocessor_config.json",
    "depthcrafter/svd_tiny/scheduler/scheduler_config.json",
    "fourdnex/keys.json",
    "fourdnex/sizes.json",
)
"""Small files that are copied as they are."""


def load(path: Path) -> Tensors:
    """The tensors of a recorded file."""
    if path.suffix == ".npz":
        with np.load(path) as archive:
            return {name: torch.from_numpy(np.asarray(archive[name])) for name in archive.files}
    if path.suffix == ".pt":
        return {recorded.BARE: torch.load(path, weights_only=True)}
    return torch.load(path, weights_only=True) if path.suffix == ".ckpt" else load_file(path)


def rule_by_name(kind: str, seeds: list[str], value: torch.Tensor) -> list | None:
    """[name that seeds, shape, mean, deviation, divisor] that gives a tensor bit for bit, the divisor only where one is needed;
    None where there is none."""
    fan = math.prod(value.shape[1:])
    for seed in seeds:
        for gain in (1, 0.35, 0.55, 0.6, 1.6, 0.05, 0.1, 0.15, 0.4, 0.9, 3, 0.5, 1.5):
            for mean in (0, 1, 1.7, 1.5):
                for tail in ([gain], [gain / math.sqrt(fan)], [gain, math.sqrt(fan)]):
                    rule = [seed, list(value.shape), mean, *tail]
                    if torch.equal(recorded.drawn_by_name({"": rule}, kind)[""], value):
                        return rule
    return None


def stream_rules(models: dict[str, Tensors]) -> tuple[list[list], set[tuple[str, str]]]:
    """Entries of ``recorded.drawn_in_order`` for what the stream gives of two models, and (file, name) of those."""
    stream = torch.rand(4_000_000, generator=torch.Generator().manual_seed(STREAM_SEED), dtype=torch.float32).numpy()
    order = np.argsort(stream)
    placed = []
    for file, tensors in models.items():
        for name, value in tensors.items():
            weight = tensors.get(name.removesuffix("bias") + "weight", value)
            fan = math.prod(weight.shape[1:])
            for factor in (1.0, 2.0, 1.5):
                place = find(stream, order, value.flatten().numpy() / factor, 1 / math.sqrt(fan))
                if place is not None:
                    placed.append((place, file, name, list(value.shape), 1 / math.sqrt(fan), factor))
                    break
    entries, given, at = [], set(), 0
    for place, file, name, shape, bound, factor in sorted(placed):
        if place < at:
            continue  # found by chance: values of another tensor
        if place > at:
            entries.append([0, "", [place - at], 1.0, 1.0])
        entries.append([recorded.STREAMED.index(file), name, shape, bound, factor])
        at = place + math.prod(shape)
    for file, name, value in recorded.drawn_in_order(STREAM_SEED, entries):
        if not torch.equal(value, models[file][name]):
            raise SystemExit(f"{file}: {name} is not what the stream gives")
        given.add((file, name))
    return entries, given


def find(stream: np.ndarray, order: np.ndarray, values: np.ndarray, bound: float) -> int | None:
    """Where in the stream of 0..1 a tensor's values begin."""
    if len(values) < 8:
        return None
    share = (values[:8] / bound + 1) / 2
    close = order[np.searchsorted(stream, share[0] - 2e-6, sorter=order) :][:64]
    for place in close:
        if place + len(values) <= len(stream) and np.abs(stream[place : place + 8] - share).max() < 2e-6:
            return int(place)
    return None


def preprocessing(reference: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Masks whole, colours in one patch; the picked frames come from the published example's two videos."""
    from ex4d_core.wan.videos import read_color_and_mask

    golden = load(reference / "adapter" / "preprocess_golden.safetensors")
    color, mask = read_color_and_mask(reference / "flower/render_180.mp4", reference / "flower/mask_180.mp4")
    for frame in (0, 12, 24, 48):
        assert torch.equal(color[frame], golden[f"color_u8_f{frame}"])
        assert torch.equal(mask[frame], golden[f"mask_raw_u8_f{frame}"])
        yield f"mask_bits_f{frame}", golden[f"mask_bits_f{frame}"].numpy()
    top, left, height, width = PATCH
    rows, columns = slice(top, top + height), slice(left, left + width)
    yield "patch", np.array([*PATCH[:2], *SMALL_PATCH[:2]])
    yield "color_u8", color[list(PICKED)][:, rows, columns].numpy()
    yield "mask_raw_u8", mask[list(PICKED)].numpy()
    for frame in (12, 24, 48):
        yield f"color_masked_k5_u8_f{frame}", golden[f"color_masked_k5_u8_f{frame}"][rows, columns].numpy()
    top, left, height, width = SMALL_PATCH
    small = golden["small_color_u8_9x128x192x3"][:, top : top + height, left : left + width]
    yield "small_color", small.numpy()
    yield "small_mask_k3_9x128x192", golden["small_mask_k3_9x128x192"].numpy()


def store(name: str, arrays: dict[str, np.ndarray]) -> int:
    """An .npz that np.load reads, packed tighter than numpy packs, and the same bytes whenever it is made."""
    with zipfile.ZipFile(SOURCE / f"{name}.npz", "w") as archive:
        for key in sorted(arrays):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.asarray(arrays[key], order="C"))
            archive.writestr(zipfile.ZipInfo(f"{key}.npy"), buffer.getvalue(), zipfile.ZIP_LZMA)
    return (SOURCE / f"{name}.npz").stat().st_size


def lines(value: object) -> str:
    """JSON with one line for every entry of a dictionary and of a list of lists."""
    if isinstance(value, dict):
        return "{\n" + ",\n".join(f"{json.dumps(key)}: {lines(entry)}" for key, entry in value.items()) + "\n}"
    if isinstance(value, list) and value and isinstance(value[0], list):
        return "[\n" + ",\n".join(map(json.dumps, value)) + "\n]"
    return json.dumps(value)


def write_json(name: str, value: dict) -> None:
    (SOURCE / name).write_text(lines(value) + "\n", encoding="utf-8")


def main(reference: Path) -> None:
    """Write the whole set."""
    shutil.rmtree(SOURCE / "files", ignore_errors=True)
    large = {file: load(reference / file) for file in (*SEEDS, *KEPT, UNET, VAE, CLIP)}
    inputs = large["adapter/inputs.safetensors"] = load(reference / "adapter/inputs.safetensors")
    stored: dict[str, dict[str, np.ndarray]] = {
        name: {} for name in ("adapter", "depthcrafter", "fourdnex", "render", "training")
    }

    def keep(file: str, name: str, value: torch.Tensor | np.ndarray) -> None:
        stored[file.split("/")[0]][f"{file}/{name}"] = np.asarray(value)

    rules = {name: rule_by_name("torch", [seed], inputs[name]) for name, seed in INPUTS.items()}
    by_name = {"adapter/inputs.safetensors": {"generator": "torch", "tensors": all_of(rules)}}
    assert torch.equal(inputs["y"], torch.cat([inputs["y_mask"], inputs["y_image_latent"]], dim=1))
    for name in ("y_mask", "timesteps"):
        keep("adapter/inputs.safetensors", name, inputs[name])
    for file, (kind, prefixes) in SEEDS.items():
        rules = {name: rule_by_name(kind, [p + name for p in prefixes], value) for name, value in large[file].items()}
        by_name[file] = {"generator": kind, "tensors": all_of(rules)}
    features = {name: large[TRAINING][name] for name in FEATURES}
    drawn = {name: [seed, list(features[name].shape), 0, scale] for name, (seed, scale) in FEATURES.items()}
    by_name[TRAINING] = {"generator": "bfloat16 torch", "tensors": drawn}
    rules = {
        name: rule_by_name("bfloat16 numpy", [seed], large[FOURDNEX][name]) for name, seed in FOURDNEX_INPUTS.items()
    }
    by_name[FOURDNEX] = {"generator": "bfloat16 numpy", "tensors": all_of(rules)}
    drawn = {name: large[FOURDNEX][name] for name in ("noise", *FOURDNEX_INPUTS)}
    for file, names in KEPT.items():
        large[file] = {
            name: value
            for name, value in large[file].items()
            if name in names or any(name.startswith(each) for each in names if each[-1] in "/_.")
        }
        for name, value in large[file].items():
            keep(file, name, value)
    large[TRAINING] |= features
    large[FOURDNEX] |= drawn

    entries, given = stream_rules({file: large[file] for file in recorded.STREAMED})
    for file in (UNET, VAE, CLIP):
        for name, value in large[file].items():
            if (file, name) not in given:
                keep(file, name, value)
    for case in CASES:
        file = f"depthcrafter/{case}.npz"
        arrays = {name: value.numpy() for name, value in load(reference / file).items()}
        large[file] = {name: torch.from_numpy(value) for name, value in arrays.items()}
        derived = recorded.depthcrafter_case(arrays)
        follows = [name for name, value in derived.items() if name in recorded.FOLLOWS]
        assert all(np.array_equal(derived[name], arrays[name]) for name in follows)
        for name in arrays.keys() - recorded.FOLLOWS:
            keep(file, name, arrays[name])

    scenes = {name: load(reference / f"render/{name}.npz") for name in ("synth_90", "synth_180")}
    for name, scene in scenes.items():
        large[f"render/{name}.npz"] = {key: value for key, value in scene.items() if key != "raw"}
        for key, value in large[f"render/{name}.npz"].items():
            shared = torch.equal(value, scenes["synth_90"][key]) and torch.equal(value, scenes["synth_180"][key])
            keep("render/synth" if shared else f"render/{name}.npz", key, value)
    for name, array in preprocessing(reference):
        keep("adapter/preprocess_golden.safetensors", name, array)
    indices = load(reference / "training/preprocessing.safetensors")
    for name in (name for name in indices if name.startswith("generate_index")):
        keep("adapter/preprocess_golden.safetensors", name, indices[name])

    sizes = {name: store(name, arrays) for name, arrays in stored.items()}
    write_json("draws.json", {"by name": by_name, "in order": {"seed": STREAM_SEED, "entries": entries}})
    metadata = {}
    for file in large:
        if file.endswith(".safetensors"):
            with safe_open(reference / file, "pt") as opened:
                metadata[file] = opened.metadata() or {"format": "pt"}
    write_json("metadata.json", metadata)
    for file in FILES:
        target = SOURCE / "files" / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(reference / file, target)
    rebuilt = recorded.tensors()
    digests = {
        file: {name: recorded.digest(value) for name, value in sorted(content.items())}
        for file, content in sorted({**rebuilt, **large}.items())
    }
    write_json("digests.json", digests)
    wrong = recorded.differences(rebuilt)
    if wrong:
        raise SystemExit(f"not what was recorded: {wrong}")
    for file in ("vae", "image_encoder"):
        half_and_whole(reference / "depthcrafter/svd_tiny" / file)
    print(sizes, sum(path.stat().st_size for path in SOURCE.rglob("*") if path.is_file()), "bytes in all")


def all_of(rules: dict[str, list | None]) -> dict[str, list]:
    """The rules themselves; the end where one is missing."""
    missing = [name for name, rule in rules.items() if rule is None]
    if missing:
        raise SystemExit(f"no generator gives {missing}")
    return {name: rule for name, rule in rules.items() if rule is not None}


def half_and_whole(folder: Path) -> None:
    """The published loader's fp16 variants are the float32 files, rounded."""
    (half,) = folder.glob("*.fp16.safetensors")
    whole = load_file(half.with_name(half.name.replace(".fp16", "")))
    assert all(torch.equal(value, whole[name].half()) for name, value in load_file(half).items())


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
