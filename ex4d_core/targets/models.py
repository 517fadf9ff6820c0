"""Sizes, lengths and marks that each control-video model takes: one row a model, with the file it was read from.

Paths in ``source`` are files of ComfyUI 0.33.0, unless they name a repository. A test holds the rows against the schemas of a
running ComfyUI.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

RateRule = Literal["exact", "told", "free"]
"""exact: the model makes its video, and sound, at this rate only. told: the rate is one of its inputs. free: trained at this
rate, but it is told none."""


@dataclass(frozen=True)
class VideoModel:
    """A video model, whatever controls it.

    Attributes:
        name: for messages.
        step, first: it takes ``step * n + first`` frames.
        trained: the fewest and most frames that it is known to be trained on.
        fps: frames a second of its training, and how firm that is.
        rate: see `RateRule`.
        side: sides are multiples of this many pixels.
        usual: (width, height) that its examples use.
        most_pixels: of one frame, in its largest usual size.
        source: where these numbers were read.
    """

    name: str
    step: int
    first: int
    trained: tuple[int, int]
    fps: float
    rate: RateRule
    side: int
    usual: tuple[int, int]
    most_pixels: int
    source: str


@dataclass(frozen=True)
class ControlModel:
    """What feeds a video model with colour of a new view, and what it wants to see in the holes.

    Attributes:
        name: as users choose it.
        base: whose sizes and lengths it takes.
        hole_color: of `ex4d_core.pixels.HOLE_COLORS`.
        takes_mask: whether it is given a mask beside the colour.
        source: where hole colour and mask were read.
        lengths: the only counts of frames it takes, where they are few.
        fps: where it is trained at another rate than its base.
    """

    name: str
    base: VideoModel
    hole_color: str
    takes_mask: bool
    source: str
    lengths: tuple[int, ...] | None = None
    fps: float | None = None

    @property
    def rate(self) -> float:
        """Frames a second."""
        return self.fps or self.base.fps

    @property
    def trained(self) -> tuple[int, int]:
        """The fewest and most frames that it is trained on."""
        return (self.lengths[0], self.lengths[-1]) if self.lengths else self.base.trained

    @property
    def length_rule(self) -> str:
        """The counts that it takes, in words."""
        if self.lengths:
            return ", ".join(map(str, self.lengths[:-1])) + f" or {self.lengths[-1]}"
        return f"{self.base.step}n + {self.base.first}"

    @property
    def fewest(self) -> int:
        """The smallest count of frames."""
        return self.lengths[0] if self.lengths else self.base.first

    def takes(self, frames: int) -> bool:
        """Whether a clip may have this many frames."""
        if self.lengths:
            return frames in self.lengths
        return frames >= self.base.first and (frames - self.base.first) % self.base.step == 0

    def within(self, frames: int) -> int | None:
        """The largest count that a clip of so many frames offers; None where it is too short for any."""
        if frames < self.fewest:
            return None
        if self.lengths:
            return max(length for length in self.lengths if length <= frames)
        return (frames - self.base.first) // self.base.step * self.base.step + self.base.first


WAN_2_1 = VideoModel(
    name="Wan 2.1 14B",
    step=4,
    first=1,
    trained=(1, 81),
    fps=16.0,
    rate="free",
    side=16,
    usual=(832, 480),
    most_pixels=1280 * 720,
    source="comfy_extras/nodes_wan.py, WanImageToVideo and WanVaceToVideo; 16 fps: its templates' CreateVideo",
)
WAN_2_2_A14B = VideoModel(
    name="Wan 2.2 A14B",
    step=4,
    first=1,
    trained=(1, 81),
    fps=16.0,
    rate="free",
    side=16,
    usual=(832, 480),
    most_pixels=1280 * 720,
    source="comfy_extras/nodes_wan.py, WanImageToVideo and WanVaceToVideo; 16 fps: template video_wan2_2_14B_i2v",
)
WAN_2_2_5B = VideoModel(
    name="Wan 2.2 5B",
    step=4,
    first=1,
    trained=(1, 121),
    fps=24.0,
    rate="free",
    side=32,
    usual=(1280, 704),
    most_pixels=1280 * 704,
    source="comfy_extras/nodes_wan.py, Wan22ImageToVideoLatent; 121 frames, 24 fps: template video_wan2_2_5B_ti2v",
)
LTX_2_3 = VideoModel(
    name="LTX 2.3",
    step=8,
    first=1,
    trained=(25, 481),  # 1 to 20 seconds at 24 fps
    fps=25.0,
    rate="told",
    side=32,
    usual=(768, 512),
    most_pixels=1920 * 1088,
    source="comfy_extras/nodes_lt.py, EmptyLTXVLatentVideo, LTXVAddGuide, LTXVConditioning; 1 to 20 s: LTXVDurationPredictor",
)
MINIMAX_H3 = VideoModel(
    name="MiniMax-H3",
    step=17,
    first=5,
    trained=(124, 362),
    fps=24.0,
    rate="exact",
    side=32,
    usual=(1344, 768),
    most_pixels=1344 * 768,
    source="comfy_extras/nodes_minimax_h3.py, align_frame_count, FPS, CANVAS_MULTIPLE, MAX_PIXELS, MiniMaxH3ReferenceToVideo",
)

_VACE = "comfy_extras/nodes_wan.py, WanVaceToVideo.execute: centred at 0.5, mask 1 = to be generated"
_CROSSVIEW = "cseti007/ComfyUI-CrossViewWarp, README.md: magenta holes, no mask"

_ROWS = (
    ControlModel("EX-4D on Wan 2.1 14B", WAN_2_1, "black", True, "the published EX-4D code"),
    ControlModel("VACE on Wan 2.1 14B", WAN_2_1, "grey", True, _VACE),
    ControlModel("VACE on Wan 2.2 A14B", WAN_2_2_A14B, "grey", True, _VACE),
    ControlModel(
        "Uni3C on Wan 2.1 14B",
        WAN_2_1,
        "black",
        False,
        "comfy_extras/nodes_model_patch.py, WanUni3CControlnetApply: no mask input; holes of its renders are black",
    ),
    ControlModel("Wan 2.2 5B", WAN_2_2_5B, "black", False, WAN_2_2_5B.source),
    ControlModel("CrossView on LTX 2.3", LTX_2_3, "magenta", False, _CROSSVIEW, fps=24.0),
    ControlModel("CrossView on MiniMax-H3", MINIMAX_H3, "magenta", False, _CROSSVIEW),
    ControlModel(
        "Meridian on MiniMax-H3",
        MINIMAX_H3,
        "grey",
        False,
        "NyckM/3d-Camera-control-H3-Minimax, MERIDIAN-v31.md: grey 128, no mask, eight lengths",
        lengths=(73, 90, 107, 124, 141, 158, 175, 243),
    ),
)
MODELS: dict[str, ControlModel] = {row.name: row for row in _ROWS}
"""Every model by its name, in the order that users see."""
