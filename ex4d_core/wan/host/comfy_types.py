"""What this room uses of ComfyUI's classes, written down for readers and type checkers; nothing is imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor

Conditioning: TypeAlias = "list[list[Any]]"
"""ComfyUI's CONDITIONING: pairs of a text embedding (1, tokens, width) and a dict of options."""


class Model(Protocol):
    """A MODEL: comfy.model_patcher.ModelPatcher."""

    model: Any
    model_options: dict[str, Any]
    patches: dict[str, list[Any]]
    load_device: torch.device

    def clone(self) -> Model:
        """A patcher of its own on the same weights."""
        ...

    def add_patches(self, patches: dict[str, Any], strength_patch: float = 1.0) -> Sequence[str]:
        """Weight patches; returns the keys that found their place."""
        ...

    def add_object_patch(self, name: str, obj: object) -> None:
        """Replace an attribute of the model while it runs."""
        ...

    def get_model_object(self, name: str) -> Any:
        """An attribute of the model, patched or not."""
        ...

    def set_attachments(self, key: str, attachment: object) -> None:
        """Keep a value that clones share."""
        ...

    def get_attachment(self, key: str) -> Any:
        """The value kept under a key, or None."""
        ...

    def set_additional_models(self, key: str, models: list[Any]) -> None:
        """Patchers that are loaded along with this one."""
        ...

    def get_additional_models_with_key(self, key: str) -> list[Any]:
        """The patchers kept under a key."""
        ...

    def add_wrapper_with_key(self, wrapper_type: str, key: str, wrapper: object) -> None:
        """Call ``wrapper`` around a step of sampling."""
        ...

    def remove_wrappers_with_key(self, wrapper_type: str, key: str) -> None:
        """Take a key's wrappers off."""
        ...


class Executor(Protocol):
    """What a wrapper is given to go on with: comfy.patcher_extension.WrapperExecutor."""

    class_obj: Any
    original: Callable[..., Any]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The next wrapper, or ComfyUI's own function."""
        ...


class Vae(Protocol):
    """A VAE: comfy.sd.VAE. Images are (T, H, W, 3) in 0..1, latents (B, C, F, H/8, W/8), not normalised."""

    latent_channels: int
    latent_dim: int

    def encode(self, pixel_samples: Tensor) -> Tensor:
        """Latent of a video."""
        ...

    def encode_tiled(self, pixel_samples: Tensor, *, tile_x: int, tile_y: int, overlap: int) -> Tensor:
        """The same in tiles; sides in pixels."""
        ...

    def decode(self, samples_in: Tensor) -> Tensor:
        """(B, T, H, W, 3) of a latent batch."""
        ...

    def decode_tiled(self, samples: Tensor, *, tile_x: int, tile_y: int, overlap: int) -> Tensor:
        """The same in tiles; sides in latents."""
        ...


class TextEncoder(Protocol):
    """A CLIP: comfy.sd.CLIP."""

    def tokenize(self, text: str) -> Any:
        """Tokens of a prompt."""
        ...

    def encode_from_tokens_scheduled(self, tokens: Any) -> Conditioning:
        """Conditioning of tokens."""
        ...


class VisionEncoder(Protocol):
    """A CLIP_VISION: comfy.clip_vision.ClipVisionModel."""

    def encode_image(self, image: Tensor, crop: bool = True) -> object:
        """What it sees in pictures (B, H, W, 3) in 0..1; with crop in the middle of each, else in all of it, squeezed."""
        ...
