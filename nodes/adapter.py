"""The adapter on a Wan2.1 model."""

from __future__ import annotations

import folder_paths
from comfy_api.latest import io

from ..ex4d_core.wan.host.comfy_types import Model
from . import models, previews
from .schema import range_problem, schema

FOLDER = "ex4d"
DOWNLOAD = "ex4d.ckpt (download from Hugging Face)"
SAME_FILE = "in the same file"


def adapter_path(name: str) -> str:
    """The file behind a list entry; the download entry fetches it first."""
    if name != DOWNLOAD:
        return models.adapter_path(FOLDER, name)
    from ..ex4d_core.wan.checkpoint import FILE, REPOSITORY

    return str(models.fetched(FOLDER, REPOSITORY, [FILE])[0])


class EX4DAdapterLoader(io.ComfyNode):
    """LoRA and prior encoder of EX-4D on a Wan2.1 I2V model."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        files = models.adapter_files(FOLDER)
        strength = {"default": 1.0, "min": -10.0, "max": 10.0, "step": 0.01}
        return schema(
            node_id="EX4DAdapterLoader",
            display_name="EX-4D Adapter Loader",
            description="Puts the EX-4D adapter on Wan2.1 I2V 14B: a LoRA that works like any other, and the encoder that "
            "tells the model what the render shows and where its holes are.",
            search_aliases=["ex4d", "ex-4d", "lora", "wan adapter", "camera control", "novel view"],
            has_intermediate_output=True,
            inputs=[
                io.Model.Input(
                    "model",
                    tooltip="Wan2.1 I2V 14B, 480P or 720P: full, fp8 or GGUF. Speed LoRAs may come before or after.",
                ),
                io.Combo.Input(
                    "file",
                    options=[*files, DOWNLOAD],
                    tooltip="The adapter (ex4d.ckpt or .safetensors) from models/ex4d, or a file with EX4D in its name from "
                    "models/loras or models/model_patches. The last entry downloads it into models/ex4d.",
                ),
                io.Float.Input(
                    "lora_strength",
                    **strength,
                    tooltip="How much of the LoRA is applied. 1 is what EX-4D was trained with; 0 leaves it out.",
                ),
                io.Float.Input(
                    "prior_strength",
                    **strength,
                    tooltip="How firmly the result follows the rendered colours and holes. 1 is as trained; lower lets the "
                    "model invent more, 0 ignores the render.",
                ),
                io.Float.Input(
                    "prior_start",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="From which part of the sampling on the render is followed (0 = from the first step).",
                ),
                io.Float.Input(
                    "prior_end",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Up to which part of the sampling the render is followed (1 = to the end). Ending at 0.8 lets "
                    "the last steps clean up render artefacts.",
                ),
                io.Combo.Input(
                    "prior_file",
                    options=[SAME_FILE, *files],
                    optional=True,
                    tooltip="Only for adapters that come as two files: the one with the prior encoder.",
                ),
            ],
            outputs=[io.Model.Output(display_name="model", tooltip="The model with the adapter.")],
        )

    @classmethod
    def validate_inputs(cls, prior_start: float | None = None, prior_end: float | None = None) -> bool | str:
        if problem := range_problem(cls, prior_start=prior_start, prior_end=prior_end):
            return problem
        if prior_start is not None and prior_end is not None and prior_start >= prior_end:
            return f"prior_start ({prior_start}) must lie before prior_end ({prior_end})."
        return True

    @classmethod
    def execute(
        cls,
        model: Model,
        file: str,
        lora_strength: float,
        prior_strength: float,
        prior_start: float = 0.0,
        prior_end: float = 1.0,
        prior_file: str = SAME_FILE,
    ) -> io.NodeOutput:
        from ..ex4d_core.wan import checkpoint
        from ..ex4d_core.wan.host import model as models_of_wan
        from ..ex4d_core.wan.host import patch

        # Before a file is read or fetched.
        models_of_wan.model_size_of(model)
        models_of_wan.check_alone(model, file)
        prior = patch.PriorSettings(prior_strength, prior_start, prior_end)
        adapter = checkpoint.load_adapter(adapter_path(file))
        if prior_file != SAME_FILE:
            adapter = checkpoint.combine(adapter, checkpoint.load_adapter(adapter_path(prior_file)))
        known = models_of_wan.wan_model_of(model)
        lines = [adapter.summary(), *([known.note] if known is not None and known.note else [])]
        return io.NodeOutput(patch.add_adapter(model, adapter, lora_strength, prior), ui=previews.ui_text(*lines))


models.add_folder(FOLDER, set(folder_paths.supported_pt_extensions))
NODES = [EX4DAdapterLoader]
