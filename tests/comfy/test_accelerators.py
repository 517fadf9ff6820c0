"""Both adapters with the host's own accelerators, alone and together: the recorded latents, or nearly, and never without us.

Caches, batches and VAE tiles alone are in test_wan_behaviour.py and test_fourdnex_behaviour.py, GGUF in test_gguf.py.
SageAttention wants a GPU and is put in place as another attention is here; benchmarks/wan.py runs it.
"""

from __future__ import annotations

from collections.abc import Container

import pytest
from harness.fourdnex import TinyHalves
from harness.wan import Tiny, distance, node

ROW = 5e-5
FP8 = 0.12
"""What rounding the weights of every layer to fp8's three bits may move a latent by."""
MORE = 0.45
"""With products of fp8 by fp8 and a step left out, too."""
CACHE = {"reuse_threshold": 3.0, "start_percent": 0.0, "end_percent": 1.0, "verbose": False}


class Case:
    """An adapter's loaders, conditioning and sampling of a few steps at cfg 1.

    Attributes:
        tiny: its prompts.
        lost: settings of its loader under which only what is to be seen is missing: prior or vectors.
    """

    def __init__(self, tiny: Tiny, lost: dict):
        self.tiny, self.lost = tiny, lost

    def loaders(self, **settings) -> dict:
        return self.tiny.loaders(**settings)

    def sampling(self, model=("ready", 0), steps: int = 4) -> dict:
        return self.tiny.advanced(steps=steps, cfg=1.0, model=model)


class EX4D(Case):
    def sampling(self, model=("ready", 0), steps: int = 4) -> dict:
        prompt = super().sampling(("noise", 0), steps)
        prompt["noise"]["inputs"]["model"] = list(model)
        return prompt


@pytest.fixture(params=["EX-4D", "4DNeX"])
def case(request, server, reference) -> Case:
    if request.param == "EX-4D":
        return EX4D(Tiny(server, reference), {"prior_strength": 0.0})
    return Case(TinyHalves(server, reference / "fourdnex", reference / "adapter"), {"vectors": "none.pt"})


def branch(name: str, prompt: dict, shared: Container[str]) -> dict:
    """A prompt's nodes under names of their own, beside those that branches share."""

    def link(value):
        own = isinstance(value, list) and len(value) == 2 and value[0] in prompt and value[0] not in shared
        return [f"{name}_{value[0]}", value[1]] if own else value

    return {
        f"{name}_{key}": {**one, "inputs": {k: link(v) for k, v in one["inputs"].items()}}
        for key, one in prompt.items() if key not in shared
    }  # fmt: skip


def test_a_compiled_model_and_another_attention_give_the_recorded_latent(case, client, host):
    if isinstance(case.tiny, TinyHalves) == (host.release < (0, 8)):
        pytest.skip("compiling takes long: one adapter a host")
    given = case.loaders() | case.tiny.conditioning()
    changed = {
        "compiled": node("EX4DTestCompiled", model=["ready", 0]),
        "attention": node("EX4DTestOtherAttention", model=["compiled", 0]),
    }
    prompt = given | branch("plain", given | case.sampling(steps=2), given)
    prompt |= branch("changed", given | changed | case.sampling(("attention", 0), 2), given)
    found = case.tiny.run(prompt, plain=("plain_latent", 0), changed=("changed_latent", 0))
    assert distance(found["changed"], found["plain"]) < ROW


def test_fp8_with_all_that_skips_or_multiplies_keeps_what_the_adapter_adds(case, client):
    """Two videos, fp8 weights, then fp8 products, another attention and a cache on top: beside each, itself without us."""
    name = case.loaders()["model"]["inputs"]["unet_name"]
    alone = ("text", "vae", "clip", "picture", "random", "sampler", "sigmas", "schedule")
    prompt, outputs = case.loaders() | case.tiny.conditioning() | case.sampling(), {"exact": ("latent", 0)}
    for kind, model in (
        ("weights", node("UNETLoader", unet_name=name, weight_dtype="fp8_e4m3fn")),
        ("all", node("EX4DTestFp8Products", unet_name=name)),
    ):
        for which, settings in (("kept", {}), ("lost", case.lost)):
            own = case.loaders(**settings) | case.tiny.conditioning(batch_size=2 if kind == "all" else 1)
            own["model"] = model
            if kind == "all":
                own["attention"] = node("EX4DTestOtherAttention", model=["ready", 0])
                own["cache"] = node("EasyCache", model=["attention", 0], **CACHE)
            own |= case.sampling(("cache" if kind == "all" else "ready", 0))
            prompt |= branch(f"{kind}_{which}", own, alone)
            outputs[f"{kind}_{which}"] = (f"{kind}_{which}_latent", 0)
    found = {key: value[:1] for key, value in case.tiny.run(prompt, **outputs).items()}
    exact = found.pop("exact")
    away = {key: distance(value, exact) for key, value in found.items()}
    assert 0 < away["weights_kept"] < FP8 and away["all_kept"] < MORE
    assert away["weights_lost"] > 2 * away["weights_kept"] and away["all_lost"] > 1.5 * away["all_kept"], away
