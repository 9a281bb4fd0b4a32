"""The command line: arguments in, tables and exit codes out."""

from vaestudy.cli.main import main

__all__ = ["main"]
