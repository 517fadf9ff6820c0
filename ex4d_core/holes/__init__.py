"""What to do about pixels that the source never saw: widen them (masks), fill them for a draft (draft_fill)."""
