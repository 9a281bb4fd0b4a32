"""Results in an S3-compatible object store: where it is, and what is put there, fetched, listed and removed.

Keys and endpoint are the environment's of each host: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``,
``AWS_ENDPOINT_URL``, ``AWS_REGION``, or ``~/.aws``. No address holds any.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import tenacity

from vaestudy.errors import ServiceError, UsageError

SCHEME = "s3://"
BUCKET = r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]"
PART = r"[A-Za-z0-9_.-]+"
EXPECTED = "s3://BUCKET/FOLDER, of letters, digits, '.', '_' and '-'"

CONNECT_SECONDS = 3.0
SILENCE_SECONDS = 5.0
"""Of a connection over which nothing comes."""

PATIENCE = 10.0
"""Seconds for which a call is tried again where nobody answers."""

CHUNK_BYTES = 1 << 23
THREADS = 8

REFUSALS = (
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "MISSING_AUTHENTICATION_TOKEN",
    "UNRECOGNIZED_CLIENT",
    "INVALID_CLIENT_TOKEN_ID",
)
NO_BUCKET = "NO_SUCH_BUCKET"
LASTING = (*REFUSALS, NO_BUCKET)
"""What asking again does not change."""

T = TypeVar("T")
Item = TypeVar("Item")


@dataclass(frozen=True)
class ResultsFolder:
    """The folder of all studies.

    Attributes:
        path: of the folder; with a store, of this machine's working copy.
        store: the address of the store that holds it; empty where it is a plain folder.
    """

    path: Path
    store: str = ""

    def __str__(self) -> str:
        return self.store or str(self.path)


def results_at(where: str) -> ResultsFolder:
    """The folder of all studies that ``--results`` or ``storage.results`` means.

    Raises:
        UsageError: it is an address, but none of a folder in a store; the message does not repeat it.
    """
    if "://" not in where:
        return ResultsFolder(Path(where))
    address = checked(where)
    return ResultsFolder(copies() / copy_name(address), address)


def checked(address: str) -> str:
    """An address of a folder in a store, without a last slash.

    Raises:
        UsageError: it is none; the message does not repeat it, for it may hold a key.
    """
    if not address.startswith(SCHEME):
        raise UsageError(f"expected a folder or {EXPECTED}; got an address of scheme {address.partition('://')[0]!r}")
    bucket, *parts = address.removeprefix(SCHEME).rstrip("/").split("/")
    if "@" in address or "?" in address:
        raise UsageError(
            f"expected {EXPECTED}, got an address with a key or an option in it; keys belong in AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, an endpoint in AWS_ENDPOINT_URL"
        )
    if not re.fullmatch(BUCKET, bucket):
        raise UsageError(f"expected {EXPECTED}, got {bucket!r} for the bucket")
    if not parts:
        raise UsageError(f"expected {EXPECTED}, got a bucket alone; e.g. {SCHEME}{bucket}/results")
    if wrong := [part for part in parts if not re.fullmatch(PART, part) or set(part) == {"."}]:
        raise UsageError(f"expected {EXPECTED}, got {wrong[0]!r} in the folder")
    return "/".join((f"{SCHEME}{bucket}", *parts))


def endpoint() -> str:
    """The address of the store's server, as this host knows it; empty where it is Amazon's."""
    named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    parts = urlsplit(named)
    if named and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
        raise UsageError("AWS_ENDPOINT_URL: expected http://HOST:PORT or https://HOST, without a login")
    return named.rstrip("/")


def copies() -> Path:
    """Where this user's working copies lie on this machine: below the user's cache."""
    import pooch

    return Path(pooch.os_cache("vaestudy")) / "results"


def copy_name(address: str) -> str:
    """The name of a store's working copy: of its address, and of the server that has it."""
    digest = hashlib.sha256(f"{endpoint()} {address}".encode()).hexdigest()[:8]
    return f"{address.removeprefix(SCHEME).replace('/', '-')[:80]}-{digest}"


@dataclass(frozen=True)
class Entry:
    """An object: its bytes, and when it was written by the store's clock, in whole seconds since 1970."""

    size: int
    modified: float


@dataclass(frozen=True)
class Store:
    """A folder in a store.

    Attributes:
        address: ``s3://bucket/folder``.
        patience: seconds for which each call is tried again where nobody answers; 0 tries once.
    """

    address: str
    patience: float = PATIENCE

    def below(self, name: str) -> Store:
        """A folder in it."""
        return Store(f"{self.address}/{name}", self.patience)

    def check(self) -> None:
        """Asks for the bucket.

        Raises:
            ServiceError: nobody answers, the keys are refused, or there is no such bucket.
        """
        from pyarrow.fs import FileType

        info = self._call(lambda: self._system.get_file_info(self._bucket))
        if info.type == FileType.NotFound:
            raise self._no_bucket()

    def read(self, key: str) -> bytes | None:
        """An object's content; None where there is none."""
        return self._found(lambda: self._read(key))

    def modified(self, key: str) -> float | None:
        """When an object was written, by the store's clock; None where there is none."""
        info = self._call(lambda: self._system.get_file_info(self._path(key)))
        return info.mtime.timestamp() if info.mtime else None

    def write(self, key: str, content: bytes) -> None:
        """Writes an object, whole or not at all."""
        self._call(lambda: self._write(key, content))

    def send(self, path: Path, key: str, size: int | None = None) -> None:
        """Writes a file, or its first ``size`` bytes; whole or not at all."""
        self._call(lambda: self._send(path, key, path.stat().st_size if size is None else size))

    def fetch(self, key: str, path: Path) -> bool:
        """Puts an object's content into a file, whole or not at all; whether there is such an object."""
        return bool(self._found(lambda: self._fetch(key, path)))

    def entries(self, folder: str = "") -> dict[str, Entry]:
        """Every object of a folder and of those in it, by key.

        Raises:
            ServiceError: a key leads out of the folder.
        """
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self._path(folder).rstrip("/"), recursive=True, allow_not_found=True)
        found = self._call(lambda: self._system.get_file_info(selector))
        start = len(self._path(""))
        entries = {
            info.path[start:]: Entry(info.size, info.mtime.timestamp()) for info in found if info.type == FileType.File
        }
        for key in entries:
            if {"", ".", ".."} & set(key.split("/")):
                raise ServiceError(f"{self.address} holds {key!r}, which leads out of it: remove it")
        return entries

    def folders(self) -> list[str]:
        """The names of the folders in it."""
        from pyarrow.fs import FileSelector, FileType

        selector = FileSelector(self._path("").rstrip("/"), allow_not_found=True)
        found = self._call(lambda: self._system.get_file_info(selector))
        return sorted(info.base_name for info in found if info.type == FileType.Directory)

    def remove(self, keys: Iterable[str]) -> None:
        """Removes objects, in order; those that there are."""
        for key in keys:
            self._found(functools.partial(self._system.delete_file, self._path(key)))

    def remove_folder(self, folder: str) -> None:
        """Removes a folder with all that is in it, if there is one."""
        self._found(functools.partial(self._system.delete_dir, self._path(folder)))

    @property
    def _bucket(self) -> str:
        return self.address.removeprefix(SCHEME).partition("/")[0]

    @property
    def _system(self) -> Any:
        return _connected(endpoint(), os.getpid())

    def _path(self, key: str) -> str:
        return f"{self.address.removeprefix(SCHEME)}/{key}"

    def _read(self, key: str) -> bytes:
        with self._system.open_input_stream(self._path(key)) as stream:
            return bytes(stream.read())

    def _write(self, key: str, content: bytes) -> None:
        with self._system.open_output_stream(self._path(key)) as stream:
            stream.write(content)

    def _send(self, path: Path, key: str, size: int) -> None:
        with path.open("rb") as file, self._system.open_output_stream(self._path(key)) as stream:
            while size > 0 and (content := file.read(min(size, CHUNK_BYTES))):
                stream.write(content)
                size -= len(content)

    def _fetch(self, key: str, path: Path) -> bool:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        try:
            with self._system.open_input_stream(self._path(key)) as stream, temporary.open("wb") as file:
                while content := stream.read(CHUNK_BYTES):
                    file.write(content)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def _found(self, call: Callable[[], T]) -> T | None:
        with suppress(FileNotFoundError):
            return self._call(call)
        return None

    def _call(self, call: Callable[[], T]) -> T:
        """The call's answer, tried again while nobody gives one.

        Raises:
            FileNotFoundError: there is no such object. ServiceError: what else the store says.
        """
        policy = tenacity.Retrying(
            retry=tenacity.retry_if_exception(_is_transient),
            wait=tenacity.wait_exponential(multiplier=0.2, max=5),
            stop=tenacity.stop_after_delay(self.patience),
            reraise=True,
        )
        try:
            return policy(call)
        except FileNotFoundError:
            raise
        except OSError as error:
            if error.errno is not None:
                raise  # this machine's disk
            raise self._explained(error) from error

    def _explained(self, error: OSError) -> ServiceError:
        code, said = _code(error), str(error).splitlines()[0]
        if code in REFUSALS:
            return ServiceError(
                f"the object store at {endpoint() or 'AWS'} refuses this host's keys for bucket {self._bucket!r} "
                f"({code}); AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY must be of one that may list, read, write and "
                "delete there"
            )
        if code == NO_BUCKET:
            return self._no_bucket()
        curl = re.search(r"curlCode: \d+, ([^;]*)", said)
        return ServiceError(
            f"the object store at {endpoint() or 'AWS'} does not answer for bucket {self._bucket!r}: "
            f"{curl.group(1).strip() if curl else said[:200]}; is AWS_ENDPOINT_URL right? Try it with: "
            f"curl -I {endpoint() or 'https://s3.amazonaws.com'}"
        )

    def _no_bucket(self) -> ServiceError:
        return ServiceError(
            f"there is no bucket {self._bucket!r} in the object store at {endpoint() or 'AWS'}; make it, or let "
            "--results or storage.results name another"
        )


def together(action: Callable[[Item], object], items: Iterable[Item]) -> None:
    """Does something with each item, several at a time: most of it is waiting for the store. The first that fails ends
    it."""
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = [pool.submit(action, item) for item in items]
        try:
            for one in waiting:
                one.result()
        finally:
            pool.shutdown(cancel_futures=True)


@functools.lru_cache(maxsize=4)
def _connected(server: str, process: int) -> Any:
    """A connection; one a process."""
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem

    scheme, _, host = server.partition("://")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ("us-east-1" if server else None)
    return S3FileSystem(
        endpoint_override=host or None,
        scheme=scheme or "https",
        region=region,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=SILENCE_SECONDS,
        retry_strategy=AwsStandardS3RetryStrategy(max_attempts=1),
        allow_delayed_open=True,
    )


def _code(error: OSError) -> str:
    found = re.search(r"AWS Error ([A-Z_]+)", str(error))
    return found.group(1) if found else ""


def _is_transient(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno is None and _code(error) not in LASTING
