"""Our Wan against the recorded network and diffusers', and its memory-saving paths against the plain one."""

from __future__ import annotations

import copy
import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.utils._python_dispatch import TorchDispatchMode
from training_networks import gradients, small, small_inputs, stored

from ex4d_core.errors import EX4DError
from ex4d_core.training.model import (
    Geometry,
    Wan,
    adapter_off,
    adapter_state,
    add_adapter,
    load_wan,
    place,
    set_adapter,
    trained,
)
from ex4d_core.training.model.float8 import round_rows
from ex4d_core.training.model.kept import ATTENTION_OPS, CHECKPOINTING, PRODUCTS
from ex4d_core.training.model.load import stored_tensors
from ex4d_core.wan.backbone import ModelSize
from ex4d_core.wan.checkpoint import load_adapter, parse_adapter

EQUAL = 2e-5


pytestmark = pytest.mark.usefixtures("one_thread")


def distance(got, wanted):
    got, wanted = got.detach(), wanted.detach()
    return float((got - wanted).norm() / wanted.norm())


@pytest.fixture(scope="module")
def inputs(reference):
    return load_file(reference / "adapter" / "inputs.safetensors")


@pytest.fixture(scope="module")
def golden(reference):
    return load_file(reference / "adapter" / "dit_golden.safetensors")


@pytest.fixture()
def tiny(reference):
    return load_wan(reference / "adapter" / "dit_tiny.safetensors", dtype=torch.float32)


@pytest.fixture()
def adapted(tiny, reference):
    add_adapter(tiny, rank=16, hidden=64)
    set_adapter(tiny, load_adapter(reference / "adapter" / "ex4d_tiny_r16.ckpt"))
    return tiny


@torch.no_grad()
def forward(wan, inputs, number=1):
    x = torch.cat([inputs["x"], inputs["y"]], dim=1)
    text = torch.nn.functional.pad(inputs["context_pos"], (0, 0, 0, 512 - inputs["context_pos"].shape[1]))
    latents = inputs["video_latent"], inputs["mask_latent"]
    return wan(x, inputs["timesteps"][number : number + 1], text, inputs["clip_fea"], latents)


def pairs(tensors):
    """(name, shape) of a recorded list of tensors."""
    return [(each["name"], each["shape"]) for each in tensors] if isinstance(tensors, list) else list(tensors.items())


class Computed(TorchDispatchMode):
    """Counts how often attention and products are computed; what is kept and looked up does not come here."""

    def __init__(self):
        super().__init__()
        self.attention = self.products = 0

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        name = op.name().split("::")[1].split(".")[0]
        self.attention += name in ATTENTION_OPS
        self.products += name in PRODUCTS
        return op(*args, **(kwargs or {}))


class TestAgainstTheRecordedNetwork:
    def test_the_base_gives_the_recorded_velocity(self, tiny, inputs, golden):
        assert distance(forward(tiny, inputs), golden["out_base_t1"]) <= EQUAL

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_the_adapter_gives_the_recorded_velocity(self, adapted, inputs, golden, number):
        assert distance(forward(adapted, inputs, number), golden[f"out_lora_r16_prior_t{number}"]) <= EQUAL

    def test_switched_off_the_adapter_leaves_the_base(self, adapted, inputs, golden):
        with adapter_off(adapted):
            assert distance(forward(adapted, inputs), golden["out_base_t1"]) <= EQUAL
        assert distance(forward(adapted, inputs), golden["out_lora_r16_prior_t1"]) <= EQUAL

    def test_a_fresh_adapter_changes_nothing(self, tiny, inputs):
        before = forward(tiny, inputs)
        add_adapter(tiny, rank=4, hidden=64)
        assert torch.equal(forward(tiny, inputs), before)

    def test_bfloat16_is_near(self, reference, inputs, golden):
        wan = load_wan(reference / "adapter" / "dit_tiny.safetensors")
        add_adapter(wan, rank=16, hidden=64)
        set_adapter(wan, load_adapter(reference / "adapter" / "ex4d_tiny_r16.ckpt"))
        for wan.residual in (torch.float32, torch.bfloat16):
            got = forward(wan, inputs)
            assert got.dtype == torch.bfloat16
            assert distance(got, golden["out_lora_r16_prior_t1"]) <= 0.02


class TestDiffusers:
    """The same weights in diffusers' own class and layout."""

    @pytest.fixture(scope="class")
    def oracle(self):
        diffusers = pytest.importorskip("diffusers")
        torch.manual_seed(3)
        model = diffusers.WanTransformer3DModel(
            num_attention_heads=1, attention_head_dim=128, in_channels=36, text_dim=32, ffn_dim=64, num_layers=2,
            image_dim=16, cross_attn_norm=True, added_kv_proj_dim=128,
        )  # fmt: skip
        with torch.no_grad():
            for name, value in model.named_parameters():
                if "norm" in name or "scale_shift" in name:
                    value.add_(torch.randn_like(value), alpha=0.2)
        return model.eval()

    def test_outputs_and_gradients_are_diffusers(self, oracle, tmp_path):
        save_file(oracle.state_dict(), tmp_path / "diffusion_pytorch_model.safetensors")
        wan = load_wan(tmp_path, dtype=torch.float32)
        x, timestep, text, clip, _ = small_inputs()
        theirs, ours = x.clone().requires_grad_(), x.clone().requires_grad_()
        wanted = oracle(theirs, timestep, text, clip).sample
        got = wan(ours, timestep, text, clip)
        wanted.square().mean().backward()
        got.square().mean().backward()
        assert distance(got.detach(), wanted.detach()) <= EQUAL
        assert distance(ours.grad, theirs.grad) <= EQUAL

    def test_the_gradients_of_low_rank_matrices_follow_from_those_of_diffusers_weights(self, oracle, tmp_path):
        """W + B A: the gradient of B is that of W times A transposed, and that of A is B transposed times it."""
        save_file(oracle.state_dict(), tmp_path / "model.safetensors")
        wan = load_wan(tmp_path / "model.safetensors", dtype=torch.float32)
        add_adapter(wan, rank=3, hidden=8)
        layers = {
            "blocks.0.self_attn.q": "blocks.0.attn1.to_q", "blocks.1.cross_attn.o": "blocks.1.attn2.to_out.0",
            "blocks.0.cross_attn.k": "blocks.0.attn2.to_k", "blocks.1.ffn.0": "blocks.1.ffn.net.0.proj",
            "blocks.1.ffn.2": "blocks.1.ffn.net.2", "blocks.0.self_attn.v": "blocks.0.attn1.to_v",
        }  # fmt: skip
        x, timestep, text, clip, _ = small_inputs()
        merged = copy.deepcopy(oracle)
        with torch.no_grad():
            for ours, theirs in layers.items():
                layer = wan.get_submodule(ours)
                layer.lora_B["default"].weight.normal_(generator=torch.Generator().manual_seed(1)).mul_(0.1)
                merged.get_submodule(theirs).weight += layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        merged(x, timestep, text, clip).sample.square().mean().backward()
        wan(x, timestep, text, clip).square().mean().backward()
        for ours, theirs in layers.items():
            down, up = (getattr(wan.get_submodule(ours), side)["default"].weight for side in ("lora_A", "lora_B"))
            full = merged.get_submodule(theirs).weight.grad
            assert distance(up.grad, full @ down.T) <= EQUAL, ours
            assert distance(down.grad, up.T @ full) <= EQUAL, ours


class TestMemorySavingPaths:
    def test_every_one_gives_the_same_bits(self):
        wan = small()
        plain, wanted = gradients(wan, "off")
        assert all(float(value.abs().max()) > 0 for value in wanted.values())
        for checkpointing in CHECKPOINTING[1:]:
            output, got = gradients(wan, checkpointing)
            assert torch.equal(output, plain), checkpointing
            assert all(torch.equal(got[name], wanted[name]) for name in wanted), checkpointing

    @pytest.mark.parametrize("kind", ["float32", "bfloat16", "float8"])
    def test_streamed_weights_give_the_same_bits(self, kind):
        def network(streamed):
            wan = stored(small(blocks=3), kind)
            place(wan, torch.device("cpu"), streamed)
            return wan

        plain, wanted = gradients(network(0), "full")
        for streamed, checkpointing in ((2, "full"), (9, "offloaded")):
            wan = network(streamed)
            for _ in range(2):  # the second pass begins with what the first has left on the device
                output, got = gradients(wan, checkpointing)
                assert torch.equal(output, plain) and all(torch.equal(got[name], wanted[name]) for name in wanted)
            with torch.no_grad():
                assert torch.equal(wan(*small_inputs()), plain)

    def test_a_streamed_block_whose_weights_never_come_gives_other_numbers(self):
        """The weights on the device are those that are computed with, and nothing is left of them elsewhere."""
        wan = small()
        place(wan, torch.device("cpu"), 2)
        before = wan(*small_inputs())
        wan.streaming.waiting[1].zero_()
        wan.streaming.held = [None, None]
        assert not torch.equal(wan(*small_inputs()), before)

    def test_inputs_that_wait_take_the_same_memory_at_every_step(self):
        wan = small(blocks=3)
        gradients(wan, "offloaded")
        offload = wan._offload
        taken = {piece.data_ptr() for piece in offload._pinned._unused}
        assert len(taken) == 3
        wan(*small_inputs())  # whose backward pass never comes
        gradients(wan, "offloaded")
        assert {piece.data_ptr() for piece in offload._pinned._unused} == taken

    def test_eight_bits_keep_three_of_a_weights_and_the_rows_largest(self):
        weight = torch.randn(6, 50, generator=torch.Generator().manual_seed(1)) * torch.logspace(-6, 6, 6)[:, None]
        rounded, scale = round_rows(weight)
        again = rounded.float() * scale
        assert rounded.dtype == torch.float8_e4m3fn and scale.shape == (6, 1)
        torch.testing.assert_close(again.abs().amax(1), weight.abs().amax(1), rtol=1e-6, atol=0)
        assert ((again - weight).abs() <= weight.abs() / 16 + weight.abs().amax(1, keepdim=True) / 2**18).all()
        wan, plain = stored(small(), "float8"), stored(small(), "bfloat16")
        apart = distance(wan(*small_inputs()).float(), plain(*small_inputs()).float())
        assert 0 < apart < 0.05

    def test_a_checkpointed_block_is_run_twice_and_what_is_kept_of_it_is_not(self):
        wan = small()
        counted = {}
        for checkpointing in CHECKPOINTING:
            with Computed() as computed:
                gradients(wan, checkpointing)
            counted[checkpointing] = computed
        runs = {name: computed.attention for name, computed in counted.items()}
        assert runs == {"off": 6, "full": 12, "attention": 10, "projection": 10, "offloaded": 12}
        assert counted["attention"].products == counted["full"].products
        assert counted["projection"].products == counted["full"].products - len(wan.blocks)

    def test_a_checkpointed_forward_keeps_less(self):
        wan = small(blocks=4)
        kept = {}
        for checkpointing in ("off", "full"):
            wan.checkpointing = checkpointing
            sizes = []
            with torch.autograd.graph.saved_tensors_hooks(lambda t, s=sizes: (s.append(t.numel()), t)[1], lambda t: t):
                wan(*small_inputs())
            kept[checkpointing] = sum(sizes)
        assert kept["full"] < 0.5 * kept["off"]


class TestAdapter:
    def test_the_names_are_the_published_ones_in_their_order(self, tiny, reference):
        add_adapter(tiny, rank=16, hidden=64)
        keys = json.loads((reference / "adapter" / "checkpoint_keys.json").read_text(encoding="utf-8"))["r16"]
        wanted = keys if isinstance(keys, list) else list(keys)
        assert list(adapter_state(tiny)) == wanted

    def test_at_14b_they_are_808_tensors(self, large_reference):
        recorded = json.loads((large_reference / "training" / "checkpoint_keys_14b.json").read_text(encoding="utf-8"))
        with torch.device("meta"):
            wan = Wan(Geometry(ModelSize(5120, 13824, 40, 36)))
            base = sum(value.numel() for value in wan.parameters())
        add_adapter(wan)
        state = {name: list(value.shape) for name, value in trained(wan).items()}
        assert base == recorded["base_parameters"]
        assert list(state.items()) == [(name, shape) for name, shape in pairs(recorded["tensors"])]

    def test_what_is_trained_loads_as_an_adapter(self):
        wan = small()
        adapter = parse_adapter(adapter_state(wan), "trained")
        again = small(seed=0)
        add_adapter(again, rank=2, hidden=8, seed=5)
        set_adapter(again, adapter)
        assert torch.equal(again(*small_inputs()), wan(*small_inputs()))

    def test_one_seed_is_one_beginning(self):
        states = []
        for seed in (1, 1, 2):
            wan = small()
            torch.rand(3)  # whatever else draws
            add_adapter(wan, rank=2, hidden=8, seed=seed)
            states.append(adapter_state(wan))
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
        assert not torch.equal(states[0]["latent_encoder.0.weight"], states[2]["latent_encoder.0.weight"])

    def test_only_the_adapter_is_trained(self):
        wan = small()
        names = {id(value) for value in trained(wan).values()}
        assert names == {id(value) for value in wan.parameters() if value.requires_grad}

    def test_an_adapter_of_another_rank_is_refused(self):
        wan = small()
        state = adapter_state(wan)
        add_adapter(wan, rank=4, hidden=8)
        with pytest.raises(EX4DError, match=r"LoRA of rank 2 .* rank 4 with a prior encoder 8 wide is wanted"):
            set_adapter(wan, parse_adapter(state, "file"))

    def test_no_rank_is_refused(self):
        with pytest.raises(EX4DError, match="rank and a prior width of at least 1, got 0 and 8"):
            add_adapter(small(), rank=0, hidden=8)


class TestFiles:
    @pytest.fixture()
    def state(self):
        wan = small()
        return {k: v for k, v in wan.state_dict().items() if "lora" not in k and not k.startswith("prior.")}

    @pytest.mark.parametrize("prefix", ["", "model.diffusion_model.", "diffusion_model."])
    def test_prefixes_are_taken_off(self, state, tmp_path, prefix):
        save_file({prefix + name: value for name, value in state.items()}, tmp_path / "wan.safetensors")
        assert set(stored_tensors(tmp_path / "wan.safetensors")) == set(state)

    def test_a_model_in_parts_is_read_from_its_folder(self, state, tmp_path):
        names = list(state)
        for part in range(3):
            save_file({n: state[n] for n in names[part::3]}, tmp_path / f"model-{part}-of-3.safetensors")
        seen = []
        wan = load_wan(tmp_path, dtype=torch.float32, progress=lambda done, total: seen.append((done, total)))
        assert all(torch.equal(value, state[name]) for name, value in wan.state_dict().items())
        assert seen[-1] == (len(state), len(state))

    def test_a_missing_part_is_told(self, state, tmp_path):
        names = list(state)
        save_file({n: state[n] for n in names if n != "blocks.1.ffn.2.bias"}, tmp_path / "wan.safetensors")
        with pytest.raises(EX4DError, match=r"incomplete: 1 of \d+ .*blocks\.1\.ffn\.2\.bias"):
            load_wan(tmp_path / "wan.safetensors")

    def test_tensors_of_another_kind_of_wan_are_told(self, state, tmp_path):
        save_file(state | {"ref_conv.weight": torch.zeros(2)}, tmp_path / "wan.safetensors")
        with pytest.raises(EX4DError, match=r"1 tensors that Wan 2.1 image-to-video does not have \(ref_conv.weight"):
            load_wan(tmp_path / "wan.safetensors")

    def test_a_text_to_video_model_is_told(self, state, tmp_path):
        embedding = {"patch_embedding.weight": state["patch_embedding.weight"][:, :16].clone()}
        save_file(state | embedding, tmp_path / "wan.safetensors")
        with pytest.raises(EX4DError, match=r"no image-to-video Wan 2\.1 .it takes 16 input channels"):
            load_wan(tmp_path / "wan.safetensors")

    def test_two_models_in_one_folder_are_told(self, state, tmp_path):
        for name in ("a", "b"):
            save_file(state, tmp_path / f"{name}.safetensors")
        with pytest.raises(EX4DError, match=r"twice, in a\.safetensors and b\.safetensors"):
            load_wan(tmp_path)

    def test_no_weights_are_told(self, tmp_path):
        with pytest.raises(EX4DError, match="holds no safetensors files"):
            load_wan(tmp_path)
        save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
        with pytest.raises(EX4DError, match="holds no Wan network"):
            load_wan(tmp_path)
