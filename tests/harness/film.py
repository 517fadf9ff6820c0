"""The moving picture of the README: the camera editor dragged in a real ComfyUI. Run with ``python dev.py film``."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from .hosts import ROOT, find_hosts, newest_frontend
from .server import Server

FILM = ROOT / "docs" / "editor.webp"
FPS = 12
WIDTH = 960
LARGEST = 3_500_000
"""Bytes of the file."""
QUALITIES = (80, 70, 60, 50)


def record(folder: Path) -> list[Path]:
    """Pictures of the editor at work, in the newest host with the newest frontend."""
    pictures = folder / "pictures"
    pictures.mkdir()
    arguments = ("--front-end-root", str(newest_frontend()))
    with Server(find_hosts()[-1], folder / "base", arguments=arguments, test_nodes=False) as server:
        script = ROOT / "tests" / "browser" / "film.mjs"
        subprocess.run(["node", script, server.url, server.folder_name, pictures], cwd=ROOT, check=True, timeout=600)
    return sorted(pictures.glob("*.png"))


def assemble(paths: list[Path]) -> None:
    """An animated WebP of the pictures, in the best quality that is small enough."""
    frames = []
    for path in paths:
        with Image.open(path) as picture:
            height = round(picture.height * WIDTH / picture.width / 2) * 2
            frames.append(picture.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS))
    for quality in QUALITIES:
        frames[0].save(
            FILM, save_all=True, append_images=frames[1:], duration=round(1000 / FPS), loop=0, quality=quality, method=4
        )
        if FILM.stat().st_size <= LARGEST:
            print(f"{FILM}: {len(frames)} pictures, quality {quality}, {FILM.stat().st_size / 1e6:.1f} MB")
            return
    sys.exit(f"{FILM} has {FILM.stat().st_size} bytes, more than {LARGEST}.")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as base:
        assemble(record(Path(base)))
