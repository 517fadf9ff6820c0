"""What pyproject.toml cannot know before the pack has a home: the addresses of the repository, its icon and its banner.

    python .github/registry.py OWNER/NAME COMMIT

run by the publish workflow; writes them into pyproject.toml and prints ``publish=yes``. While `PublisherId` is empty it
changes nothing and prints ``publish=no``.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURES = {"Icon": "docs/icon.png", "Banner": "docs/banner.jpg"}


def filled(text: str, repository: str, commit: str) -> str | None:
    """pyproject.toml with its addresses; None where the publisher has not filled in an id."""
    if re.search(r'^PublisherId = ""', text, re.MULTILINE):
        return None
    pictures = [
        f'{key} = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"' for key, path in PICTURES.items()
    ]
    text = re.sub(r"^(PublisherId = .*)$", lambda match: "\n".join([match[1], *pictures]), text, flags=re.MULTILINE)
    return f'{text.rstrip()}\n\n[project.urls]\nRepository = "https://github.com/{repository}"\n'


def main(repository: str, commit: str) -> None:
    """Fill in and say whether there is something to publish."""
    path = ROOT / "pyproject.toml"
    text = filled(path.read_text(encoding="utf-8"), repository, commit)
    if text is None:
        print("PublisherId in pyproject.toml is empty: nothing is published.", file=sys.stderr)
    else:
        path.write_text(text, encoding="utf-8")
    print(f"publish={'no' if text is None else 'yes'}")


if __name__ == "__main__":
    main(*sys.argv[1:])
