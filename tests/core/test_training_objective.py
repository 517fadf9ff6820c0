"""The objective against what the published trainer's own code recorded: tables to the bit, four runs of twenty steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ex4d_core.training.draws import PURPOSES, stream
from ex4d_core.training.model import add_adapter, load_wan, set_adapter, trained
from ex4d_core.training.objective import OBJECTIVES, draw_level, level_of, noisy, tables
from ex4d_core.training.optimiser import make_optimiser
from ex4d_core.training.step import Sample, error_of, predict
from ex4d_core.wan.checkpoint import load_adapter, parse_adapter

RUNS = {"zero_r16": "a", "random_r16": "b", "zero_r4": "a", "random_r4": "b"}
LR = 3e-5


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def recorded(large_reference):
    folder = large_reference / "training"
    if not (folder / "schedule.safetensors").is_file():
        pytest.skip(f"the recordings of training are not at {folder}")
    return folder


class TestSchedule:
    def test_the_tables_are_the_recorded_ones_to_the_bit(self, reference):
        schedule = load_file(reference / "training" / "schedule.safetensors")
        table = tables()
        for name in ("sigma", "timestep", "weight"):
            assert torch.equal(getattr(table, name), schedule[name]), name

    def test_rounded_timesteps_are_the_recorded_ones(self, recorded):
        schedule = load_file(recorded / "schedule.safetensors")
        levels = [level_of(index, round_timestep=True) for index in range(1000)]
        assert torch.equal(torch.tensor([each.timestep for each in levels]), schedule["bf16_timestep"].float())
        assert torch.equal(torch.tensor([each.sigma for each in levels]), schedule["bf16_sigma"])
        assert torch.equal(torch.tensor([each.weight for each in levels]), schedule["bf16_weight"])

    def test_its_ends_and_its_mean_are_those_of_the_formula(self):
        table = tables()
        assert float(table.sigma[0]) == 1 and float(table.timestep[0]) == 1000
        assert float(table.sigma[-1]) == pytest.approx(0.00498, abs=1e-5)
        assert float(table.weight[0]) == 0 and float(table.weight[1:].min()) > 0
        assert float(table.weight.double().mean()) == pytest.approx(1, abs=1e-6)
        assert int(table.weight.argmax()) == 833

    def test_every_objective_draws_levels_that_fit_together(self):
        for objective in OBJECTIVES:
            for sample in range(200):
                level = draw_level(stream(1, sample, "timestep"), objective)
                assert level.timestep == pytest.approx(1000 * level.sigma, rel=1e-6)
                assert objective == "published" or level.weight == 1

    def test_the_median_of_each_objective(self):
        """Shift 5 at one half is 5/6, for a uniform draw and for a logistic normal alike."""
        for objective in OBJECTIVES:
            draws = [draw_level(stream(0, sample, "timestep"), objective).sigma for sample in range(4000)]
            assert np.median(draws) == pytest.approx(5 / 6, abs=0.015)
        spread = {o: np.std([draw_level(stream(0, s, "timestep"), o).sigma for s in range(4000)]) for o in OBJECTIVES}
        assert spread["logit_normal"] < 0.8 * spread["published"]


class TestDraws:
    def test_a_sample_draws_the_same_whatever_came_before(self):
        wanted = stream(5, 17, "noise").standard_normal(4)
        stream(5, 16, "noise").standard_normal(100)
        assert np.array_equal(stream(5, 17, "noise").standard_normal(4), wanted)

    def test_seeds_samples_and_purposes_are_apart(self):
        keys = [(seed, sample, purpose) for seed in (0, 1) for sample in (0, 1, 2**40) for purpose in PURPOSES]
        first = {tuple(stream(*key).integers(2**32, size=4)) for key in keys}
        assert len(first) == len(keys)

    def test_the_numbers_stay_what_they_are(self):
        """A run taken up on another computer must go on with the same ones."""
        assert stream(42, 7, "timestep").integers(1000, size=5).tolist() == [91, 915, 866, 469, 867]


def sample_of(samples, number):
    part = {
        name.removeprefix(f"s{number}_"): value for name, value in samples.items() if name.startswith(f"s{number}_")
    }
    clip = part.get("clip_fea", samples["s1_clip_fea"])
    text = part["context"]
    return Sample(part["target"], part["y"], part["colour"], part["mask_latent"], text, clip.reshape(257, 1280)).to(
        "cpu"
    )


def started(recorded, run):
    """The tiny network with the run's adapter as it was before step 1."""
    base = recorded.parent / "adapter"
    kind, rank = run.split("_r")
    wan = load_wan(base / "dit_tiny.safetensors", dtype=torch.float32)
    steps = load_file(recorded / f"steps_{run}.safetensors")
    add_adapter(wan, rank=int(rank), hidden=64)
    if kind == "random":
        set_adapter(wan, load_adapter(base / f"ex4d_tiny_r{rank}.ckpt"))
    else:
        start = {name.removeprefix("start/"): value for name, value in steps.items() if name.startswith("start/")}
        zero = {name: torch.zeros_like(value) for name, value in trained(wan).items() if name not in start}
        assert all("lora_B" in name or "latent_patch" in name for name in zero)
        set_adapter(wan, parse_adapter(start | zero, "start"))
    return wan, steps


def relative(got, wanted):
    """The relative 2-norm over all tensors together."""
    error = sum(float((got[name] - wanted[name]).double().square().sum()) for name in wanted)
    return (error / sum(float(value.double().square().sum()) for value in wanted.values())) ** 0.5


@pytest.mark.parametrize("run", RUNS)
def test_twenty_steps_are_the_recorded_ones(recorded, run):
    samples = load_file(recorded / "samples.safetensors")
    follow(recorded, run, [samples[f"draws_{RUNS[run]}_noise_{step:02d}"] for step in range(20)])


def test_the_run_of_the_small_set_is_the_recorded_one(reference):
    """In every clone. Its noise is that of a generator seeded anew before each step, as it was recorded."""
    samples = load_file(reference / "training" / "samples.safetensors")
    shapes = [samples[f"s{int(clip)}_target"].shape for clip in samples["order"]]
    seeded = (torch.Generator().manual_seed(4500 + step) for step in range(20))
    noise = [torch.randn(shape, generator=generator) for shape, generator in zip(shapes, seeded)]
    follow(reference / "training", "random_r4", noise)


def follow(recorded, run, noises):
    """Twenty steps; whatever is recorded of them is compared."""
    wan, steps = started(recorded, run)
    samples = load_file(recorded / "samples.safetensors")
    indices = samples[f"draws_{RUNS[run]}_index"]
    parameters = trained(wan)
    start = {name: value.detach().clone() for name, value in parameters.items()}
    optimiser = make_optimiser(parameters)
    compared = 0
    for step, noise in enumerate(noises):
        sample, level = sample_of(samples, int(samples["order"][step])), level_of(int(indices[step]))
        if step == 0 and "noisy_step1" in steps:
            latent = noisy(sample.target, noise, level.sigma)
            assert torch.equal(latent, steps["noisy_step1"])
            with torch.no_grad():
                prediction = predict(wan, sample, latent, level.timestep)
            assert relative({"": prediction}, {"": steps["prediction_step1"]}) <= 2e-5
        optimiser.zero_grad()
        error = error_of(wan, sample, noise, level)
        (level.weight * error).backward()
        value = float(error.detach())
        assert level.timestep == float(steps["timestep"][step])
        assert value == pytest.approx(float(steps["mse"][step]), rel=5e-6)
        assert level.weight * value == pytest.approx(float(steps["loss"][step]), rel=5e-6)
        norm = sum(float(each.grad.double().square().sum()) for each in parameters.values()) ** 0.5
        assert norm == pytest.approx(float(steps["gradient_norm"][step]), rel=1e-4)
        if step == 0 and any(name.startswith("grad/") for name in steps):
            check_gradients(parameters, steps)
        optimiser.step()
        limit = {1: 2e-3, 2: 2e-3, 10: 5e-4, 20: 3e-4}.get(step + 1)
        if limit and any(name.startswith(f"after_{step + 1}/") for name in steps):
            compared += 1
            wanted = {name: steps[f"after_{step + 1}/{name}"] for name in start}
            got = {name: value.detach() for name, value in parameters.items()}
            updates = ({name: each[name] - start[name] for name in start} for each in (got, wanted))
            assert relative(*updates) <= limit, step
            assert max(float((got[name] - wanted[name]).abs().max()) for name in got) <= LR
    assert step == 19 and compared


def check_gradients(parameters, steps):
    wanted = {name: steps[f"grad/{name}"] for name in parameters if f"grad/{name}" in steps}
    got = {name: value.grad for name, value in parameters.items()}
    assert relative({name: got[name] for name in wanted}, wanted) <= 3e-5
    for name, value in wanted.items():
        assert relative({"": got[name]}, {"": value}) <= 1e-4, name
    for name in got.keys() - wanted.keys():
        assert float(got[name].abs().max()) == 0, name


def test_a_level_of_no_weight_leaves_only_decay(recorded):
    """Decay on biases is below what rounding lets one see elsewhere; here the result is exact."""
    wan, _ = started(recorded, "random_r16")
    samples = load_file(recorded / "samples.safetensors")
    parameters = trained(wan)
    start = {name: value.detach().clone() for name, value in parameters.items()}
    optimiser = make_optimiser(parameters)
    sample, level = sample_of(samples, 0), level_of(0)
    loss = level.weight * error_of(wan, sample, samples["draws_a_noise_00"], level)
    loss.backward()
    optimiser.step()
    assert float(loss.detach()) == 0
    factor = torch.tensor(1 - 3e-7, dtype=torch.float32)
    assert all(torch.equal(value.detach(), start[name] * factor) for name, value in parameters.items())
