"""Which Wan model this is, named as its maker names it, told by what its weights are called and how many channels they have."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import EX4DError
from .backbone import PREFIXES, WAN21_I2V

Use = Literal["trained", "untrained", "refused"]
"""What the adapter can do with a model: it was made for it, it fits and runs, it does not fit."""


@dataclass(frozen=True)
class WanModel:
    """A published layout of Wan's weights.

    Attributes:
        name: its maker's.
        use: what the adapter can do with it.
        has, lacks: beginnings of names that some, or none, of its weights have.
        in_channels: of its patch embedding; None for any.
        out_channels: of its latent; None for any.
    """

    name: str
    use: Use = "refused"
    has: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    in_channels: int | None = None
    out_channels: int | None = None

    @property
    def note(self) -> str | None:
        """What to tell whoever uses it; None of the model that the adapter was made for."""
        return self.note_for("The EX-4D adapter")

    def note_for(self, adapter: str) -> str | None:
        """The same for an adapter of this name."""
        if self.use != "untrained":
            return None
        return f"MODEL is {self.name}. {adapter} fits it, but was trained on {WAN21_I2V.name} and not on this model."

    def matches(self, names: Collection[str], in_channels: int, out_channels: int) -> bool:
        """Whether weights of these names and channels are this layout's."""
        return (
            all(_any_begins(names, part) for part in self.has)
            and not any(_any_begins(names, part) for part in self.lacks)
            and self.in_channels in (None, in_channels)
            and self.out_channels in (None, out_channels)
        )


IMAGE = "img_emb."
"""What Wan2.1's image-to-video models see CLIP vision through; those of Wan2.2 have none."""
MODELS = (
    WanModel("Wan2.1 VACE", has=("vace_patch_embedding.",)),
    WanModel("Wan2.1 Fun Control Camera", has=("control_adapter.", IMAGE)),
    WanModel("Wan2.2 Fun A14B Control Camera", has=("control_adapter.",), out_channels=16),
    WanModel("Wan2.2 Fun 5B Control Camera", has=("control_adapter.",)),
    WanModel("Wan2.2 S2V 14B", has=("casual_audio_encoder.",)),  # their spelling
    WanModel("HuMo", has=("audio_proj.",)),
    WanModel("Wan2.2 Animate 14B", has=("face_adapter.",)),
    WanModel("SCAIL-2", has=("patch_embedding_mask.",)),
    WanModel("SCAIL", has=("patch_embedding_pose.",)),
    WanModel("WanDancer", has=("patch_embedding_global.",)),
    WanModel("Wan2.2 TI2V 5B", in_channels=48, out_channels=48),
    WanModel("Wan2.2 Fun 5B InP", in_channels=100, out_channels=48),
    WanModel("Wan2.2 Fun 5B Control", out_channels=48),
    WanModel("Wan2.1 Fun Control", has=(IMAGE,), in_channels=48),
    WanModel("Wan2.1 Fun InP", "untrained", has=(IMAGE, "ref_conv."), in_channels=36),
    WanModel("Wan2.1 FLF2V 14B 720P", "untrained", has=("img_emb.emb_pos",), in_channels=36),
    WanModel(WAN21_I2V.name, "trained", has=(IMAGE,), in_channels=WAN21_I2V.in_channels),
    WanModel("Wan2.2 Fun A14B Control", lacks=(IMAGE,), in_channels=52),
    WanModel("Wan2.2 I2V A14B", lacks=(IMAGE,), in_channels=36),
    WanModel("Wan2.1 T2V or Wan2.2 T2V A14B", lacks=(IMAGE,), in_channels=16),
)
"""The first that matches is the one. Names and channels as in the published weights and in ComfyUI's own detection."""


def identify(names: Collection[str], in_channels: int, out_channels: int) -> WanModel | None:
    """The layout that these weights have, None for one that is not known here.

    Args:
        names: of weights, or of the parts they lie in with a dot behind, without a prefix.
        in_channels: of the patch embedding.
        out_channels: of the latent.
    """
    return next((model for model in MODELS if model.matches(names, in_channels, out_channels)), None)


def identify_file(shapes: Mapping[str, Sequence[int]]) -> WanModel | None:
    """The same of a file's header, name -> shape; None too where the names are not Wan's."""
    for prefix in PREFIXES:
        embedding, head = (shapes.get(prefix + name) for name in ("patch_embedding.weight", "head.head.weight"))
        if embedding and head:
            names = [name[len(prefix) :] for name in shapes if name.startswith(prefix)]
            frames, rows, columns = WAN21_I2V.patch
            return identify(names, embedding[1], head[0] // (frames * rows * columns))
    return None


def check_known(model: WanModel | None, adapter: str = "EX-4D") -> None:
    """Refuse a layout that the adapter does not fit, by its name; None, one that is not known, passes."""
    if model is not None and model.use == "refused":
        raise EX4DError(f"MODEL is {model.name}; {adapter} needs {WAN21_I2V.name}.")


def _any_begins(names: Collection[str], part: str) -> bool:
    return any(name.startswith(part) for name in names)
