"""What a run tells besides its log: previews in a process beside it, and boards."""

from __future__ import annotations

import importlib.machinery
import json
import os
import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from training_files import write_all, write_config
from training_trials import go, log_of

from ex4d_core.commands.cli import main
from ex4d_core.commands.train import check_preview, step_line
from ex4d_core.errors import EX4DError
from ex4d_core.training import previews
from ex4d_core.training.config import load_config
from ex4d_core.training.loop import StepReport
from ex4d_core.training.peaks import PEAKS, peak_of
from ex4d_core.training.previews import Previews, own_gpu, preview_words
from ex4d_core.wan.checkpoint import load_adapter

pytestmark = pytest.mark.usefixtures("one_thread")

CHILD = """
import json, os, shutil, sys, time
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
while words.get("--wait") and not os.path.exists(words["--wait"]):
    time.sleep(0.01)
if "--fail" in words:
    sys.exit("error: " + words["--fail"])
shutil.copy(words["--ex4d_path"], words["--output_video"] + ".safetensors")
shutil.copy(words["--color_video"], words["--output_video"])
with open(words["--output_video"] + ".json", "w") as file:
    json.dump([words, os.environ.get("RANK"), os.environ.get("CUDA_VISIBLE_DEVICES")], file)
"""
"""Stands for generate: takes its flags, copies the clip, and keeps what it was given."""


@pytest.fixture()
def folder(tmp_path):
    from ex4d_core.video import save_video

    write_all(tmp_path)
    save_video(tmp_path / "clip.mp4", torch.zeros(5, 32, 48, 3, dtype=torch.uint8), 15)
    (tmp_path / "child.py").write_text(CHILD, encoding="utf-8")
    return tmp_path


@pytest.fixture()
def child(folder, monkeypatch):
    """Its words in place of generate's."""
    command = (sys.executable, "-S", str(folder / "child.py"))
    monkeypatch.setattr(previews.Previews.__init__, "__defaults__", (command,))
    return command


def asked(folder, **changes):
    return {"every_steps": 2, "color": str(folder / "clip.mp4"), **changes}


class TestPreviews:
    def test_films_of_the_average_are_made_beside_the_run(self, folder, child, monkeypatch):
        monkeypatch.setenv("RANK", "0")
        said = []
        preview = asked(folder, every_steps=4, prompt="a dog", gpu="1", flags="--steps '3 4'")
        go(write_config(folder, "a", optimiser={"ema": 0.5}, preview=preview), say=said.append)
        film = folder / "a" / "previews" / "step-000004.mp4"
        assert any(text == f"preview of step 4: {film}" for text in said) and film.is_file()
        given, rank, gpu = json.loads((film.parent / f"{film.name}.json").read_text(encoding="utf-8"))
        assert rank is None and gpu == "1" and given["--prompt"] == "a dog" and given["--steps"] == "3 4"
        assert given["--dit_dir"] == str(folder / "base.safetensors") and "--mask_video" not in given
        used, average = (
            load_file(path)
            for path in (film.parent / f"{film.name}.safetensors", folder / "a/step-000004/adapter_ema.safetensors")
        )
        assert all(torch.equal(used[name], average[name]) for name in average)
        left = {path.name for path in film.parent.iterdir()} - {f"{film.name}.json", f"{film.name}.safetensors"}
        assert left == {film.name}

    def test_one_that_fails_ends_nothing(self, folder, child):
        said = []
        preview = asked(folder, every_steps=4, flags="--fail 'no ComfyUI here'")
        go(write_config(folder, "a", preview=preview), say=said.append)
        assert "the preview of step 4 failed: error: no ComfyUI here" in said and len(log_of(folder / "a")) == 4
        assert [path.name for path in (folder / "a" / "previews").iterdir()] == ["step-000004.txt"]

    def test_there_is_one_at_a_time_and_a_stopped_run_waits_for_none(self, folder, child):
        said, steps = [], []
        preview = asked(folder, flags=f"--wait {folder / 'never'}")
        config = write_config(folder, "a", optimiser={"steps": 6}, preview=preview)
        go(config, say=said.append, report=lambda step: steps.append(step.step), cancel=lambda: len(steps) >= 4)
        assert "no preview of step 4: the one before is still being made" in said
        assert not list((folder / "a" / "previews").glob("*.mp4"))

    def test_the_adapter_it_is_given_is_a_whole_one(self, folder, child):
        go(write_config(folder, "a", preview=asked(folder, every_steps=4)))
        assert load_adapter(folder / "a/previews/step-000004.mp4.safetensors").rank == 2

    @pytest.mark.parametrize(
        ("changes", "says"),
        [
            ({"color": ""}, "preview.color names no clip"),
            ({"flags": "--comfyui nowhere"}, "There is no ComfyUI checkout at nowhere"),
            ({"flags": "--stepps 3"}, "generate has no --stepps"),
            ({"flags": "--fps soon"}, "preview.flags are not those of generate"),
            ({"flags": "'--fps"}, "preview.flags cannot be read"),
        ],
    )
    def test_what_generate_would_refuse_is_refused_before_the_run(self, folder, changes, says, capsys):
        with pytest.raises(EX4DError, match=says):
            check_preview(load_config(write_config(folder, "a", preview=asked(folder, **changes))))
        assert main(["train", "--config", str(write_config(folder, "a", preview=asked(folder, **changes)))]) == 2
        assert "error: " in capsys.readouterr().err and not (folder / "a").exists()

    def test_flags_come_last_and_win(self, folder):
        config = load_config(write_config(folder, "a", preview=asked(folder, flags="--prompt other", prompt="one")))
        words = preview_words(config, folder / "x", folder / "y.mp4")
        assert words[words.index("--prompt") + 1] == "one" and words[-2:] == ["--prompt", "other"]
        assert Previews(config)._command[1:] == ("-m", "ex4d_core", "generate")


def test_a_preview_shares_the_gpu_that_the_run_was_put_on():
    given = [
        ("auto", ""),
        ("cuda", "2,3"),
        ("cpu", ""),
        ("cuda:1", ""),
        ("cuda:1", "2,3"),
        ("cuda:0", "GPU-5f, GPU-6a"),
    ]
    assert [own_gpu(*each) for each in given] == ["", "", "", "1", "3", "GPU-5f"]


class Board:
    """Stands for one of accelerate's trackers."""

    def __init__(self, *names, **options):
        self.names, self.options, self.told = names, options, []

    def start(self):
        self.told.append("started")

    def store_init_configuration(self, values):
        self.told.append(values)

    def log(self, values, step):
        self.told.append((step, values))

    def log_images(self, values, step, **options):
        self.told.append((step, {name: np.shape(value) for name, value in values.items()}, options))

    def finish(self):
        self.told.append("finished")


@pytest.fixture()
def boards(monkeypatch):
    """accelerate, tensorboard and wandb as if they were installed; what was written on them."""
    made = {}

    def kind(name):
        return lambda *names, **options: made.setdefault(name, type(name, (Board,), {"name": name})(*names, **options))

    accelerate, tracking = (types.ModuleType(name) for name in ("accelerate", "accelerate.tracking"))
    tracking.TensorBoardTracker, tracking.WandBTracker = kind("tensorboard"), kind("wandb")
    accelerate.tracking = tracking
    for module in (accelerate, tracking, types.ModuleType("tensorboard"), types.ModuleType("wandb")):
        module.__spec__ = importlib.machinery.ModuleSpec(module.__name__, None)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    return made


class TestBoards:
    def test_numbers_validation_and_films_are_on_both(self, folder, child, boards, monkeypatch):
        both = {"log": {"tensorboard": True, "wandb": True, "project": "mine"}}
        config = write_config(folder, "a", preview=asked(folder, every_steps=4), validation={"every_steps": 4}, **both)
        go(config)
        assert boards["tensorboard"].names == ("tensorboard", str(folder / "a"))
        assert boards["wandb"].names == ("mine",) and boards["wandb"].options["dir"] == str(folder / "a")
        assert os.environ["WANDB_MODE"] == "offline"
        for board in boards.values():
            begun, settings, *lines, ended = board.told
            assert (begun, ended) == ("started", "finished") and settings["optimiser.steps"] == 4
            steps = [line for line in lines if "loss" in line[1]]
            assert [step for step, _ in steps] == [1, 2, 3, 4] and "step" not in steps[0][1]
            assert steps[1][1]["loss"] == log_of(folder / "a")[2]["loss"]
            measured = [line for line in lines if "validation/adapter/holes" in line[1]]
            assert [step for step, _ in measured] == [0, 4]
            (film,) = [line for line in lines if "preview" in line[1]]
            assert film[:2] == (4, {"preview": (5, 32, 48, 3)})
        assert boards["tensorboard"].told[-2][2] == {"dataformats": "NHWC"}

    def test_without_being_asked_for_there_is_none(self, folder, boards):
        go(write_config(folder, "a"))
        assert boards == {}

    def test_what_is_not_installed_is_told_before_the_run(self, folder, monkeypatch, capsys):
        real = importlib.util.find_spec
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name, *rest: None if name == "wandb" else real(name, *rest)
        )
        monkeypatch.setitem(sys.modules, "accelerate", types.ModuleType("accelerate"))
        sys.modules["accelerate"].__spec__ = importlib.machinery.ModuleSpec("accelerate", None)
        config = write_config(folder, "a", log={"wandb": True})
        assert main(["train", "--config", str(config)]) == 2
        told = "log.wandb needs wandb, which is not installed. Run: pip install accelerate wandb"
        assert told in capsys.readouterr().err and not (folder / "a").exists()

    def test_one_that_does_not_open_is_told(self, folder, boards, monkeypatch):
        def broken(self):
            raise RuntimeError("no space")

        monkeypatch.setattr(Board, "start", broken)
        with pytest.raises(EX4DError, match=r"A board cannot be opened: no space\."):
            go(write_config(folder, "a", log={"tensorboard": True}))

    def test_one_that_fails_later_is_left_out_and_ends_nothing(self, folder, boards, monkeypatch):
        def broken(self, values, step):
            if self.name == "wandb" and step == 2:
                raise OSError("no connection")
            self.told.append((step, values))

        monkeypatch.setattr(Board, "log", broken)
        said = []
        go(write_config(folder, "a", log={"tensorboard": True, "wandb": True}), say=said.append)
        assert said.count("wandb is written to no more: no connection") == 1 and len(log_of(folder / "a")) == 4
        assert [step for step, _ in boards["tensorboard"].told[2:-1]] == [1, 2, 3, 4]
        assert [step for step, _ in boards["wandb"].told[2:]] == [1]

    def test_a_resumed_run_hides_what_it_does_again(self, folder, boards):
        log = {"tensorboard": True}
        go(write_config(folder, "a", optimiser={"steps": 2}, log=log))
        assert "purge_step" not in boards.pop("tensorboard").options
        go(write_config(folder, "a", optimiser={"steps": 3}, log=log), resume=True)
        assert boards["tensorboard"].options == {"purge_step": 3}


class TestNumbers:
    def test_a_line_tells_what_became_of_the_time(self):
        step = StepReport(3, 0.5, 0.4, 0.8, 1.0, 1.0, 3.2, 0.016, 4160.0, 0.353, 50 * 2**30)
        told = step_line(step)
        assert told == (
            "loss 0.50000  3.20 s a step, 4,160 tokens/s, 35% of the GPU's peak, 50.0 GiB, 0.5% of the time waiting for clips"
        )

    def test_the_arithmetic_of_a_step_is_logged_where_the_peak_is_known(self, folder, monkeypatch):
        monkeypatch.setattr("torch.cuda.get_device_name", lambda _device: "NVIDIA H200")
        go(write_config(folder, "a", optimiser={"steps": 1}))
        assert log_of(folder / "a")[0]["mfu"] is None and log_of(folder / "a")[0]["memory"] == 0

    def test_gpus_are_known_by_the_name_that_the_driver_gives(self):
        known = {
            "NVIDIA H200": 989.4, "NVIDIA H200 NVL": 835.5, "NVIDIA H100 80GB HBM3": 989.4, "NVIDIA H100 PCIe": 756,
            "NVIDIA A100-SXM4-80GB": 312, "NVIDIA GeForce RTX 4090": 165.2, "NVIDIA RTX 6000 Ada Generation": 364.2,
            "NVIDIA GB200": 2500, "NVIDIA GH200 480GB": 989.4,
        }  # fmt: skip
        assert {name: peak_of(name) / 1e12 for name in known} == known
        others = ("RTX 4090 Laptop GPU", "RTX 4090 D", "RTX 3090 Ti", "H100 80GB HBM3 MIG 1g.10gb", "A100X", "B2000")
        assert not any(peak_of(f"NVIDIA {name}") for name in others) and peak_of("AMD Instinct MI300X") is None
        assert {name: peak_of(f"NVIDIA {name}") for name in PEAKS} == PEAKS  # no name hides behind a shorter one
