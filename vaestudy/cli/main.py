"""The entry point: what every command shares, and how everything that goes wrong ends."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
import warnings
from pathlib import Path

import typer
from typer.main import get_command

from vaestudy.cli import components, results, studies
from vaestudy.cli.output import Output
from vaestudy.errors import DiskError, SpecError, VaestudyError

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONWARNINGS": "ignore",
}
"""What other people's programs would tell our user."""

app = typer.Typer(
    name="vaestudy",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Hyperparameter studies that compare optimizers of variational autoencoders fairly.",
)


@app.callback()
def common(
    context: typer.Context,
    verbose: bool = typer.Option(False, "-v", "--verbose", help="Say more on standard error."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="Nothing but results and errors."),
    json_lines: bool = typer.Option(False, "--json", help="Results as JSON, one object a line."),
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks."),
) -> None:
    """Options of every command."""
    context.obj = Output(verbose=verbose, quiet=quiet, json_lines=json_lines)
    context.meta["debug"] = debug


for module in (studies, results, components):
    module.register(app)


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; its exit code (docs/architecture.md has the table)."""
    os.environ.update({name: os.environ.get(name, value) for name, value in QUIET.items()})
    warnings.simplefilter("ignore")
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        code = get_command(app).main(arguments, prog_name="vaestudy", standalone_mode=True)
        return int(code or 0)
    except SystemExit as end:
        return int(end.code or 0)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except VaestudyError as error:
        return _failed(error, arguments)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EROFS, errno.EDQUOT):
            return _failed(DiskError(f"cannot write {error.filename or ''}: {error.strerror}"), arguments)
        return _crashed(error, arguments)
    except Exception as error:  # noqa: BLE001  # the last line of defence: a crash file instead of a traceback
        return _crashed(error, arguments)


def _failed(error: VaestudyError, arguments: list[str]) -> int:
    if "--debug" in arguments:
        traceback.print_exception(error)
    if isinstance(error, SpecError):
        print(error, file=sys.stderr)
        print(f"vaestudy: {len(error.problems)} problem{'s' * (len(error.problems) != 1)}", file=sys.stderr)
    else:
        print(f"vaestudy: error: {error}", file=sys.stderr)
    return error.exit_code


def _crashed(error: BaseException, arguments: list[str]) -> int:
    if "--debug" in arguments:
        traceback.print_exception(error)
    with tempfile.NamedTemporaryFile("w", prefix="vaestudy-crash-", suffix=".txt", delete=False) as file:
        traceback.print_exception(error, file=file)
    kind = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    print(f"vaestudy: error: internal error: {kind}; the traceback is in {Path(file.name)}", file=sys.stderr)
    return VaestudyError.exit_code
