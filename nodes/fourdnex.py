"""4DNeX: its adapter on a Wan2.1 model, the conditioning for stock samplers, its solver and schedule, and decoding."""

from __future__ import annotations

from typing import Any

import folder_paths
from comfy_api.latest import io
from torch import Tensor

from ..ex4d_core import published
from ..ex4d_core.wan.backbone import WAN21_I2V
from ..ex4d_core.wan.fourdnex.settings import DECODINGS, Decoding, Run
from ..ex4d_core.wan.host.comfy_types import Conditioning, Model, Vae, VisionEncoder
from . import models, previews
from .conditioning import NO_TILES, TILES, tile_size
from .schema import choice_problem, schema
from .settings import preview_pixels
from .types import PointMap

FOLDER = "4dnex"
DOWNLOAD = "4DNeX (download from Hugging Face)"
FOUND = "in the same file or beside it"
RUN = Run()
"""Gives the widgets their defaults."""

MODEL = io.Model.Input("model", tooltip="Wan2.1 I2V with the adapter, from 4DNeX Adapter Loader.")
VAE = io.Vae.Input("vae", tooltip="The Wan 2.1 VAE.")
IMAGE = io.Image.Input(
    "image",
    tooltip="The one picture to start from. It is resized, not cropped, to the size that 4DNeX was trained at.",
)
CLIP_VISION_OUTPUT = io.ClipVisionOutput.Input(
    "clip_vision_output",
    optional=True,
    tooltip="CLIP Vision Encode of the picture (clip_vision_h, crop: center). Or connect clip_vision.",
)
CLIP_VISION = io.ClipVision.Input(
    "clip_vision",
    optional=True,
    tooltip="The CLIP vision model (clip_vision_h): shows the picture to Wan exactly as published. Without either, Wan knows "
    "less about the look of the scene.",
)
DECODING = io.Combo.Input(
    "decoding",
    options=list(DECODINGS),
    tooltip="joint: colour and points in one piece, as published; they bleed into each other in the columns where they meet. "
    "apart: each alone, without that.",
)
TILE = io.Combo.Input(
    "vae_tiles",
    options=TILES,
    tooltip="Decode in tiles of this many pixels, for decoding: apart. Saves memory, takes longer.",
)
FPS = io.Float.Input(
    "fps",
    default=published.FOURDNEX_FPS,
    min=0.1,
    max=240.0,
    step=0.01,
    tooltip="Frames a second of the scene; the point map carries it on. 24 is the published rate.",
)


def side_input(side: str) -> io.Int.Input:
    """Width or height of the picture that is made."""
    return io.Int.Input(
        side,
        default=0,
        min=0,
        max=4096,
        step=WAN21_I2V.side,
        tooltip=f"{side.title()} of the result in pixels, a multiple of {WAN21_I2V.side}. 0 for both sides is the published "
        "rule: the area of 720x480 in the picture's own proportions.",
    )


SIZE_INPUTS = [
    io.Int.Input(
        "frames",
        default=published.FOURDNEX_FRAMES,
        min=1,
        max=4097,
        step=WAN21_I2V.time_stride,
        tooltip=f"Frames to make: 4n + 1. {published.FOURDNEX_FRAMES} is what 4DNeX was trained on.",
    ),
    side_input("width"),
    side_input("height"),
]
"""How the picture becomes a start."""
STEPS = io.Int.Input(
    "steps",
    default=RUN.steps,
    min=1,
    max=10000,
    tooltip=f"Sampling steps. {published.FOURDNEX_STEPS} is the published count.",
)
SHIFT_TIP = f"How much of the run is spent on the rough scene. {published.FOURDNEX_SHIFT:g} is the published value."
SHIFT = io.Float.Input("shift", default=RUN.shift, min=0.01, max=100.0, step=0.01, tooltip=SHIFT_TIP)


class EX4DFourDNeXLoader(io.ComfyNode):
    """LoRA and vectors of 4DNeX on a Wan2.1 I2V model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..ex4d_core.wan.fourdnex.checkpoint import VECTORS_FILE

        files = models.adapter_files(FOLDER)
        loras = [name for name in files if not name.endswith(VECTORS_FILE)]
        return schema(
            node_id="EX4DFourDNeXLoader",
            display_name="4DNeX Adapter Loader",
            description="Puts 4DNeX on Wan2.1 I2V 14B, which then makes of one picture a video of colour and of 3D points side "
            "by side: a LoRA that works like any other, and two small vectors that tell the model the halves apart.",
            search_aliases=["4dnex", "image to 4d", "point map", "lora", "wan adapter"],
            has_intermediate_output=True,
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Wan2.1 I2V 14B 480P: full, fp8 or GGUF. Speed LoRAs may come before or after. Not together with "
                    "the EX-4D adapter.",
                ),
                io.Combo.Input(
                    "file",
                    options=[*loras, DOWNLOAD],
                    tooltip="The LoRA (pytorch_lora_weights.safetensors) from models/4dnex, or a file with 4DNeX in its name "
                    "from models/loras or models/model_patches. The last entry downloads both files into models/4dnex; their "
                    "terms stand on their page.",
                ),
                io.Float.Input(
                    "lora_strength",
                    default=1.0,
                    min=-10.0,
                    max=10.0,
                    step=0.01,
                    tooltip="How much of the LoRA is applied. 1 is what 4DNeX was trained with (half of what the file's numbers "
                    "say); 0 leaves it out.",
                ),
                io.Combo.Input(
                    "vectors_file",
                    options=[FOUND, *files],
                    optional=True,
                    tooltip="The file with the two vectors (learnable_domain_embeddings.pt), where it lies neither in the LoRA's "
                    "file nor beside it. Without them there is no result.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The model with the adapter.")],
        )

    @classmethod
    def execute(cls, model: Model, file: str, lora_strength: float, vectors_file: str = FOUND) -> io.NodeOutput:
        from ..ex4d_core.wan.fourdnex.checkpoint import LORA_FILE, REPOSITORY, VECTORS_FILE, load_adapter
        from ..ex4d_core.wan.host import model as models_of_wan
        from ..ex4d_core.wan.host.fourdnex import patch

        # Before a file is read or fetched.
        models_of_wan.model_size_of(model, models_of_wan.FOURDNEX)
        models_of_wan.check_alone(model, file)
        vectors = None if vectors_file == FOUND else models.adapter_path(FOLDER, vectors_file)
        if file == DOWNLOAD:  # where one of them was there before, they may lie in two folders
            path, own = models.fetched(FOLDER, REPOSITORY, [LORA_FILE, VECTORS_FILE])
            vectors = vectors or own
        else:
            path = models.adapter_path(FOLDER, file)
        adapter = load_adapter(path, vectors)
        known = models_of_wan.wan_model_of(model, models_of_wan.FOURDNEX)
        note = known.note_for(models_of_wan.FOURDNEX) if known is not None else None
        ui = previews.ui_text(adapter.summary(), *([note] if note else []))
        return io.NodeOutput(patch.add_adapter(model, adapter, lora_strength), ui=ui)


class EX4DFourDNeXConditioning(io.ComfyNode):
    """Everything a stock sampler needs for one picture."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        from ..ex4d_core.wan.fourdnex.condition import TRIGGER

        return schema(
            node_id="EX4DFourDNeXConditioning",
            display_name="4DNeX Conditioning",
            description="Prepares a picture for any stock sampler: puts a plane of points beside it and encodes both. For the "
            "published run take SamplerCustomAdvanced with 4DNeX Schedule, 50 steps, cfg 5, noise seed 42.",
            search_aliases=["4dnex", "image to 4d", "wan image to video", "i2v conditioning"],
            has_intermediate_output=True,
            inputs=[
                MODEL,
                io.Conditioning.Input(
                    "positive", tooltip=f"Text prompt (umt5-xxl, CLIP type wan). It must end with {TRIGGER}"
                ),
                io.Conditioning.Input("negative", tooltip="What to avoid; the published run's prompt is empty."),
                VAE,
                IMAGE,
                CLIP_VISION_OUTPUT,
                *SIZE_INPUTS,
                io.Float.Input(
                    "shift",
                    default=RUN.shift,
                    min=0.0,
                    max=100.0,
                    step=0.01,
                    tooltip=SHIFT_TIP + " 0 leaves what the model has, for example from ModelSamplingSD3.",
                ),
                io.Int.Input("batch_size", default=1, min=1, max=64, tooltip="Scenes made in one run."),
                CLIP_VISION,
            ],
            outputs=[
                io.Model.Output(display_name="model", tooltip="The model; give it to the sampler."),
                io.Conditioning.Output(display_name="positive", tooltip="For the sampler."),
                io.Conditioning.Output(display_name="negative", tooltip="For the sampler."),
                io.Latent.Output(
                    display_name="latent",
                    tooltip="Empty, of the right size: colour and points side by side. Give it to the sampler.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        model: Model,
        positive: Conditioning,
        negative: Conditioning,
        vae: Vae,
        image: Tensor,
        shift: float,
        batch_size: int,
        clip_vision_output: object | None = None,
        clip_vision: VisionEncoder | None = None,
        **size: Any,
    ) -> io.NodeOutput:
        from ..ex4d_core.wan.fourdnex.condition import prepare
        from ..ex4d_core.wan.host.fourdnex import conditioning

        start = prepare(image, **size)
        settings: dict[str, Any] = {"clip_vision": clip_vision_output, "shift": shift, "batch": batch_size}
        # Everything that can be refused is refused before an encoder is loaded.
        conditioning.check_inputs(model, vae, positive, negative, start, **settings)
        if clip_vision_output is None and clip_vision is not None:
            settings["clip_vision"] = conditioning.see(clip_vision, start)
        ready = conditioning.condition(model, vae, positive, negative, start, **settings)
        ui = previews.ui_text(*start_lines(start, settings["clip_vision"]))
        return io.NodeOutput(ready.model, ready.positive, ready.negative, ready.latent, ui=ui)


class EX4DFourDNeXSchedule(io.ComfyNode):
    """The published solver and noise levels."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DFourDNeXSchedule",
            display_name="4DNeX Schedule",
            description="The published sampler and noise levels for SamplerCustom and SamplerCustomAdvanced, exact for any "
            "number of steps. The sampler, UniPC of second order for flow matching, takes other sigmas and models too, EX-4D's "
            "among them; ComfyUI's own uni_pc works in another way.",
            search_aliases=["4dnex", "unipc", "sigmas", "sampler", "flow match"],
            inputs=[STEPS, SHIFT],
            outputs=[
                io.Sampler.Output(display_name="sampler", tooltip="UniPC, of second order, for flow matching."),
                io.Sigmas.Output(display_name="sigmas", tooltip="Noise levels from just below 1 to 0."),
            ],
        )

    @classmethod
    def execute(cls, steps: int, shift: float) -> io.NodeOutput:
        from ..ex4d_core.wan.fourdnex.schedule import sigmas
        from ..ex4d_core.wan.host import unipc

        return io.NodeOutput(unipc.sampler(), sigmas(steps, shift))


class EX4DFourDNeXDecode(io.ComfyNode):
    """Colour frames and points of a sampled latent."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return schema(
            node_id="EX4DFourDNeXDecode",
            display_name="4DNeX Decode",
            description="Decodes what a stock sampler has made with 4DNeX Conditioning: colour frames, and a 3D point for every "
            "pixel of them.",
            search_aliases=["4dnex", "vae decode", "point map", "xyz"],
            has_intermediate_output=True,
            inputs=[
                io.Latent.Input("samples", tooltip="The sampled latent: colour and points side by side."),
                VAE,
                DECODING,
                TILE,
                io.Int.Input("video", default=0, min=0, max=63, tooltip="Which one of a batch, counted from 0."),
                FPS,
            ],
            outputs=FRAMES_AND_POINTS,
        )

    @classmethod
    def validate_inputs(cls, decoding: str | None = None, vae_tiles: str | None = None) -> bool | str:
        return decoding_problem(cls, decoding, vae_tiles) or True

    @classmethod
    def execute(
        cls, samples: dict[str, Any], vae: Vae, decoding: Decoding, vae_tiles: str, video: int, fps: float
    ) -> io.NodeOutput:
        from ..ex4d_core.wan.host.fourdnex.conditioning import PIXEL_ASPECT
        from ..ex4d_core.wan.host.fourdnex.decoding import decode_halves

        color, points = decode_halves(
            vae, samples["samples"], decoding=decoding, tile=tile_size(vae_tiles), video=video
        )
        made, ui = result(color, points, fps, float(samples.get(PIXEL_ASPECT, 1.0)))
        return io.NodeOutput(color, made, ui=ui)


FRAMES_AND_POINTS: list[io.Output] = [
    io.Image.Output(display_name="frames", tooltip="The colour video."),
    PointMap.Output(
        display_name="pointmap",
        tooltip="A 3D point for every pixel, with the colours: what depth, lens and camera are found from.",
    ),
]


def start_lines(start: Any, clip_vision: object | None) -> list[str]:
    """What a node shows of the picture that it has prepared."""
    from ..ex4d_core.wan.host.fourdnex.conditioning import NO_VISION

    missing = [] if clip_vision is not None else [NO_VISION]
    return [f"{start.frames} frames, {start.width}x{start.height} of colour and of points", *missing]


def decoding_problem(node: type[io.ComfyNode], decoding: str | None, tiles: str | None) -> str | None:
    """The sentence for choices that are not offered, or not together."""
    if problem := choice_problem(node, decoding=decoding, vae_tiles=tiles):
        return problem
    if decoding == "joint" and tiles not in (None, NO_TILES):
        return "vae_tiles works with decoding: apart only; tiles would lie across the seam of colour and points."
    return None


def result(color: Tensor, points: Tensor, fps: float, aspect: float, *lines: str) -> tuple[Any, dict[str, Any]]:
    """The point map of both halves, and the ui that shows them side by side."""
    from ..ex4d_core.pixels import to_uint8
    from ..ex4d_core.pointmap import PointMap as Points
    from ..ex4d_core.preview.film import FilmFrames, side_by_side, small_frames

    made = Points(points, points.new_ones(points.shape[:3]).bool(), color, "cube", fps, aspect)

    def film() -> FilmFrames:
        return side_by_side(*(small_frames(to_uint8(half), pixels=preview_pixels()) for half in (color, points)))

    text = f"{len(made)} frames, {made.width}x{made.height}, {fps:g} frames a second: colour, and points as x, y, z"
    return made, previews.ui_video(previews.save_video(film, fps, total=len(made)), text, *lines)


models.add_folder(FOLDER, set(folder_paths.supported_pt_extensions))
NODES = [EX4DFourDNeXLoader, EX4DFourDNeXConditioning, EX4DFourDNeXSchedule, EX4DFourDNeXDecode]
