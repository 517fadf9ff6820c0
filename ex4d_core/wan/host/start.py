"""How the process that ``generate`` or ``imagine`` starts in ComfyUI's folder begins: the only file that is run by its path.

ComfyUI's own modules come first on the path, and the pack is loaded by its folder, as ComfyUI does; the work itself is
a module beside this file, imported from the pack by its relative name.

Arguments: the pack's folder, that module's name, the file with the job (``ex4d_core/wan/job.py``), arguments for ComfyUI.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import signal
import sys
from pathlib import Path

BAD_INPUT, INTERRUPTED = 2, 130


def main(pack: str, work: str, job: str, *comfy_args: str) -> int:
    """Start ComfyUI's side, then do the job; returns the exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    try:
        name = begin(pack, *comfy_args)
        if name is None:
            print(f"error: ComfyUI in {os.getcwd()} could not load the pack at {pack}.", file=sys.stderr)
            return BAD_INPUT
        return importlib.import_module(f".ex4d_core.wan.host.{work}", name).main(Path(job))
    except KeyboardInterrupt:
        return INTERRUPTED


def begin(pack: str, *comfy_args: str) -> str | None:
    """Load ComfyUI and the pack; returns the pack's name among Python's modules, None where that failed."""
    sys.argv = ["main.py", "--disable-api-nodes", *comfy_args]
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    import comfy.options

    comfy.options.enable_args_parsing()
    read_extra_model_paths()
    return load_pack(Path(pack))


def load_pack(folder: Path) -> str | None:
    """Load the pack as ComfyUI loads custom nodes; returns its name among Python's modules, None where that failed."""
    nodes = importlib.import_module("nodes")  # ComfyUI's
    if not asyncio.run(nodes.load_custom_node(str(folder))):
        return None
    face = str(folder / "__init__.py")
    return next(name for name, module in list(sys.modules.items()) if getattr(module, "__file__", None) == face)


def read_extra_model_paths() -> None:
    """The model folders that ComfyUI itself would know: extra_model_paths.yaml and --extra-model-paths-config."""
    from comfy.cli_args import args
    from utils.extra_config import load_extra_path_config

    usual = os.path.join(os.getcwd(), "extra_model_paths.yaml")
    named = [path for paths in args.extra_model_paths_config or [] for path in paths]
    for path in [usual] * os.path.isfile(usual) + named:
        load_extra_path_config(path)


def _leave(_number: int, _frame: object) -> None:
    """Unwind, so that no half-written file stays; a second signal must not break into that."""
    for other in (signal.SIGINT, signal.SIGTERM):
        signal.signal(other, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
