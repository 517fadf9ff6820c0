"""What a run must withstand: being killed, taken up again, and shared by several processes; on the CPU or on GPUs.

    python dev.py training                        # on the CPU, killed 20 times
    python dev.py training --device cuda          # on this machine's GPUs

The tests of the core do the same on the CPU, killed three times.
"""

from __future__ import annotations

import argparse
import json
import random
import socket
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from training_files import write_all, write_config
from training_processes import TrainProcess

from ex4d_core.training.config import load_config
from ex4d_core.training.loop import begin, train
from ex4d_core.training.model import add_adapter, load_wan, trained
from ex4d_core.training.ranks import joined
from ex4d_core.training.saved import steps_in
from ex4d_core.wan.checkpoint import load_adapter

CASES = {"two": (2, False), "four": (4, True), "sharded": (2, True)}
"""Name -> (processes, whether weights are spread). The four hold the weights twice, each copy spread over two of them, as GPUs
of two machines would."""
VALIDATED = {"validation": {"every_steps": 10, "clips": 3}}


def go(config: Path, resume: bool = False, **callbacks):
    """A run in this process."""
    loaded = load_config(config)
    with joined(loaded.device) as alone:
        run = begin(loaded, alone, resume=resume)
        train(run, alone, **callbacks)
    return run


def process(config: Path, *flags: str, rank=None, world=None, port=None) -> TrainProcess:
    """The command as a process of its own, one of several where ``rank`` is given."""
    environment = {}
    if rank is not None:
        environment = {
            "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }  # fmt: skip
    return TrainProcess(config, flags, config.with_name(f"{config.stem}-{rank or 0}.txt"), environment)


def free_port() -> int:
    """Of this machine, for the processes of a run to meet at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def files(run_folder: Path, step: int) -> dict[str, torch.Tensor]:
    """Everything that a saved step holds."""
    path = run_folder / f"step-{step:06d}"
    return load_file(path / "adapter.safetensors") | {
        f"state/{name}": value for name, value in load_file(path / "state.safetensors").items()
    }


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """To the bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def log_of(run_folder: Path) -> list[dict]:
    """The lines of a run's log."""
    return [json.loads(line) for line in (run_folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]


def fresh(folder: Path) -> dict[str, torch.Tensor]:
    """The adapter before the first step."""
    wan = load_wan(folder / "base.safetensors", dtype=torch.float32)
    add_adapter(wan, rank=2, hidden=8, seed=3)
    return {name: value.detach().clone() for name, value in trained(wan).items()}


def ten_and_ten_are_twenty(folder: Path, device: str = "cpu", **model) -> None:
    """To the bit, also on one GPU with deterministic kernels."""
    options = {"device": device, "deterministic": device != "cpu", "model": model}
    for name, steps, resume in (("whole", 20, False), ("parts", 10, False), ("parts", 20, True)):
        go(write_config(folder, name, optimiser={"steps": steps, "ema": 0.9, "clip_norm": 1.0}, **options), resume)
    assert same(files(folder / "whole", 20), files(folder / "parts", 20))


def many_do_what_one_does(folder: Path, device: str = "cpu", most: int = 4, **model) -> None:
    """The same batch in another order of summation: gradients within rounding, updates within what that does to Adam."""
    # Not by import: this also runs where pytest's approx is all there is of it.
    from pytest import approx

    options = {"optimiser": {"steps": 10, "learning_rate": 3e-5}, "device": device, "deterministic": device != "cpu"}
    go(write_config(folder, "one", model=model, **options, **VALIDATED))
    start, one = fresh(folder), load_file(folder / "one" / "step-000010" / "adapter.safetensors")
    for case, (world, sharded) in CASES.items():
        if world > most:
            continue
        spread = {"sharded": sharded, "shard_group": 2 * (world == 4), "checkpointing": "full" if sharded else "off"}
        config, port = write_config(folder, case, model=model | spread, **options, **VALIDATED), free_port()
        running = [process(config, rank=rank, world=world, port=port) for rank in range(world)]
        told = [each.ended() for each in running]
        assert [each.returncode for each in running] == [0] * world, told
        many = load_file(folder / case / "step-000010" / "adapter.safetensors")
        moved = sum(float((one[name] - start[name]).square().sum()) for name in one) ** 0.5
        apart = sum(float((one[name] - many[name]).square().sum()) for name in one) ** 0.5
        assert apart / moved <= 5e-4, apart / moved
        assert max(float((one[name] - many[name]).abs().max()) for name in one) <= 3e-5
        logs = [log_of(folder / each) for each in ("one", case)]
        losses, norms = ([[line[key] for line in log if key in line] for log in logs] for key in ("loss", "norm_lora"))
        assert losses[1] == approx(losses[0], rel=3e-6) and len(losses[1]) == 10
        assert norms[1][0] == approx(norms[0][0], rel=3e-6)
        measured = [[line["validation"] for line in log if "validation" in line] for log in logs]
        assert len(measured[1]) == 2
        for one_found, found in zip(*measured):
            assert found["base"] == approx(one_found["base"], rel=1e-6)
            assert found["adapter"] == approx(one_found["adapter"], rel=1e-5)


def killed_and_resumed(folder: Path, times: int, device: str = "cpu") -> None:
    """At whatever moment: earlier steps stay whole, and the end is that of a run nobody killed."""

    def config(name: str, steps: int) -> Path:
        save = {"every_steps": 2, "keep": 0}
        options = {"optimiser": {"steps": steps, "batch": 1}, "save": save, "device": device}
        return write_config(folder, name, deterministic=device != "cpu", **options)

    kept, moments = 0, random.Random(7)
    for _ in range(times):
        running = process(config("killed", 10**6), *(["--resume"] if kept else []))
        deadline = time.monotonic() + 240
        while len(steps_in(folder / "killed")) < kept + 2 and time.monotonic() < deadline:
            assert running.returncode is None, running.ended()
            time.sleep(0.003)
        time.sleep(moments.uniform(0, 0.02))
        running.kill()
        running.ended()
        steps = steps_in(folder / "killed")
        assert len(steps) >= kept + 2
        for path in steps:
            load_adapter(path / "adapter.safetensors")
        kept = len(steps)
        assert [path.name for path in steps] == [f"step-{2 * (n + 1):06d}" for n in range(kept)]
    end = 2 * kept + 2
    go(config("killed", end), resume=True)
    assert [line["step"] for line in log_of(folder / "killed")] == list(range(1, end + 1))
    go(config("whole", end))
    assert same(files(folder / "whole", end), files(folder / "killed", end))


def main() -> int:
    """All of it, one line for each that is passed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--kills", type=int, default=20)
    options = parser.parse_args()
    cuda = options.device == "cuda"
    most = torch.cuda.device_count() if cuda else 4
    small = {"precision": "bfloat16", "checkpointing": "offloaded", "streamed": 9}
    trials = {
        "10 + 10 steps are 20": lambda folder: ten_and_ten_are_twenty(folder, options.device),
        "the same streamed in bfloat16": lambda folder: ten_and_ten_are_twenty(folder, options.device, **small),
        "the same in float8": lambda folder: ten_and_ten_are_twenty(
            folder, options.device, **small | {"precision": "float8"}
        ),
        f"killed {options.kills} times": lambda folder: killed_and_resumed(folder, options.kills, options.device),
    }
    if most > 1:
        trials[f"up to {most} processes do what one does"] = lambda folder: many_do_what_one_does(
            folder, options.device, most
        )
    if most > 1 and cuda:  # compiling takes minutes on a processor
        trials["the same compiled"] = lambda folder: many_do_what_one_does(folder, "cuda", most, compiled=True)
    torch.set_num_threads(1)
    for name, trial in trials.items():
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            trial(write_all(Path(folder), blocks=3))
        print(f"{options.device}: {name}: passed, {time.monotonic() - began:.1f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
