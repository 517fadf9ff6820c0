"""The video model that everything here is made for: its sizes, and the rules that follow from them.

Every number of Wan2.1 stands here once, with its source; the other modules of ``wan`` read it from here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import EX4DError


@dataclass(frozen=True)
class ModelSize:
    """Sizes of one model, read from its weights.

    Attributes:
        dim: width of its tokens.
        ffn_dim: width inside its feed-forward.
        blocks: transformer blocks.
        in_channels: input channels of its patch embedding.
    """

    dim: int
    ffn_dim: int
    blocks: int
    in_channels: int


@dataclass(frozen=True)
class Backbone:
    """A family of video models of the same inputs, whatever their width and depth.

    Attributes:
        name: what to load, for messages.
        latent_channels: of the VAE's latent.
        mask_channels: the mask beside the start image, one channel per frame of a latent frame.
        time_stride, space_stride: frames and pixels that one latent value stands for. The first latent frame is one
            frame, so a clip has ``time_stride * n + 1`` frames.
        patch: latent frames, rows and columns that share one token.
        text_tokens: text embeddings are padded with zeros to this length.
        text_width: values of one text embedding.
        text_encoder: its name, for messages.
        vision_tokens, vision_width: what CLIP vision sees in one picture, and values of each.
        vision_encoder: its file, for messages.
        timesteps: what a noise level from 0 to 1 is multiplied by for the model.
        block_modules: linear layers of a block that the adapter's LoRA covers.
        tile_overlap: the share of a VAE tile, one part in so many, that lies over the next one.
        min_tile: smallest side of a VAE tile in pixels.
    """

    name: str
    latent_channels: int
    mask_channels: int
    time_stride: int
    space_stride: int
    patch: tuple[int, int, int]
    text_tokens: int
    text_width: int
    text_encoder: str
    vision_tokens: int
    vision_width: int
    vision_encoder: str
    timesteps: int
    block_modules: tuple[str, ...]
    tile_overlap: int
    min_tile: int

    @property
    def in_channels(self) -> int:
        """Of the patch embedding: noisy latent, mask, latent of the start image."""
        return 2 * self.latent_channels + self.mask_channels

    @property
    def side(self) -> int:
        """Sides of a clip are multiples of this many pixels: those of one token."""
        return self.space_stride * self.patch[2]

    @property
    def tile_step(self) -> int:
        """Sides of VAE tiles are multiples of this many pixels, so that tiles overlap in whole latents."""
        return self.space_stride * self.tile_overlap

    def takes(self, frames: int) -> bool:
        """Whether a clip may have this many frames."""
        return frames >= 1 and frames % self.time_stride == 1

    def frames_within(self, frames: int) -> int:
        """The largest count of frames that a clip of ``frames`` >= 1 frames offers."""
        return (frames - 1) // self.time_stride * self.time_stride + 1

    def latent_frames(self, frames: int) -> int:
        """Latent frames of a clip."""
        return (frames - 1) // self.time_stride + 1

    def latent_shape(self, frames: int, height: int, width: int, batch: int = 1) -> tuple[int, int, int, int, int]:
        """(B, C, F, H, W) of the latent of a clip, its size in pixels."""
        sides = height // self.space_stride, width // self.space_stride
        return (batch, self.latent_channels, self.latent_frames(frames), *sides)

    def check_frames(self, frames: int) -> None:
        """Refuse a count of frames that is not 4n + 1."""
        if not self.takes(frames):
            below = max(1, self.frames_within(frames))
            raise EX4DError(f"Wan takes 4n + 1 frames, got {frames}; use {below} or {below + self.time_stride}.")

    def check_size(self, width: int, height: int) -> None:
        """Refuse sides in pixels that tokens do not divide."""
        step = self.side
        if width % step or height % step or min(width, height) < step:
            good = [max(step, round(value / step) * step) for value in (width, height)]
            raise EX4DError(
                f"Wan's sides are multiples of {step} pixels, got {width}x{height}; use {good[0]}x{good[1]}."
            )

    def check_tile(self, tile: int) -> None:
        """Refuse VAE tiles too small to overlap in whole latents; 0, whole frames, is fine."""
        if tile and (tile < self.min_tile or tile % self.tile_step):
            raise EX4DError(
                f"VAE tiles have sides of at least {self.min_tile} pixels, in steps of {self.tile_step}, got {tile}; 0 takes "
                "whole frames."
            )


WAN21_I2V = Backbone(
    name="Wan2.1 I2V 14B (480P or 720P)",
    latent_channels=16,  # z_dim of Wan2.1's VAE
    mask_channels=4,  # the mask of the four frames of a latent frame, in Wan2.1's image-to-video pipeline
    time_stride=4,  # vae_stride (4, 8, 8) of Wan2.1's configuration
    space_stride=8,
    patch=(1, 2, 2),  # patch_size of the same
    text_tokens=512,  # text_len of the same
    text_width=4096,  # text_dim of Wan2.1's network: the width of umt5-xxl
    text_encoder="umt5-xxl",
    vision_tokens=257,  # a class token and 16 x 16 patches of CLIP ViT-H/14's 224 pixels
    vision_width=1280,  # the width of the same, which Wan2.1's img_emb.proj takes
    vision_encoder="clip_vision_h.safetensors",
    timesteps=1000,  # num_train_timesteps of the same
    # The published adapter's own choice: peft on q, k, v, o, ffn.0 and ffn.2, nothing on k_img and v_img.
    block_modules=(*(f"{part}.{name}" for part in ("self_attn", "cross_attn") for name in "qkvo"), "ffn.0", "ffn.2"),
    tile_overlap=4,  # ours: a quarter hides the seams (the tiled results are compared with whole ones in tests)
    min_tile=64,  # ours, as in ComfyUI's tiled VAE nodes
)
"""What EX-4D is trained on: image-to-video, 512x512, 49 frames."""

BACKBONES = (WAN21_I2V,)
PREFIXES = ("", "model.diffusion_model.", "diffusion_model.")
"""What files put in front of Wan's own names."""


def model_size(shapes: Mapping[str, Sequence[int]]) -> ModelSize | None:
    """Sizes of a Wan model, from the names and shapes of its tensors; None where the names are not Wan's.

    Args:
        shapes: of a state dict or of a file's header, with or without a known prefix.
    """
    for prefix in PREFIXES:
        embedding, feed_forward = (
            shapes.get(prefix + name) for name in ("patch_embedding.weight", "blocks.0.ffn.0.weight")
        )
        if embedding and feed_forward:
            blocks = sum(f"{prefix}blocks.{block}.ffn.0.weight" in shapes for block in range(len(shapes)))
            return ModelSize(embedding[0], feed_forward[0], blocks, embedding[1])
    return None


def backbone_of(size: ModelSize) -> Backbone | None:
    """The family that a model of these sizes belongs to; None where the adapter fits none of its kind."""
    return next((backbone for backbone in BACKBONES if backbone.in_channels == size.in_channels), None)
