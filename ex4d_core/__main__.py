"""``python -m ex4d_core``."""

import sys

from .commands.cli import main

if __name__ == "__main__":
    sys.exit(main())
