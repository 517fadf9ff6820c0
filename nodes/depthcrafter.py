"""DepthCrafter inside ComfyUI: its models in the host's folders and memory management, progress with a live picture."""

from __future__ import annotations

import json
import logging
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

import comfy.model_management
import comfy.model_patcher
import comfy.utils
import torch
from comfy_api.latest import io

from ..ex4d_core.depth import DepthClip
from ..ex4d_core.depth.depthcrafter import CHOICES, DepthCrafter, MemoryChoice, StepResult
from ..ex4d_core.depth.depthcrafter.memory import borrowed
from ..ex4d_core.errors import EX4DError
from ..ex4d_core.machine.buffers import empty
from ..ex4d_core.preview.film import colored_depth, depth_palette, film_size
from ..ex4d_core.preview.pictures import shrink
from ..ex4d_core.published import DEPTH_OVERLAP, DEPTH_SEED, DEPTH_SIZE_LIMIT, DEPTH_STEPS, DEPTH_WINDOW
from . import models, previews, types
from .progress import Job
from .schema import choice_problem, range_problem, schema
from .settings import preview_pixels

if TYPE_CHECKING:
    from PIL.Image import Image

log = logging.getLogger(__name__)

FOLDER = "depthcrafter"
PUBLISHED = "DepthCrafter"
"""The choice that stands for the published weights, downloaded once if they are not there."""

PREVIEW_SIDE = 512

models.add_folder(FOLDER)


def model_roots() -> list[Path]:
    """Folders that DepthCrafter's and Stable Video Diffusion's folders are looked for in; downloads go to the first."""
    return list(dict.fromkeys([models.download_folder(FOLDER), *models.folders(FOLDER), *models.folders("diffusers")]))


def model_choices() -> list[str]:
    """The published model and every other folder of a DepthCrafter UNet."""
    found = []
    for root in models.folders(FOLDER):
        for config in sorted(root.glob("*/config.json")):
            try:
                name = str(json.loads(config.read_text(encoding="utf-8")).get("_class_name"))
            except (OSError, ValueError, AttributeError, RecursionError):
                continue
            if "DepthCrafter" in name and config.parent.name != PUBLISHED:
                found.append(config.parent.name)
    return [PUBLISHED, *dict.fromkeys(found)]


class HostPlacement:
    """ComfyUI's model management as DepthCrafter's placement: it loads, offloads and frees the networks.

    Nothing is sent away when DepthCrafter has finished with a network; the host does that when it needs the room.
    """

    def __init__(self) -> None:
        self.device = comfy.model_management.get_torch_device()
        self.patchers: dict[int, comfy.model_patcher.ModelPatcher] = {}

    def free_bytes(self) -> int:
        """Free memory, and what the host's other models would give back."""
        if self.device.type == "cpu":
            return 2**62
        loaded = [m for m in comfy.model_management.current_loaded_models if m.device == self.device]
        reserve = comfy.model_management.extra_reserved_memory()
        free = comfy.model_management.get_free_memory(self.device)
        return int(free + sum(m.model_loaded_memory() for m in loaded) - reserve)

    def hold(self, module: torch.nn.Module, working_bytes: int) -> AbstractContextManager[None]:
        """Have the host load a network, with room to work beside it. What it leaves elsewhere is lent to the device.

        (``--novram`` loads only layers of ComfyUI's own classes.)
        """
        patcher = self.patchers.get(id(module))
        if patcher is None:
            patcher = comfy.model_patcher.ModelPatcher(
                _Network(module), self.device, comfy.model_management.unet_offload_device()
            )
            self.patchers[id(module)] = patcher
        comfy.model_management.load_models_gpu([patcher], memory_required=working_bytes, force_full_load=True)
        return borrowed((module,), self.device)

    def make_room(self, working_bytes: int) -> None:
        """Have the host unload models until there is room."""
        if self.device.type != "cpu":
            comfy.model_management.free_memory(working_bytes, self.device)
            comfy.model_management.soft_empty_cache()


class _Network(torch.nn.Module):
    """A network as the host's patcher wants it: with attributes of its own (diffusers' ``device`` cannot be set)."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network


class _Progress(Job):
    """Progress with a picture of the step's depth."""

    picture: Image | None = None

    def show(self, step: StepResult) -> None:
        """Keep the middle frame of the window for the next report."""
        from PIL import Image

        grey = step.preview()[len(step.window) // 2]
        colours = depth_palette()[(grey * 255).round().to(torch.uint8).cpu().numpy()]
        size = film_size(8 * grey.shape[1], 8 * grey.shape[0], PREVIEW_SIDE**2)
        self.picture = Image.fromarray(shrink(colours, *size))

    def progress(self, done: int, total: int) -> None:
        """Report, with the picture if a step has left one."""
        if self.picture is None:
            super().progress(done, total)
            return
        if self.bar is None:
            self.bar = comfy.utils.ProgressBar(total)
        self.bar.update_absolute(done, total, ("JPEG", self.picture, PREVIEW_SIDE))
        self.picture = None


_loaded: dict[tuple[str, torch.dtype, str], DepthCrafter] = {}
"""The last DepthCrafter, so that another seed or clip does not read the files again."""


def load(model: str, allow_download: bool, job: Job) -> DepthCrafter:
    """The DepthCrafter of a choice, from the cache or from its files."""
    if model not in model_choices():
        raise EX4DError(f"There is no DepthCrafter model '{model}' in models/{FOLDER}. Choose another in the list.")
    placement = HostPlacement()
    half = placement.device.type != "cpu" and comfy.model_management.should_use_fp16(placement.device)
    dtype = torch.float16 if half else torch.float32
    key = (model, dtype, str(placement.device))
    if key not in _loaded:
        _loaded.clear()
        folders = [root / model for root in models.folders(FOLDER)]
        local = next((folder for folder in folders if folder.is_dir()), None)
        _loaded[key] = DepthCrafter.from_pretrained(
            None if model == PUBLISHED else local,
            dtype=dtype,
            folder=model_roots(),
            offline=not allow_download,
            placement=placement,
            progress=job.progress,
            cancel=job.cancel,
        )
    return _loaded[key]


class EX4DDepthCrafter(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DDepthCrafter",
            display_name="DepthCrafter",
            description="Depth of a whole clip without flicker, the way EX-4D was made to see it. The weights are for "
            "academic, non-commercial use (Tencent's DepthCrafter and Stability AI's Stable Video Diffusion licences); "
            "about 4.5 GB are downloaded once.",
            search_aliases=["video depth", "depth crafter", "depth estimation", "consistent depth", "disparity"],
            has_intermediate_output=True,
            inputs=[
                io.Image.Input("images", tooltip="The clip, any size and length. Use the same frames for the mesh."),
                io.Combo.Input(
                    "model",
                    options=model_choices(),
                    default=PUBLISHED,
                    tooltip="DepthCrafter is the published model, downloaded into models/depthcrafter when it is used "
                    "for the first time. Other folders there that hold a DepthCrafter model are listed too.",
                ),
                io.Int.Input(
                    "steps",
                    default=DEPTH_STEPS,
                    min=1,
                    max=50,
                    tooltip=f"Denoising steps. EX-4D uses {DEPTH_STEPS}; more cost time and change little.",
                ),
                io.Int.Input(
                    "window",
                    default=DEPTH_WINDOW,
                    min=2,
                    max=400,
                    tooltip="Frames worked on together. A longer clip is done in several windows. Fewer frames need less "
                    "memory and are a little less steady.",
                ),
                io.Int.Input(
                    "overlap",
                    default=DEPTH_OVERLAP,
                    min=1,
                    max=200,
                    tooltip="Frames that two windows share, so that depth goes on smoothly. Must be less than window. "
                    "Only for clips longer than one window.",
                ),
                io.Int.Input(
                    "seed",
                    default=DEPTH_SEED,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    tooltip=f"The noise that depth is made from. {DEPTH_SEED} is what EX-4D uses; another seed gives slightly "
                    "different depth.",
                ),
                io.Int.Input(
                    "size_limit",
                    default=DEPTH_SIZE_LIMIT,
                    min=64,
                    max=2048,
                    step=64,
                    tooltip="Longest side, in pixels, at which depth is estimated. The result always has the clip's own "
                    "size. Smaller is faster, needs less memory and loses fine detail.",
                ),
                io.Combo.Input(
                    "memory",
                    options=list(CHOICES),
                    default="auto",
                    tooltip="How the graphics card's memory is used; the depth is the same. auto picks by what is free. "
                    "low fits small cards and is slower.",
                ),
                io.Boolean.Input(
                    "allow_download",
                    default=True,
                    tooltip="Download the model when it is missing. Off: a message lists which files to put where.",
                ),
                io.Boolean.Input(
                    "unload_after",
                    default=False,
                    tooltip="Forget the model afterwards, to leave all memory to the rest of the graph. The next run "
                    "reads it again.",
                ),
            ],
            outputs=[
                types.Depth.Output(display_name="depth", tooltip="Depth of every frame, for Build DW-Mesh."),
                io.Image.Output(display_name="disparity", tooltip="Grey pictures of the same, near is bright."),
            ],
        )

    @classmethod
    def validate_inputs(
        cls, window: int | None = None, overlap: int | None = None, memory: str | None = None
    ) -> bool | str:
        if problem := range_problem(cls, window=window, overlap=overlap) or choice_problem(cls, memory=memory):
            return problem
        if window is not None and overlap is not None and overlap >= window:
            return f"overlap ({overlap}) must be smaller than window ({window})."
        return True

    @classmethod
    def execute(
        cls,
        images: torch.Tensor,
        model: str,
        steps: int,
        window: int,
        overlap: int,
        seed: int,
        size_limit: int,
        memory: MemoryChoice,
        allow_download: bool,
        unload_after: bool,
    ) -> io.NodeOutput:
        warnings: list[str] = []

        def warn(text: str) -> None:
            log.warning("%s", text)
            warnings.append(text)

        with _Progress() as loading:
            crafter = load(model, allow_download, loading)
        try:
            with _Progress() as job:
                disparity = crafter(
                    images[..., :3],
                    steps=steps,
                    window=window,
                    overlap=overlap,
                    seed=seed,
                    size_limit=size_limit,
                    memory=memory,
                    progress=job.progress,
                    cancel=job.cancel,
                    on_step=job.show,
                    warn=warn,
                )
        finally:
            if unload_after:
                del crafter
                _loaded.clear()
                comfy.model_management.cleanup_models_gc()
                comfy.model_management.soft_empty_cache()
        clip = DepthClip.from_disparity(disparity)
        low, high = clip.disparity_range or (0.0, 1.0)  # known of every clip from disparity
        grey = empty((*disparity.shape, 3))
        for frame, picture in zip(disparity, grey, strict=True):
            picture.copy_(((frame - low) / (high - low))[..., None])
        frames, height, width = disparity.shape
        lines = f"{frames} frames, {width}x{height}", f"disparity {low:.3f} to {high:.3f}", *warnings
        video = previews.save_video(lambda: colored_depth(clip.depth, preview_pixels()), 15, total=len(clip))
        return io.NodeOutput(clip, grey, ui=previews.ui_video(video, *lines))


NODES = [EX4DDepthCrafter]
