"""The command ``cloud``: one module a subcommand, and one for the three of training.

Other packages add subcommands by entry points of the group ``cloud_model.commands``, whose values are click
commands that return their exit code or None. Their modules are imported for ``cloud --help``, so they import
nothing heavy at the top.
"""

from cloud_model.cli.group import cloud, main

__all__ = ["cloud", "main"]
