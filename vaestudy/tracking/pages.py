"""MLflow's server as ``vaestudy ui`` runs it: without the assistant.

Whoever reaches MLflow 3.17 from its own machine, another account too, may give the assistant a language model of theirs
and let that run shell commands as whoever started the server (``mlflow.server.assistant.api``, ``full_access``).
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

from vaestudy.errors import ServiceError

if TYPE_CHECKING:
    from fastapi import FastAPI

APP = "vaestudy"
"""The name of ``app`` among MLflow's applications (pyproject.toml): ``mlflow server --app-name vaestudy``."""


def app() -> FastAPI:
    """MLflow's own application, in which nothing is found where the assistant would answer."""
    from fastapi.responses import PlainTextResponse  # imports that only the process that serves should pay for
    from fastapi.routing import Mount
    from mlflow.server.assistant.api import assistant_router
    from mlflow.server.fastapi_app import create_fastapi_app

    served: FastAPI = create_fastapi_app()
    nothing = PlainTextResponse("vaestudy serves MLflow without its assistant", status_code=404)
    served.router.routes.insert(0, Mount(assistant_router.prefix, app=nothing))
    return served


def serve(command: list[str]) -> None:
    """Runs MLflow's server until Ctrl-C or SIGTERM, a KeyboardInterrupt both, and ends it with all its processes.

    Raises:
        ServiceError: it has ended by itself.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # a shell's background command begins with SIGINT ignored
        signal.signal(number, signal.default_int_handler)
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        code = server.wait()
        raise ServiceError(f"MLflow's server has ended (exit code {code}); to see why: {shlex.join(command)}")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait()
