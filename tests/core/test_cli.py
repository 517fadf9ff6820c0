"""The command line's frame: what every command may rely on."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest
import torch

from ex4d_core.camera_io import read_suffixes
from ex4d_core.commands import cli
from ex4d_core.depth.files import KINDS
from ex4d_core.mesh import STYLES
from ex4d_core.render import BACKEND_CHOICES
from ex4d_core.trajectory import PRESETS
from ex4d_core.video import FITS


def command(monkeypatch, run, flag="--size"):
    """Makes ``demo`` do this, with one flag."""
    module = SimpleNamespace(__doc__="", add_arguments=lambda parser: parser.add_argument(flag), run=run)
    monkeypatch.setattr(cli.importlib, "import_module", lambda name, package: module)
    return cli.main(["demo"])


def test_a_name_that_the_terminal_cannot_show_does_not_undo_the_work(monkeypatch):
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, encoding="ascii"))

    def run(args):
        print("Grüße/färbung.mp4", flush=True)
        return 0

    assert command(monkeypatch, run) == 0
    assert shown.getvalue().splitlines() == [b"Gr\\xfc\\xdfe/f\\xe4rbung.mp4"]


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: not enough memory: you tried to ..."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] . DefaultCPUAllocator: can't allocate memory: you tried ..."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
    ],
)
def test_missing_memory_is_told_in_one_line(monkeypatch, capfd, error):
    def run(args):
        raise error

    assert command(monkeypatch, run) == cli.BAD_INPUT
    assert "not enough memory" in (text := capfd.readouterr().err) and "smaller --size" in text
    assert command(monkeypatch, run, flag="--source") == cli.BAD_INPUT
    assert "not enough memory" in (text := capfd.readouterr().err) and "--size" not in text


def test_a_fault_of_our_own_is_not_hidden(monkeypatch):
    def run(args):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        command(monkeypatch, run)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_tells_what_it_does_in_a_line_of_the_overview(capfd, name):
    assert cli.main(["--help"]) == 0
    line = next(line for line in capfd.readouterr().out.splitlines() if line.split()[:1] == [name])
    assert 20 < len(line) < 130 and line.endswith(".")
    assert cli.main([name, "--help"]) == 0
    assert line.split(maxsplit=1)[1] in capfd.readouterr().out


@pytest.mark.parametrize(
    ("name", "flag", "choices"),
    [
        ("recon", "--style", STYLES),
        ("recon", "--fit", FITS),
        ("recon", "--backend", BACKEND_CHOICES),
        ("recon", "--depth_kind", KINDS),
        ("demo", "--style", STYLES),
        ("bench", "--backend", BACKEND_CHOICES),
    ],
)
def test_the_help_of_a_flag_lists_the_core_s_choices(capfd, name, flag, choices):
    assert cli.main([name, "--help"]) == 0
    assert f"{flag} {{{','.join(choices)}}}" in capfd.readouterr().out


def test_the_help_of_recon_names_every_preset_and_camera_file(capfd):
    assert cli.main(["recon", "--help"]) == 0
    text = " ".join(capfd.readouterr().out.split())
    assert ", ".join(PRESETS) in text and " ".join(read_suffixes()) in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--cam", "nope"], "preset"),
        (["--cam", "sweep", "--style", "oil"], "--style"),
        (["--backend", "torch", "pencil"], "--backend"),
        (["--device", "meta"], "--device"),
        (["--size", "512"], "512x512"),
        (["--json", "."], "is a folder"),
        (["--runs", "0"], "--runs"),
    ],
)
def test_bench_checks_its_flags_first(monkeypatch, capfd, flags, message):
    monkeypatch.setattr("ex4d_core.demo_scene.DemoScene", None)  # no work is begun
    assert cli.main(["bench", *flags]) == cli.BAD_INPUT
    assert message in capfd.readouterr().err


def test_bench_measures_and_keeps_the_numbers(tmp_path, capfd):
    pytest.importorskip("numba")
    words = ["--size", "32x32", "--frames", "3", "--runs", "1", "--backend", "torch", "--json", tmp_path / "b.json"]
    assert cli.main(["bench", *map(str, words)]) == 0
    result = json.loads((tmp_path / "b.json").read_text())["results"][0]
    assert result["backend"] == "torch" and result["total"] > 0 and "32x32 x 3" in capfd.readouterr().out
