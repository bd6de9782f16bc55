"""Settings: defaults, what follows from them, and one clear line for each mistake."""

import stat
from pathlib import Path

import pytest

from runtime.errors import SetupError
from runtime.settings import BROKERS, Settings, load_settings, variable_name
from tasks.broker import create_broker


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for field in Settings.model_fields:
        monkeypatch.delenv(variable_name(field), raising=False)


def test_defaults() -> None:
    settings = load_settings()

    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")
    assert (settings.data, settings.env, settings.demo) == (Path(".palpite"), "local", False)
    assert settings.openfootball_dir.parts[-3:] == ("integrations", "openfootball", "seasons")
    assert settings.database_url is None
    assert settings.redis_url is None


def test_the_environment_is_read_and_an_option_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALPITE_PORT", "9000")
    monkeypatch.setenv("PALPITE_HEARTBEAT_SECONDS", "0.5")
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hidden@host/name")

    assert load_settings().port == 9000
    assert load_settings(port=9001, host=None).port == 9001
    assert load_settings().heartbeat_seconds == 0.5
    assert load_settings().required_database_url() == "postgresql://me:hidden@host/name"
    assert "hidden" not in repr(load_settings())


def test_jobs_wait_in_valkey_unless_another_broker_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://valkey:6379/0")
    assert load_settings().required_broker_url() == "redis://valkey:6379/0"
    monkeypatch.setenv("PALPITE_BROKER_URL", "nats://me:hidden@nats:4222")
    assert load_settings().required_broker_url() == "nats://me:hidden@nats:4222"
    assert load_settings().environment()["PALPITE_BROKER_URL"] == "nats://me:hidden@nats:4222"
    assert "hidden" not in repr(load_settings())


@pytest.mark.parametrize("scheme", BROKERS)
def test_every_broker_that_the_settings_take_exists(scheme: str) -> None:
    assert create_broker(f"{scheme}://localhost") is not None


def test_no_broker_exists_that_the_settings_do_not_take() -> None:
    with pytest.raises(ValueError, match=r"amqp://"):
        create_broker("amqp://localhost")


def test_the_public_address_follows_host_and_port() -> None:
    assert load_settings(host="0.0.0.0", port=81).public_url == "http://127.0.0.1:81"
    assert load_settings(host="::1", port=81).public_url == "http://[::1]:81"
    assert load_settings(port=81).changed(port=82).public_url == "http://127.0.0.1:82"


@pytest.mark.parametrize(
    ("choice", "url", "secure"),
    [
        ("auto", "http://palpite.example", False),
        ("auto", "https://palpite.example", True),
        ("always", "http://palpite.example", True),
        ("never", "https://palpite.example", False),
    ],
)
def test_cookies_are_secure_where_the_address_is(choice: str, url: str, secure: bool) -> None:
    assert load_settings(cookie_secure=choice, public_url=url).cookies_are_secure is secure


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("PALPITE_PORT", "abc", 'PALPITE_PORT must be a whole number, got "abc".'),
        ("PALPITE_PORT", "70000", 'PALPITE_PORT must be at most 65535, got "70000".'),
        ("PALPITE_LEASE_SECONDS", "0", 'PALPITE_LEASE_SECONDS must be more than 0.0, got "0".'),
        ("PALPITE_SWEEP_SECONDS", "soon", 'PALPITE_SWEEP_SECONDS must be a number, got "soon".'),
        ("PALPITE_DEMO", "perhaps", 'PALPITE_DEMO must be true or false, got "perhaps".'),
        ("PALPITE_LOG_FORMAT", "xml", "PALPITE_LOG_FORMAT must be 'auto', 'json' or 'text', got \"xml\"."),
        ("PALPITE_SECRET", "hidden", "PALPITE_SECRET must have at least 32 characters."),
        ("PALPITE_PUBLIC_URL", "x", 'PALPITE_PUBLIC_URL must be an address like https://palpite.example, got "x".'),
        ("PALPITE_OBJECT_STORE", "b", 'PALPITE_OBJECT_STORE must be an address like s3://bucket/folder, got "b".'),
        ("PALPITE_S3_ENDPOINT", "e", 'PALPITE_S3_ENDPOINT must be an address like https://s3.example, got "e".'),
        (
            "PALPITE_BROKER_URL",
            "amqp://me:hidden@host",
            "PALPITE_BROKER_URL must begin with redis://, rediss://, unix://, nats:// or tls://.",
        ),
        ("PALPITE_SENTRY_DSN", "hidden", "PALPITE_SENTRY_DSN must begin with http:// or https://."),
        ("PALPITE_PROT", "1", "PALPITE_PROT is not a setting of Palpite; did you mean PALPITE_PORT?"),
        ("PALPITE_XYZZY", "1", "PALPITE_XYZZY is not a setting of Palpite; docs/settings.md lists the settings."),
    ],
)
def test_a_mistake_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, line: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SetupError) as caught:
        load_settings()
    assert str(caught.value) == line


@pytest.mark.parametrize(
    ("log_format", "env", "to_terminal", "as_json"),
    [
        ("auto", "local", True, False),
        ("auto", "local", False, True),
        ("auto", "production", True, True),
        ("text", "production", False, False),
        ("json", "local", True, True),
    ],
)
def test_log_lines_are_json_where_no_person_reads_them(
    log_format: str, env: str, to_terminal: bool, as_json: bool
) -> None:
    assert load_settings(log_format=log_format, env=env).logs_as_json(to_terminal=to_terminal) is as_json


def test_the_sign_in_of_the_demo_is_refused_in_production(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PALPITE_DEMO", "true")
    monkeypatch.setenv("PALPITE_ENV", "production")

    with pytest.raises(SetupError, match=r"^PALPITE_DEMO lets anybody sign in as anybody"):
        load_settings()


@pytest.mark.parametrize(("lease", "heartbeat"), [("1", "100"), ("3", "3"), ("4.5", None)])
def test_a_claim_does_not_run_out_between_two_heartbeats(
    monkeypatch: pytest.MonkeyPatch, lease: str, heartbeat: str | None
) -> None:
    monkeypatch.setenv("PALPITE_LEASE_SECONDS", lease)
    if heartbeat:
        monkeypatch.setenv("PALPITE_HEARTBEAT_SECONDS", heartbeat)

    with pytest.raises(SetupError) as caught:
        load_settings()
    assert str(caught.value) == (
        f"PALPITE_HEARTBEAT_SECONDS ({heartbeat or 5}) must be less than PALPITE_LEASE_SECONDS ({lease}): claims would "
        "run out while their work goes on."
    )


def test_every_setting_is_documented() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "settings.md").read_text()

    assert [name for name in map(variable_name, Settings.model_fields) if f"`{name}`" not in page] == []


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    monkeypatch.setenv("PALPITE_PORT", "")

    assert load_settings().database_url is None
    assert load_settings().port == 8000


def test_a_missing_server_says_what_to_do() -> None:
    with pytest.raises(SetupError, match=r"^DATABASE_URL is not set: .*`palpite up`"):
        load_settings().required_database_url()
    with pytest.raises(SetupError, match=r"^REDIS_URL is not set: .*`palpite up`"):
        load_settings().required_redis_url()


def test_children_get_the_same_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    settings = load_settings(data=tmp_path, demo=True, database_url="postgresql://a@b/c", coalesce_seconds=0.25)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)

    assert load_settings() == settings


def test_the_secret_is_made_once_and_kept_private(tmp_path: Path) -> None:
    first = load_settings(data=tmp_path / "new").secret_key()

    assert len(first) == 64
    assert load_settings(data=tmp_path / "new").secret_key() == first
    assert load_settings(data=tmp_path / "other").secret_key() != first
    assert stat.S_IMODE((tmp_path / "new" / "secret").stat().st_mode) == 0o600
    assert load_settings(data=tmp_path, secret="s" * 32).secret_key() == "s" * 32


def test_a_secret_that_cannot_be_kept_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(SetupError, match=r"^The secret cannot be kept in \S+/file \(file exists\): "):
        load_settings(data=tmp_path / "file").secret_key()


def test_a_cluster_holds_no_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis+cluster://valkey:6379")
    with pytest.raises(SetupError, match="set PALPITE_BROKER_URL"):
        load_settings().required_broker_url()
    monkeypatch.setenv("PALPITE_BROKER_URL", "redis://queue:6379/0")
    assert load_settings().required_broker_url() == "redis://queue:6379/0"
    assert load_settings().required_redis_url() == "redis+cluster://valkey:6379"
