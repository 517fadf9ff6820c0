"""The subcommands of ``python -m ex4d_core``: each module has ``HELP``, ``add_arguments(parser)`` and ``run(args)``."""
