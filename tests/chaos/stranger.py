"""What somebody on the network asks of open ports: every gRPC call by name, and HTTP, with a token and without.

python -m tests.chaos.stranger QUESTIONS, a JSON file of [address, port, method or HTTP verb and path, token or null];
prints the answers in that order: a status, or null where the port does not speak so. Needs no library of gRPC's, whose
clients know their own services only.
"""

from __future__ import annotations

import http.client
import json
import re
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SECONDS = 20.0
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RESET, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS = 1, 4
EMPTY_MESSAGE = bytes(5)
"""gRPC's frame of a message in which every field has its default."""

SOME_NODE = "ab" * 28
"""What Ray's own servers say of themselves when they call each other; the other services do not look at it."""

UNIMPLEMENTED, UNAUTHENTICATED = 12, 16


def grpc_status(
    address: str, port: int, method: str, token: str | None, tls: ssl.SSLContext | None = None
) -> int | None:
    """The status of a call, ``0`` where it was done; None where no gRPC server answers."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": method,
        ":authority": f"{address}:{port}",
        "content-type": "application/grpc",
        "te": "trailers",
        "node_id": SOME_NODE,
        **({} if token is None else {"authorization": f"Bearer {token}"}),
    }
    call = _frame(HEADERS, END_HEADERS, 1, b"".join(map(_field, fields, fields.values())))
    try:
        with _connected(address, port, tls) as connection:
            connection.sendall(PREFACE + _frame(SETTINGS, 0, 0, b"") + call)
            connection.sendall(_frame(DATA, END_STREAM, 1, EMPTY_MESSAGE))
            found = re.search(rb"grpc-status.(\d+)", b"".join(_header_blocks(connection)), re.DOTALL)
    except OSError:
        return None
    return int(found[1]) if found else None


def http_status(address: str, port: int, request: str, token: str | None) -> int | None:
    """The status of ``GET /path`` or the like, the token a bearer's or a whole header; None where no HTTP server is."""
    verb, path = request.split()
    connection = http.client.HTTPConnection(address, port, timeout=SECONDS)
    try:
        kind = "" if token is None or " " in token else "Bearer "
        connection.request(verb, path, headers={} if token is None else {"Authorization": f"{kind}{token}"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _connected(address: str, port: int, tls: ssl.SSLContext | None) -> socket.socket:
    connection = socket.create_connection((address, port), timeout=SECONDS)
    return tls.wrap_socket(connection, server_hostname=address) if tls else connection


def _field(name: str, value: str) -> bytes:
    """A header field as HPACK's literal without indexing; shorter than 127 characters each."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _header_blocks(connection: socket.socket) -> Iterator[bytes]:
    """The header blocks of an answer, the last of which has the status."""
    with connection.makefile("rb") as answer:
        while len(head := answer.read(9)) == 9:
            payload = answer.read(int.from_bytes(head[:3], "big"))
            kind, flags = head[3], head[4]
            if kind == HEADERS:
                yield payload
            if kind in (RESET, GOAWAY) or (kind in (DATA, HEADERS) and flags & END_STREAM):
                return


def ask(question: list[Any]) -> int | None:
    """The answer to one question."""
    address, port, what, token = question
    return (grpc_status if what.startswith("/") else http_status)(address, port, what, token)


if __name__ == "__main__":
    print(json.dumps([ask(question) for question in json.loads(Path(sys.argv[1]).read_text())]))
