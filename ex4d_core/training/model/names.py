"""diffusers' names of Wan's tensors, turned into the published ones."""

from __future__ import annotations

import re

# Read as: diffusers' name on the left. Its norms 2 and 3 are the other way round.
_PIECES: tuple[tuple[str, str], ...] = (
    (r"condition_embedder\.time_embedder\.linear_1\.", "time_embedding.0."),
    (r"condition_embedder\.time_embedder\.linear_2\.", "time_embedding.2."),
    (r"condition_embedder\.time_proj\.", "time_projection.1."),
    (r"condition_embedder\.text_embedder\.linear_1\.", "text_embedding.0."),
    (r"condition_embedder\.text_embedder\.linear_2\.", "text_embedding.2."),
    (r"condition_embedder\.image_embedder\.norm1\.", "img_emb.proj.0."),
    (r"condition_embedder\.image_embedder\.ff\.net\.0\.proj\.", "img_emb.proj.1."),
    (r"condition_embedder\.image_embedder\.ff\.net\.2\.", "img_emb.proj.3."),
    (r"condition_embedder\.image_embedder\.norm2\.", "img_emb.proj.4."),
    (r"scale_shift_table", "head.modulation"),
    (r"proj_out\.", "head.head."),
    (r"(blocks\.\d+)\.scale_shift_table", r"\1.modulation"),
    (r"(blocks\.\d+)\.norm2\.", r"\1.norm3."),
    (r"(blocks\.\d+)\.norm3\.", r"\1.norm2."),
    (r"(blocks\.\d+)\.ffn\.net\.0\.proj\.", r"\1.ffn.0."),
    (r"(blocks\.\d+)\.ffn\.net\.2\.", r"\1.ffn.2."),
)
_ATTENTION = {"attn1": "self_attn", "attn2": "cross_attn"}
_LAYERS = {
    "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "o", "add_k_proj": "k_img", "add_v_proj": "v_img",
    "norm_q": "norm_q", "norm_k": "norm_k", "norm_added_k": "norm_k_img",
}  # fmt: skip
_ATTENTION_NAME = re.compile(r"(blocks\.\d+)\.(attn[12])\.(.+)\.(weight|bias)")
MARK = "condition_embedder.time_proj.weight"
"""A name that only diffusers' layout has."""


def published_name(name: str) -> str:
    """The published name of a tensor in diffusers' layout; a name that is in neither is returned as it is."""
    if match := _ATTENTION_NAME.fullmatch(name):
        block, attention, layer, kind = match.groups()
        return f"{block}.{_ATTENTION[attention]}.{_LAYERS.get(layer, layer)}.{kind}"
    for theirs, ours in _PIECES:
        changed, count = re.subn(rf"^{theirs}", ours, name)
        if count:
            return changed
    return name
