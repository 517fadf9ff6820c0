"""Runs of the smallest size: what is saved, what goes on from it, and what several processes make of the same batch."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace

import pytest
import torch
import training_trials
from safetensors.torch import load_file, save_file
from training_files import SHAPE, VARIANTS, write_all, write_cache, write_config
from training_trials import files, free_port, go, log_of, process, same

from ex4d_core.commands.cli import main
from ex4d_core.errors import EX4DError
from ex4d_core.training.cache import check_key, load_sample, load_seen, open_cache
from ex4d_core.training.config import RunConfig, load_config
from ex4d_core.training.estimate import estimate
from ex4d_core.training.loop import begin, draw_sample, samples_of, train
from ex4d_core.training.model import Geometry, Wan, add_adapter, trained
from ex4d_core.training.ranks import Ranks, joined
from ex4d_core.training.saved import cut_log, steps_in
from ex4d_core.training.sharding import mesh_shape
from ex4d_core.training.step import error_of
from ex4d_core.training.validation import validate, validation_clips
from ex4d_core.wan.backbone import ModelSize
from ex4d_core.wan.checkpoint import convert, load_adapter

ALONE = Ranks(0, 1, torch.device("cpu"))


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_all(tmp_path_factory.mktemp("training"))


@pytest.fixture()
def folder(made, tmp_path):
    """Base and cache of this test's own."""
    shutil.copytree(made, tmp_path / "files")
    return tmp_path / "files"


class TestResuming:
    def test_ten_and_ten_steps_are_twenty_to_the_bit(self, folder):
        extras = {"ema": 0.9, "clip_norm": 1.0}
        go(write_config(folder, "whole", optimiser={"steps": 20, **extras}))
        go(write_config(folder, "parts", optimiser={"steps": 10, **extras}))
        go(write_config(folder, "parts", optimiser={"steps": 20, **extras}), resume=True)
        assert same(files(folder / "whole", 20), files(folder / "parts", 20))
        averages = [load_file(folder / name / "step-000020" / "adapter_ema.safetensors") for name in ("whole", "parts")]
        assert same(*averages)
        assert not same(averages[0], load_file(folder / "whole" / "step-000020" / "adapter.safetensors"))
        losses = [[line["loss"] for line in log_of(folder / name)] for name in ("whole", "parts")]
        assert losses[0] == losses[1] and len(losses[0]) == 20

    def test_a_cancelled_run_saves_its_step_and_goes_on_from_it(self, folder):
        calls = []
        config = write_config(folder, "cut", optimiser={"steps": 6})
        go(config, cancel=lambda: len(calls) == 2, report=lambda step: calls.append(step.step))
        assert [path.name for path in steps_in(folder / "cut")] == ["step-000003"]
        go(config, resume=True)
        go(write_config(folder, "whole", optimiser={"steps": 6}))
        assert same(files(folder / "whole", 6), files(folder / "cut", 6))

    def test_another_configuration_base_or_cache_is_refused(self, folder):
        go(write_config(folder, "a", optimiser={"steps": 1}))
        with pytest.raises(EX4DError, match=r"configured otherwise \(optimiser.learning_rate: 0.001, now 0.01\)"):
            go(write_config(folder, "a", optimiser={"steps": 2, "learning_rate": 0.01}), resume=True)
        write_cache(folder / "other", clips=2)
        with pytest.raises(EX4DError, match="begun with another cache"):
            go(write_config(folder, "a", optimiser={"steps": 2}, data={"cache": str(folder / "other")}), resume=True)
        base = load_file(folder / "base.safetensors")
        save_file({name: value.half() for name, value in base.items()}, folder / "half.safetensors")
        with pytest.raises(EX4DError, match="begun with another base"):
            go(write_config(folder, "a", model={"base": str(folder / "half.safetensors")}), resume=True)

    def test_a_run_is_neither_overwritten_nor_resumed_where_there_is_none(self, folder):
        config = write_config(folder, "a", optimiser={"steps": 1})
        with pytest.raises(EX4DError, match="no saved step in"):
            go(config, resume=True)
        go(config)
        with pytest.raises(EX4DError, match="holds a run already, saved at step-000001"):
            go(config)

    @pytest.mark.parametrize("lost", ["state.safetensors", "run.json", "adapter.safetensors"])
    def test_a_damaged_step_is_told(self, folder, lost):
        config = write_config(folder, "a", optimiser={"steps": 2}, save={"every_steps": 1})
        go(config)
        path = folder / "a" / "step-000002" / lost
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(EX4DError, match=r"damaged|cannot be read"):
            go(config, resume=True)


class TestSaving:
    def test_the_newest_and_the_best_stay(self, folder, monkeypatch):
        losses = iter([5.0, 1.0, 2.0, 3.0, 4.0, 4.5])
        real = validate

        def scripted(*args):
            found = real(*args)
            found.adapter["holes"] = next(losses)
            return found

        monkeypatch.setattr("ex4d_core.training.loop.validate", scripted)
        options = {"save": {"every_steps": 1, "keep": 2}, "validation": {"every_steps": 1}}
        go(write_config(folder, "a", optimiser={"steps": 5}, **options))
        assert [path.name for path in steps_in(folder / "a")] == ["step-000001", "step-000004", "step-000005"]

    def test_minutes_count_too(self, folder, monkeypatch):
        clock = iter(range(0, 10**6, 20))
        monkeypatch.setattr("ex4d_core.training.loop.time.monotonic", lambda: float(next(clock)))
        go(write_config(folder, "a", optimiser={"steps": 4, "batch": 1}, save={"every_minutes": 1.5, "keep": 0}))
        assert len(steps_in(folder / "a")) > 1

    def test_what_it_writes_loads_in_the_nodes_and_converts(self, folder):
        go(write_config(folder, "a", optimiser={"steps": 2}))
        path = folder / "a" / "step-000002" / "adapter.safetensors"
        adapter = load_adapter(path)
        assert adapter.rank == 2 and adapter.hidden == 8 and len(adapter.state_dict()) == 28
        assert len(load_file(path)) == 28 and {value.dtype for value in load_file(path).values()} == {torch.float32}
        assert convert(path, folder / "converted.safetensors").summary().endswith("prior encoder 8 -> 128")

    def test_a_run_starts_from_an_adapter_file(self, folder):
        go(write_config(folder, "a", optimiser={"steps": 2}))
        start = folder / "a" / "step-000002" / "adapter.safetensors"
        run = begin(load_config(write_config(folder, "b", model={"adapter": str(start)})), ALONE)
        assert same({name: value.detach() for name, value in run.parameters.items()}, load_file(start))
        with pytest.raises(EX4DError, match="Set the run's rank and prior width to the file's"):
            begin(load_config(write_config(folder, "c", model={"adapter": str(start), "rank": 4})), ALONE)

    def test_a_disk_that_fills_up_loses_no_earlier_step(self, folder, monkeypatch):
        import safetensors.torch

        config = write_config(folder, "a", optimiser={"steps": 2}, save={"every_steps": 1})
        real, count = safetensors.torch.save_file, []

        def full(*args, **keywords):
            count.append(1)
            if len(count) > 3:
                raise OSError(28, "No space left on device", str(args[1]))
            return real(*args, **keywords)

        monkeypatch.setattr(safetensors.torch, "save_file", full)
        with pytest.raises(EX4DError, match="The disk is full"):
            go(config)
        monkeypatch.undo()
        assert sorted(path.name for path in (folder / "a").iterdir()) == ["config.json", "log.jsonl", "step-000001"]
        go(config, resume=True)
        assert [path.name for path in steps_in(folder / "a")] == ["step-000001", "step-000002"]

    def test_the_whole_configuration_is_written_down(self, folder):
        go(write_config(folder, "a", optimiser={"steps": 1}))
        written = json.loads((folder / "a" / "config.json").read_text(encoding="utf-8"))
        assert written["optimiser"]["objective"] == "published" and written["model"]["rank"] == 2
        assert load_config(folder / "a" / "config.json").seed == 3


class TestSteps:
    def test_every_number_of_a_step_is_logged(self, folder):
        go(write_config(folder, "a", optimiser={"steps": 2}))
        for number, line in enumerate(log_of(folder / "a"), 1):
            assert line["step"] == number and line["loss"] > 0 and line["norm_lora"] > 0 and line["norm_prior"] > 0
            assert 0 < line["sigma"] < 1 and line["tokens_per_second"] > 0

    def test_training_lowers_the_error_on_its_clips(self, folder):
        run = begin(load_config(write_config(folder, "a", optimiser={"steps": 30, "learning_rate": 0.01})), ALONE)
        clips = run.cache.split("train")
        before = validate(run.wan, run.cache, clips, 0, ALONE)
        train(run, ALONE)
        after = validate(run.wan, run.cache, clips, 0, ALONE)
        assert after.adapter["all"] < 0.97 * before.adapter["all"]
        assert after.base == before.base == before.adapter  # a fresh adapter changes nothing, and the base never moves

    def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_clip(self, folder):
        path = folder / "cache" / "clip_1.safetensors"
        save_file(load_file(path) | {"target": torch.full((16, *SHAPE), float("nan"), dtype=torch.bfloat16)}, path)
        config = write_config(folder, "a", optimiser={"steps": 40, "batch": 2})
        with pytest.raises(
            EX4DError, match=r"not a finite number in step \d+, from sample \d+ \(clip clip 1, timestep"
        ):
            go(config)
        lines = log_of(folder / "a") if (folder / "a" / "log.jsonl").exists() else []
        assert all(line["loss"] == line["loss"] for line in lines) and not steps_in(folder / "a")

    def test_clips_and_masks_are_drawn_evenly_and_text_is_dropped_as_often_as_asked(self, folder):
        cache = open_cache(folder / "cache")
        clips = cache.split("train")
        config = load_config(write_config(folder, "a", data={"caption_dropout": 0.25}))
        samples = [draw_sample(cache, clips, config, number) for number in range(200)]
        names = [sample.name for sample in samples]
        assert {names.count(clip.name) > 45 for clip in clips} == {True}
        firsts = [
            any(torch.equal(sample.color, load_sample(cache, clip, 0).color) for clip in clips) for sample in samples
        ]
        assert 0.38 < sum(firsts) / 200 < 0.62
        assert 0.15 < sum(len(sample.text) == 1 for sample in samples) / 200 < 0.35

    def test_the_next_steps_first_sample_is_read_while_this_step_is_computed(self, folder, monkeypatch):
        read, computed, real = [], [], draw_sample

        def computing(*args):
            deadline = time.monotonic() + 120
            while len(read) < min(len(computed) + 2, 3) and time.monotonic() < deadline:
                time.sleep(0.001)
            computed.append(tuple(read))
            return error_of(*args)

        monkeypatch.setattr(
            "ex4d_core.training.loop.draw_sample", lambda *args: (read.append(args[-1]), real(*args))[1]
        )
        monkeypatch.setattr("ex4d_core.training.loop.error_of", computing)
        go(write_config(folder, "a", optimiser={"steps": 3, "batch": 1}))
        assert computed == [(0, 1), (0, 1, 2), (0, 1, 2)]  # none is read beyond the last

    def test_ranks_share_a_batch_without_overlap(self):
        for count in (1, 2, 4):
            parts = [samples_of(3, 8, Ranks(rank, count, torch.device("cpu"))) for rank in range(count)]
            assert sorted(itertools.chain(*parts)) == list(range(24, 32)) and {len(part) for part in parts} == {
                8 // count
            }

    def test_a_batch_that_ranks_cannot_share_is_refused(self, folder):
        with pytest.raises(EX4DError, match=r"batch of 4 cannot be shared by 3 processes\. Use a multiple of 3"):
            begin(load_config(write_config(folder, "a")), Ranks(0, 3, torch.device("cpu")))


class TestValidation:
    def test_regions_are_weighed_by_their_size_and_noise_is_fixed(self, folder):
        run = begin(load_config(write_config(folder, "a")), ALONE)
        clips = validation_clips(run.cache, 8)
        assert [clip.split for clip in clips] == ["validation"]
        found = validate(run.wan, run.cache, clips, 0, ALONE)
        holes = float((~load_seen(run.cache, clips[0], 0)).float().mean())
        values = found.base
        assert values["all"] == pytest.approx(holes * values["holes"] + (1 - holes) * values["seen"], rel=1e-6)
        assert validate(run.wan, run.cache, clips, 0, ALONE) == found
        assert validate(run.wan, run.cache, clips, 1, ALONE) != found

    def test_it_is_logged_before_the_first_step_and_after_the_last(self, folder):
        said = []
        go(write_config(folder, "a", optimiser={"steps": 3}, validation={"every_steps": 2}), say=said.append)
        steps = [line["step"] for line in log_of(folder / "a") if "validation" in line]
        assert steps == [0, 2, 3]
        assert any(text.startswith("validation at step 2: all ") and "(base " in text for text in said)

    def test_without_a_split_of_its_own_it_takes_the_first_clips(self, folder):
        write_cache(folder / "other", clips=3, validation=0)
        assert [clip.name for clip in validation_clips(open_cache(folder / "other"), 2)] == ["clip 0", "clip 1"]


class TestCache:
    def test_masks_come_back_as_they_went_in(self, folder):
        cache = open_cache(folder / "cache")
        for variant in range(VARIANTS):
            seen = load_seen(cache, cache.clips[0], variant)
            assert seen.shape == (5, 32, 48) and int((~seen).sum()) == 5 * 32 * 16 * (variant + 1)

    def test_what_is_not_there_is_told(self, folder):
        cache = open_cache(folder / "cache")
        with pytest.raises(EX4DError, match="lacks color_7"):
            load_sample(cache, cache.clips[0], 7)
        with pytest.raises(EX4DError, match=r"holds no prepared clips: key.json is missing"):
            open_cache(folder)
        (folder / "cache" / "index.jsonl").write_text('{"name": 3}\n', encoding="utf-8")
        with pytest.raises(EX4DError, match=r"index of .* is damaged"):
            open_cache(folder / "cache")

    def test_another_version_and_other_encoders_are_refused(self, folder):
        check_key(open_cache(folder / "cache"), {"vae": "none"})
        with pytest.raises(EX4DError, match=r"prepared with another vae \(none, wanted 3f\)"):
            check_key(open_cache(folder / "cache"), {"vae": "3f"})
        (folder / "cache" / "key.json").write_text('{"version": 0}', encoding="utf-8")
        with pytest.raises(EX4DError, match="of version 0 of the format"):
            open_cache(folder / "cache")


class TestConfig:
    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ("optimiser.learning_rte=1", r"no optimiser\.learning_rte. Did you mean learning_rate"),
            ("optimizer.steps=1", r"no optimizer. Did you mean optimiser"),
            ("optimiser.steps=1.5", "optimiser.steps must be a whole number, got 1.5"),
            ("optimiser.steps=true", "must be a whole number, got True"),
            ("model.streamed=2", "model.streamed needs model.checkpointing full or offloaded, got off"),
            ("optimiser.objective=mine", "must be one of published, unweighted, logit_normal, got 'mine'"),
            ("optimiser.steps=0", "optimiser.steps must lie between 1 and"),
            ("optimiser.ema=1", "optimiser.ema must lie between 0 and"),
            ("model=3", "model must be a table, got 3"),
            ("model.base.x=3", "base is no table"),
            ("steps", "not of the form table.key=value"),
            ("model.base=", r"names no model\.base"),
        ],
    )
    def test_slips_are_named(self, folder, change, says):
        with pytest.raises(EX4DError, match=says):
            load_config(write_config(folder, "a"), [change])

    def test_changes_win_over_the_file_and_defaults_are_the_published(self, folder):
        config = load_config(write_config(folder, "a"), ["optimiser.steps=7", "data.caption_dropout=0.5"])
        assert (config.optimiser.steps, config.data.caption_dropout, config.optimiser.batch) == (7, 0.5, 4)
        assert RunConfig().optimiser.learning_rate == 3e-5 and RunConfig().optimiser.batch == 32

    @pytest.mark.skipif(sys.version_info < (3, 11), reason="TOML is read from Python 3.11 on")
    def test_toml_is_read(self, tmp_path):
        path = tmp_path / "run.toml"
        path.write_text('output = "out"\n[model]\nbase = "wan"\n[data]\ncache = "clips"\n', encoding="utf-8")
        assert load_config(path).model.base == "wan"
        path.write_text("output = \n", encoding="utf-8")
        with pytest.raises(EX4DError, match=r"run.toml' cannot be read: "):
            load_config(path)

    def test_no_file_is_told(self, tmp_path):
        with pytest.raises(EX4DError, match="There is no configuration at"):
            load_config(tmp_path / "none.toml")


class TestEstimate:
    def test_the_14b_at_49_frames_takes_what_was_counted(self):
        """Counted apart: 1104 TFLOP, 1656 executed, 99.8 million numbers, 30.5 GiB of weights, 10.2 GiB kept."""
        found = estimate(Geometry(ModelSize(5120, 13824, 40, 36)), (13, 64, 64), RunConfig())
        assert found.tokens == 13312 and found.trained == 99_786_752
        assert found.flops / 1e12 == pytest.approx(1104, rel=0.005)
        assert found.executed / 1e12 == pytest.approx(1656, rel=0.005)
        assert found.memory["kept for the backward pass"] / 2**30 == pytest.approx(10.2, abs=0.1)
        assert found.memory["frozen weights"] / 2**30 == pytest.approx(30.5, rel=0.05)

    @pytest.mark.parametrize(("checkpointing", "measured"), [("full", 34.5), ("offloaded", 25.2)])
    def test_weights_spread_over_two_cards_take_what_was_measured(self, checkpointing, measured):
        """On two H200."""
        config = load_config_of(sharded=True, checkpointing=checkpointing)
        found = estimate(Geometry(ModelSize(5120, 13824, 40, 36)), (13, 64, 64), config, processes=2)
        assert found.total / 2**30 == pytest.approx(measured, rel=0.1)

    def test_what_is_streamed_waits_in_the_computers_memory(self):
        """40 blocks of 10 * 5120^2 + 2 * 5120 * 13824 numbers; two of them are on the card at a time."""
        config = load_config_of(streamed=99, checkpointing="offloaded")
        found = estimate(Geometry(ModelSize(5120, 13824, 40, 36)), (13, 64, 64), config)
        block = 2 * (10 * 5120**2 + 2 * 5120 * 13824)
        assert found.memory["frozen weights"] == 2 * block + 2 * 6 * 5120**2
        assert found.waiting == 40 * (block + 4 * 13312 * 5120)

    def test_trained_numbers_are_those_of_the_network(self):
        geometry = Geometry(ModelSize(128, 64, 2, 36))
        wan = Wan(geometry)
        config = load_config_of(rank=3, prior_width=5)
        add_adapter(wan, rank=3, hidden=5)
        assert estimate(geometry, SHAPE, config).trained == sum(value.numel() for value in trained(wan).values())


def load_config_of(**model):
    return replace(RunConfig(), model=replace(RunConfig().model, **model))


class TestCommand:
    def test_it_trains_and_says_where(self, folder, capsys):
        assert main(["train", "--config", str(write_config(folder, "a")), "--set", "optimiser.steps=2"]) == 0
        out, err = capsys.readouterr()
        assert out.strip() == str(folder / "a") and "step 2/2  loss " in err and "saved step-000002" in err
        assert (
            main(["train", "--config", str(write_config(folder, "a")), "--set", "optimiser.steps=3", "--resume"]) == 0
        )

    def test_a_dry_run_says_what_it_takes_and_writes_nothing(self, folder, capsys):
        assert main(["train", "--config", str(write_config(folder, "a")), "--dry-run"]) == 0
        out = capsys.readouterr().out
        assert "3 clips to train on, 1 for validation, 6 masks" in out
        assert "4 steps of 4 samples on 1 process: each clip about 5.3 times" in out and "GiB  together" in out
        assert "about 0.0 hours where each process has an H200" in out
        assert not (folder / "a").exists()
        (folder / "cache" / "clip_2.safetensors").unlink()
        assert main(["train", "--config", str(write_config(folder, "a")), "--dry-run"]) == 2
        assert "1 prepared clips are missing" in capsys.readouterr().err


def test_sharding_takes_more_than_one_process(folder):
    with pytest.raises(EX4DError, match="spreads the weights over several processes, but there is one"):
        go(write_config(folder, "a", model={"sharded": True}))


def test_processes_that_do_not_fill_their_groups_are_told():
    assert mesh_shape(8, 0) == (8,) and mesh_shape(8, 4) == (2, 4) and mesh_shape(4, 4) == (4,)
    with pytest.raises(EX4DError, match="shard_group 3 does not part 8 processes"):
        mesh_shape(8, 3)


def test_two_and_four_processes_do_what_one_does(folder):
    """The same batch in another order of summation: gradients within rounding, updates within what that does to Adam."""
    training_trials.many_do_what_one_does(folder)


def test_a_killed_run_goes_on_from_its_last_saved_step(folder):
    """Three times, at whatever moment; ``python dev.py training`` does it twenty times."""
    training_trials.killed_and_resumed(folder, 3)


def test_a_process_that_is_left_alone_says_so_and_keeps_what_was_saved(folder):
    config = write_config(folder, "a", optimiser={"steps": 10**6, "batch": 2}, save={"every_steps": 1, "keep": 0})
    port = free_port()
    stays, leaves = (process(config, rank=rank, world=2, port=port) for rank in range(2))
    deadline = time.monotonic() + 240
    while not steps_in(folder / "a") and time.monotonic() < deadline:
        time.sleep(0.01)
    leaves.kill()
    told = stays.ended()
    assert stays.returncode == 2 and "error: Another process of this run has ended" in told and "Traceback" not in told
    go(write_config(folder, "a", optimiser={"steps": int(steps_in(folder / "a")[-1].name[5:]) + 1, "batch": 2}), True)


def test_what_is_damaged_or_comes_once_more_leaves_the_log(tmp_path):
    lines = ['{"step": 1}\n', '{"step": 2}\n', "\0\0\0\n", "[]\n", '{"step": 3}\n', '{"step": 2']
    (tmp_path / "log.jsonl").write_text("".join(lines), encoding="utf-8")
    cut_log(tmp_path, 2)
    assert [line["step"] for line in log_of(tmp_path)] == [1, 2]
    cut_log(tmp_path, 0)
    assert log_of(tmp_path) == []


def test_sigterm_saves_the_step(folder):
    running = process(write_config(folder, "a", optimiser={"steps": 100000, "batch": 1}))
    deadline = time.monotonic() + 240
    while not (folder / "a" / "log.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(running.pid, signal.SIGTERM)
    told = running.ended()
    assert running.returncode == 0 and "--resume goes on" in told
    (step,) = steps_in(folder / "a")
    assert int(step.name.removeprefix("step-")) == len(log_of(folder / "a"))


def test_a_group_of_one_needs_no_launcher(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "1")
    with joined("cpu") as ranks:
        assert (ranks.rank, ranks.count, ranks.first) == (0, 1, True)
    if not torch.cuda.is_available():
        with pytest.raises(EX4DError, match="torch sees no CUDA device here"), joined("cuda"):
            pass
