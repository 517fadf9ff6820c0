"""What a ``recon`` is asked to do: made once from the flags, after which every step takes the part that is its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from ..camera import Intrinsics
    from ..depth.refine import Mend
    from ..depth.source import Kind
    from ..mesh import Style
    from ..render import BackendChoice, KeepFirstFrame
    from ..scene_memory import Strictness
    from ..trajectory import BaseChoice, Trajectory
    from ..video.fit import Fit

CHUNK_FRAMES = 16
"""Frames rendered before they are encoded; bounds memory whatever the clip's length."""
COLOR_BYTES, MASK_BYTES, DEPTH_BYTES = 3, 1, 4
"""Of a pixel."""


@dataclass(frozen=True)
class ClipJob:
    """Which frames of which video, on which pixel grid.

    Attributes:
        source: a video file, a folder of images, or an .npz.
        start: first frame, at ``fps``.
        frames: how many.
        fps: rate to resample to; None = the source's.
        size: (width, height) in pixels.
        fit: how the source's picture fills that size.
    """

    source: str
    start: int
    frames: int
    fps: float | None
    size: tuple[int, int]
    fit: Fit


@dataclass(frozen=True)
class DepthFile:
    """Depth that is read; ``kind`` None where the file says what it holds."""

    path: str
    kind: Kind | None


@dataclass(frozen=True)
class DepthPoints:
    """Depth, lens and source camera from a point map; ``background``: whether its way is found from what stands still."""

    path: str
    background: bool


@dataclass(frozen=True)
class DepthEstimate:
    """Depth that DepthCrafter estimates; models are folders or Hugging Face ids, None = the published ones."""

    unet: str | None
    base: str | None
    folder: str | None
    offline: bool
    steps: int
    seed: int
    device: str | None


DepthJob = DepthFile | DepthPoints | DepthEstimate
"""Where the depth comes from."""


@dataclass(frozen=True)
class SourceCameraJob:
    """How the camera that filmed the clip moves.

    Attributes:
        file: a camera file; None = it is solved from clip and depth.
        scale: units of the depth per unit of the file; None = fitted to the clip.
    """

    file: Path | None
    scale: float | None


@dataclass(frozen=True)
class MeshJob:
    """Parameters of the mesh.

    Attributes:
        style, min_angle, depth_jump: see `build_dw_mesh`.
        border_depth: of the back plate; None = as the depth's source tells.
        focal: in pixels of the clip's size; None = the depth's own lens, else the default one.
        mends: what is mended in the depth before, see `ex4d_core.depth.refine`.
    """

    style: Style
    min_angle: float
    depth_jump: float
    border_depth: float | None
    focal: float | None
    mends: tuple[Mend, ...] = ()

    def lens(self, size: tuple[int, int]) -> Intrinsics | None:
        """The lens that --focal asks for, in a picture of (width, height); None where it was not given."""
        from ..camera import Intrinsics

        return None if self.focal is None else Intrinsics.from_focal(self.focal, *size)


@dataclass(frozen=True)
class SceneJob:
    """A clip and what its mesh is made of; ``frames`` is the length of every camera path."""

    clip: ClipJob
    depth: DepthJob
    source_camera: SourceCameraJob | None
    mesh: MeshJob
    frames: int

    @property
    def clip_bytes(self) -> int:
        """Bytes of the clip's colours and depth, held once."""
        width, height = self.clip.size
        return (COLOR_BYTES + DEPTH_BYTES) * self.clip.frames * width * height


@dataclass(frozen=True)
class CameraPath:
    """One path asked for: a preset with parameters, or a file; ``name`` is what its outputs are called.

    ``file_fps`` is the rate at which a file of curves is sampled; None = as the file tells.
    ``base`` and ``seconds`` say what it is laid on where the source camera moves (`laid_on`).
    ``loop`` closes a preset.
    """

    name: str
    preset: str | None
    params: dict[str, Any]
    file: Path | None
    base: BaseChoice
    seconds: float
    file_fps: float | None = None
    loop: bool = False

    def trajectory(self, frames: int, fps: float, radius: float | None, intrinsics: Intrinsics) -> Trajectory:
        """The path around a scene of this radius (scene units; None: not known yet), seen through the clip's lens.

        ``frames`` are the clip's; a preset that freezes it is as much longer.
        """
        from ..trajectory import Trajectory, frames_for

        if self.preset is not None:
            return Trajectory.preset(
                self.preset,
                frames=frames_for(self.preset, self.params, frames),
                fps=fps,
                radius=radius,
                intrinsics=intrinsics,
                loop=self.loop,
                **self.params,
            )
        assert self.file is not None
        # One camera a frame as the file has them, whatever the clip's rate is.
        size = (intrinsics.width, intrinsics.height)
        return Trajectory.load(self.file, intrinsics=intrinsics, size=size, radius=radius, fps=self.file_fps)


@dataclass(frozen=True)
class RenderJob:
    """How paths are rendered; see `render_color_mask`."""

    backend: BackendChoice
    device: str | None
    supersample: int
    keep_first_frame: KeepFirstFrame
    hole_color: str = "black"
    grow_holes: int = 0
    feather: int = 0
    memory: Strictness | None = None
    memory_frames: int = 8


BentSound = Literal["none", "cut", "stretch"]
BENT_SOUNDS: tuple[BentSound, ...] = get_args(BentSound)
"""What becomes of sound where a path bends time: it is left out, goes on as it is, or follows."""


@dataclass(frozen=True)
class Outputs:
    """Which files are written, into which folder, the x264 quality of the videos, their sound where time is bent, and
    whether there is a video of what came from memory."""

    folder: Path
    mesh: bool
    cameras: bool
    frames: bool
    depth: bool
    crf: float
    bent_sound: BentSound = "none"
    memory: bool = False

    def names(self, cameras: tuple[CameraPath, ...]) -> list[str]:
        """Names of the files that will be written."""
        forms = ["color_{}.mp4", "mask_{}.mp4"] + ["memory_{}.mp4"] * self.memory
        forms += ["camera_{}.npz"] * self.cameras + ["frames_{}.npz"] * self.frames
        names = [form.format(camera.name) for camera in cameras for form in forms]
        return names + ["DW-Mesh.ply"] * self.mesh + ["depth.npz"] * self.depth


@dataclass(frozen=True)
class ReconJob:
    """The whole job: a scene, the paths along which it is filmed, and what is written of them."""

    scene: SceneJob
    cameras: tuple[CameraPath, ...]
    render: RenderJob
    outputs: Outputs

    def least_memory(self) -> int:
        """Bytes held at once on any path through the work; models, renderer and encoders come on top."""
        width, height = self.scene.clip.size
        chunk = (COLOR_BYTES + MASK_BYTES + DEPTH_BYTES) * min(self.scene.frames, CHUNK_FRAMES) * width * height
        # The mesh has its own copies of the clip.
        return max(2 * self.scene.clip_bytes, self.scene.clip_bytes + chunk)
