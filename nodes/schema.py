"""The one place where a schema meets hosts of different ages."""

from __future__ import annotations

import dataclasses

from comfy_api.latest import io

CATEGORY = "EX-4D"


def schema(**keywords) -> io.Schema:
    """``io.Schema`` without the keywords that this host does not know (``search_aliases`` on 0.3.64, for one).

    One unknown keyword would otherwise lose the whole pack. The category is EX-4D unless given.
    """
    keywords.setdefault("category", CATEGORY)
    known = {field.name for field in dataclasses.fields(io.Schema)}
    return io.Schema(**{key: value for key, value in keywords.items() if key in known})
