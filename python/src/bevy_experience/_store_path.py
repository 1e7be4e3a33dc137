"""Paths in object stores, with the part of the interface of `pathlib.Path` that readers of a dataset use."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

import pyarrow.fs as pafs

from .errors import ExperienceError

_SCHEMES = ("s3", "gs", "az")
_TRUE = ("1", "true", "on", "yes", "y")
_EMULATOR_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""The key of the account of Azurite, which is public: it protects nothing."""


class _Status(NamedTuple):
    st_size: int
    st_mtime_ns: int


def is_address(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is an address, such as ``s3://bucket/prefix``, and not the path of a folder."""
    scheme, separator, _ = os.fspath(path).partition("://")
    return bool(separator) and scheme.replace("+", "").isalnum()


def dataset_path(path: str | os.PathLike[str]) -> Any:
    """Return the path of a dataset: a `pathlib.Path`, or a `StorePath` for an address.

    Raises
    ------
    ExperienceError
        If it has an unknown scheme, or holds credentials. The error does not repeat them.
    """
    if not is_address(path):
        return Path(path)
    text = os.fspath(path)
    scheme = text.partition("://")[0].lower()
    if scheme == "file":
        rest = text.partition("://")[2].removeprefix("localhost")
        if not rest.startswith("/"):
            raise ExperienceError("a `file://` address has an absolute path: `file:///srv/data`")
        return Path(rest)
    if scheme not in _SCHEMES:
        raise ExperienceError(
            f"`{scheme}://` is not the address of a dataset: use a folder, `s3://bucket/prefix`, "
            "`gs://bucket/prefix` or `az://container/prefix`"
        )
    bucket, _, prefix = text.partition("://")[2].partition("/")
    if any(sign in bucket for sign in "@:?") or "?" in prefix:
        raise ExperienceError(
            f"a `{scheme}://` address must not hold credentials: pass them by the environment, as the store's own "
            "tools take them"
        )
    if not bucket:
        raise ExperienceError(f"the address has no bucket: write `{scheme}://bucket/prefix`")
    return StorePath(scheme, str(PurePosixPath(bucket, prefix)) if prefix else bucket)


@lru_cache(maxsize=8)
def _filesystem(scheme: str, process: int) -> Any:
    """Open the file system of a scheme, with the settings of the environment. A fork needs its own."""
    del process
    if scheme == "gs":
        return pafs.GcsFileSystem(**_gcs_options())
    if scheme == "az":
        settings = _azure_options()
        if not hasattr(pafs, "AzureFileSystem"):
            raise ExperienceError("this pyarrow has no file system for `az://`: install a newer one")
        return pafs.AzureFileSystem(**settings)
    options: dict[str, Any] = {}
    endpoint = _server("AWS_ENDPOINT_URL_S3") or _server("AWS_ENDPOINT_URL")
    if endpoint:
        options = {"endpoint_override": endpoint.netloc or endpoint.geturl(), "scheme": endpoint.scheme or "https"}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if region:
        options["region"] = region
    return pafs.S3FileSystem(**options)


def _server(name: str) -> SplitResult | None:
    """Parse the address of a server in a variable, which holds no credentials: libraries log it."""
    value = os.environ.get(name)
    if not value:
        return None
    if "@" in value:
        raise ExperienceError(
            f"the address in `{name}` must not hold credentials: write it as `https://host:port`, and pass them by "
            "their own variables"
        )
    return urlsplit(value)


def _gcs_options() -> dict[str, Any]:
    """Return the options of `pyarrow.fs.GcsFileSystem`, with the variables that games read too."""
    account = os.environ.get("GOOGLE_SERVICE_ACCOUNT")
    if account:
        # Google's library has no other way to be told.
        os.environ.setdefault("GOOGLE_APPLICATION_CREDENTIALS", account)
    options: dict[str, Any] = {}
    endpoint = _server("GOOGLE_BASE_URL")
    if endpoint:
        options = {"endpoint_override": endpoint.netloc, "scheme": endpoint.scheme}
    if os.environ.get("GOOGLE_SKIP_SIGNATURE", "").lower() in _TRUE:
        options["anonymous"] = True
    return options


def _azure_options() -> dict[str, Any]:
    """Return the options of `pyarrow.fs.AzureFileSystem`, with the variables that games read too."""
    account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
    key = os.environ.get("AZURE_STORAGE_ACCOUNT_KEY") or os.environ.get("AZURE_STORAGE_ACCESS_KEY")
    endpoint = _server("AZURE_STORAGE_ENDPOINT")
    if os.environ.get("AZURE_STORAGE_USE_EMULATOR", "").lower() in _TRUE:
        account, key = account or "devstoreaccount1", key or _EMULATOR_KEY
        endpoint = _server("AZURITE_BLOB_STORAGE_URL") or urlsplit("http://127.0.0.1:10000")
    options: dict[str, Any] = {"account_name": account}
    if key:
        options["account_key"] = key
    if endpoint:
        # An authority that begins with a dot follows the name of the account.
        authority = (
            endpoint.netloc.removeprefix(account) if endpoint.netloc.startswith(f"{account}.") else endpoint.netloc
        )
        for service in ("blob", "dfs"):
            options |= {f"{service}_storage_authority": authority, f"{service}_storage_scheme": endpoint.scheme}
    return options


class StorePath:
    """A path in an object store.

    Files are read by ranges. A path can be pickled: the copy opens a connection of its own.
    """

    __slots__ = ("_key", "_scheme")

    def __init__(self, scheme: str, key: str) -> None:
        self._scheme = scheme
        self._key = key

    def __reduce__(self) -> tuple[type[StorePath], tuple[str, str]]:
        return StorePath, (self._scheme, self._key)

    def __str__(self) -> str:
        return f"{self._scheme}://{self._key}"

    __fspath__ = __str__

    def __repr__(self) -> str:
        return f"StorePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StorePath) and str(self) == str(other)

    def __lt__(self, other: StorePath) -> bool:
        return str(self) < str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __truediv__(self, name: str | PurePosixPath) -> StorePath:
        return StorePath(self._scheme, f"{self._key}/{name}")

    @property
    def name(self) -> str:
        """The last part."""
        return self._key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The last part without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def parent(self) -> StorePath:
        """The path without its last part; the bucket is its own parent."""
        return StorePath(self._scheme, self._key.rpartition("/")[0] or self._key)

    @property
    def parents(self) -> list[StorePath]:
        """All parents, from the nearest."""
        parts = self._key.split("/")
        return [StorePath(self._scheme, "/".join(parts[:count])) for count in range(len(parts) - 1, 0, -1)]

    def resolve(self) -> StorePath:
        """Return this path: a store has no links."""
        return self

    def _files(self) -> Any:
        return _filesystem(self._scheme, os.getpid())

    def _info(self) -> Any:
        return self._files().get_file_info(self._key)

    def exists(self) -> bool:
        """Whether there is an object here, or one below."""
        return bool(self._info().type != pafs.FileType.NotFound)

    def is_file(self) -> bool:
        """Whether there is an object here."""
        return bool(self._info().type == pafs.FileType.File)

    def is_dir(self) -> bool:
        """Whether there is an object below."""
        return bool(self._info().type == pafs.FileType.Directory)

    def iterdir(self) -> Iterator[StorePath]:
        """List what is directly below.

        Raises
        ------
        FileNotFoundError
            If there is nothing.
        """
        selector = pafs.FileSelector(self._key)
        entries = self._files().get_file_info(selector)
        return iter([StorePath(self._scheme, info.path.rstrip("/")) for info in entries])

    def stat(self) -> _Status:
        """Return the size and the time of the last change."""
        info = self._info()
        if info.type == pafs.FileType.NotFound:
            raise FileNotFoundError(str(self))
        return _Status(int(info.size or 0), int(info.mtime_ns or 0))

    def open_input(self) -> Any:
        """Open the object for reading by ranges."""
        return self._files().open_input_file(self._key)

    def open(self, mode: str = "rb") -> Any:
        """Open the object for reading."""
        if mode != "rb":
            raise io.UnsupportedOperation(f"`{self}` can only be read")
        return io.BufferedReader(self.open_input())

    def read_text(self, encoding: str = "utf-8") -> str:
        """Read all of the object."""
        with self.open_input() as file:
            return bytes(file.read()).decode(encoding)


def parquet_source(path: Any) -> Any:
    """Return what `pyarrow.parquet.ParquetFile` reads: a path on the disk, or an object by ranges."""
    return path.open_input() if isinstance(path, StorePath) else path


def is_store_error(path: Any, error: BaseException) -> bool:
    """Whether an error is one of the store, which says nothing about the content of a file."""
    signs = ("AWS Error", "curlCode", "google::cloud", "Azure", "HTTP status", "Connection")
    return isinstance(path, StorePath) and any(sign in str(error) for sign in signs)
