"""Write the adapter (ex4d.ckpt) as one safetensors file with the same names and values.

Every key is accounted for first: a file that is damaged, incomplete or no EX-4D adapter is refused and nothing is
written. The result goes where the original goes (models/ex4d).
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of ``python -m ex4d_core convert``."""
    parser.add_argument("source", help="the adapter: .ckpt, .pt, .pth, .bin or .safetensors")
    parser.add_argument("target", help="the file to write (.safetensors); one that exists is replaced")


def run(args: argparse.Namespace) -> int:
    """Convert; the target appears whole or not at all."""
    from ..wan import checkpoint

    adapter = checkpoint.convert(args.source, args.target)
    print(f"{args.target}\n{adapter.summary()}")
    return 0
