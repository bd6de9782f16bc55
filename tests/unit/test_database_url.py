"""Addresses of databases as people paste them."""

import pytest

from runtime.database_url import parse_database_url
from runtime.errors import SetupError


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_every_common_scheme(scheme: str) -> None:
    address = parse_database_url(f"{scheme}://me:p%40ss@db.example:6432/palpite")

    assert address.text() == "postgresql+asyncpg://me:p%40ss@db.example:6432/palpite"
    assert address.raw_arguments() == {
        "user": "me",
        "password": "p@ss",
        "database": "palpite",
        "host": "db.example",
        "port": 6432,
    }


def test_words_of_libpq_become_what_asyncpg_takes() -> None:
    address = parse_database_url(
        "postgres://me@db/palpite?sslmode=require&application_name=mine&connect_timeout=3&channel_binding=prefer"
    )

    assert address.connect_args == {"ssl": "require", "timeout": 3.0}
    assert address.server_settings == {"application_name": "mine"}
    assert address.text() == "postgresql+asyncpg://me@db/palpite"


def test_a_unix_socket_stays() -> None:
    address = parse_database_url("postgresql://postgres@/palpite?host=/run/my%20pg")

    assert address.raw_arguments() == {"user": "postgres", "database": "palpite", "host": "/run/my pg"}
    assert parse_database_url(address.with_database("other").text()).url.database == "other"
    assert parse_database_url(address.text()).raw_arguments()["host"] == "/run/my pg"


@pytest.mark.parametrize(
    "query", ["host=a.example,b.example&port=5432,5433", "host=a.example:5432&host=b.example:5433"]
)
def test_several_hosts_with_their_ports(query: str) -> None:
    address = parse_database_url(f"postgresql://me@/palpite?{query}&sslmode=require")

    for found in (address, parse_database_url(address.with_database("palpite").text())):
        arguments = found.raw_arguments()
        assert (arguments["host"], arguments["port"]) == (["a.example", "b.example"], [5432, 5433])


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("mysql://me@db/palpite", "DATABASE_URL must start with postgresql://, not mysql://."),
        ("palpite", "DATABASE_URL cannot be read; write it as postgresql://user:password@host:5432/name."),
        ("postgres://h:port/x", "DATABASE_URL cannot be read; write it as postgresql://user:password@host:5432/name."),
        ("postgres://h:99999/x", "DATABASE_URL: a port is a number up to 65535, got 99999."),
        ("postgres://@/x?host=h&port=99999", "DATABASE_URL: a port is a number up to 65535, got 99999."),
        ("postgres://@/x?host=h&host=i&port=5432&port=abc", "DATABASE_URL: a port is a number up to 65535, got abc."),
        ("postgres://@/x?host=h,i&port=5432,99999", "DATABASE_URL: a port is a number up to 65535, got 99999."),
        ("postgres://@/x?host=h:99999&host=i:5432", "DATABASE_URL: a port is a number up to 65535, got 99999."),
        *(
            (
                f"postgres://@/x?{hosts}",
                "DATABASE_URL: several hosts are written as ?host=one,two&port=5432,5433, with a port for each.",
            )
            for hosts in ("host=h,i", "host=h,i&port=5432", "host=h&host=i", "host=h&host=i&port=5432&port=5433")
        ),
        ("postgres://h", "DATABASE_URL names no database; write it as postgresql://user:password@host:5432/name."),
        ("postgres://h/x?colour=red", "DATABASE_URL: the parameter 'colour' is not known; take it out."),
        (
            "postgres://h/x?sslmode=maybe",
            (
                "DATABASE_URL: sslmode must be one of allow, disable, prefer, require, verify-ca, verify-full, "
                "got 'maybe'."
            ),
        ),
        ("postgres://h/x?sslrootcert=/none", "DATABASE_URL: the sslrootcert '/none' cannot be read."),
        ("postgres://h/x?connect_timeout=1s", "DATABASE_URL: connect_timeout must be a number of seconds, got '1s'."),
    ],
)
def test_a_mistake_is_one_clear_line(text: str, line: str) -> None:
    with pytest.raises(SetupError) as caught:
        parse_database_url(text)
    assert str(caught.value) == line
