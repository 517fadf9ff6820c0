"""The work of ``generate``, inside ComfyUI's folder: load what is named, sample, write the video."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch

from ...composite import keep_seen_pixels
from ...errors import EX4DError
from ...video import save_video
from .. import segments
from ..backbone import model_size
from ..checkpoint import Adapter, check_fits, load_adapter
from ..clip import PreparedClip, color_images, prepare_clip
from ..job import Job
from ..models import check_known, identify_file
from ..videos import read_color_and_mask
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
from .patch import PriorSettings, add_adapter, check_parts
from .sampling import check_run, sample_clip
from .start import BAD_INPUT


def main(job: Path) -> int:
    """Do the job in a file; returns the exit code."""
    try:
        with torch.inference_mode():
            generate(Job.from_json(job.read_text(encoding="utf-8")))
    except EX4DError as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_INPUT
    return 0


def generate(job: Job) -> None:
    """Load what is named, sample, write the video; what can be refused is refused before a large file is read."""
    check_run(job.run)
    prior = PriorSettings(strength=job.prior_strength)
    files = find_files(job)
    loras = [(find_lora(name), strength) for name, strength in job.loras]
    check_files(files, [path for path, _ in loras], job.embeddings)
    adapter = load_adapter(files["adapter"])
    check_parts(adapter, job.lora_strength, prior)
    notes = check_model_file(files["dit"], adapter)
    color, mask = read_color_and_mask(job.color_video, job.mask_video)
    clip = prepare_clip(color, mask, **vars(job.clip))
    for note in (*notes, *clip.notes):
        print(f"note: {note}", file=sys.stderr)
    segments.plan(clip.frames, job.run.segment, job.run.overlap, clip.backbone)
    vae = load_vae(files["vae"])
    check_vae(vae)
    positive, negative, vision = embeddings(job, files, clip)
    check_text("positive", positive)
    check_text("negative", negative)
    check_vision(vision)
    model = load_model(files["dit"], job.dtype)
    for path, strength in loras:
        model = add_lora(model, path, strength)
    model = add_adapter(model, adapter, job.lora_strength, prior)
    frames, _ = sample_clip(model, vae, positive, negative, clip, job.run, clip_vision=vision)
    if job.keep is not None:
        # What was seen is what the render says, not what was left of it when the holes were widened.
        rendered = prepare_clip(color, mask, **{**vars(job.clip), "erosion": "off"})
        kept = keep_seen_pixels(frames, rendered.color, rendered.seen, job.keep)
        for note in kept.notes:
            print(f"note: {note}", file=sys.stderr)
        frames = kept.images
    os.makedirs(os.path.dirname(job.output_video), exist_ok=True)
    save_video(job.output_video, frames, job.fps)
    print(job.output_video)


def find_files(job: Job) -> dict[Kind, str]:
    """Path of every weight file that this job needs, all found before any is read."""
    encoders: tuple[Kind, ...] = () if job.embeddings else ("text", "vision")
    wanted: tuple[Kind, ...] = ("dit", "vae", "adapter", *encoders)
    return {kind: find_file(kind, getattr(job.files, kind)) for kind in wanted}


def check_model_file(path: str, adapter: Adapter) -> tuple[str, ...]:
    """Refuse a model that the adapter does not fit by its tensors' names and shapes alone, where the names are Wan's own.

    Returns:
        What to tell of a model that fits.
    """
    shapes = model_shapes(path)
    known, size = identify_file(shapes), model_size(shapes)
    check_known(known)
    if size is not None:
        check_fits(adapter, size)
    return (known.note,) if known is not None and known.note else ()


def embeddings(job: Job, files: dict[Kind, str], clip: PreparedClip) -> tuple[Conditioning, Conditioning, object]:
    """Text conditioning and CLIP vision output, computed or read."""
    if job.embeddings:
        return read_embeddings(job.embeddings)
    text = load_text_encoder(files["text"])
    positive, negative = (
        text.encode_from_tokens_scheduled(text.tokenize(prompt)) for prompt in (job.prompt, job.negative_prompt)
    )
    encoder = load_vision_encoder(files["vision"])
    return positive, negative, encoder.encode_image(color_images(clip.part(0, 1)), crop=False)
