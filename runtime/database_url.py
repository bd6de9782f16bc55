"""Owns how a pasted PostgreSQL address becomes what SQLAlchemy and asyncpg take.

People paste `postgres://…?sslmode=require`; the dialect is `postgresql+asyncpg` and asyncpg knows no `sslmode`.
"""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from runtime.errors import SetupError

_SCHEMES = {"postgres", "postgresql", "postgresql+asyncpg"}
_SSL_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}
# Words of libpq that change nothing for asyncpg.
_IGNORED = {"channel_binding", "gssencmode", "fallback_application_name", "keepalives", "keepalives_idle"}
_LAST_PORT = 65_535
_RAW = {"user", "password", "database", "host", "port"}
_PASSED_ON = {"host", "port", "prepared_statement_cache_size"}


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """An address for SQLAlchemy, the arguments of each connection, and the server settings it asked for."""

    url: URL
    connect_args: dict[str, Any] = field(default_factory=dict)
    server_settings: dict[str, str] = field(default_factory=dict)

    def raw_arguments(self) -> dict[str, Any]:
        """Keyword arguments of `asyncpg.connect` for a connection outside the pool."""
        return {name: value for name, value in _arguments(self.url).items() if name in _RAW} | self.connect_args

    def with_database(self, name: str) -> "DatabaseUrl":
        """The same server, another database."""
        return DatabaseUrl(self.url.set(database=name), self.connect_args, self.server_settings)

    def text(self) -> str:
        """The address with its password, for a child process."""
        return self.url.render_as_string(hide_password=False)


def parse_database_url(text: str) -> DatabaseUrl:
    """Accept every common form of a PostgreSQL address.

    Raises:
        SetupError: the address is of another database, cannot be read, or asks for what we do not know.
    """
    url = _read(text)
    connect_args: dict[str, Any] = {}
    server_settings: dict[str, str] = {}
    kept: dict[str, Any] = {}
    query = dict(url.query)
    encryption = _ssl(_one(query.pop("sslmode", None)), _one(query.pop("sslrootcert", None)))
    if encryption is not None:
        connect_args["ssl"] = encryption
    for name, value in query.items():
        if name == "application_name":
            server_settings[name] = _one(value) or ""
        elif name == "connect_timeout":
            connect_args["timeout"] = _seconds(_one(value) or "")
        elif name in _PASSED_ON:
            kept[name] = value
        elif name not in _IGNORED:
            raise SetupError(f"DATABASE_URL: the parameter {name!r} is not known; take it out.")
    return DatabaseUrl(url.set(query=kept), connect_args, server_settings)


def _read(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError) as problem:
        raise SetupError("DATABASE_URL cannot be read; write it as postgresql://user:password@host:5432/name.") from (
            problem
        )
    if url.drivername not in _SCHEMES:
        raise SetupError(f"DATABASE_URL must start with postgresql://, not {url.drivername}://.")
    if not url.database:
        raise SetupError("DATABASE_URL names no database; write it as postgresql://user:password@host:5432/name.")
    for written in (*url.normalized_query.get("port", ()), str(url.port or 0)):
        _require_ports(written.split(","))
    url = url.set(drivername="postgresql+asyncpg")
    try:
        ports = _arguments(url).get("port", 0)
    except ArgumentError as problem:
        raise SetupError(
            "DATABASE_URL: several hosts are written as ?host=one,two&port=5432,5433, with a port for each."
        ) from problem
    _require_ports(map(str, ports if isinstance(ports, list) else [ports]))
    return url


def _require_ports(ports: Iterable[str]) -> None:
    for port in ports:
        if not (port.isdecimal() and int(port) <= _LAST_PORT):
            raise SetupError(f"DATABASE_URL: a port is a number up to {_LAST_PORT}, got {port}.")


def _arguments(url: URL) -> dict[str, Any]:
    """What SQLAlchemy gives the driver: of several hosts, in either form, lists of them and of their ports."""
    return dict(url.get_dialect()().create_connect_args(url)[1])


def _one(value: str | tuple[str, ...] | None) -> str | None:
    return value[0] if isinstance(value, tuple) else value


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError as problem:
        raise SetupError(f"DATABASE_URL: connect_timeout must be a number of seconds, got {text!r}.") from problem


def _ssl(mode: str | None, root: str | None) -> str | ssl.SSLContext | None:
    """`sslmode` as asyncpg wants it; a root certificate needs a context of our own."""
    if mode is not None and mode not in _SSL_MODES:
        raise SetupError(f"DATABASE_URL: sslmode must be one of {', '.join(sorted(_SSL_MODES))}, got {mode!r}.")
    if root is None:
        return mode
    try:
        context = ssl.create_default_context(cafile=root)
    except OSError as problem:
        raise SetupError(f"DATABASE_URL: the sslrootcert {root!r} cannot be read.") from problem
    context.check_hostname = mode == "verify-full"
    return context
