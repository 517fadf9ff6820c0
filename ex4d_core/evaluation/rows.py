"""Every row of an evaluation: what it is called, which way is better, and what it needs to be computed.

A metric of its own is one row here and its value in `scores`; one that needs weights is a row of `weighted.judged`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from .regions import REGIONS
from .weighted.judged import WEIGHTED

Better = Literal["higher", "lower", "one", "truth"]
"""``one``: nearest to 1 is best. ``truth``: nearest to the truth's own value."""
Need = Literal["truth", "mask", "render", "source", "opencv", "path", "hidden"]
NEEDS: dict[Need, str] = {
    "truth": "the truth",
    "mask": "the mask of seen pixels",
    "render": "the rendered colour",
    "source": "the source video, or the rendered colour",
    "opencv": 'OpenCV (the extra "tracking")',
    "path": "the camera path and the source's depth",
    "hidden": "the scene's exact geometry",
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
    Row("camera_degrees", "camera off the path, turned", "degrees", "lower", ("opencv", "path")),
    Row("camera_radius", "camera off the path, moved", "% of radius", "lower", ("opencv", "path")),
    Row("occlusion", "hidden things that stay hidden", "%", "higher", ("truth", "hidden")),
    Row("flow_warp_error", "flow-warp error", "", "lower", ("opencv",)),
    Row("flow_warp_error_truth", "the same of the truth", "", "truth", ("opencv", "truth")),
    Row("flicker", "temporal flickering (1 = still)", "", "truth", ()),
    Row("flicker_truth", "the same of the truth", "", "truth", ("truth",)),
    Row("loop_seam", "loop seam, in usual steps", "", "one", ()),
)

ROW_NAMES: tuple[str, ...] = (*(row.name for row in ROWS), *(row.name for row in WEIGHTED))
