"""The work of ``imagine``, inside ComfyUI's folder: load what is named, make a scene of a picture, write colour and points."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

from ...errors import EX4DError
from ...pixels import to_uint8
from ..backbone import model_size
from ..fourdnex.checkpoint import Adapter, check_fits, load_adapter
from ..fourdnex.condition import Start, load_picture, prepare, with_trigger
from ..fourdnex.job import Job
from ..models import check_known, identify_file
from .comfy_types import Conditioning
from .conditioning import check_text, check_vae, check_vision
from .files import (
    Kind,
    add_lora,
    check_files,
    find_file,
    find_lora,
    load_model,
    load_text_encoder,
    load_vae,
    load_vision_encoder,
    model_shapes,
    read_embeddings,
)
from .fourdnex.conditioning import see
from .fourdnex.patch import add_adapter
from .fourdnex.sampling import check_run, sample_picture
from .model import FOURDNEX
from .start import BAD_INPUT


def main(job: Path) -> int:
    """Do the job in a file; returns the exit code."""
    try:
        with torch.inference_mode():
            imagine(Job.from_json(job.read_text(encoding="utf-8")))
    except EX4DError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def imagine(job: Job) -> None:
    """Load what is named, sample, write both halves; what can be refused is refused before a large file is read."""
    check_run(job.run)
    files = find_files(job)
    loras = [(find_lora(name), strength) for name, strength in job.loras]
    check_files(files, [path for path, _ in loras], job.embeddings)
    adapter = load_adapter(files["fourdnex"], job.vectors)
    check_model_file(files["dit"], adapter)
    start = prepare(load_picture(job.image), frames=job.frames, width=job.width, height=job.height)
    vae = load_vae(files["vae"])
    check_vae(vae, start.backbone, FOURDNEX)
    positive, negative, vision = embeddings(job, files, start)
    for name, text in (("positive", positive), ("negative", negative)):
        check_text(name, text, start.backbone, FOURDNEX)
    check_vision(vision)
    model = load_model(files["dit"], job.dtype)
    for path, strength in loras:
        model = add_lora(model, path, strength)
    model = add_adapter(model, adapter, job.lora_strength)
    scene = sample_picture(model, vae, positive, negative, start, job.run, clip_vision=vision)
    np.savez(
        job.output,
        color=to_uint8(scene.color).cpu().numpy(),
        points=scene.points.cpu().numpy(),
        pixel_aspect=np.array([scene.pixel_aspect]),
    )


def find_files(job: Job) -> dict[Kind, str]:
    """Path of every weight file that this job needs, all found before any is read."""
    encoders: tuple[Kind, ...] = () if job.embeddings else ("text", "vision")
    given = {
        "dit": job.files.dit,
        "vae": job.files.vae,
        "fourdnex": job.files.adapter,
        "text": job.files.text,
        "vision": job.files.vision,
    }
    wanted: tuple[Kind, ...] = ("dit", "vae", "fourdnex", *encoders)
    return {kind: find_file(kind, given[kind]) for kind in wanted}


def check_model_file(path: str, adapter: Adapter) -> None:
    """Refuse a model that the adapter does not fit by its tensors' names and shapes alone, where the names are Wan's own."""
    shapes = model_shapes(path)
    check_known(identify_file(shapes), FOURDNEX)
    size = model_size(shapes)
    if size is not None:
        check_fits(adapter, size)


def embeddings(job: Job, files: dict[Kind, str], start: Start) -> tuple[Conditioning, Conditioning, object | None]:
    """Text conditioning and CLIP vision output, computed or read."""
    if job.embeddings:
        return read_embeddings(job.embeddings)
    text = load_text_encoder(files["text"])
    positive, negative = (
        text.encode_from_tokens_scheduled(text.tokenize(prompt))
        for prompt in (with_trigger(job.prompt), job.negative_prompt)
    )
    return positive, negative, see(load_vision_encoder(files["vision"]), start)
