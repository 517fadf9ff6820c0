"""Every row of an evaluation: what it is called, which way is better, and what it needs to be computed.

A metric of its own is one row here and its value in `scores`; one that needs weights names their file in `WEIGHTED`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .regions import REGIONS

Better = Literal["higher", "lower", "one", "truth"]
"""``one``: nearest to 1 is best. ``truth``: nearest to the truth's own value."""
Need = Literal["truth", "mask", "render", "source", "opencv"]
NEEDS: dict[Need, str] = {
    "truth": "the truth",
    "mask": "the mask of seen pixels",
    "render": "the rendered colour",
    "source": "the source video, or the rendered colour",
    "opencv": 'OpenCV (the extra "tracking")',
}
"""In words, behind "needs"."""


@dataclass(frozen=True)
class Row:
    """One number about one video.

    Attributes:
        name: in JSON and for --require.
        title: for people.
        unit: "dB" and the like; empty for shares and ratios.
        better: which way is better.
        needs: without which it cannot be computed.
    """

    name: str
    title: str
    unit: str
    better: Better
    needs: tuple[Need, ...]


@dataclass(frozen=True)
class WeightFile:
    """A row that needs a network's weights, which are never downloaded.

    Attributes:
        row: its name.
        file: what is looked for in the folder of weights.
        megabytes: about; None where no public record says.
        licence: of the weights.
        source: who publishes them.
    """

    row: str
    file: str
    megabytes: int | None
    licence: str
    source: str

    def problem(self, folder: Path | None) -> str:
        """Why the row is not computed, behind "not computed: "."""
        if folder is None or not (folder / self.file).is_file():
            size = "" if self.megabytes is None else f"{self.megabytes} MB, "
            return f"needs {self.file} ({size}{self.licence}, {self.source})"
        return f"{self.file} is there, but this version does not compute {self.row} yet"


ALIKE = (("psnr", "PSNR", "dB"), ("ssim", "SSIM", ""), ("ms_ssim", "MS-SSIM", ""))
ROWS: tuple[Row, ...] = (
    *(
        Row(
            name if region == "all" else f"{name}_{region}",
            title if region == "all" else f"{title}, {region}",
            unit,
            "higher",
            ("truth",) if region == "all" else ("truth", "mask"),
        )
        for name, title, unit in ALIKE
        for region in REGIONS
    ),
    Row("condition_psnr", "agreement with the render, seen", "dB", "higher", ("render", "mask")),
    Row("condition_ssim", "agreement with the render, SSIM", "", "higher", ("render", "mask")),
    Row("first_frame_psnr", "first frame against the source", "dB", "higher", ("source",)),
    Row("colour_drift", "colour drift over the clip", "levels", "lower", ("source",)),
    Row("flow_warp_error", "flow-warp error", "", "lower", ("opencv",)),
    Row("flow_warp_error_truth", "the same of the truth", "", "truth", ("opencv", "truth")),
    Row("flicker", "temporal flickering (1 = still)", "", "truth", ()),
    Row("flicker_truth", "the same of the truth", "", "truth", ("truth",)),
    Row("loop_seam", "loop seam, in usual steps", "", "one", ()),
)

WEIGHTED: tuple[WeightFile, ...] = (
    WeightFile("fid", "pt_inception-2015-12-05-6726825d.pth", 95, "Apache-2.0", "pytorch-fid"),
    WeightFile("kid", "pt_inception-2015-12-05-6726825d.pth", 95, "Apache-2.0", "pytorch-fid"),
    WeightFile("fvd", "i3d_pretrained_400.pt", None, "MIT", "cd-fvd"),
    WeightFile("kvd", "i3d_pretrained_400.pt", None, "MIT", "cd-fvd"),
    WeightFile("lpips", "alexnet-owt-7be5be79.pth", 244, "BSD", "torchvision"),
)

ROW_NAMES: tuple[str, ...] = (*(row.name for row in ROWS), *(weights.row for weights in WEIGHTED))
