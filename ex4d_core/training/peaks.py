"""What GPUs can do at most, by which a step's arithmetic is judged: its model FLOP utilisation (MFU)."""

from __future__ import annotations

PEAKS: tuple[tuple[str, float], ...] = (
    ("B200", 2250e12),
    ("H200 NVL", 835.5e12),
    ("H200", 989.4e12),
    ("H100 PCIe", 756e12),
    ("H100 NVL", 835.5e12),
    ("H100", 989.4e12),
    ("A100", 312e12),
    ("L40S", 362.05e12),
    ("RTX 6000 Ada", 364.2e12),
    ("RTX 5090", 209.5e12),
    ("RTX 4090", 165.2e12),
    ("RTX 3090 Ti", 80e12),
    ("RTX 3090", 71e12),
)
"""Part of the name that the driver gives -> bfloat16 operations a second, dense, summed in float32; more exact names come first.

Source: NVIDIA's data sheets of the H100, H200, A100, L40S and HGX B200, half of what they give with sparsity; its white papers
"Ada GPU Architecture", "GA102" and "RTX Blackwell" for the others.
"""


def peak_of(name: str) -> float | None:
    """Operations a second of a GPU by its name, as ``torch.cuda.get_device_name`` gives it; None where it is not in the table.

    >>> peak_of("NVIDIA H200") / 1e12
    989.4
    """
    words = name.lower()
    return next((peak for part, peak in PEAKS if part.lower() in words and "laptop" not in words), None)
