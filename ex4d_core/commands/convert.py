"""Write the adapter (ex4d.ckpt) as one safetensors file with the same names and values.

Every key is accounted for first: a file that is damaged, incomplete or no EX-4D adapter is refused and nothing is
written. The result goes where the original goes (models/ex4d).
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import EX4DError
from ..storage.staging import staged_folder

SUFFIX = ".safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of ``python -m ex4d_core convert``."""
    parser.add_argument("source", help="the adapter: .ckpt, .pt, .pth, .bin or .safetensors")
    parser.add_argument("target", help="the file to write (.safetensors); one that exists is replaced")


def run(args: argparse.Namespace) -> int:
    """Convert; the target appears whole or not at all."""
    target = Path(args.target)
    if target.suffix != SUFFIX:
        raise EX4DError(f"The target must be a {SUFFIX} file, got '{target}'.")
    if target.is_dir():
        raise EX4DError(f"'{target}' is a folder; name the file to write.")

    from ..wan import checkpoint

    with staged_folder(target.parent) as stage:
        try:
            adapter = checkpoint.convert(args.source, stage / target.name)
        except Exception as error:  # safetensors wraps the system's refusals in a class that derives from Exception
            if type(error).__name__ != "SafetensorError":
                raise
            raise EX4DError(f"'{target}' cannot be written: {error}. Choose another folder.") from error
    print(f"{target}\n{adapter.summary()}")
    return 0
