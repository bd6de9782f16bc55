"""Owns what can be set from outside: environment variables, read once, checked, frozen.

Every duration is a setting, so that tests need not wait. Durations are in seconds unless the name says otherwise.
"""

import difflib
import os
import secrets
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from integrations.openfootball.files import shipped_seasons
from runtime.errors import SetupError

PREFIX = "PALPITE_"
_UNPREFIXED = {"database_url": "DATABASE_URL", "redis_url": "REDIS_URL"}
BROKERS = ("redis", "rediss", "unix", "nats", "tls")
"""How an address of a queue may begin."""
_PRIVATE = ("PALPITE_SECRET", "PALPITE_BROKER_URL", "PALPITE_SENTRY_DSN")
_PATTERNS = {
    "PALPITE_PUBLIC_URL": "an address like https://palpite.example",
    "PALPITE_OBJECT_STORE": "an address like s3://bucket/folder",
    "PALPITE_S3_ENDPOINT": "an address like https://s3.example",
}

Seconds = float
_Kind = TypeVar("_Kind", bound="Settings")


def _default_public_url(data: dict[str, Any]) -> str:
    host = data.get("host", "127.0.0.1")
    shown = "127.0.0.1" if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 -- an address that no browser can open
    return f"http://{f'[{shown}]' if ':' in shown else shown}:{data.get('port', 8000)}"


class Settings(BaseSettings):
    """All settings of all processes; `.palpite` in the working folder is the default place of the data."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", env_ignore_empty=True)

    database_url: SecretStr | None = Field(default=None, validation_alias="DATABASE_URL")
    redis_url: SecretStr | None = Field(default=None, validation_alias="REDIS_URL")
    broker_url: SecretStr | None = None
    data: Path = Path(".palpite")
    env: Literal["local", "production"] = "local"
    demo: bool = False
    browser: Path | None = None
    assets: Path | None = None
    object_store: str | None = Field(default=None, pattern=r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[^\s?#]*)?$")
    s3_endpoint: str | None = Field(default=None, pattern=r"^https?://[^/\s]+/?$")
    s3_region: str | None = None
    sentry_dsn: SecretStr | None = None

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=0, le=65535)
    public_url: str = Field(default_factory=_default_public_url, pattern=r"^https?://[^/\s]+(/[^\s]*)?$")
    secret: SecretStr | None = Field(default=None, min_length=32)
    cookie_secure: Literal["auto", "always", "never"] = "auto"
    openfootball_dir: Path = shipped_seasons()

    log_format: Literal["auto", "json", "text"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    pool_size: int = Field(default=10, ge=2, le=200)
    statement_timeout_seconds: Seconds = Field(default=60, gt=0)
    worker_concurrency: int = Field(default=4, ge=1, le=64)
    lease_seconds: Seconds = Field(default=15, gt=0)
    heartbeat_seconds: Seconds = Field(default=5, gt=0)
    stuck_seconds: Seconds = Field(default=30, gt=0)
    beat_seconds: Seconds = Field(default=10, gt=0, le=30)
    sweep_seconds: Seconds = Field(default=5, gt=0)
    relay_poll_seconds: Seconds = Field(default=1, gt=0)
    schedule_poll_seconds: Seconds = Field(default=1, gt=0)
    hub_poll_seconds: Seconds = Field(default=2, gt=0)
    coalesce_seconds: Seconds = Field(default=0.1, ge=0)
    stream_heartbeat_seconds: Seconds = Field(default=15, gt=0)
    resume_seconds: Seconds = Field(default=120, gt=0)
    socket_life_seconds: Seconds = Field(default=1800, gt=0)
    socket_ping_seconds: Seconds = Field(default=20, gt=0)
    socket_blocked_seconds: Seconds = Field(default=30, gt=0)
    init_timeout_seconds: Seconds = Field(default=10, gt=0)
    stop_seconds: Seconds = Field(default=2.0, gt=0)
    start_wait_seconds: Seconds = Field(default=0, ge=0)
    session_days: float = Field(default=30, gt=0)

    sign_in_limit: int = Field(default=10, ge=1)
    sign_in_window_seconds: Seconds = Field(default=60, gt=0)
    sign_up_limit: int = Field(default=100, ge=1)
    sign_up_window_seconds: Seconds = Field(default=3600, gt=0)

    def logs_as_json(self, *, to_terminal: bool) -> bool:
        """Whether log lines are JSON: as set, else in production and wherever no person reads along."""
        if self.log_format == "auto":
            return self.env == "production" or not to_terminal
        return self.log_format == "json"

    @property
    def cookies_are_secure(self) -> bool:
        """Whether browsers may send our cookies over TLS only."""
        if self.cookie_secure == "auto":
            return self.public_url.startswith("https://")
        return self.cookie_secure == "always"

    def required_database_url(self) -> str:
        """The address of the database of this process."""
        return _required(self.database_url, "DATABASE_URL")

    def required_redis_url(self) -> str:
        """The address of the Valkey or Redis of this process."""
        return _required(self.redis_url, "REDIS_URL")

    def required_broker_url(self) -> str:
        """The address of the queue of this process: PALPITE_BROKER_URL, else Valkey's."""
        if self.broker_url is not None:
            return self.broker_url.get_secret_value()
        url = self.required_redis_url()
        if url.partition("://")[0] not in BROKERS:
            raise SetupError(
                "The queue cannot be on a Valkey cluster: set PALPITE_BROKER_URL to one server of Valkey or to NATS."
            )
        return url

    @field_validator("broker_url")
    @classmethod
    def _has_a_broker(cls, url: SecretStr | None) -> SecretStr | None:
        return _with_scheme(url, BROKERS)

    @field_validator("sentry_dsn")
    @classmethod
    def _is_a_dsn(cls, url: SecretStr | None) -> SecretStr | None:
        return _with_scheme(url, ("http", "https"))

    def secret_key(self) -> str:
        """The key of our signatures: PALPITE_SECRET, else one that is made once and kept in the data folder.

        Raises:
            SetupError: it is not set, and the data folder cannot be used.
        """
        if self.secret is not None:
            return self.secret.get_secret_value()
        try:
            return _kept_secret(self.data / "secret")
        except OSError as problem:
            raise SetupError(
                f"The secret cannot be kept in {self.data} ({(problem.strerror or str(problem)).lower()}): choose "
                "another PALPITE_DATA, or set PALPITE_SECRET."
            ) from problem

    def environment(self) -> dict[str, str]:
        """These settings as the environment of a child process."""
        values = {name: _as_text(getattr(self, name)) for name in self.model_fields_set}
        return {variable_name(name): value for name, value in values.items() if value is not None}

    def changed(self, **values: Any) -> Self:
        """A checked copy with other values (names of fields); what was not set follows its defaults anew."""
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        return _checked(type(self), kept | values)


def load_settings(**overrides: Any) -> Settings:
    """Read the environment; an override (a command-line option, by field name) wins over it, None does not.

    Raises:
        SetupError: a name is misspelt or a value cannot be used; one line that names the variable.
    """
    _refuse_unknown_names(os.environ)
    return _checked(Settings, {name: value for name, value in overrides.items() if value is not None})


def variable_name(field: str) -> str:
    """The environment variable of a field."""
    return _UNPREFIXED.get(field, PREFIX + field.upper())


def _checked(kind: type[_Kind], values: Mapping[str, Any]) -> _Kind:
    try:
        settings = kind(**{_UNPREFIXED.get(name, name): value for name, value in values.items()})
    except ValidationError as problem:
        raise SetupError(" ".join(_sentences(problem))) from problem
    if settings.demo and settings.env == "production":
        raise SetupError("PALPITE_DEMO lets anybody sign in as anybody: not with PALPITE_ENV=production.")
    if settings.heartbeat_seconds >= settings.lease_seconds:
        raise SetupError(
            f"PALPITE_HEARTBEAT_SECONDS ({settings.heartbeat_seconds:g}) must be less than PALPITE_LEASE_SECONDS "
            f"({settings.lease_seconds:g}): claims would run out while their work goes on."
        )
    return settings


def _refuse_unknown_names(names: Iterable[str]) -> None:
    known = [name for name in map(variable_name, Settings.model_fields) if name.startswith(PREFIX)]
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in known:
            # Without the prefix, which would make every name look alike.
            near = difflib.get_close_matches(
                name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known], n=1
            )
            hint = f"did you mean {PREFIX}{near[0]}?" if near else "docs/settings.md lists the settings."
            raise SetupError(f"{name} is not a setting of Palpite; {hint}")


def _sentences(problem: ValidationError) -> Iterable[str]:
    for error in problem.errors(include_url=False):
        if error["type"] == "default_factory_not_called":  # follows from the others
            continue
        field = str(error["loc"][0])
        name = field if field in _UNPREFIXED.values() else variable_name(field)
        hidden = name in _PRIVATE or field in _UNPREFIXED.values()
        yield f"{name} {_expectation(name, error)}" + ("." if hidden else f', got "{error["input"]}".')


def _expectation(name: str, error: Mapping[str, Any]) -> str:
    """What was wanted, in plain words."""
    bounds = error.get("ctx", {})
    words = {
        "int_parsing": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_parsing": "must be a number",
        "bool_parsing": "must be true or false",
        "literal_error": f"must be {bounds.get('expected')}",
        "greater_than": f"must be more than {bounds.get('gt')}",
        "greater_than_equal": f"must be at least {bounds.get('ge')}",
        "less_than_equal": f"must be at most {bounds.get('le')}",
        "too_short": f"must have at least {bounds.get('min_length')} characters",
        "string_pattern_mismatch": f"must be {_PATTERNS.get(name, 'written differently')}",
        "value_error": str(bounds.get("error")),
        "extra_forbidden": "is not a setting of Palpite",
    }
    return words.get(error["type"], f"is wrong: {error['msg']}")


def _with_scheme(url: SecretStr | None, schemes: tuple[str, ...]) -> SecretStr | None:
    if url is not None and url.get_secret_value().partition("://")[0] not in schemes:
        raise ValueError(f"must begin with {_one_of(schemes)}")
    return url


def _one_of(schemes: tuple[str, ...]) -> str:
    *others, last = [f"{scheme}://" for scheme in schemes]
    return f"{', '.join(others)} or {last}"


def _required(value: SecretStr | None, name: str) -> str:
    if value is None:
        raise SetupError(f"{name} is not set: set it to your server, or run `palpite up`, which brings its own.")
    return value.get_secret_value()


def _as_text(value: object) -> str | None:
    match value:
        case None:
            return None
        case SecretStr():
            return value.get_secret_value()
        case bool():
            return str(value).lower()
        case Path():
            return str(value.absolute())
        case _:
            return str(value)


def _kept_secret(path: Path) -> str:
    """Written whole into a file of its own first, so that two processes agree on one secret."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        draft = path.with_name(f"secret.{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            os.link(draft, path)
        draft.unlink()
    return path.read_text()
