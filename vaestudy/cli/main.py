"""The entry point: what every command shares, and how everything that goes wrong ends."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
import warnings
from importlib.metadata import version

import typer
from typer import TyperException
from typer.main import get_command

from vaestudy.cli import components, results, studies
from vaestudy.cli.output import Output
from vaestudy.errors import DiskError, SpecError, UsageError, VaestudyError

QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
    "PYTHONWARNINGS": "ignore",
}
"""What other people's programs would tell our user."""

UNUSABLE = (
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EROFS,
    errno.EIO,
    errno.EACCES,
    errno.EPERM,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
)
"""What a disk or a path says that the user must mend."""

app = typer.Typer(
    name="vaestudy",
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Hyperparameter studies that compare optimizers of variational autoencoders fairly.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"vaestudy {version('vaestudy')}")
        raise typer.Exit


@app.callback()
def common(
    context: typer.Context,
    verbose: bool = typer.Option(False, "-v", "--verbose", help="Say more on standard error."),
    quiet: bool = typer.Option(False, "-q", "--quiet", help="Nothing but results and errors."),
    json_lines: bool = typer.Option(False, "--json", help="Results as JSON, one object a line."),
    debug: bool = typer.Option(False, "--debug", help="Show tracebacks."),
    shown: bool = typer.Option(False, "--version", help="Print the version.", callback=_show_version, is_eager=True),
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
        code = get_command(app).main(arguments or ["--help"], prog_name="vaestudy", standalone_mode=False)
        return int(code or 0)
    except TyperException as error:
        return _misused(error)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    except VaestudyError as error:
        return _failed(error, arguments)
    except OSError as error:
        if error.errno in UNUSABLE:
            return _failed(DiskError(f"cannot use {error.filename or 'the disk'}: {error.strerror}"), arguments)
        return _crashed(error, arguments)
    except Exception as error:  # noqa: BLE001  # the last line of defence: a crash file instead of a traceback
        return _crashed(error, arguments)


def _misused(error: TyperException) -> int:
    """An unknown command or option, or a value of another type than an option's."""
    what = " ".join(error.format_message().split()).rstrip(".")
    command = getattr(getattr(error, "ctx", None), "command_path", "vaestudy")
    print(f"vaestudy: error: {what[:1].lower()}{what[1:]}; see: {command} --help", file=sys.stderr)
    return UsageError.exit_code


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
    try:
        with tempfile.NamedTemporaryFile("w", prefix="vaestudy-crash-", suffix=".txt", delete=False) as file:
            traceback.print_exception(error, file=file)
        where = f"the traceback is in {file.name}"
    except OSError:
        where = "run it again with --debug for the traceback (no file could be written)"
    kind = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    print(f"vaestudy: error: internal error: {kind}; {where}", file=sys.stderr)
    return VaestudyError.exit_code
