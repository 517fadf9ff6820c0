"""The subcommands of ``python -m ex4d_core``: each module has ``add_arguments(parser)`` and ``run(args)``."""
