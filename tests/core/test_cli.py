"""The command line's frame: what every command may rely on."""

from __future__ import annotations

import io
import json
import sys
from types import SimpleNamespace

import pytest
import torch

from ex4d_core.commands import cli


def command(monkeypatch, run):
    """Makes ``demo`` do this."""
    module = SimpleNamespace(__doc__="", add_arguments=lambda parser: None, run=run)
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
    assert "not enough memory" in capfd.readouterr().err


def test_a_fault_of_our_own_is_not_hidden(monkeypatch):
    def run(args):
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        command(monkeypatch, run)


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
