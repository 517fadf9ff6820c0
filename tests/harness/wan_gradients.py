"""Run by a Python that has a ComfyUI on its path and never this repository: its WanModel's output and gradients.

python wan_gradients.py IN.safetensors OUT.safetensors: IN holds ``weight/NAME``, ``x``, ``timestep``, ``text``, ``clip``
and ``prior`` (tokens to be added after the patch embedding); OUT gets ``output``, ``grad/NAME`` and ``grad_prior`` of the
mean square of the output.
"""

import sys

import torch
from safetensors.torch import load_file, save_file


def main(source: str, target: str) -> None:
    import comfy.cli_args

    comfy.cli_args.args.cpu = True
    import comfy.ops
    from comfy.ldm.wan.model import WanModel

    torch.set_num_threads(1)
    given = load_file(source)
    weights = {name.removeprefix("weight/"): value for name, value in given.items() if name.startswith("weight/")}
    dim, ffn_dim = weights["patch_embedding.weight"].shape[0], weights["blocks.0.ffn.0.weight"].shape[0]
    blocks = sum(name.endswith(".ffn.0.weight") for name in weights)
    model = WanModel(
        "i2v", in_dim=36, dim=dim, ffn_dim=ffn_dim, text_dim=given["text"].shape[-1], num_heads=dim // 128,
        num_layers=blocks, device="cpu", dtype=torch.float32, operations=comfy.ops.disable_weight_init,
    )  # fmt: skip
    model.load_state_dict(weights, strict=True)
    prior = given["prior"].requires_grad_()
    model.patch_embedding.register_forward_hook(lambda _module, _inputs, output: output + prior)
    output = model(given["x"], given["timestep"], given["text"], clip_fea=given["clip"])
    output.square().mean().backward()
    gradients = {f"grad/{name}": value.grad for name, value in model.named_parameters() if value.grad is not None}
    save_file({"output": output.detach(), "grad_prior": prior.grad, **gradients}, target)


if __name__ == "__main__":
    main(*sys.argv[1:])
