"""Optuna's own pages of a study's trials, served on this machine only."""

from __future__ import annotations

import errno
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from vaestudy.errors import ServiceError, UsageError
from vaestudy.search.storage import RetryingStorage


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: whoever looks at the pages sees them."""


def serve_dashboard(storage: RetryingStorage, port: int) -> None:
    """Serves optuna-dashboard on the loopback address until it is interrupted.

    Raises:
        UsageError: optuna-dashboard is not installed.
        ServiceError: the port is taken.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise UsageError("optuna-dashboard is not installed: pip install 'vaestudy[dashboard]'") from error
    try:
        server = make_server("127.0.0.1", port, wsgi(storage.backend), _Server, _Quiet)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise ServiceError(f"port {port} is taken; name another one with --port") from error
    with server:
        server.serve_forever()
