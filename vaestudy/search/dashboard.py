"""Optuna's own pages of a study's trials, served on this machine only, to be looked at.

Their buttons also rename and delete, after which a study could not go on; what would change anything is refused here.
"""

from __future__ import annotations

from collections.abc import Iterable
from socketserver import ThreadingMixIn
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from vaestudy.errors import UsageError
from vaestudy.search.storage import RetryingStorage

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nothing: whoever looks at the pages sees them."""


def serve_dashboard(storage: RetryingStorage, port: int) -> None:
    """Serves optuna-dashboard on the loopback address until it is interrupted.

    Raises:
        UsageError: optuna-dashboard is not installed.
    """
    try:
        from optuna_dashboard import wsgi
    except ImportError as error:
        raise UsageError("optuna-dashboard is not installed: pip install 'vaestudy[dashboard]'") from error
    with make_server("127.0.0.1", port, _read_only(wsgi(storage.backend)), _Server, _Quiet) as server:
        server.serve_forever()


def _read_only(pages: WSGIApplication) -> WSGIApplication:
    def answer(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return pages(environ, start_response)
        start_response("405 Method Not Allowed", [("Allow", "GET, HEAD"), ("Content-Type", "application/json")])
        return [b'{"reason": "vaestudy shows the trials; only launch and resume change them"}']

    return answer
