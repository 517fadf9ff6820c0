"""4DNeX without ComfyUI: its files, its start, its schedule and its solver, against what the published code gave."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ex4d_core.commands import cli
from ex4d_core.errors import EX4DError
from ex4d_core.wan.backbone import ModelSize
from ex4d_core.wan.fourdnex import checkpoint, condition, halves, schedule
from ex4d_core.wan.host.fourdnex.patch import _Repeating
from ex4d_core.wan.unipc import FlowUniPC, sample

STEP = 5e-5
TINY = ModelSize(dim=128, ffn_dim=256, blocks=2, in_channels=36)


@pytest.fixture(scope="module")
def folder(reference) -> Path:
    return reference / "fourdnex"


@pytest.fixture(scope="module")
def large(large_reference) -> Path:
    return large_reference / "fourdnex"


def distance(value: torch.Tensor, golden: torch.Tensor) -> float:
    return float((value.double() - golden.double()).norm() / golden.double().norm())


class TestCheckpoint:
    @pytest.fixture()
    def files(self, folder) -> tuple[Path, Path]:
        return folder / "adapter_r8" / checkpoint.LORA_FILE, folder / "adapter_r8" / checkpoint.VECTORS_FILE

    @pytest.fixture()
    def state(self, files) -> dict[str, torch.Tensor]:
        return load_file(files[0]) | {checkpoint.VECTORS_KEY: torch.load(files[1], weights_only=True)}

    def test_sizes_are_read_from_the_tensors(self, files):
        adapter = checkpoint.load_adapter(files[0])
        assert (adapter.rank, adapter.blocks, adapter.dim) == (8, 2, 128)
        assert adapter.source == f"{checkpoint.LORA_FILE} + {checkpoint.VECTORS_FILE}"
        checkpoint.check_fits(adapter, TINY)

    def test_every_recorded_key_finds_its_module_at_half_strength(self, folder, files, state):
        adapter = checkpoint.load_adapter(*files)
        names = json.loads((folder / "keys.json").read_text())["lora_file_to_wan_module"]
        assert len(names) == 2 * len(adapter.lora) == 32
        for key, told in names.items():
            module, _, side = told.partition(" (")
            down, up = adapter.lora[module]
            assert torch.equal(down if side.startswith("down") else 2 * up, state[key])

    def test_all_of_the_14B_is_covered(self, folder):
        sizes = json.loads((folder / "keys.json").read_text())["sizes_of_the_14B"]
        names = [f"blocks.{block}.{name}" for block in range(sizes["blocks"]) for name in checkpoint.ATTENTION]
        assert len(names) == sizes["lora_modules"]

    @pytest.mark.parametrize("form", ["dict", "dict_module_prefix", "dict_parameter", "parameter", "parameter_bf16"])
    def test_every_recorded_form_of_the_vectors_is_taken(self, large, files, state, form):
        found = checkpoint.load_vectors(large / "embedding_forms" / f"{form}.pt")
        assert type(found) is torch.Tensor and not found.requires_grad
        right = state[checkpoint.VECTORS_KEY]
        assert torch.equal(found, right.bfloat16() if form.endswith("bf16") else right)

    @pytest.mark.parametrize("wrap", [lambda v: v, lambda v: {"state_dict": {"a.learnable_domain_embeddings": v}}])
    def test_forms_that_were_not_recorded(self, tmp_path, state, wrap):
        torch.save(wrap(torch.nn.Parameter(state[checkpoint.VECTORS_KEY])), tmp_path / "v.pt")
        assert torch.equal(checkpoint.load_vectors(tmp_path / "v.pt"), state[checkpoint.VECTORS_KEY])

    def test_a_file_of_training_with_everything_in_one(self, tmp_path, state):
        renamed = {key.replace(".weight", ".default.weight") if "lora" in key else f"module.{key}": value
                   for key, value in state.items()}  # fmt: skip
        torch.save(renamed, tmp_path / "all.pt")
        assert checkpoint.load_adapter(tmp_path / "all.pt").state_dict().keys() == state.keys()

    def test_a_relative_with_feed_forward(self, state):
        more = {}
        for block in range(2):
            for name, (wide, out) in {"ffn.net.0.proj": (128, 256), "ffn.net.2": (256, 128)}.items():
                more[f"transformer.blocks.{block}.{name}.lora_A.weight"] = torch.randn(8, wide)
                more[f"transformer.blocks.{block}.{name}.lora_B.weight"] = torch.randn(out, 8)
        adapter = checkpoint.parse_adapter(state | more, "kin")
        assert len(adapter.lora) == 20 and adapter.blocks == 2 and "feed-forward" in adapter.summary()
        checkpoint.check_fits(adapter, TINY)
        with pytest.raises(EX4DError, match="feed-forward of 256, but MODEL has 512"):
            checkpoint.check_fits(adapter, ModelSize(128, 512, 2, 36))
        gone = {key: value for key, value in (state | more).items() if "blocks.1.ffn.net.2.lora_B" not in key}
        with pytest.raises(EX4DError, match=r"1 of 40 LoRA tensors .*blocks\.1\.ffn\.2\.lora_B"):
            checkpoint.parse_adapter(gone, "kin")

    def test_wans_own_names_and_an_alpha_are_taken(self, state):
        names: dict[str, torch.Tensor] = {}
        adapter = checkpoint.parse_adapter(state, "published")
        for module, (down, up) in adapter.lora.items():
            names |= {
                f"diffusion_model.{module}.lora_down.weight": down,
                f"diffusion_model.{module}.lora_up.weight": up,
            }
            names[f"diffusion_model.{module}.alpha"] = torch.tensor(8.0)
        names[checkpoint.VECTORS_KEY] = adapter.vectors
        again = checkpoint.parse_adapter(names, "renamed")
        assert all(torch.equal(again.lora[module][1], up) for module, (_, up) in adapter.lora.items())

    def test_a_lora_without_vectors_is_refused(self, tmp_path, files):
        lora = tmp_path / "alone.safetensors"
        lora.write_bytes(files[0].read_bytes())
        with pytest.raises(EX4DError, match=rf"holds no vectors .*no {checkpoint.VECTORS_FILE} beside it.*huggingface"):
            checkpoint.load_adapter(lora)
        assert checkpoint.load_adapter(lora, files[1]).dim == 128

    def test_vectors_alone_are_refused(self, files, state):
        with pytest.raises(EX4DError, match="holds no LoRA"):
            checkpoint.parse_adapter({checkpoint.VECTORS_KEY: state[checkpoint.VECTORS_KEY]}, "v")
        with pytest.raises(EX4DError, match="no plain table"):
            checkpoint.load_adapter(files[1])

    @pytest.mark.parametrize("shape", [(2, 64), (1, 128), (128,), (2, 128, 1), (3, 128)])
    def test_vectors_of_another_shape_are_refused(self, state, shape):
        with pytest.raises(EX4DError, match=r"expected \(2, 128\)"):
            checkpoint.parse_adapter(state | {checkpoint.VECTORS_KEY: torch.zeros(shape)}, "wide")

    @pytest.mark.parametrize(
        ("key", "words"),
        [
            ("transformer.blocks.0.attn2.add_k_proj.lora_A.weight", "1 of its 34 keys"),
            ("step", "belong to none"),
            ("a.learnable_domain_embeddings", "1 of its 34 keys"),
        ],
    )
    def test_an_unknown_key_is_named(self, state, key, words):
        with pytest.raises(EX4DError, match=rf"{words}.*{key}"):
            checkpoint.parse_adapter(state | {key: torch.ones(2, 128)}, "more")

    def test_a_missing_tensor_and_a_value_that_is_not_finite_are_named(self, state):
        gone = {key: value for key, value in state.items() if "blocks.1.attn2.to_out.0.lora_A" not in key}
        with pytest.raises(EX4DError, match=r"1 of 32 LoRA tensors .*blocks\.1\.cross_attn\.o\.lora_A"):
            checkpoint.parse_adapter(gone, "short")
        state[checkpoint.VECTORS_KEY][1, 3] = math.nan
        with pytest.raises(EX4DError, match=rf"not finite \({checkpoint.VECTORS_KEY}\)"):
            checkpoint.parse_adapter(state, "nan")

    @pytest.mark.parametrize("size", [(256, 256, 2, 36), (128, 256, 3, 36), (128, 256, 2, 16)])
    def test_another_model_is_refused(self, state, size):
        with pytest.raises(EX4DError, match="14B"):
            checkpoint.check_fits(checkpoint.parse_adapter(state, "tiny"), ModelSize(*size))

    @pytest.mark.parametrize("bad", [{"learnable_domain_embeddings": Path()}, Path(), {}, {"a": torch.ones(2)}])
    def test_pickles_of_anything_else_are_refused(self, tmp_path, bad):
        torch.save(bad, tmp_path / "v.pt")
        with pytest.raises(EX4DError):
            checkpoint.load_vectors(tmp_path / "v.pt")

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_convert_writes_one_file_with_every_value(self, tmp_path, capsys, state, dtype):
        state = {key: value.to(dtype) for key, value in state.items()}
        vectors = state.pop(checkpoint.VECTORS_KEY)
        save_file(state, tmp_path / "in.safetensors")
        torch.save(vectors, tmp_path / "v.pt")
        words = ["convert", tmp_path / "in.safetensors", tmp_path / "out.safetensors", "--vectors", tmp_path / "v.pt"]
        assert cli.main([*map(str, words)]) == 0
        written = load_file(tmp_path / "out.safetensors")
        assert written.keys() == {*state, checkpoint.VECTORS_KEY}
        assert all(torch.equal(written[key], value) for key, value in state.items())
        assert torch.equal(written[checkpoint.VECTORS_KEY], vectors)
        assert "LoRA of rank 8 on attention of 2 blocks, two vectors of 128" in capsys.readouterr().out
        again = checkpoint.load_adapter(tmp_path / "out.safetensors")
        assert again.state_dict().keys() == written.keys()

    def test_convert_without_vectors_writes_nothing(self, tmp_path, capsys, files):
        lora = tmp_path / "alone.safetensors"
        lora.write_bytes(files[0].read_bytes())
        assert cli.main(["convert", str(lora), str(tmp_path / "out.safetensors")]) == cli.BAD_INPUT
        message = capsys.readouterr().err
        assert message.startswith("error: ") and checkpoint.VECTORS_FILE in message
        assert [path.name for path in tmp_path.iterdir()] == ["alone.safetensors"]


class TestStart:
    def test_a_half_has_the_published_size(self, folder):
        rows = json.loads((folder / "sizes.json").read_text())["rows"]
        assert len(rows) > 10
        for width, height, *half, aspect in rows:
            assert list(condition.half_size(width, height)) == half
            start = condition.Start(torch.zeros(half[1], half[0], 3), 49, (width, height))
            assert start.pixel_aspect == pytest.approx(1 / aspect, abs=1e-5)

    @pytest.mark.parametrize(("width", "height"), [(4000, 100), (100, 4000), (0, 5)])
    def test_a_picture_of_extreme_proportions_is_refused(self, width, height):
        with pytest.raises(EX4DError, match=f"{width}x{height}"):
            condition.half_size(width, height)

    @pytest.fixture()
    def start(self, folder) -> condition.Start:
        picture = load_file(folder / "inputs.safetensors")["source_image_u8"]
        return condition.prepare(picture, frames=9, width=96, height=64)

    def test_the_picture_is_resized_as_recorded(self, folder, start):
        golden = load_file(folder / "inputs.safetensors")["start_image_u8"]
        assert torch.equal((start.image * 255).round().to(torch.uint8), golden)

    def test_plane_and_mask_are_the_recorded_ones(self, folder, start):
        golden = load_file(folder / "condition.safetensors")
        assert float((condition.plane(96, 64) - golden["plane"]).abs().max()) < 1e-6
        assert torch.equal(condition.given_mask(start).expand(-1, 4, -1, -1, -1), golden["mask"])

    def test_the_vae_sees_picture_and_plane_and_then_grey(self, large, start):
        images = condition.start_images(start)
        assert images.shape == (9, 64, 192, 3)
        golden = load_file(large / "condition.safetensors")["condition_frame0"].permute(1, 2, 0)
        assert float((images[0] * 2 - 1 - golden).abs().max()) < 1e-6
        assert bool((images[1:] == 0.5).all())

    def test_alpha_is_left_out_and_a_picture_of_the_right_size_stays_as_it_is(self):
        picture = torch.rand(1, 64, 96, 4)
        start = condition.prepare(picture, frames=5, width=96, height=64)
        assert float((start.image - picture[0, ..., :3]).abs().max()) <= 0.5 / 255 + 1e-6

    @pytest.mark.parametrize(
        ("image", "settings", "words"),
        [
            (torch.zeros(2, 8, 8, 3), {}, "one picture, got 2"),
            (torch.full((8, 8, 3), math.nan), {}, "not numbers"),
            (torch.zeros(8, 8, 1), {}, "shape"),
            (torch.zeros(0, 8, 8, 3), {}, "shape"),
            (torch.zeros(8, 8, 3), {"frames": 48}, "45 or 49"),
            (torch.zeros(8, 8, 3), {"width": 96}, "both"),
            (torch.zeros(8, 8, 3), {"width": 100, "height": 96}, "multiples of 16"),
        ],
    )
    def test_what_is_no_start_is_refused(self, image, settings, words):
        with pytest.raises(EX4DError, match=words):
            condition.prepare(image, **settings)

    @pytest.mark.parametrize("prompt", ["a cat", "a cat ", "a cat POINTMAP_STYLE.", ""])
    def test_prompts_end_with_the_trigger_once(self, prompt):
        told = condition.with_trigger(prompt)
        assert told.endswith(" POINTMAP_STYLE.") and told.count("POINTMAP") == 1

    @pytest.mark.parametrize("columns", [23, 22, 2, 0])
    def test_a_latent_without_a_middle_is_refused(self, columns):
        halves.check_columns(24)
        with pytest.raises(EX4DError, match=f"multiple of 4, got {columns}"):
            halves.check_columns(columns)

    def test_the_right_half_is_scaled_before_the_vaes_own_statistics(self, folder):
        recorded = load_file(folder / "decode.safetensors")["latent_to_vae"]
        final = load_file(folder / "trajectory.safetensors")["cfg5_final"]
        # Wan's mean and deviation of each channel follow from the left half, which is only denormalised.
        left, right = halves.split(final)
        slope, base = fit(left, halves.split(recorded)[0])
        ours = halves.split(halves.to_vae_space(final))[1] * slope + base
        assert distance(ours, halves.split(recorded)[1]) < 1e-5
        wrong = {
            "none": right,
            "the other way round": (right - 0.13) * 1.70,
        }
        assert all(distance(value * slope + base, halves.split(recorded)[1]) > 0.005 for value in wrong.values())

    def test_what_the_network_was_trained_to_make_becomes_what_the_vae_made_of_points(self, large):
        recorded = load_file(large / "decode.safetensors")
        both = torch.cat([recorded["train_xyz_model_space"]] * 2, dim=-1)
        assert distance(halves.split(halves.to_vae_space(both))[1], recorded["train_xyz_latent"]) < 1e-6


class TestPlaces:
    @pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, 3.0)])
    def test_each_half_has_the_places_of_a_video_of_its_own(self, scale, shift):
        """Also where ComfyUI scales and shifts a video's places, as its newer releases do on request."""

        def places(columns: int) -> torch.Tensor:
            across = torch.linspace(shift, shift + (columns - 1) * scale, columns)
            down, frame = torch.arange(4.0), torch.arange(3.0)
            return torch.stack(torch.meshgrid(frame, down, across, indexing="ij"), dim=-1)

        (both,) = _Repeating(12)(torch.nn.Identity(), (places(12).reshape(1, -1, 3),))
        for half in halves.split(both.view(3, 4, 12, 3).movedim(-1, 0)):
            torch.testing.assert_close(half.movedim(0, -1), places(6))


def fit(given: torch.Tensor, found: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Slope and base of each channel, (1, 16, 1, 1, 1), for found = given * slope + base."""
    x, y = (value.double().transpose(0, 1).flatten(1) for value in (given, found))
    slope = ((x - x.mean(1, keepdim=True)) * (y - y.mean(1, keepdim=True))).sum(1) / x.var(1, correction=0) / x.shape[1]
    return slope.view(1, -1, 1, 1, 1), (y.mean(1) - slope * x.mean(1)).view(1, -1, 1, 1, 1)


class TestSchedule:
    def test_levels_and_timesteps_are_the_recorded_ones(self, folder):
        recorded = load_file(folder / "schedule.safetensors")
        counts = [int(name.split("_")[1]) for name in recorded if name.startswith("sigmas")]
        assert len(counts) == 12
        for steps in counts:
            assert torch.equal(schedule.sigmas(steps), recorded[f"sigmas_{steps}"])
            assert torch.equal(schedule.timesteps(steps), recorded[f"timesteps_{steps}"])

    def test_the_network_is_told_the_published_timesteps_at_any_count_of_steps(self):
        corrected = 0
        for steps in range(1, 1001):
            run = schedule.sigmas(steps)
            more = schedule.corrections(run)
            corrected += bool(more)
            host = run[:-1] * 1000  # what it computes, in float32
            told = schedule.truncated(host).to(torch.int64)
            for timestep, right in more.items():
                told[host == timestep] = right
            assert torch.equal(told, schedule.timesteps(steps))
            assert not more or steps > 100
        assert 10 < corrected < 20

    def test_other_levels_are_left_alone(self):
        assert schedule.corrections(torch.linspace(1, 0, 326)) == {}
        assert schedule.corrections(torch.zeros(1)) == {}

    def test_the_first_values_of_the_seed_are_the_recorded_noise(self, folder):
        noise = torch.randn(1, 16, 13, 60, 180, generator=torch.manual_seed(42))
        assert torch.equal(
            noise.flatten()[:64], load_file(folder / "schedule.safetensors")["noise_seed42_full_first64"]
        )


class TestUniPC:
    def test_each_recorded_step_follows_from_what_the_network_said(self, large):
        golden = load_file(large / "trajectory.safetensors")
        run = FlowUniPC(golden["sigmas"].tolist())
        seen = load_file(large / "inputs.safetensors")["noise"]
        for step in range(6):
            corrected = run.corrected(step, seen, golden[f"cfg5_x0_{step}"])
            if step:
                assert distance(corrected, golden[f"cfg5_corrected_{step}"]) < 2e-6
            seen = run.predicted(step)
            assert distance(seen, golden[f"cfg5_latent_{step}"]) < 2e-6

    def test_it_converges_with_second_order(self):
        """On a clean sample that turns with the noise level, where very many steps give the answer."""
        start = torch.tensor([1.0, -0.4], dtype=torch.float64)

        def result(steps: int) -> torch.Tensor:
            return sample(turning, start, torch.linspace(0.9, 0.2, steps + 1).tolist())

        exact = result(2000)
        few, many = (float((result(steps) - exact).norm()) for steps in (40, 80))
        assert math.log2(few / many) > 1.8

    def test_a_schedule_may_begin_with_nothing_but_noise(self):
        """EX-4D's begins at 1, where alpha is 0."""
        start = torch.tensor([1.0, -0.4], dtype=torch.float64)
        exact = sample(turning, start, torch.linspace(1, 0, 1001).tolist())
        few, many = (
            float((sample(turning, start, torch.linspace(1, 0, n + 1).tolist()) - exact).norm()) for n in (10, 40)
        )
        assert many < few / 3 and many < 0.03

    @pytest.mark.parametrize("steps", [1, 2, 3])
    def test_a_network_that_knows_the_answer_is_believed(self, steps):
        answer = torch.tensor([2.0, -1.0])
        assert torch.equal(sample(lambda x, sigma: answer, torch.randn(2), schedule.sigmas(steps).tolist()), answer)

    def test_the_last_level_may_be_above_zero_and_the_rest_goes_on_from_there(self):
        levels = schedule.sigmas(8).tolist()
        start = torch.tensor([1.0, -0.4], dtype=torch.float64)
        first = sample(turning, start, levels[:5])
        assert torch.isfinite(sample(turning, first, levels[4:])).all()

    def test_each_answer_is_told(self):
        seen = []
        sample(turning, torch.ones(2), schedule.sigmas(4).tolist(), lambda step, x, clean: seen.append((step, x.shape)))
        assert [step for step, _ in seen] == [0, 1, 2, 3]

    @pytest.mark.parametrize("levels", [[], [1.0], [0.5, 0.7, 0.0], [0.5, 0.5, 0.0], [14.6, 3.0, 0.0], [math.nan, 0.0]])
    def test_levels_of_another_kind_are_refused(self, levels):
        with pytest.raises(EX4DError, match="fall from 1"):
            FlowUniPC(levels)


def turning(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """A clean sample that depends smoothly on the noisy one and its level."""
    return torch.stack([torch.sin(x[1] + 2 * sigma), torch.cos(x[0] - sigma)])


def test_numbers_are_the_papers():
    from ex4d_core import published

    assert (published.FOURDNEX_STEPS, published.FOURDNEX_CFG, published.FOURDNEX_SHIFT) == (50, 5.0, 3.0)
    assert (published.FOURDNEX_FRAMES, published.FOURDNEX_FPS, published.FOURDNEX_SEED) == (49, 24.0, 42)
    assert np.isclose(published.FOURDNEX_AREA, 345_600)
