"""A line of arguments as words."""

from __future__ import annotations

import os
import shlex

from ..errors import EX4DError


def split_words(text: str, what: str) -> list[str]:
    """Arguments as a shell would split them, quotes taken off; on Windows a backslash belongs to its path.

    Args:
        text: the line.
        what: where it was given, for messages.

    Raises:
        EX4DError: a quotation mark too few.
    """
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    if os.name == "nt":
        lexer.escape = ""
    try:
        return list(lexer)
    except ValueError as error:
        raise EX4DError(f"{what} cannot be read ({error}): {text}") from error
