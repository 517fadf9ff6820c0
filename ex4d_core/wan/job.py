"""What ``generate`` hands to the process that it starts in ComfyUI's folder: one frozen value, as JSON on the way."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from .. import __version__, published
from ..composite.settings import KeepSettings
from ..errors import EX4DError
from .prompts import NEGATIVE_PROMPT, PROMPT
from .settings import ClipSettings, Dtype, Run


@dataclass(frozen=True)
class WeightFiles:
    """Paths, or names in ComfyUI's models folders; None looks for the usual names there."""

    adapter: str | None = None
    dit: str | None = None
    vae: str | None = None
    text: str | None = None
    vision: str | None = None


def written(job: Any) -> str:
    """A frozen value as JSON, with the version of the pack that wrote it."""
    return json.dumps({"version": __version__, **asdict(job)})


def read(text: str) -> dict[str, Any]:
    """The fields of what ``written`` wrote.

    Raises:
        EX4DError: it was written by another version: an installed package beside another release of the pack.
    """
    values = json.loads(text)
    version = values.pop("version", None)
    if version != __version__:
        raise EX4DError(
            f"The pack in ComfyUI is version {__version__}, and this command is version {version}; update the older one."
        )
    return values


@dataclass(frozen=True)
class Job:
    """One video to generate. Paths are absolute, since they are read in another folder.

    Attributes:
        color_video, mask_video: the rendered pair; no mask beside an .npz.
        output_video: the .mp4 to write.
        fps: of the output.
        clip, run: how the pair is prepared and sampled.
        files: the weights.
        dtype: of the model's weights.
        lora_strength, prior_strength: of the adapter's two parts.
        loras: further LoRAs, path or name, and strength.
        prompt, negative_prompt: texts, encoded by ComfyUI.
        embeddings: a safetensors file with positive, negative and optionally clip_vision in place of both encoders.
        keep: how the rendered colour is laid over the result; None = not at all.
    """

    color_video: str
    mask_video: str | None
    output_video: str
    fps: float = published.FPS
    clip: ClipSettings = field(default_factory=ClipSettings)
    run: Run = field(default_factory=Run)
    files: WeightFiles = field(default_factory=WeightFiles)
    dtype: Dtype = "default"
    lora_strength: float = 1.0
    prior_strength: float = 1.0
    loras: tuple[tuple[str, float], ...] = ()
    prompt: str = PROMPT
    negative_prompt: str = NEGATIVE_PROMPT
    embeddings: str | None = None
    keep: KeepSettings | None = None

    def to_json(self) -> str:
        """Text that ``from_json`` of the same version reads."""
        return written(self)

    @classmethod
    def from_json(cls, text: str) -> Job:
        """Read what ``to_json`` wrote.

        Raises:
            EX4DError: it was written by another version: an installed package beside another release of the pack.
        """
        values = read(text)
        values["clip"] = ClipSettings(**values["clip"])
        values["run"] = Run(**values["run"])
        values["files"] = WeightFiles(**values["files"])
        values["keep"] = values["keep"] and KeepSettings(**values["keep"])
        values["loras"] = tuple((name, strength) for name, strength in values["loras"])
        return cls(**values)
