"""Nodes that exist only in tests, installed beside the pack: sources of fixed data, and a sink that records values."""

from __future__ import annotations

import importlib
import io
import json
import os
import re
import sys
import time

import comfy.model_management
import folder_paths
import numpy as np
import torch

from . import cancel, fourdnex, fourdnex_mistakes, meridian, mistakes, wan  # noqa: F401, register their nodes
from .define import ANY, NODES, node


def describe(value):
    """Shapes and statistics of anything that travels on a socket, as JSON."""
    if isinstance(value, np.ndarray):
        value = torch.from_numpy(value.copy())
    if isinstance(value, torch.Tensor):
        numbers = value.detach().float()
        finite = numbers[torch.isfinite(numbers)]
        low, high, mean = (float(f()) if finite.numel() else None for f in (finite.min, finite.max, finite.mean))
        return {"shape": list(value.shape), "dtype": str(value.dtype), "min": low, "max": high, "mean": mean}
    if isinstance(value, (int, float, str, bool)) or value is None:
        return value
    if isinstance(value, (list, tuple)):
        return [describe(item) for item in value]
    if isinstance(value, dict):
        return {str(key): describe(item) for key, item in value.items()}
    fields = getattr(value, "__dataclass_fields__", None)
    if fields:
        return {"class": type(value).__name__, **{name: describe(getattr(value, name)) for name in fields}}
    return {"class": type(value).__name__}


@node(sink=True, value=ANY, name=("STRING", {"default": "value"}))
def EX4DTestRecord(value, name):
    """Writes what arrives: a JSON description as text, tensors also as output/<name>.pt."""
    if isinstance(value, torch.Tensor):
        safe = re.sub(r"[^A-Za-z0-9_-]", "_", name)
        torch.save(value.detach().cpu(), os.path.join(folder_paths.get_output_directory(), f"{safe}.pt"))
    return {"ui": {"text": [json.dumps(describe(value))]}}


SIDE = ("INT", {"default": 64, "min": 1, "max": 4096})


@node("IMAGE", "MASK", kind=(["colour", "depth", "constant", "nan"],), width=SIDE, height=SIDE,
      frames=("INT", {"default": 5, "min": 0, "max": 4096}))  # fmt: skip
def EX4DTestImages(kind, width, height, frames):
    """A clip of moving colour gradients, or with ``kind`` "depth" a grey ramp such as depth nodes put out."""
    x = torch.linspace(0, 1, width)[None, None, :].expand(frames, height, width)
    y = torch.linspace(0, 1, height)[None, :, None].expand(frames, height, width)
    t = torch.linspace(0, 1, max(frames, 1))[:frames, None, None].expand(frames, height, width)
    # A box standing nearer than the ground around it, so that moving the camera uncovers something.
    box = ((x - 0.35 - 0.2 * t).abs() < 0.15) & ((y - 0.5).abs() < 0.2)
    depth = torch.where(box, torch.ones_like(x), 0.2 + 0.4 * y)
    pictures = {
        "colour": torch.stack([x, y, torch.where(box, torch.ones_like(x), t)], dim=-1),
        "depth": depth[..., None].expand(-1, -1, -1, 3),
        "constant": torch.full((frames, height, width, 3), 0.5),
        "nan": torch.full((frames, height, width, 3), float("nan")),
    }
    return pictures[kind].contiguous(), depth.contiguous()


RESHAPED = {
    "grey": lambda value: value[..., :1],
    "alpha": lambda value: torch.cat([value, torch.ones_like(value[..., :1])], dim=-1),
    "two channels": lambda value: value[..., :2],
    "three channels": lambda value: value.repeat(1, 1, 1, 3),
    "channel axis": lambda value: value[:, None],
    "first frame": lambda value: value[0],
    "no frames": lambda value: value[:0],
    "empty list": lambda value: [],
    "text": lambda value: "text",
}


@node(ANY, value=ANY, how=([*RESHAPED],))
def EX4DTestReshape(value, how):
    """Pictures or a mask as other packs give them, or none at all."""
    return RESHAPED[how](value)


@node(sink=True, value=ANY)
def EX4DTestInPlace(value):
    """Writes into a tensor where it lies, as some nodes do; tells how and where that is."""
    value = value["samples"] if isinstance(value, dict) else value
    value.add_(0)
    told = {"contiguous": value.is_contiguous(), "storage": value.untyped_storage().data_ptr()}
    return {"ui": {"text": [json.dumps(told)]}}


@node(ANY, audio="AUDIO")
def EX4DTestWaveform(audio):
    """The samples of an AUDIO, to record them."""
    return audio["waveform"]


@node("AUDIO", seconds="FLOAT")
def EX4DTestTone(seconds):
    """A rising ramp from 0 to 1 at 8000 samples a second, in which every moment shows."""
    return {"waveform": torch.linspace(0, 1, round(seconds * 8000))[None, None], "sample_rate": 8000}


@node("VIDEO", video="VIDEO")
def EX4DTestVideoInMemory(video):
    """A file's VIDEO as the host makes it of bytes that were never on disk."""
    from comfy_api.latest import InputImpl

    with open(video.get_stream_source(), "rb") as file:
        return InputImpl.VideoFromFile(io.BytesIO(file.read()))


@node("VIDEO", images="IMAGE")
def EX4DTestVideoOfNoRate(images):
    """A VIDEO whose sound does not say its rate, at which a node that takes it fails, with its preview begun."""
    from fractions import Fraction

    from comfy_api.latest import InputImpl, Types

    sound = {"waveform": torch.zeros((1, 1, 100))}
    return InputImpl.VideoFromComponents(Types.VideoComponents(images=images, audio=sound, frame_rate=Fraction(15)))


@node("STRING", sink=True, gigabytes="FLOAT")
def EX4DTestMemory(gigabytes):
    """Lets the pack believe that the machine has this much memory; 0 tells it the truth again."""
    for name, module in list(sys.modules.items()):
        if name.endswith(".ex4d_core.machine.memory"):
            truth = module.__dict__.setdefault("_truth", module.total_memory)
            module.total_memory = (lambda: int(gigabytes * 1e9)) if gigabytes else truth
            return {"ui": {"text": [name]}}
    raise RuntimeError("The pack's ex4d_core.machine.memory is not loaded.")


@node("STRING", sink=True, full="BOOLEAN")
def EX4DTestFullTemp(full):
    """Lets no file of the pack's find room in ComfyUI's temp folder: each is written to a device that is always full."""
    name = next(name for name in list(sys.modules) if name.endswith(".ex4d_core.storage.staging"))
    staged = sys.modules[name].StagedFile
    truth = staged.__dict__.get("_truth") or staged.__dict__["begin"]
    staged._truth = truth

    def begin(cls, path, **settings):
        file = truth.__func__(cls, path, **settings)
        if str(path).startswith(folder_paths.get_temp_directory()):
            file.part.unlink()
            file.part.symlink_to("/dev/full")
        return file

    staged.begin = classmethod(begin) if full else truth
    return {"ui": {"text": [name]}}


def _trimmed_file():
    """The host's file video with a trim, as newer hosts have it, for a host that has none."""
    from comfy_api.latest import InputImpl, Types

    class TrimmedFile(InputImpl.VideoFromFile):
        window = 0.0, 0.0

        def get_active_trim_window(self):
            return self.window

        def get_components(self):
            whole = super().get_components()
            first, count = (round(seconds * float(whole.frame_rate)) for seconds in self.window)
            return Types.VideoComponents(images=whole.images[first : first + count], frame_rate=whole.frame_rate)

    return TrimmedFile


@node("VIDEO", video="VIDEO", start="FLOAT", duration="FLOAT")
def EX4DTestTrimVideo(video, start, duration):
    """A part of a VIDEO whose stream source is still the whole file."""
    if hasattr(video, "as_trimmed"):
        return video.as_trimmed(start, duration)
    trimmed = _trimmed_file()(video.get_stream_source())
    trimmed.window = start, duration
    return trimmed


@node("VOXEL", sparse=("BOOLEAN", {"default": False}))
def EX4DTestVoxels(sparse):
    """Two balls as the host's own voxels, as its generators decode them; or places of voxels without a grid."""
    try:
        from comfy_api.latest import Types

        kind = Types.VOXEL
    except (ImportError, AttributeError):  # up to 0.3
        from comfy_extras.nodes_hunyuan3d import VOXEL as kind
    if sparse:
        return kind(torch.zeros(10, 4))
    z, y, x = torch.meshgrid(*3 * [torch.linspace(-1, 1, 24)], indexing="ij")
    away = (x**2 + y**2 + z**2).sqrt()
    return kind(torch.stack([20 * (radius - away) for radius in (0.6, 0.7)]))


@node("EX4D_TRAJECTORY", mesh="EX4D_DWMESH", preset=("STRING", {"default": "30"}))
def EX4DTestTrajectory(mesh, preset):
    """A preset path for a mesh, straight from ex4d_core as the pack itself has imported it."""
    core = type(mesh).__module__.rsplit(".", 1)[0]
    path = importlib.import_module(f"{core}.trajectory").Trajectory
    return path.preset(preset, frames=mesh.frames, radius=mesh.radius)


@node("STRING", seconds="FLOAT", fail="BOOLEAN")
def EX4DTestWait(seconds, fail):
    """Works for a while, looking up every quarter of a second whether it is cancelled, and then may fail."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.25)
        comfy.model_management.throw_exception_if_processing_interrupted()
    if fail:
        raise RuntimeError("This node was told to fail.")
    return "waited to the end"


@node(sink=True, turn=("INT", {"default": 0}))
def EX4DTestLoadedModels(turn):
    """Class names of the models that the host has loaded at this moment; another ``turn`` asks again."""
    loaded = comfy.model_management.current_loaded_models
    return {"ui": {"text": [json.dumps([type(m.model.model).__name__ for m in loaded if m.model is not None])]}}


NODE_CLASS_MAPPINGS = NODES


@node("SPLAT", x=("FLOAT", {"min": -100.0}), y=("FLOAT", {"min": -100.0}), z=("FLOAT", {"min": -100.0}))
def EX4DTestSplat(x, y, z):
    """One small, round, opaque splat at a place of our world, which is that of splats too."""
    from comfy_api.latest import Types

    turn = torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])
    place, size = torch.tensor([[[x, y, z]]]), torch.full((1, 1, 3), 0.01)
    return Types.SPLAT(place, size, turn, torch.ones(1, 1, 1), torch.ones(1, 1, 1, 3))
