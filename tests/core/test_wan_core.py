"""Adapter files, schedule, prior and preprocessing, without ComfyUI."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from harness import recorded
from safetensors.torch import load_file, save_file

from ex4d_core.errors import EX4DError
from ex4d_core.wan import clip as clips
from ex4d_core.wan import segments
from ex4d_core.wan.backbone import ModelSize
from ex4d_core.wan.checkpoint import check_fits, combine, convert, load_adapter, parse_adapter
from ex4d_core.wan.host.conditioning import check_latent, check_text, check_vision, pad_text
from ex4d_core.wan.host.model import check_whole_picture
from ex4d_core.wan.host.patch import Prior, PriorSettings
from ex4d_core.wan.prior import PriorEncoder
from ex4d_core.wan.schedule import sigmas
from ex4d_core.wan.videos import read_color_and_mask
from ex4d_core.wan.weights import read_tensors


@pytest.fixture(scope="module")
def folder(request):
    return request.getfixturevalue("reference") / "adapter"


@pytest.fixture()
def state(folder):
    return load_file(folder / "ex4d_tiny_r16.safetensors")


class TestSchedule:
    @pytest.mark.parametrize("steps", [4, 5, 10, 25, 30, 50])
    def test_matches_the_recorded_sigmas(self, folder, steps):
        golden = load_file(folder / "sampler_golden.safetensors")[f"sigmas_{steps}"]
        ours = sigmas(steps)
        assert ours[-1] == 0
        assert float((ours[:-1] - golden).abs().max()) < 2e-7

    def test_a_run_without_steps_or_shift_is_refused(self):
        for bad in ({"steps": 0}, {"shift": 0.0}, {"shift": float("nan")}):
            with pytest.raises(EX4DError):
                sigmas(**bad)


class TestCheckpoint:
    @pytest.mark.parametrize(("name", "rank"), [("ex4d_tiny_r4.ckpt", 4), ("ex4d_tiny_r16.safetensors", 16)])
    def test_sizes_are_read_from_the_tensors(self, folder, name, rank):
        adapter = load_adapter(folder / name)
        assert (adapter.rank, adapter.blocks, adapter.dim, adapter.ffn_dim, adapter.hidden) == (rank, 2, 256, 512, 64)

    def test_every_recorded_key_is_used(self, folder):
        keys = json.loads((folder / "checkpoint_keys.json").read_text())["r16"]
        adapter = load_adapter(folder / "ex4d_tiny_r16.ckpt")
        assert 2 * len(adapter.lora) + len(adapter.prior) == len(keys)

    def test_comfyui_names_are_the_same_adapter(self, state):
        renamed = {f"diffusion_model.{k.replace('.default', '')}" if "lora" in k else k: v for k, v in state.items()}
        assert parse_adapter(renamed, "renamed").lora.keys() == parse_adapter(state, "plain").lora.keys()

    def test_a_wrong_prefix_is_refused_with_the_count(self, state):
        with pytest.raises(EX4DError, match=r"48 of its 48 keys .*pipe\."):
            parse_adapter({f"pipe.{k}": v for k, v in state.items()}, "wrong.ckpt")

    def test_a_missing_tensor_is_refused_by_name(self, state):
        del state["blocks.1.ffn.2.lora_B.default.weight"]
        with pytest.raises(EX4DError, match=r"1 of 40 LoRA tensors .*blocks\.1\.ffn\.2\.lora_B"):
            parse_adapter(state, "short.ckpt")

    def test_a_missing_block_in_the_middle_is_refused(self, state):
        state = {k.replace("blocks.1.", "blocks.2."): v for k, v in state.items()}
        with pytest.raises(EX4DError, match="20 of 60"):
            parse_adapter(state, "gap.ckpt")

    def test_an_incomplete_prior_is_refused(self, state):
        del state["latent_encoder.2.bias"]
        with pytest.raises(EX4DError, match=r"1 of 8 prior .*latent_encoder\.2\.bias"):
            parse_adapter(state, "short.ckpt")

    def test_values_that_are_not_finite_are_refused(self, state):
        state["latent_encoder.0.bias"][0] = float("nan")
        with pytest.raises(EX4DError, match=r"not finite .*latent_encoder\.0\.bias"):
            parse_adapter(state, "nan.ckpt")

    def test_contradicting_shapes_are_refused(self, state):
        state["blocks.0.ffn.0.lora_A.default.weight"] = torch.zeros(3, 256)
        with pytest.raises(EX4DError, match=r"blocks\.0\.ffn\.0"):
            parse_adapter(state, "shape.ckpt")

    @pytest.mark.parametrize("name", ["ex4d_tiny_r4.ckpt", "ex4d_tiny_r16.safetensors"])
    def test_a_cut_off_download_is_refused(self, folder, tmp_path, name):
        cut = tmp_path / name
        cut.write_bytes((folder / name).read_bytes()[:300_000])
        with pytest.raises(EX4DError, match=r"300,000 bytes.*again"):
            load_adapter(cut)

    def test_a_pickle_that_runs_code_is_refused(self, tmp_path):
        path = tmp_path / "evil.ckpt"
        torch.save({"blocks.0": SimpleNamespace(a=1)}, path)
        with pytest.raises(EX4DError):
            load_adapter(path)

    def test_a_missing_file_says_where_to_get_it(self, tmp_path):
        with pytest.raises(EX4DError, match="huggingface"):
            load_adapter(tmp_path / "ex4d.ckpt")

    def test_a_lora_file_and_a_prior_file_make_one_adapter(self, state):
        lora = parse_adapter({k: v for k, v in state.items() if "lora" in k}, "lora")
        prior = parse_adapter({k: v for k, v in state.items() if "lora" not in k}, "prior")
        both = combine(lora, prior)
        assert both.lora == lora.lora and both.prior == prior.prior
        with pytest.raises(EX4DError, match="no prior encoder"):
            combine(lora, lora)
        with pytest.raises(EX4DError, match="no LoRA"):
            combine(prior, prior)

    @pytest.mark.parametrize("wrong", [{"dim": 1536}, {"blocks": 30}, {"ffn_dim": 8960}, {"in_channels": 16}])
    def test_another_model_is_refused(self, state, wrong):
        adapter = parse_adapter(state, "tiny")
        fits = ModelSize(dim=256, ffn_dim=512, blocks=2, in_channels=36)
        check_fits(adapter, fits)
        with pytest.raises(EX4DError, match="14B"):
            check_fits(adapter, replace(fits, **wrong))

    @pytest.mark.parametrize("name", ["ex4d_tiny_r4.ckpt", "ex4d_tiny_r16.ckpt", "ex4d_tiny_r16.safetensors"])
    def test_a_state_dict_is_the_file_it_was_parsed_from(self, folder, name):
        file = read_tensors(folder / name)
        state = parse_adapter(file, name).state_dict()
        assert state.keys() == file.keys()
        assert all(torch.equal(state[key], file[key]) for key in file)

    def test_a_state_dict_of_comfyui_s_names_and_an_alpha_is_an_adapter_again(self, state):
        module = "blocks.1.ffn.0"
        renamed = {f"diffusion_model.{k.replace('.default', '')}" if "lora" in k else k: v for k, v in state.items()}
        given = parse_adapter(renamed | {f"diffusion_model.{module}.alpha": torch.tensor(8.0)}, "given")
        again = parse_adapter(given.state_dict(), "again")
        assert torch.equal(again.lora[module][1], 0.5 * state[f"{module}.lora_B.default.weight"])
        assert again.lora.keys() == given.lora.keys() and again.prior.keys() == given.prior.keys()

    @pytest.mark.parametrize(
        "key", ["latent_encoder.0.weight", "latent_patch_embedding.weight", "latent_encoder.2.bias"]
    )
    @pytest.mark.parametrize("shape", [(), (1,), (2, 2)])
    def test_a_prior_of_any_other_shape_is_refused(self, state, key, shape):
        with pytest.raises(EX4DError, match="unexpected shapes"):
            parse_adapter(state | {key: torch.zeros(shape)}, "shape.ckpt")

    def test_an_alpha_that_is_no_number_is_refused(self, state):
        with pytest.raises(EX4DError, match=r"alpha of blocks\.0\.ffn\.0 must be one number"):
            parse_adapter(state | {"blocks.0.ffn.0.alpha": torch.ones(2)}, "alpha.ckpt")

    def test_a_tensor_under_two_names_is_refused(self, state):
        twice = state["blocks.0.ffn.0.lora_A.default.weight"]
        with pytest.raises(EX4DError, match=r"1 of its 49 keys .*lora_down"):
            parse_adapter(state | {"blocks.0.ffn.0.lora_down.weight": twice}, "twice.ckpt")

    def test_a_name_that_speaks_of_millions_of_blocks_is_refused_at_once(self, state):
        far = {"blocks.99999999.ffn.0.lora_A.default.weight": torch.zeros(1, 1)}
        with pytest.raises(EX4DError, match=r"1999999959 of 2000000000 LoRA tensors .*blocks\.2\.self_attn\.q\.lora_A"):
            parse_adapter(state | far, "far.ckpt")

    @pytest.mark.parametrize("dtype", [torch.float8_e4m3fn, torch.float8_e5m2, torch.bfloat16])
    def test_small_dtypes_are_taken(self, state, dtype):
        adapter = parse_adapter({key: value.to(dtype) for key, value in state.items()}, "small")
        assert {tensor.dtype for tensor in adapter.state_dict().values()} == {dtype}

    def test_conversion_keeps_every_value(self, folder, tmp_path, state):
        convert(folder / "ex4d_tiny_r16.ckpt", tmp_path / "out.safetensors")
        converted = load_file(tmp_path / "out.safetensors")
        assert converted.keys() == state.keys()
        assert all(torch.equal(converted[k], state[k]) for k in state)
        assert [p.name for p in tmp_path.iterdir()] == ["out.safetensors"]

    def test_conversion_of_a_bad_file_leaves_nothing(self, tmp_path):
        save_file({"x": torch.zeros(1)}, tmp_path / "bad.safetensors")
        with pytest.raises(EX4DError):
            convert(tmp_path / "bad.safetensors", tmp_path / "out.safetensors")
        assert [p.name for p in tmp_path.iterdir()] == ["bad.safetensors"]


class Window:
    """A context window as ComfyUI hands it over; with frames to retain as newer hosts do."""

    def __init__(self, index_list, dim=2):
        self.index_list, self.dim = index_list, dim

    def get_tensor(self, full, retain_index_list=()):
        part = full[:, :, self.index_list]
        for frame in retain_index_list:
            part[:, :, frame] = full[:, :, frame]
        return part


class TestPrior:
    def test_matches_the_recorded_encoder(self, folder):
        inputs, golden = load_file(folder / "inputs.safetensors"), load_file(folder / "dit_golden.safetensors")
        encoder = PriorEncoder.from_state_dict(load_adapter(folder / "ex4d_tiny_r4.ckpt").prior)
        prior = encoder(inputs["video_latent"], inputs["mask_latent"])
        assert float((prior - golden["prior"]).norm() / golden["prior"].norm()) < 1e-5
        swapped = encoder(inputs["mask_latent"], inputs["video_latent"])
        assert float((swapped - golden["prior"]).norm() / golden["prior"].norm()) > 0.1

    @pytest.fixture()
    def prior(self):
        """A prior whose five latent frames are numbered."""
        encoder = SimpleNamespace(model=lambda color, mask: torch.arange(5.0).reshape(1, 1, 5, 1, 1))
        return Prior(encoder, torch.zeros(1, 16, 5, 2, 2), torch.zeros(1, 16, 5, 2, 2), PriorSettings())

    def test_windows_cut_the_prior_in_their_own_way_and_it_is_encoded_once(self, prior):
        x = torch.zeros(1, 36, 3, 2, 2)
        assert prior._prior_of({}, torch.zeros(1, 36, 5, 2, 2)).flatten().tolist() == [0, 1, 2, 3, 4]
        options = {"context_window": Window([2, 3, 4])}
        assert prior._prior_of(options, x).flatten().tolist() == [2, 3, 4]
        prior._retained = [0]
        assert prior._prior_of(options, x).flatten().tolist() == [0, 3, 4]
        assert prior.encodings == 1

    @pytest.mark.parametrize(
        ("window", "words"), [(([0, 1, 2], 3), "anything but the frames"), (([0, 1], 2), "has 3 frames, but takes 2")]
    )
    def test_windows_that_do_not_fit_the_forward_are_refused(self, prior, window, words):
        with pytest.raises(EX4DError, match=words):
            prior._prior_of({"context_window": Window(*window)}, torch.zeros(1, 36, 3, 2, 2))

    @staticmethod
    def forward(prior, through, uuids=("one",)):
        """One forward of a network that only embeds patches; ``through`` is what wrappers further in make of it."""
        network = SimpleNamespace(patch_embedding=torch.nn.Identity())
        executor = SimpleNamespace(class_obj=network, original=lambda x, *_, **__: network.patch_embedding(x))

        class Executor(SimpleNamespace):
            def __call__(self, x, *args, **kwargs):
                return through(self.original, x)

        try:
            x = torch.zeros(1, 1, 5, 1, 1)
            return prior.around_forward(Executor(**vars(executor)), x, None, None, transformer_options={"uuids": uuids})
        finally:
            assert not network.patch_embedding._forward_hooks

    def test_a_forward_that_is_left_out_gives_back_what_the_prior_was_added_to(self, prior):
        computed = self.forward(prior, lambda original, x: original(x))
        assert computed.flatten().tolist() == [0, 1, 2, 3, 4]
        assert self.forward(prior, lambda original, x: computed) is computed

    def test_a_forward_that_is_left_out_for_a_text_never_seen_is_an_error(self, prior):
        self.forward(prior, lambda original, x: original(x), uuids=["positive"])
        with pytest.raises(EX4DError, match="was not added"):
            self.forward(prior, lambda original, x: x, uuids=["positive", "negative"])

    def test_a_forward_that_never_embeds_patches_is_an_error_at_every_step(self, prior):
        with pytest.raises(EX4DError, match="was not added"):
            self.forward(prior, lambda original, x: x)
        self.forward(prior, lambda original, x: original(x))

        def without_embedding(original, x):
            embedding = original.forward.__closure__[0].cell_contents.patch_embedding
            kept = dict(embedding._forward_hooks)
            embedding._forward_hooks.clear()  # as a compiled forward that knows of no hook
            try:
                return original(x)
            finally:
                embedding._forward_hooks.update(kept)

        with pytest.raises(EX4DError, match="was not added"):
            self.forward(prior, without_embedding)

    def test_the_next_run_begins_with_nothing_computed(self, prior):
        self.forward(prior, lambda original, x: original(x))
        guider = SimpleNamespace(
            model_options={},
            conds={},
            model_patcher=SimpleNamespace(model=None, get_model_object=lambda name: None),
        )

        class Run(SimpleNamespace):
            def __call__(self, noise):
                return noise

        prior.around_run(Run(class_obj=guider), prior.color)
        with pytest.raises(EX4DError, match="was not added"):
            self.forward(prior, lambda original, x: x)

    @pytest.mark.parametrize(("key", "words"), [("area", r"Set Area"), ("mask", r"Set Mask")])
    def test_conditioning_of_a_part_of_the_picture_is_refused_by_name(self, key, words):
        check_whole_picture("positive", {"pooled_output": None, key: None})
        with pytest.raises(EX4DError, match=rf"negative conditioning is bound to .*{words}"):
            check_whole_picture("negative", {key: (1, 2, 3, 4)})

    @pytest.mark.parametrize(
        ("shape", "words"),
        [
            ((1, 257, 1024), "257x1024"),
            ((1, 729, 1152), "729x1152"),
            ((1, 257, 1664), "257x1664"),
            ((1, 256, 1280), "256x1280"),
            ((1, 0, 1280), "0x1280"),
            ((257, 1280), "1280"),
        ],
    )
    def test_tokens_of_another_vision_encoder_are_refused(self, shape, words):
        for fine in (None, SimpleNamespace(penultimate_hidden_states=torch.zeros(2, 257, 1280))):
            check_vision(fine)
        with pytest.raises(EX4DError, match=rf"\({words}, tokens x width\); Wan takes 257 tokens of width 1280"):
            check_vision(SimpleNamespace(penultimate_hidden_states=torch.zeros(shape)))

    @pytest.mark.parametrize("output", [SimpleNamespace(), SimpleNamespace(penultimate_hidden_states=None)])
    def test_a_vision_output_without_tokens_is_refused(self, output):
        with pytest.raises(EX4DError, match="no penultimate hidden states; Wan takes 257"):
            check_vision(output)

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            (torch.zeros(1, 20, 768), "is 768 wide"),
            (torch.zeros(20, 4096), r"of shape \(20, 4096\)"),
            (None, "a NoneType"),
        ],
    )
    def test_text_of_another_encoder_is_refused(self, text, words):
        check_text("positive", [[torch.zeros(1, 20, 4096), {}]])
        with pytest.raises(EX4DError, match=words):
            check_text("positive", [[text, {}]])

    def test_a_latent_that_is_none_of_the_clip_is_refused(self):
        clip = clips.prepare_clip(torch.zeros(5, 16, 32, 3), torch.ones(5, 16, 32))
        check_latent(torch.zeros(1, 16, 2, 2, 4), clip)
        for shape in ((1, 48, 2, 1, 2), (1, 16, 5, 2, 4), (5, 16, 2, 4)):
            with pytest.raises(EX4DError, match=r"expected \(1, 16, 2, 2, 4\)"):
                check_latent(torch.zeros(shape), clip)

    def test_text_is_padded_with_zeros(self):
        padded = pad_text(torch.ones(1, 20, 4096))
        assert padded.shape == (1, 512, 4096)
        assert float(padded[:, 20:].abs().sum()) == 0
        assert pad_text(torch.ones(1, 600, 4096)).shape == (1, 600, 4096)


class TestClip:
    FRAMES = (0, 12, 24, 48)

    def frames_and_masks(self, folder):
        data = load_file(folder / "preprocess_golden.safetensors")
        pick = lambda name: torch.stack([data[f"{name}_f{t}"] for t in self.FRAMES])  # noqa: E731
        five = lambda x: torch.cat([x, x[-1:]])  # 4n + 1  # noqa: E731
        return data, five(pick("color_u8")), five(pick("mask_raw_u8")), pick("mask_bits")

    @pytest.mark.parametrize("kernel", range(2, 9))
    def test_erosion_and_threshold_match_the_recorded_masks(self, folder, kernel):
        _, color, mask, bits = self.frames_and_masks(folder)
        clip = clips.prepare_clip(color, mask, erosion="fixed", kernel=kernel)
        assert torch.equal(clip.seen[:4].to(torch.uint8), (bits >> (kernel - 2)) & 1)

    def test_masked_colour_matches_exactly(self, folder):
        data, color, mask, _ = self.frames_and_masks(folder)
        clip = clips.prepare_clip(color, mask, erosion="fixed", kernel=5)
        for i, t in enumerate(self.FRAMES[1:], start=1):
            assert torch.equal(clip.color[i], data[f"color_masked_k5_u8_f{t}"])

    @pytest.mark.parametrize("videos", ["the kept frames", "the published example"])
    def test_picking_and_squashing_a_video_match_exactly(self, folder, request, videos):
        if videos == "the kept frames":
            data = load_file(folder / "preprocess_golden.safetensors")
            color, mask = recorded.whole_videos(data)
        else:
            large = request.getfixturevalue("large_reference")
            data = load_file(large / "adapter" / "preprocess_golden.safetensors")
            record = json.loads((large / "adapter" / "preprocess_record.json").read_text(encoding="utf-8"))
            color, mask = read_color_and_mask(large / "flower" / "render_180.mp4", large / "flower" / "mask_180.mp4")
            digest = hashlib.sha256(color.numpy().tobytes()).hexdigest()
            assert digest == record["color_u8_sha256_49x512x512x3"]
        settings = {"frames": 9, "width": 192, "height": 128}
        unmasked = clips.prepare_clip(color, torch.full_like(mask, 255), **settings, erosion="off")
        assert torch.equal(unmasked.color, data["small_color_u8_9x128x192x3"])
        clip = clips.prepare_clip(color, mask, **settings, erosion="fixed", kernel=3)
        assert torch.equal(clip.seen.to(torch.uint8), data["small_mask_k3_9x128x192"])

    @pytest.mark.parametrize(
        ("count", "frames"), [(25, 9), (30, 49), (49, 13), (49, 49), (60, 49), (100, 49), (121, 49)]
    )
    def test_the_frames_that_the_published_script_picks(self, folder, count, frames):
        picked = load_file(folder / "preprocess_golden.safetensors")[f"generate_index_{count}_of_{frames}"]
        numbered = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(-1, 16, 16, 3)
        clip = clips.prepare_clip(numbered, torch.ones(count, 16, 16), frames=frames, erosion="off")
        assert clip.color[:, 0, 0, 0].tolist() == picked.tolist()

    def test_the_vae_sees_exactly_what_the_published_code_gives_it(self, folder):
        _, color, mask, _ = self.frames_and_masks(folder)
        clip = clips.prepare_clip(color.float() / 255, mask.float() / 255, erosion="fixed", kernel=5)
        wanted = (color * clip.seen[..., None]).float() / 255 * 2 - 1
        assert torch.equal(clips.color_images(clip) * 2 - 1, wanted)
        seen = clips.mask_images(clip) * 2 - 1
        assert torch.equal(seen, torch.where(clip.seen, 1.0, -3.0)[..., None].expand(-1, -1, -1, 3))
        start = clips.start_images(clip) * 2 - 1
        assert torch.equal(start[0], wanted[0]) and float(start[1:].abs().max()) == 0

    def test_frames_beyond_4n_plus_1_are_left_out_and_said(self):
        clip = clips.prepare_clip(torch.zeros(12, 16, 16, 3), torch.ones(12, 16, 16))
        assert clip.frames == 9
        assert "last 3 are left out" in clip.notes[0]

    def test_a_mask_of_holes_is_told(self):
        seen = torch.ones(5, 16, 16)
        seen[2:, :, :8] = 0
        good = clips.prepare_clip(torch.zeros(5, 16, 16, 3), seen, erosion="off")
        assert not good.notes and not good.inverted
        turned = clips.prepare_clip(torch.zeros(5, 16, 16, 3), 1 - seen, erosion="off")
        assert turned.inverted and "inverted mask" in turned.notes[0]
        seen[0, :, :8] = 0
        holes = clips.prepare_clip(torch.zeros(5, 16, 16, 3), seen, erosion="off")
        assert not holes.inverted and "Only 50% of the first frame" in holes.notes[0]

    def test_a_short_clip_repeats_its_last_frame(self):
        color = torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 16, 16, 3) / 255
        clip = clips.prepare_clip(color, torch.ones(3, 16, 16), frames=5)
        assert clip.color[:, 0, 0, 0].tolist() == [0, 1, 2, 2, 2]

    def test_cropping_keeps_the_middle(self):
        color = torch.zeros(1, 32, 64, 3)
        color[:, :, 16:48] = 1.0
        clip = clips.prepare_clip(color, torch.ones(1, 32, 64), width=32, height=32, fit="crop", erosion="off")
        assert int(clip.color.min()) == 255

    @pytest.mark.parametrize(
        ("color", "mask", "settings", "words"),
        [
            (torch.zeros(5, 16, 16, 3), torch.ones(4, 16, 16), {}, "5 frames and the mask 4"),
            (torch.zeros(5, 16, 16, 3), torch.ones(5, 16, 32), {}, "16x16 and the mask 32x16"),
            (torch.zeros(0, 16, 16, 3), torch.ones(0, 16, 16), {}, "no frames"),
            (torch.full((5, 16, 16, 3), float("nan")), torch.ones(5, 16, 16), {}, "NaN"),
            (torch.zeros(5, 16, 16, 3), torch.zeros(5, 16, 16), {}, "no seen pixel"),
            (torch.zeros(5, 20, 16, 3), torch.ones(5, 20, 16), {}, "multiples of 16"),
            (torch.zeros(5, 16, 16, 3), torch.ones(5, 16, 16), {"frames": 6}, "use 5 or 9"),
            (torch.zeros(5, 16, 16, 4), torch.ones(5, 16, 16), {}, "shape"),
            (torch.zeros(5, 16, 16, 3), torch.ones(5, 16, 16), {"erosion": "some"}, "erosion"),
        ],
    )
    def test_clips_that_cannot_work_are_refused(self, color, mask, settings, words):
        with pytest.raises(EX4DError, match=words):
            clips.prepare_clip(color, mask, **settings)


class TestSegments:
    @pytest.mark.parametrize(
        ("frames", "length", "overlap"), [(49, 49, 9), (81, 49, 9), (161, 49, 9), (53, 49, 1), (9, 5, 4)]
    )
    def test_segments_cover_the_clip_and_overlap(self, frames, length, overlap):
        parts = segments.plan(frames, length, overlap)
        assert parts[0][0] == 0 and parts[-1][1] == frames
        assert all(stop - start == length for start, stop in parts)
        assert all(a[1] - b[0] >= overlap for a, b in pairwise(parts))

    def test_zero_means_one_piece(self):
        assert segments.plan(161, 0, 9) == [(0, 161)]

    def test_impossible_segments_are_refused(self):
        for length, overlap in ((48, 9), (1, 0), (9, 9), (9, 0)):
            with pytest.raises(EX4DError):
                segments.plan(81, length, overlap)

    def test_joining_fades_from_old_to_new(self):
        done, new = torch.zeros(6, 1, 1, 3), torch.ones(5, 1, 1, 3)
        joined = segments.join(done, new, 2)[:, 0, 0, 0]
        assert joined.tolist() == [0, 0, 0, 0.25, 0.5, 0.75, 1]
