"""What ``imagine`` hands to the process that it starts in ComfyUI's folder: one frozen value, as JSON on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from ... import published
from ..job import WeightFiles, read, written
from ..settings import Dtype
from .settings import Run


@dataclass(frozen=True)
class Job:
    """One scene to make of one picture. Paths are absolute, since they are read in another folder.

    Attributes:
        image: the picture.
        output: the .npz to write: color (T,H,W,3) uint8, points (T,H,W,3) float32 in the unit cube, pixel_aspect (1,).
        frames: 4n + 1.
        width, height: of the result in pixels; 0 for both takes the published rule.
        run: how it is sampled and decoded.
        files: the weights; ``adapter`` is 4DNeX's LoRA.
        vectors: file with 4DNeX's vectors; None = in the LoRA's file or beside it.
        dtype: of the model's weights.
        lora_strength: of the adapter's LoRA.
        loras: further LoRAs, path or name, and strength.
        prompt, negative_prompt: texts, encoded by ComfyUI.
        embeddings: a safetensors file with positive, negative and optionally clip_vision in place of both encoders.
    """

    image: str
    output: str
    frames: int = published.FOURDNEX_FRAMES
    width: int = 0
    height: int = 0
    run: Run = field(default_factory=Run)
    files: WeightFiles = field(default_factory=WeightFiles)
    vectors: str | None = None
    dtype: Dtype = "default"
    lora_strength: float = 1.0
    loras: tuple[tuple[str, float], ...] = ()
    prompt: str = ""
    negative_prompt: str = ""
    embeddings: str | None = None

    def to_json(self) -> str:
        """Text that ``from_json`` of the same version reads."""
        return written(self)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what ``to_json`` wrote.

        Raises:
            EX4DError: it was written by another version.
        """
        values = read(text)
        values["run"] = Run(**values["run"])
        values["files"] = WeightFiles(**values["files"])
        values["loras"] = tuple((name, strength) for name, strength in values["loras"])
        return cls(**values)
