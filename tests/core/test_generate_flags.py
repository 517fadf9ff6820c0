"""What ``generate`` refuses before it starts a ComfyUI, how it hands arguments on, and how its child ends."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ex4d_core import __version__
from ex4d_core.commands import comfyui, generate
from ex4d_core.composite import KeepSettings
from ex4d_core.errors import Cancelled, EX4DError
from ex4d_core.machine import words
from ex4d_core.wan.job import Job

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture()
def arguments(tmp_path):
    """Parsed flags around files that exist; keyword arguments replace or add flags."""
    for name in ("color.mp4", "mask.mp4", "frames.npz"):
        (tmp_path / name).touch()

    def parse(**changes):
        flags = {"color_video": tmp_path / "color.mp4", "mask_video": tmp_path / "mask.mp4", "output_video": "out.mp4"}
        parser = argparse.ArgumentParser()
        generate.add_arguments(parser)
        return parser.parse_args([f"--{k}={v}" for k, v in (flags | changes).items() if v is not None])

    return parse


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"color_video": "missing.mp4"}, "no --color_video"),
        ({"mask_video": "missing.mp4"}, "no --mask_video"),
        ({"mask_video": None}, "give --mask_video"),
        ({"prompt_embeds": "missing.safetensors"}, "no --prompt_embeds"),
        ({"output_video": "out.gif"}, r"\.mp4"),
        ({"width": 50}, "multiples of 16"),
        ({"num_frames": 6}, "use 5 or 9"),
        ({"num_inference_steps": 0}, "at least one step"),
        ({"few_steps": 0}, "at least one step"),
        ({"shift": 0}, "positive number"),
        ({"segment_frames": 48}, r"4n \+ 1"),
        ({"erosion": "fixed", "erosion_size": 0}, "at least 1 pixel"),
        ({"fps": 0}, "--fps"),
        ({"keep_feather": 3}, "add --keep_seen"),
        ({"keep_match": "on"}, "add --keep_seen"),
        ({"keep_seen": 1.5}, "between 0 and 1"),
        ({"keep_seen": 1, "keep_feather": 500}, "from 0 to 128"),
        ({"comfy_args": "'--cpu"}, "--comfy_args"),
    ],
)
def test_wrong_flags_are_refused_before_comfyui_is_looked_for(arguments, changes, words):
    with pytest.raises(EX4DError, match=words):
        generate.run(arguments(comfyui="/nowhere", **changes))


def test_a_missing_comfyui_is_named(arguments):
    with pytest.raises(EX4DError, match="no ComfyUI checkout at /nowhere"):
        generate.run(arguments(comfyui="/nowhere"))


def test_a_few_steps_are_taken_at_cfg_1(arguments):
    assert generate.job_of(arguments(few_steps=4, cfg=5)).run.cfg == 1
    assert generate.job_of(arguments(cfg=3)).run.cfg == 3


def test_seen_pixels_are_kept_where_it_is_asked_for(arguments):
    assert generate.job_of(arguments()).keep is None
    job = generate.job_of(arguments(keep_seen=0.5, keep_feather=3, keep_blend="hard", keep_match="off"))
    assert job.keep == KeepSettings(0.5, 3, "hard", False)
    assert Job.from_json(job.to_json()) == job
    assert generate.job_of(arguments(keep_seen=1)).keep == KeepSettings()


@pytest.mark.parametrize(
    ("system", "text", "wanted"),
    [
        ("posix", "--lowvram --base-directory '/a b/c'", ["--lowvram", "--base-directory", "/a b/c"]),
        ("nt", r'--lowvram --base-directory "C:\a b\c"', ["--lowvram", "--base-directory", r"C:\a b\c"]),
        ("posix", "", []),
    ],
)
def test_arguments_for_comfyui_may_be_quoted(monkeypatch, system, text, wanted):
    monkeypatch.setattr(words, "os", SimpleNamespace(name=system))
    assert words.split_words(text, "--comfy_args") == wanted


# The child


@pytest.fixture()
def sleeping_comfyui(tmp_path):
    """A ComfyUI that tells its process id and then never gets anywhere."""
    folder = tmp_path / "ComfyUI"
    (folder / "comfy").mkdir(parents=True)
    (folder / "main.py").touch()
    (folder / "comfy" / "__init__.py").touch()
    (folder / "comfy" / "options.py").write_text(
        "import os, pathlib, time\n"
        "beside = pathlib.Path('child.new')\n"
        "beside.write_text(str(os.getpid()))\n"
        "beside.rename('child')\n"
        "time.sleep(3600)\n"
    )
    return folder


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def until(happened, what: str):
    """The value of ``happened`` as soon as it is true; the limit only ends a test that would wait for ever."""
    for _ in range(1200):
        if value := happened():
            return value
        time.sleep(0.1)
    raise AssertionError(f"never: {what}")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "Ctrl-C"])
def test_a_signal_ends_the_command_and_its_child(sleeping_comfyui, tmp_path, number):
    for name in ("color.mp4", "mask.mp4"):
        (tmp_path / name).touch()
    words = [
        "--color_video",
        tmp_path / "color.mp4",
        "--mask_video",
        tmp_path / "mask.mp4",
        "--comfyui",
        sleeping_comfyui,
    ]
    call = [sys.executable, "-m", "ex4d_core", "generate", *map(str, words), "--output_video", "out.mp4"]
    command = subprocess.Popen(call, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    child = None
    try:
        told = sleeping_comfyui / "child"
        until(lambda: told.exists() or command.poll() is not None, "the child started")
        assert command.poll() is None, command.stderr.read()
        child = int(told.read_text())
        command.send_signal(number)
        _, errors = command.communicate(timeout=120)
        assert command.returncode == 130, errors
        assert errors.strip() == "interrupted; nothing was written."
        until(lambda: not alive(child), "the child ended")
    finally:
        command.kill()
        command.wait()
        if child is not None and alive(child):
            os.kill(child, signal.SIGKILL)


@pytest.mark.skipif(os.name == "nt", reason="on Windows every child ends when it is told to")
def test_a_child_that_does_not_end_is_killed(monkeypatch):
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(3600)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"deaf\n"
    monkeypatch.setattr(comfyui, "interrupted", lambda: True)
    with pytest.raises(Cancelled):
        comfyui.wait_for(process, grace=0.1)
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize(("ending", "code"), [("raise SystemExit(2)", 2), ("os.kill(os.getpid(), signal.SIGKILL)", 1)])
@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_the_child_s_end_is_the_command_s(capsys, ending, code):
    process = subprocess.Popen([sys.executable, "-c", f"import os, signal; {ending}"])
    assert comfyui.wait_for(process) == code
    assert ("ended by signal 9" in capsys.readouterr().err) == (code == 1)


def test_a_child_that_was_interrupted_itself_counts_as_interrupted():
    with pytest.raises(Cancelled):
        comfyui.wait_for(subprocess.Popen([sys.executable, "-c", "raise SystemExit(130)"]))


# The pack


def make_pack(folder):
    for part in ("__init__.py", "nodes/sampler.py", "ex4d_core/wan/host/start.py"):
        (folder / part).parent.mkdir(parents=True, exist_ok=True)
        (folder / part).touch()
    return folder


def test_the_pack_is_the_one_named_or_the_one_this_package_lies_in(tmp_path):
    assert comfyui.find_pack(None, tmp_path) == ROOT
    named = make_pack(tmp_path / "named")
    assert comfyui.find_pack(str(named), tmp_path) == named.resolve()
    with pytest.raises(EX4DError, match=r"no ComfyUI-EX4D pack at .*--pack"):
        comfyui.find_pack(str(tmp_path / "empty"), tmp_path)


def test_an_installed_package_takes_the_pack_among_comfyui_s_nodes(monkeypatch, tmp_path):
    monkeypatch.setattr(comfyui, "ROOT", tmp_path / "site-packages")
    (tmp_path / "custom_nodes" / "another").mkdir(parents=True)
    with pytest.raises(EX4DError, match=r"custom_nodes.*--pack"):
        comfyui.find_pack(None, tmp_path)
    pack = make_pack(tmp_path / "custom_nodes" / "my-ex4d")
    assert comfyui.find_pack(None, tmp_path) == pack.resolve()


def test_packs_are_kept_off_comfyui_s_path(tmp_path):
    pack, other = make_pack(tmp_path / "pack"), tmp_path / "other"
    kept = comfyui._without_packs({"PYTHONPATH": os.pathsep.join(map(str, (pack, other))), "A": "b"})
    assert kept == {"PYTHONPATH": str(other), "A": "b"}


# The job


def test_a_job_survives_the_way_to_the_child(arguments, tmp_path):
    lora = tmp_path / "fast.safetensors"
    lora.touch()
    job = generate.job_of(arguments(lora=f"{lora}:0.5", vae_path="wan_2.1_vae.safetensors", erosion="off", few_steps=4))
    assert job.loras == ((str(lora), 0.5),)
    assert job.files.vae == "wan_2.1_vae.safetensors"
    assert Job.from_json(job.to_json()) == job


def test_a_job_of_another_version_is_refused(arguments):
    text = generate.job_of(arguments()).to_json()
    with pytest.raises(EX4DError, match=r"version 0\.0\.1; update"):
        Job.from_json(text.replace(f'"version": "{__version__}"', '"version": "0.0.1"'))


@pytest.mark.parametrize("flag", ["color_video", "mask_video"])
def test_a_result_in_the_place_of_what_is_read_is_refused(arguments, tmp_path, flag):
    given = arguments(comfyui="/nowhere", output_video=tmp_path / "." / f"{flag.removesuffix('_video')}.mp4")
    with pytest.raises(EX4DError, match=f"would overwrite the --{flag}"):
        generate.run(given)
