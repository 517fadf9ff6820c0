"""From videos to prepared clips: encoders with tiny weights, cuts, records, and what training makes of the result."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_files import write_base, write_config

from ex4d_core.commands.cli import main
from ex4d_core.demo_scene import DemoScene
from ex4d_core.depth import DepthClip
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.training.cache import load_sample, load_seen, open_cache
from ex4d_core.training.encoders import Encoders, fingerprint, load_encoders, video_encoder
from ex4d_core.training.masks import MaskSettings
from ex4d_core.training.prepare import (
    Prepared,
    PrepareSettings,
    Video,
    encode_condition,
    encode_start,
    prepare,
    read_manifest,
)
from ex4d_core.training.scenes import cuts, windows
from ex4d_core.training.trackers import TrackerFailed, choose_tracker
from ex4d_core.video import save_video
from ex4d_core.wan.prompts import PROMPT

TRACKING = MaskSettings(kind="tracking", grid=(6, 8))
SETTINGS = PrepareSettings(frames=5, size=(64, 48), fps=15, variants=2, masks=TRACKING)


pytestmark = pytest.mark.usefixtures("one_thread")


def stand_in(name="a"):
    """Encoders that average, in place of networks: what they are given can be told from what they answer."""

    def video(pictures):
        small = torch.nn.functional.adaptive_avg_pool2d(pictures.permute(0, 3, 1, 2), (6, 8)).mean(1)
        groups = [small[:1], *small[1:].split(4)]
        return torch.stack([group.mean(0) for group in groups])[None].repeat(16, 1, 1, 1)

    def text(caption):
        return torch.full((3, 32), float(zlib.crc32(caption.encode()) % 100))

    return Encoders(video, text, lambda picture: picture.float().mean().expand(5, 16) / 255, name)


def shot(seed, frames, size=(64, 48)):
    """A drifting texture."""
    noise = torch.rand(1, 3, 12, 16, generator=torch.Generator().manual_seed(seed))
    wide = torch.nn.functional.interpolate(noise, (size[1] + 20, size[0] + 40), mode="bicubic").clamp(0, 1)[0]
    wide = (wide.permute(1, 2, 0) * 255).to(torch.uint8)
    return torch.stack([wide[:48, t : t + size[0]] for t in range(frames)])


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Good videos, one with a cut, one that is too short, one that is none."""
    folder = tmp_path_factory.mktemp("videos")
    save_video(folder / "a.mp4", shot(1, 7), 15)
    save_video(folder / "b.mp4", torch.cat([shot(2, 3), shot(3, 8)]), 15)
    save_video(folder / "c.mp4", shot(4, 4), 15)
    (folder / "d.mp4").write_bytes(b"no video")
    (folder / "notes.txt").write_text("nothing", encoding="utf-8")
    return folder


def made(videos, folder, settings=SETTINGS, encoders=None, **keywords):
    keywords.setdefault("tracker", choose_tracker("torch"))
    return prepare(read_manifest(videos), folder, settings, encoders or stand_in(), **keywords)


class TestScenes:
    def test_cuts_are_found_and_fast_motion_is_none(self):
        frames = torch.cat([shot(1, 6), shot(2, 5), shot(3, 9)])
        assert cuts(frames) == [6, 11]
        assert cuts(shot(5, 12)) == [] and cuts(frames[:1]) == []
        pan = torch.stack([shot(6, 1, (64, 48))[0].roll(9 * t, dims=1) for t in range(10)])
        assert cuts(pan) == []

    def test_windows_lie_between_cuts(self):
        assert windows(20, [6, 11], 5, 9) == [0, 6, 11]
        assert windows(20, [], 5, 2) == [0, 5]
        assert windows(20, [3, 7], 9, 9) == [7] and windows(8, [4], 5, 9) == []


class TestManifest:
    def test_a_folder_gives_its_videos_and_nothing_else(self, videos):
        assert [video.path.rpartition("/")[2] for video in read_manifest(videos)] == [
            "a.mp4",
            "b.mp4",
            "c.mp4",
            "d.mp4",
        ]

    def test_lines_say_what_belongs_to_a_video(self, tmp_path):
        path = tmp_path / "all.jsonl"
        path.write_text(
            '{"video": "x/a.mp4", "caption": "a dog", "depth": "a.npz", "split": "validation"}\n\n{"video": "b.mp4"}\n',
            encoding="utf-8",
        )
        first, second = read_manifest(path)
        assert first == Video(str(tmp_path / "x/a.mp4"), "a dog", str(tmp_path / "a.npz"), "validation")
        assert second == Video(str(tmp_path / "b.mp4"))

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("{", "Line 1 of .* is no JSON"),
            ('{"vide": "a"}', "names no video"),
            ('{"video": "a", "captoin": "b"}', "has the key 'captoin'"),
            ('{"video": "a", "split": "test"}', "split must be one of train, validation, got 'test'"),
            ("", "names no videos"),
        ],
    )
    def test_slips_are_named_with_their_line(self, tmp_path, text, says):
        (tmp_path / "all.jsonl").write_text(text, encoding="utf-8")
        with pytest.raises(EX4DError, match=says):
            read_manifest(tmp_path / "all.jsonl")

    def test_no_videos_are_told(self, tmp_path):
        with pytest.raises(EX4DError, match="holds no videos"):
            read_manifest(tmp_path)
        with pytest.raises(EX4DError, match="neither a folder nor a manifest"):
            read_manifest(tmp_path / "none")


class TestPreparing:
    def test_good_videos_become_clips_and_the_others_are_listed_with_their_reason(self, videos, tmp_path):
        found = made(videos, tmp_path / "cache")
        assert found.clips == 2 and found.left == 0
        reasons = {path.rpartition("/")[2]: reason for path, reason in found.dropped.items()}
        assert set(reasons) == {"c.mp4", "d.mp4"} and "4 frames at 15 a second; a clip has 5" in reasons["c.mp4"]
        cache = open_cache(tmp_path / "cache")
        assert [clip.name for clip in cache.clips] == ["a.mp4 from frame 0", "b.mp4 from frame 3"]
        assert {clip.shape for clip in cache.clips} == {(2, 6, 8)} and {clip.variants for clip in cache.clips} == {2}

    def test_what_is_stored_is_the_clip_with_its_own_holes(self, videos, tmp_path):
        made(videos, tmp_path / "cache")
        cache = open_cache(tmp_path / "cache")
        seen = [load_seen(cache, cache.clips[0], variant) for variant in range(2)]
        assert seen[0].shape == (5, 48, 64) and not torch.equal(*seen) and not seen[0].all()
        encoders = stand_in()
        for variant in range(2):
            sample = load_sample(cache, cache.clips[0], variant)
            share = torch.nn.functional.adaptive_avg_pool2d(seen[variant][:1].float(), (6, 8))[0]
            assert torch.allclose(sample.mask[0, 0].float(), 4 * share - 3, atol=0.02)
            assert float((sample.color.float() - sample.target.float()).max()) <= 0.02  # holes are black
        assert torch.equal(sample.text.float(), encoders.text(PROMPT))
        assert float(sample.start[:4, 0].min()) == 1 and float(sample.start[:4, 1:].abs().max()) == 0
        assert float(sample.start[4:, 1:].abs().max()) == 0
        assert torch.allclose(sample.start[4:, 0].float(), sample.target[:, 0].float(), atol=0.01)

    def test_it_goes_on_where_it_was(self, videos, tmp_path):
        calls = []
        with pytest.raises(Cancelled):
            made(videos, tmp_path / "cache", progress=lambda *done: calls.append(done), cancel=lambda: len(calls) == 1)
        with pytest.raises(EX4DError, match=r"index\.jsonl is missing"):
            open_cache(tmp_path / "cache")
        first = tmp_path / "cache" / "clips" / "000000_000.safetensors"
        before = first.stat().st_mtime_ns
        assert made(videos, tmp_path / "cache").clips == 2
        assert first.stat().st_mtime_ns == before
        made(videos, tmp_path / "whole")
        for name in ("000000_000", "000001_000"):
            one, other = (load_file(tmp_path / c / "clips" / f"{name}.safetensors") for c in ("cache", "whole"))
            assert all(torch.equal(one[key], other[key]) for key in one)

    def test_processes_share_the_videos_and_the_last_writes_the_index(self, videos, tmp_path):
        assert made(videos, tmp_path / "cache", part=(1, 2)).left == 2
        assert not (tmp_path / "cache" / "index.jsonl").exists()
        assert made(videos, tmp_path / "cache", part=(0, 2)).left == 0
        assert len(open_cache(tmp_path / "cache").clips) == 2

    @pytest.mark.parametrize(
        ("change", "field"),
        [
            ({"settings": PrepareSettings(frames=5, size=(64, 48), variants=1, masks=TRACKING)}, "variants"),
            ({"settings": PrepareSettings(5, (64, 48), variants=2, masks=MaskSettings(kind="random"))}, r"masks\.kind"),
            ({"encoders": stand_in("b")}, "encoders"),
            ({"settings": replace(SETTINGS, tracker="lk")}, "tracker"),
        ],
    )
    def test_a_cache_of_something_else_is_refused_with_the_field_and_stays(self, videos, tmp_path, change, field):
        made(videos, tmp_path / "cache")
        with pytest.raises(EX4DError, match=f"prepared with another {field} "):
            made(videos, tmp_path / "cache", **change)
        assert len(open_cache(tmp_path / "cache").clips) == 2

    def test_a_tracker_that_fails_ends_the_work_and_drops_no_video(self, videos, tmp_path):
        def broken(frames, points, start, cancel=None):
            raise TrackerFailed("The tracker is broken.")

        with pytest.raises(TrackerFailed, match="The tracker is broken"):
            made(videos, tmp_path / "cache", tracker=broken)
        assert made(videos, tmp_path / "cache").clips == 2

    def test_a_manifest_in_another_order_is_refused(self, videos, tmp_path):
        made(videos, tmp_path / "cache")
        turned = tuple(reversed(read_manifest(videos)))
        with pytest.raises(EX4DError, match=r"Video 0 of .* was .*a\.mp4, now it is .*d\.mp4"):
            prepare(turned, tmp_path / "cache", SETTINGS, stand_in(), tracker=choose_tracker("torch"))

    def test_rendering_masks_take_the_videos_depth(self, tmp_path):
        scene = DemoScene(64, 48, 5)
        pictures = [scene.frame(t) for t in range(5)]
        save_video(tmp_path / "scene.mp4", torch.stack([rgb for rgb, _ in pictures]), 15)
        depth = torch.stack([depth for _, depth in pictures])
        settings = PrepareSettings(
            frames=5, size=(64, 48), variants=1, masks=MaskSettings(kind="rendering", sweep="published")
        )
        asked = []

        def depth_of(video, clip):
            asked.append(video.path)
            return DepthClip(depth)

        videos = [Video(str(tmp_path / "scene.mp4"))]
        prepare(videos, tmp_path / "cache", settings, stand_in(), depth_of=depth_of)
        cache = open_cache(tmp_path / "cache")
        seen = load_seen(cache, cache.clips[0], 0).float().mean((1, 2))
        assert len(asked) == 1 and float(seen[0]) < 0.7 and float(seen[2]) > 0.99

    def test_a_wandering_crop_moves_clip_and_mask(self, videos, tmp_path):
        settings = PrepareSettings(frames=5, size=(64, 48), variants=1, crop=True, masks=TRACKING)
        made(videos, tmp_path / "cache", settings)
        made(videos, tmp_path / "plain", PrepareSettings(frames=5, size=(64, 48), variants=1, masks=TRACKING))
        one, other = (load_sample(c, c.clips[0], 0) for c in (open_cache(tmp_path / n) for n in ("cache", "plain")))
        assert not torch.equal(one.target, other.target)
        with pytest.raises(EX4DError, match="one variant is possible, not 4"):
            PrepareSettings(crop=True)

    def test_the_time_of_a_clip_is_told_by_how_often_its_parts_are_done(self):
        seconds = {"reading": 2.0, "depth": 1.0, "masks": 4.0, "masks' latents": 12.0, "writing": 1.0, "text": 6.0}
        told = Prepared(5, {}, 0, 2, seconds).summary(4)
        assert told.startswith(
            "a clip takes 4.00 s with one mask, 2.00 s for each further one (reading 1.00, depth 0.50"
        )
        assert told.endswith("text 3.00 s, CLIP 0.00 s") and Prepared(5, {}, 0).summary(4) == ""

    def test_sizes_that_wan_does_not_take_are_refused(self):
        for wrong in ({"frames": 6}, {"size": (60, 64)}, {"variants": 0}):
            with pytest.raises(EX4DError):
                PrepareSettings(**wrong)


class TestEncoders:
    @pytest.fixture(scope="class")
    def folder(self, tmp_path_factory):
        """All four parts with tiny random weights, written by the libraries' own classes."""
        diffusers, transformers = pytest.importorskip("diffusers"), pytest.importorskip("transformers")
        tokenizers = pytest.importorskip("tokenizers")
        folder = tmp_path_factory.mktemp("encoders")
        torch.manual_seed(1)
        diffusers.AutoencoderKLWan(base_dim=8, z_dim=16).save_pretrained(folder / "vae")
        text = transformers.UMT5Config(vocab_size=40, d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2)
        transformers.UMT5EncoderModel(text).save_pretrained(folder / "text_encoder")
        vision = transformers.CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=3,
            num_attention_heads=2,
            image_size=28,
            patch_size=14,
        )
        transformers.CLIPVisionModel(vision).save_pretrained(folder / "image_encoder")
        words = {"<pad>": 0, "</s>": 1, "<unk>": 2, "a": 3, "dog": 4, "runs": 5}
        made = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<unk>"))
        made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
        transformers.PreTrainedTokenizerFast(
            tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
        ).save_pretrained(folder / "tokenizer")
        return folder

    def test_they_load_and_give_what_wan_takes(self, folder):
        encoders = load_encoders(folder)
        assert encoders.video(torch.rand(5, 32, 48, 3) * 2 - 1).shape == (16, 2, 4, 6)
        assert encoders.text("a  dog\nruns").shape == (3, 32)
        assert torch.equal(encoders.text("a  dog\nruns"), encoders.text(" a dog runs "))
        assert not torch.equal(encoders.text("a dog"), encoders.text("a runs"))
        assert encoders.image(torch.randint(0, 256, (32, 48, 3), dtype=torch.uint8)).shape == (5, 16)
        assert len(encoders.fingerprint) == 16

    def test_clip_gives_the_layer_before_its_last(self, folder):
        import transformers

        picture = torch.full((28, 28, 3), 128, dtype=torch.uint8)
        network = transformers.CLIPVisionModel.from_pretrained(folder / "image_encoder")
        mean, deviation = (
            torch.tensor([0.48145466, 0.4578275, 0.40821073]),
            torch.tensor([0.26862954, 0.26130258, 0.27577711]),
        )
        given = ((picture / 255 - mean) / deviation).permute(2, 0, 1)[None]
        with torch.no_grad():
            wanted = network(given, output_hidden_states=True).hidden_states[2][0]
        assert torch.allclose(load_encoders(folder).image(picture), wanted, atol=1e-5)

    def test_other_weights_have_another_fingerprint(self, tmp_path):
        (tmp_path / "a.safetensors").write_bytes(b"x" * 3_000_000)
        one = fingerprint([tmp_path / "a.safetensors"])
        (tmp_path / "a.safetensors").write_bytes(b"x" * 2_999_999 + b"y")
        assert fingerprint([tmp_path / "a.safetensors"]) != one

    def test_what_is_missing_or_damaged_is_told(self, folder, tmp_path):
        with pytest.raises(EX4DError, match="lacks text_encoder: a folder with vae, text_encoder"):
            load_encoders(tmp_path)
        (tmp_path / "bad.safetensors").write_bytes(b"no tensors")
        with pytest.raises(EX4DError, match=r"bad\.safetensors .* cannot be read"):
            video_encoder(tmp_path / "bad.safetensors")
        (tmp_path / "vae").mkdir()
        with pytest.raises(EX4DError, match="vae' cannot be read: "):
            load_encoders(folder, vae=tmp_path / "vae")

    def test_the_vae_in_half_precision_is_near_and_what_that_cannot_hold_is_not_lost(self, reference):
        path, pictures = reference / "adapter" / "vae_tiny8.safetensors", torch.rand(5, 32, 48, 3) * 2 - 1
        wide, half = video_encoder(path), video_encoder(path, dtype=torch.float16)
        wanted, found = wide(pictures), half(pictures)
        assert 0 < float((found - wanted).norm() / wanted.norm()) < 5e-3
        assert torch.equal(half(1e6 * pictures), wide(1e6 * pictures))

    def test_the_vae_gives_the_recorded_latents(self, reference, large_reference):
        """Target, start image, colour and mask as the published code encodes them, from the file that it reads."""
        path = large_reference / "training" / "samples.safetensors"
        if not path.is_file():
            pytest.skip(f"the recordings of training are not at {path.parent}")
        samples = load_file(path)
        encoders = Encoders(video_encoder(reference / "adapter" / "vae_tiny8.safetensors"), len, len, "")
        frames = samples["s1_pixels_u8"].permute(1, 2, 3, 0)
        pictures = frames.float() / 255 * 2 - 1
        color, mask = encode_condition(frames, samples["s1_mask01"] > 0.5, encoders)
        found = {
            "target": encoders.video(pictures),
            "y": encode_start(pictures, encoders),
            "colour": color,
            "mask_latent": mask,
        }
        for name, value in found.items():
            wanted = samples[f"s1_{name}"]
            assert float((value - wanted).norm() / wanted.norm()) <= 1e-5, name


class TestCommand:
    def test_videos_become_clips_that_train(self, videos, tmp_path, monkeypatch, capsys):
        monkeypatch.setattr("ex4d_core.training.encoders.load_encoders", lambda *_args, **_keywords: stand_in())
        words = [
            "prepare", "--videos", str(videos), "--output_dir", str(tmp_path / "cache"), "--encoders", "e", "--num_frames",
            "5", "--size", "64x48", "--kind", "tracking", "--variants", "1",
        ]  # fmt: skip
        assert main(words) == 0
        err = capsys.readouterr().err
        assert "2 clips of 4 videos, 2 dropped, 0 left" in err and "c.mp4: It has 4 frames" in err
        assert re.search(r"a clip takes \d+\.\d\d s with one mask, \d+\.\d\d s for each further one \(reading", err)
        assert main(words) == 0 and "a clip takes" not in capsys.readouterr().err  # nothing was left to be made
        write_base(tmp_path / "base.safetensors")
        assert main(["train", "--config", str(write_config(tmp_path, "run", optimiser={"steps": 2, "batch": 2}))]) == 0
        losses = [json.loads(line)["loss"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
        assert len(losses) == 2 and np.isfinite(losses).all()

    @pytest.mark.parametrize(
        ("flags", "says"),
        [
            ([], "4 of 4 videos have none"),
            (["--kind", "tracking"], "lacks text_encoder"),
            (["--part", "4/4"], "--part must be like 0/4, up to 3/4, got '4/4'"),
            (["--num_frames", "6"], "Wan takes 4n + 1 frames, got 6"),
        ],
    )
    def test_what_cannot_work_is_refused_before_anything_is_written(self, videos, tmp_path, capsys, flags, says):
        words = [
            "prepare",
            "--videos",
            str(videos),
            "--output_dir",
            str(tmp_path / "cache"),
            "--encoders",
            str(tmp_path),
        ]
        assert main([*words, *flags]) == 2
        assert says in capsys.readouterr().err and not (tmp_path / "cache").exists()
