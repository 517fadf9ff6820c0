"""DepthCrafter against runs recorded from the published code with tiny weights."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest
import torch

from ex4d_core.depth import depth_from_disparity
from ex4d_core.depth.depthcrafter import frames as pictures
from ex4d_core.depth.depthcrafter import memory, pipeline, schedule
from ex4d_core.depth.depthcrafter import networks as nets
from ex4d_core.depth.depthcrafter.memory import MemoryMode
from ex4d_core.depth.depthcrafter.pipeline import DepthCrafter

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

CASES = {"a": "dc_case_a_8f_64x64.npz", "b": "dc_case_b_14f_64x128_w6o2.npz"}
LATENT_TOLERANCE = 1e-4
NORMALISED_TOLERANCE = 2e-5


class Stop(Exception):
    """Enough has been seen."""


@dataclass
class Recording:
    """A recorded run, and what our run of the same clip left behind."""

    data: dict[str, np.ndarray]
    crafter: DepthCrafter

    @cached_property
    def whole(self):
        """``run()`` as it should be; done once for all tests, none of which may change what it left behind."""
        return self.run()

    def frames(self) -> torch.Tensor:
        return torch.from_numpy(self.data["frames_u8"].astype(np.float32) / 255)

    def noise(self) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.from_numpy(self.data["noise_aug"]), torch.from_numpy(self.data["noise_latents"])

    def run(self, **options):
        """Disparity, stitched latents, step results and the denoiser's calls."""
        result, steps, calls = {}, [], []
        decode, denoise = DepthCrafter._decode, nets.denoise

        def spy_decode(crafter, latents, run):
            result["latents"] = latents.clone()
            return decode(crafter, latents, run)

        def spy_denoise(unet, latents, timestep, tokens, *rest):
            out = denoise(unet, latents, timestep, tokens, *rest)
            calls.append((latents.clone(), timestep, tokens.clone(), out.clone()))
            return out

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DepthCrafter, "_decode", spy_decode)
            patch.setattr(pipeline.nets, "denoise", spy_denoise)
            options.setdefault("window", int(self.data["window_size"]))
            options.setdefault("overlap", int(self.data["overlap"]))
            options.setdefault("noise", self.noise())
            disparity = self.crafter(self.frames(), on_step=steps.append, **options)
        return disparity, result["latents"], steps, calls

    def first_pass_off_by(self, window: int, **options) -> tuple[float, float]:
        """Largest deviation of what the denoiser gets and gives in a window's first step; goes no further."""
        count, calls = int(self.data["num_inference_steps"]), []
        denoise = nets.denoise

        def stop_at_the_window(unet, latents, timestep, tokens, *rest):
            out = denoise(unet, latents, timestep, tokens, *rest)
            calls.append((latents.clone(), out.clone()))
            if len(calls) > window * count:
                raise Stop
            return out

        with pytest.MonkeyPatch.context() as patch, pytest.raises(Stop):
            patch.setattr(pipeline.nets, "denoise", stop_at_the_window)
            self.run(**options)
        sample, prediction = calls[-1]
        name = f"w{window}_s0_unet"
        return largest(sample, self.data[f"{name}_in"][0]), largest(prediction, self.data[f"{name}_out"][0])


def largest(ours: torch.Tensor, recorded: np.ndarray) -> float:
    return float((ours - torch.from_numpy(np.asarray(recorded, dtype=np.float32))).abs().max())


@pytest.fixture(scope="module")
def crafter(reference: Path) -> DepthCrafter:
    folder = reference / "depthcrafter"
    return DepthCrafter.from_pretrained(folder / "depthcrafter_unet_tiny", folder / "svd_tiny", device="cpu")


@pytest.fixture(scope="module")
def recordings(reference: Path, crafter: DepthCrafter) -> dict[str, Recording]:
    return {case: Recording(dict(np.load(reference / "depthcrafter" / name)), crafter) for case, name in CASES.items()}


@pytest.fixture(params=list(CASES))
def recording(request, recordings) -> Recording:
    return recordings[request.param]


@pytest.fixture()
def windowed(recordings) -> Recording:
    return recordings["b"]


def test_the_noise_levels_are_the_recorded_ones(recording):
    sigmas = schedule.noise_levels(int(recording.data["num_inference_steps"]))
    assert torch.allclose(sigmas, torch.from_numpy(recording.data["sigmas"]), rtol=1e-6, atol=0)
    levels = [schedule.timestep(float(s)) for s in sigmas[:-1]]
    assert np.allclose(levels, recording.data["timesteps"], atol=1e-6)
    assert schedule.initial_scale() == pytest.approx(float(recording.data["init_noise_sigma"]), abs=1e-4)
    assert np.allclose(schedule.TIME_IDS, recording.data["added_time_ids"][0])


def test_the_windows_are_the_recorded_ones(recording):
    count = len(recording.data["frames_u8"])
    plan = schedule.windows(count, int(recording.data["window_size"]), int(recording.data["overlap"]))
    assert [[w.start, w.stop] for w in plan] == recording.data["windows"].tolist()


def test_clip_and_the_encoder_see_what_they_saw(recording):
    signed = pictures.signed_frames(recording.frames(), tuple(recording.data["frames_u8"].shape[1:3]))
    assert largest(pictures.shrink_for_clip(signed)[:1], recording.data["video_224_pm1"]) < 1e-5
    parts = recording.crafter.networks
    execution = memory.Execution(torch.device("cpu"), memory.LOW)
    with torch.inference_mode():
        assert largest(nets.embed(parts.clip, pictures.clip_pixels(signed)), recording.data["clip_embeds"]) < 1e-4
        noisy = signed + schedule.NOISE_AUGMENTATION * recording.noise()[0]
        latents = nets.encode(parts.encoder["encoder"], parts.encoder["quant_conv"], noisy, execution)
    assert largest(latents, recording.data["cond_latents"]) < 1e-4


def test_every_step_and_the_result_are_the_recorded_ones(recording):
    data = recording.data
    disparity, latents, steps, calls = recording.whole
    assert largest(latents, data["latents_all"][0]) < LATENT_TOLERANCE
    for result in steps:
        recorded = data[f"w{result.window.index}_s{result.step}_step_out"][0]
        # Early steps hold values of several hundred, where float32 itself is 3e-5 apart.
        assert largest(result.latents, recorded) < LATENT_TOLERANCE + 2e-6 * np.abs(recorded).max()
    count = int(data["num_inference_steps"])
    for window in range(len(data["windows"])):
        sample, timestep, tokens, prediction = calls[window * count]
        assert largest(sample, data[f"w{window}_s0_unet_in"][0]) < LATENT_TOLERANCE
        assert largest(prediction, data[f"w{window}_s0_unet_out"][0]) < LATENT_TOLERANCE
        assert timestep == pytest.approx(data[f"w{window}_unet_t"][0], abs=1e-6)
        start, stop = data["windows"][window]
        assert largest(tokens[:, 0], data["clip_embeds"][start:stop]) < 1e-4
    assert largest(disparity, data["disparity"]) < NORMALISED_TOLERANCE
    normalised = (disparity - disparity.min()) / (disparity.max() - disparity.min())
    assert largest(normalised, data["disparity_norm"]) < NORMALISED_TOLERANCE
    # Depth is 1 / disparity: a share of 1e-3 needs a disparity fifty times the tolerance above.
    near = data["disparity_norm"] > 1e3 * NORMALISED_TOLERANCE
    depth = depth_from_disparity(disparity).numpy()
    assert np.allclose(depth[near], data["depth"][:, 0][near], rtol=1e-3)


def test_the_seed_alone_gives_the_recorded_result(recording):
    _, latents, _, _ = recording.run(noise=None, seed=int(recording.data["seed"]))
    assert largest(latents, recording.data["latents_all"][0]) < LATENT_TOLERANCE


def test_another_seed_gives_another_result(windowed):
    assert windowed.first_pass_off_by(0, noise=None, seed=43)[0] > 1000 * LATENT_TOLERANCE


def test_the_decoder_alone_gives_the_recorded_pictures(recording):
    data, decoder = recording.data, recording.crafter.networks.decoder
    latents = torch.from_numpy(data["latents_all"][0]) / recording.crafter.networks.scaling_factor
    execution = memory.Execution(torch.device("cpu"), memory.BALANCED)
    with torch.inference_mode():
        decoded = torch.cat([nets.decode(decoder, part, execution) for part in latents.split(pipeline.DECODE_FRAMES)])
    assert largest(decoded, data["decoded_raw"]) < 1e-4


@pytest.mark.parametrize("mode", ["speed", "balanced", "low"])
def test_all_memory_modes_give_the_same(windowed, mode):
    if mode == "speed":
        disparity, latents, _, _ = windowed.whole  # what "auto" chooses where memory is plenty
        assert windowed.crafter.placement.free_bytes() > windowed.crafter.needed_bytes(memory.SPEED, 6, (64, 128))
    else:
        disparity, latents, _, _ = windowed.run(memory=mode)
    assert largest(disparity, windowed.data["disparity"]) < 1e-5
    assert largest(latents, windowed.data["latents_all"][0]) < LATENT_TOLERANCE


def test_pieces_of_any_size_give_the_same(recordings, monkeypatch):
    # Sums in another order differ in their last digits. Half a digit in the last place of the input moves the result by
    # 2.6e-6 at most, other pieces or threads by 2.1e-6 (of a range of 0.8).
    whole, _, _, _ = recordings["a"].whole
    for size in (100_000, 700_000):
        mode = MemoryMode("pieces", size, 3, stream_weights=True, skips_on_host=True)
        monkeypatch.setitem(memory.MODES, "pieces", mode)
        pieces, _, _, _ = recordings["a"].run(memory="pieces")
        assert float((pieces - whole).abs().max()) < 1e-5


def test_guidance_of_one_is_one_pass_and_more_is_two(windowed):
    _, _, steps, calls = windowed.whole
    assert len(calls) == len(steps) == 15
    _, guided, steps, calls = windowed.run(guidance=1.2, steps=1)
    assert (len(steps), len(calls)) == (3, 6)
    assert float(calls[1][0][:, 4:].abs().max()) == 0 and float(calls[1][2].abs().max()) == 0
    start, seen, plain = torch.from_numpy(windowed.data["latents_init"][0]), calls[0][3], calls[1][3]
    expected = schedule.denoised_estimate(start, plain + 1.2 * (seen - plain), schedule.SIGMA_MAX)
    assert torch.allclose(steps[0].denoised, expected, atol=1e-5)
    _, unguided, _, _ = windowed.run(steps=1)
    assert float((guided - unguided).abs().max()) > 1e-3


def test_one_token_for_all_is_what_diffusers_computes(crafter):
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn((5, 8, 8, 16), generator=generator)
    token = torch.randn((1, 1, crafter.networks.unet.config.cross_attention_dim), generator=generator)
    execution = memory.Execution(torch.device("cpu"), memory.BALANCED)
    with torch.inference_mode():
        ours = nets.denoise(crafter.networks.unet, sample, 0.3, token.expand(5, -1, -1), schedule.TIME_IDS, execution)
        ids = torch.tensor([schedule.TIME_IDS])
        stock = crafter.networks.unet(sample[None], torch.tensor(0.3), token, ids, return_dict=False)[0][0]
    assert torch.allclose(ours, stock, atol=2e-5)


class TestDeliberateMistakes:
    """Each of these is a slip that an implementation can make and that must not pass unnoticed.

    They are looked for in the first pass of a window, which ``test_every_step_and_the_result_are_the_recorded_ones``
    holds to ``LATENT_TOLERANCE``.
    """

    def test_none_is_made(self, windowed):
        assert max(windowed.first_pass_off_by(1)) < LATENT_TOLERANCE / 2

    def test_no_start_from_the_finished_frames(self, windowed, monkeypatch):
        monkeypatch.setattr(schedule, "start_from_finished", lambda latents, finished, window: latents)
        assert windowed.first_pass_off_by(1)[0] > 10 * LATENT_TOLERANCE

    def test_another_noise_augmentation_id(self, windowed, monkeypatch):
        monkeypatch.setattr(schedule, "TIME_IDS", (7.0, 127.0, 0.0))
        assert windowed.first_pass_off_by(0)[1] > 2 * LATENT_TOLERANCE

    def test_frame_rate_less_one(self, windowed, monkeypatch):
        monkeypatch.setattr(schedule, "TIME_IDS", (6.0, 127.0, 0.02))
        assert windowed.first_pass_off_by(0)[1] > 2 * LATENT_TOLERANCE

    def test_every_frame_sees_all_tokens(self, windowed, monkeypatch):
        def stock(unet, latents, timestep, tokens, time_ids, run):
            ids, level = torch.tensor([time_ids]), torch.tensor(timestep)
            return unet(latents[None], level, tokens.transpose(0, 1), ids, return_dict=False)[0][0]

        monkeypatch.setattr(nets, "denoise", stock)
        assert windowed.first_pass_off_by(0)[1] > 10 * LATENT_TOLERANCE

    def test_noise_not_moved_on(self, windowed, monkeypatch):
        monkeypatch.setattr(schedule, "window_noise", lambda noise, window, overlap: noise[: len(window)])
        assert windowed.first_pass_off_by(1)[0] > 10 * LATENT_TOLERANCE

    def test_other_decode_chunks(self, windowed):
        latents = torch.from_numpy(windowed.data["latents_all"][0]) / windowed.crafter.networks.scaling_factor
        execution = memory.Execution(torch.device("cpu"), memory.SPEED)
        with torch.inference_mode():
            decoded = nets.decode(windowed.crafter.networks.decoder, latents[:7], execution)
        assert largest(decoded, windowed.data["decoded_raw"][:7]) > 10 * NORMALISED_TOLERANCE

    def test_scaled_conditioning(self, windowed, monkeypatch):
        encode = nets.encode
        monkeypatch.setattr(nets, "encode", lambda *a: encode(*a) * 0.18215)
        assert windowed.first_pass_off_by(0)[0] > 10 * LATENT_TOLERANCE

    def test_the_two_draws_swapped(self, windowed):
        shapes = [tuple(part.shape) for part in windowed.noise()]
        generator = torch.Generator().manual_seed(42)
        second, first = (torch.randn(shape, generator=generator) for shape in reversed(shapes))
        assert windowed.first_pass_off_by(0, noise=(first, second))[0] > 10 * LATENT_TOLERANCE
