"""Stand-ins for the two Meridian nodes of NyckM/3d-Camera-control-H3-Minimax, which no test installs: what they take and give.

Names, types and ranges as meridian_nodes.py has them at 50ccc6e4; the example graph is checked against these by the host and its
frontend. They make nothing.
"""

from __future__ import annotations

from .define import NODES


class MeridianTextCond:
    INPUT_TYPES = classmethod(lambda cls: {"required": {"text_cond": (["(vazio / empty)"],)}})
    RETURN_TYPES, RETURN_NAMES = ("MERIDIAN_TEXT",), ("text_cond",)
    FUNCTION, CATEGORY = "run", "EX-4D/tests"

    def run(self, **_):
        raise NotImplementedError("a stand-in")


class MeridianReference:
    @classmethod
    def INPUT_TYPES(cls):
        side = {"default": 0, "min": 0, "max": 4096, "step": 32}
        return {
            "required": {
                "source_video": ("IMAGE",),
                "warp_video": ("IMAGE",),
                "vae": ("VAE",),
                "length": ("INT", {"default": 124, "min": 73, "max": 243, "step": 1}),
            },
            "optional": {
                "text_cond": ("MERIDIAN_TEXT",),
                "clip": ("CLIP",),
                "prompt_text": ("STRING", {"default": "", "multiline": True}),
                **{f"ref_image_{number}": ("IMAGE",) for number in range(1, 10)},
                "ref_video_3": ("IMAGE",),
                "prompt": ("CONDITIONING",),
                "extra_reference": ("IMAGE",),
                "width": ("INT", side),
                "height": ("INT", side),
            },
        }

    RETURN_TYPES, RETURN_NAMES = ("CONDITIONING", "LATENT", "STRING"), ("positive", "latent", "relatorio")
    FUNCTION, CATEGORY = "run", "EX-4D/tests"

    def run(self, **_):
        raise NotImplementedError("a stand-in")


NODES |= {"BruxosMeridianTextCond": MeridianTextCond, "BruxosMeridianReference": MeridianReference}
