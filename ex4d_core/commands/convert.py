"""Write an adapter (ex4d.ckpt, or the two files of 4DNeX) as one safetensors file with the same names and values.

Every key is accounted for first: a file that is damaged, incomplete or no adapter of either kind is refused and nothing is
written. The result goes where the original goes (models/ex4d, models/4dnex).
"""

from __future__ import annotations

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of ``python -m ex4d_core convert``."""
    parser.add_argument("source", help="the adapter, of 4DNeX its LoRA: .ckpt, .pt, .pth, .bin or .safetensors")
    parser.add_argument("target", help="the file to write (.safetensors); one that exists is replaced")
    parser.add_argument(
        "--vectors", help="of 4DNeX, the file with its two vectors (default: in the same file or beside it)"
    )


def run(args: argparse.Namespace) -> int:
    """Convert; the target appears whole or not at all."""
    from ..wan import checkpoint
    from ..wan.fourdnex import checkpoint as fourdnex
    from ..wan.weights import tensor_names

    adapter: checkpoint.Adapter | fourdnex.Adapter
    if args.vectors or fourdnex.is_fourdnex(tensor_names(args.source)):
        adapter = fourdnex.convert(args.source, args.target, args.vectors)
    else:
        adapter = checkpoint.convert(args.source, args.target)
    print(f"{args.target}\n{adapter.summary()}")
    return 0
