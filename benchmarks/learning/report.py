"""Numbers and pictures: how near films come to the truth in holes and where something is seen, by angle."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

REGIONS = ("holes", "seen", "all")


def squares(films: Tensor, truth: Tensor, where: Tensor) -> Tensor:
    """(T, 2) over clips (N, T, H, W, 3): summed squared error 0..1, and how many values."""
    error = (films.double() - truth.double()).div_(255).square_().sum(-1)
    return torch.stack([(error * where).sum((0, 2, 3)), 3 * where.sum((0, 2, 3)).double()], dim=-1)


def psnr(sums: Tensor) -> float:
    """dB of (..., 2) sums."""
    error, count = sums.reshape(-1, 2).sum(0).tolist()
    return -10 * torch.tensor(error / count).log10().item() if count else float("nan")


def row(films: Tensor, truth: Tensor, seen: Tensor) -> dict:
    """Of one network's films: holes, seen, all, and holes by frame; the first frame, which is given, is left out."""
    holes, shown = squares(films, truth, ~seen)[1:], squares(films, truth, seen)[1:]
    by_frame = [psnr(each) for each in holes]
    return {"holes": psnr(holes), "seen": psnr(shown), "all": psnr(holes + shown), "by frame": by_frame}


def table(rows: dict[str, list[dict]], angle: float) -> str:
    """Name -> rows of its seeds, as text."""
    count = len(next(iter(rows.values()))[0]["by frame"])
    shown = sorted({round(count * part / 6) - 1 for part in range(1, 7)})
    angles = [f"{angle * (frame + 1) / count:.0f}" for frame in shown]
    heads = "".join(f"{region:>14}" for region in REGIONS)
    lines = [f"{'':<22}{heads}   holes at" + " ".join(f"{each:>6}" for each in angles) + " degrees"]
    for name, each in rows.items():
        texts = []
        for region in REGIONS:
            values = torch.tensor([one[region] for one in each])
            spread = f" +-{values.std():.2f}" if len(values) > 1 else ""
            texts.append(f"{values.mean():.2f}{spread}")
        curve = torch.tensor([one["by frame"] for one in each]).mean(0)
        lines.append(
            f"{name:<22}{''.join(f'{text:>14}' for text in texts)}{'':11}" + " ".join(f"{curve[n]:6.2f}" for n in shown)
        )
    return "\n".join(lines)


def sheet(films: dict[str, Tensor], clip: int, frames: list[int], path: Path, times: int = 3) -> None:
    """A picture: a row for each film (N, T, H, W, 3), a column for each frame, pixels enlarged."""
    rows = [torch.cat([film[clip, t] for t in frames], dim=1) for film in films.values()]
    picture = torch.cat(rows).repeat_interleave(times, 0).repeat_interleave(times, 1)
    path.write_bytes(png(picture))


def png(picture: Tensor) -> bytes:
    """(H, W, 3) uint8 as a PNG file."""
    height, width, _ = picture.shape

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    lines = torch.cat([torch.zeros(height, 1, dtype=torch.uint8), picture.flatten(1)], dim=1).numpy().tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(lines, 6)) + chunk(b"IEND", b"")
