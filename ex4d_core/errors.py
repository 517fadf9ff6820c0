"""The two exceptions that callers of ex4d_core handle."""


class EX4DError(ValueError):
    """Bad input, told in one or two sentences: what was given, what was expected, what to do.

    Raised before work starts. The command line prints it and exits with code 2; ComfyUI shows it on the node.
    """


class Cancelled(Exception):
    """Raised out of a long function when its ``cancel`` callback returned True. Nothing partial is left behind."""
