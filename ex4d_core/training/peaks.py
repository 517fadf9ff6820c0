"""What GPUs can do at most, by which a step's arithmetic is judged: its model FLOP utilisation (MFU)."""

from __future__ import annotations

import re

PEAKS: dict[str, float] = {
    "GB200": 2500e12,
    "B200": 2250e12,
    "GH200": 989.4e12,
    "H200 NVL": 835.5e12,
    "H200": 989.4e12,
    "H100 PCIe": 756e12,
    "H100 NVL": 835.5e12,
    "H100": 989.4e12,
    "A100": 312e12,
    "L40S": 362.05e12,
    "RTX 6000 Ada": 364.2e12,
    "RTX 5090": 209.5e12,
    "RTX 4090": 165.2e12,
    "RTX 3090": 71.2e12,
}
"""Words of the name that the driver gives -> bfloat16 operations a second, dense, summed in float32; more exact names come first.

Source: NVIDIA's data sheets of H100, H200, GH200, A100, L40S, RTX 6000 Ada, HGX B200 and GB200, half of what they give with
sparsity; its white papers "Ada GPU Architecture", "GA102" and "RTX Blackwell" for the others.
"""
OTHERS = frozenset({"laptop", "d", "ti", "mig"})
"""Words that make another GPU, or a part of one, of a name in the table."""


def peak_of(name: str) -> float | None:
    """Operations a second of a GPU by its name, as ``torch.cuda.get_device_name`` gives it; None where it is not in the table.

    >>> peak_of("NVIDIA H200") / 1e12
    989.4
    """
    words = re.split(r"[^a-z0-9]+", name.lower())
    if OTHERS.intersection(words):
        return None
    whole = f" {' '.join(words)} "
    return next((peak for part, peak in PEAKS.items() if f" {part.lower()} " in whole), None)
