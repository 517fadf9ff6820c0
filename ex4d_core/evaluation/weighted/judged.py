"""The rows that need weights, each with its files, and their values for one clip or for a set of clips."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from ...camera import DEFAULT_FPS
from ...machine.cancel import unless_cancelled
from . import distances, networks, vbench
from .amt import SMALLEST_SIDE
from .files import WeightFile, note

Need = Literal["truth", "prompt", "nothing"]
INCEPTION, I3D = "pt_inception-2015-12-05-6726825d.pth", "i3d_torchscript.pt"
CLIP_B32, CLIP_L14, CLIP_B16 = "clip-vit-base-patch32", "clip-vit-large-patch14", "clip-vit-base-patch16"
HEAD, DINO = "sa_0_4_vit_l_14_linear.pth", "dino-vitb16"
DREAMSIM = tuple(
    f"dreamsim/{name}"
    for kind in ("dino_vitb16_pretrain.pth", "open_clip_vitb16_pretrain.pth.tar", "clip_vitb16_pretrain.pth.tar")
    for name in (kind, kind.split("_pretrain")[0] + "_lora")
)
FEWEST_FRAMES = 10
"""That I3D takes."""
AMT = "amt-s.pth"


@dataclass(frozen=True)
class Weighted:
    """A row that needs weights.

    Attributes:
        name: in JSON and for --require.
        title: for people.
        better: which way is better.
        weights: its files.
        needs: beside the result.
        of_set: a distance between two sets of clips, one number for all.
    """

    name: str
    title: str
    better: Literal["higher", "lower"]
    weights: WeightFile
    needs: Need = "nothing"
    of_set: bool = False

    def problem(self, folder: Path | None, given: dict[Need, bool]) -> str | None:
        """Why it is not computed, behind "not computed: "."""
        found = self.weights.problem(folder)
        if found is None and not given[self.needs]:
            return {"truth": "needs the truth", "prompt": "needs --prompt"}[self.needs]
        return found


FID = WeightFile((INCEPTION,), 95, "Apache-2.0", "pytorch-fid", "torch_fidelity")
FVD = WeightFile((I3D,), None, "as StyleGAN-V tells", "StyleGAN-V")
WEIGHTED: tuple[Weighted, ...] = (
    Weighted("fid", "FID", "lower", FID, "truth", True),
    Weighted("kid", "KID", "lower", FID, "truth", True),
    Weighted("fvd", "FVD", "lower", FVD, "truth", True),
    Weighted("kvd", "KVD", "lower", FVD, "truth", True),
    Weighted(
        "lpips",
        "LPIPS",
        "lower",
        WeightFile(("alexnet-owt-7be5be79.pth",), 244, "BSD", "torchvision", "lpips"),
        "truth",
    ),
    Weighted("dreamsim", "DreamSim", "lower", WeightFile(DREAMSIM, None, "MIT", "DreamSim", "dreamsim"), "truth"),
    Weighted("clip", "CLIP score", "higher", WeightFile((CLIP_B16,), None, "MIT", "OpenAI"), "prompt"),
    Weighted(
        "vbench_subject", "VBench subject consistency", "higher", WeightFile((DINO,), None, "Apache-2.0", "Facebook")
    ),
    Weighted(
        "vbench_background", "VBench background consistency", "higher", WeightFile((CLIP_B32,), None, "MIT", "OpenAI")
    ),
    Weighted(
        "vbench_smoothness",
        "VBench motion smoothness",
        "higher",
        WeightFile((AMT,), 12, "CC BY-NC 4.0", "MCG-NKU's AMT"),
    ),
    Weighted(
        "vbench_dynamic",
        "VBench dynamic degree",
        "higher",
        WeightFile(("raft_large_C_T_V1-22a6c225.pth",), None, "BSD", "torchvision", "torchvision"),
    ),
    Weighted(
        "vbench_aesthetic",
        "VBench aesthetic quality",
        "higher",
        WeightFile((CLIP_L14, HEAD), None, "MIT", "OpenAI, LAION"),
    ),
    Weighted(
        "vbench_imaging",
        "VBench imaging quality",
        "higher",
        WeightFile(("musiq_spaq_ckpt-358bb6af.pth",), None, "PolyForm-Noncommercial", "pyiqa", "pyiqa"),
    ),
)
"""VBench's seventh, temporal flickering, needs none: it is the row `flicker`."""


@dataclass(frozen=True, eq=False)
class Said:
    """What the networks say of one clip.

    Attributes:
        values: of rows about a clip alone.
        features: of rows about a set: the result's and the truth's, (N, D) each.
        reasons: by row, why it was not computed.
        notes: by row, of files whose digest no public record states.
    """

    values: dict[str, float] = field(default_factory=dict)
    features: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)


def judge(
    result: Tensor,
    truth: Tensor | None,
    folder: Path | None,
    *,
    prompt: str | None = None,
    fps: float = DEFAULT_FPS,
    cancel: Callable[[], bool] | None = None,
) -> Said:
    """Every weighted row that the files in a folder allow.

    Args:
        result: (T, H, W, 3) uint8.
        truth: likewise, or None.
        folder: of weight files; None = there are none.
        prompt: what the clip shows.
        fps: its rate.
        cancel: polled ten times a second.

    Raises:
        Cancelled: ``cancel`` returned True.
    """
    said = Said()
    given: dict[Need, bool] = {"truth": truth is not None, "prompt": bool(prompt), "nothing": True}
    for row in WEIGHTED:
        problem = row.problem(folder, given)
        if problem is None and row.weights is FVD and len(result) < FEWEST_FRAMES:
            problem = f"needs {FEWEST_FRAMES} frames, got {len(result)}"
        if problem is None and row.weights.files == (AMT,) and min(result.shape[1:3]) < SMALLEST_SIDE:
            problem = f"needs sides of {SMALLEST_SIDE} pixels or more, got {result.shape[2]}x{result.shape[1]}"
        if problem is not None or folder is None:
            said.reasons[row.name] = problem or "needs --weights"
            continue
        try:
            unless_cancelled(partial(_judge_row, row, result, truth, prompt or "", fps, folder, said), cancel)
        except (ImportError, KeyError, OSError, RuntimeError, ValueError) as error:  # whatever packages raise
            why = (str(error) or type(error).__name__).splitlines()[0]
            said.reasons[row.name] = f"{row.weights.files[0]} could not be used: {why}"
            continue
        notes = [told for name in row.weights.files if (told := _note(folder / name)) is not None]
        if notes:
            said.notes[row.name] = "; ".join(notes)
    return said


@cache
def _note(file: Path) -> str | None:
    return note(file)


@cache
def _network(name: str, folder: Path, *files: str) -> Any:
    return getattr(networks, name)(folder, *files)


def _judge_row(
    row: Weighted, result: Tensor, truth: Tensor | None, prompt: str, fps: float, folder: Path, said: Said
) -> None:
    def load(name: str) -> Any:
        return _network(name, folder, *_files(row))

    if row.of_set:
        assert truth is not None
        kind = "inception" if row.weights is FID else "i3d"
        twin = next((other for other in said.features if _kind(other) == kind), None)
        network = load(kind)
        pair = said.features[twin] if twin else (network(result).numpy(), network(truth).numpy())
        said.features[row.name] = pair
        return
    compute: dict[str, Callable[[], float]] = {
        "lpips": lambda: float(load("lpips")(result, truth).mean()),
        "dreamsim": lambda: float(load("dreamsim")(result, truth).mean()),
        "clip": lambda: float(load("clip_text")(result, prompt).mean()),
        "vbench_subject": lambda: vbench.consistency(load("dino")(result)),
        "vbench_background": lambda: vbench.consistency(load("clip_images")(result)),
        "vbench_smoothness": lambda: vbench.smoothness(result, load("amt_s")(result)),
        "vbench_dynamic": lambda: vbench.is_dynamic(
            load("raft")(vbench.sampled(result, fps)), (result.shape[1], result.shape[2])
        ),
        "vbench_aesthetic": lambda: float(load("aesthetic")(result).mean()) / 10,
        "vbench_imaging": lambda: float(load("musiq")(result).mean()) / 100,
    }
    value = compute[row.name]()
    if math.isnan(value):
        said.reasons[row.name] = "needs three frames" if row.name == "vbench_smoothness" else "needs two frames"
    else:
        said.values[row.name] = value


def _files(row: Weighted) -> tuple[str, ...]:
    return ("dreamsim",) if row.name == "dreamsim" else row.weights.files


def _kind(row: str) -> str:
    return "inception" if row in ("fid", "kid") else "i3d"


DISTANCES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "fid": distances.frechet_distance,
    "kid": distances.kernel_distance,
    "fvd": distances.frechet_distance,
    "kvd": distances.polynomial_mmd,
}


def of_set(said: list[Said]) -> tuple[dict[str, float], dict[str, str], dict[str, int]]:
    """The rows about a set, over all its clips: values, reasons, and how many features a side each rests on."""
    values: dict[str, float] = {}
    reasons: dict[str, str] = {}
    counts: dict[str, int] = {}
    for name, distance in DISTANCES.items():
        pairs = [one.features[name] for one in said if name in one.features]
        if not pairs:
            reasons[name] = next((one.reasons[name] for one in said if name in one.reasons), "there is no clip")
            continue
        sides = [np.concatenate([pair[side] for pair in pairs]) for side in (0, 1)]
        value = distance(sides[0], sides[1])
        if math.isnan(value):
            reasons[name] = "needs two clips" if _kind(name) == "i3d" else "needs two frames"
        else:
            values[name], counts[name] = value, len(sides[0])
    return values, reasons, counts
