"""Kept answers leave where their requests arrive, like those that go the long way; on a real server, by its bytes."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import orjson
import pytest

from runtime.kept import KeptProtocol
from tests.integration.test_shared_answers import LONG, world_of
from tests.support.api import served
from tests.support.api_world import World, begin_session, end_sessions
from tests.support.graphql_client import read_operation

pytestmark = pytest.mark.timeout(240)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server sent."""

    status: bytes
    headers: dict[bytes, bytes]
    body: dict[str, Any]


class Line:
    """One connection, written to by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def ask(self, *pieces: bytes) -> Reply:
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0.05 if len(pieces) > 1 else 0)
        return await self.read()

    async def read(self) -> Reply:
        async with asyncio.timeout(20):
            status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).rstrip(b"\r\n").split(b"\r\n")
            headers = dict(line.split(b": ", 1) for line in lines)
            assert len(headers) == len(lines)
            body = await self.reader.readexactly(int(headers.get(b"content-length", b"0")))
        is_json = headers[b"content-type"].startswith(b"application/json")
        return Reply(status, headers, orjson.loads(body) if is_json else {"text": body})


@dataclass(frozen=True, slots=True)
class Place:
    """A server, a session, and how often the short way was taken."""

    world: World
    address: str
    token: str
    taken: list[bytes]
    lines: list[Line] = field(default_factory=list)

    async def line(self) -> Line:
        host, port = self.address.split(":")
        self.lines.append(Line(*await asyncio.open_connection(host, int(port))))
        return self.lines[-1]

    def request(self, *headers: str, token: str | None = None, version: str = "1.1") -> tuple[bytes, bytes]:
        """Head and body."""
        variables = {"id": self.world.tournament_id}
        body = orjson.dumps({"query": read_operation("liveScoreboard"), "variables": variables})
        lines = [
            f"POST /graphql HTTP/{version}",
            "host: test",
            f"authorization: Bearer {token or self.token}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            *headers,
        ]
        return "\r\n".join([*lines, "", ""]).encode(), body

    def whole(self, *headers: str, **options: Any) -> bytes:
        return b"".join(self.request(*headers, **options))


@pytest.fixture
async def place(
    database_url: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Place]:
    taken: list[bytes] = []
    answer = KeptProtocol._answer

    def counted(self: KeptProtocol, cycle: Any) -> None:
        answer(self, cycle)
        if cycle.response_complete:
            taken.append(cycle.scope["path"])

    monkeypatch.setattr(KeptProtocol, "_answer", counted)
    async with world_of(database_url, valkey_url, tmp_path, **LONG) as world, served(world.api) as address:
        made = Place(world, address, await begin_session(world.api, world.ana), taken)
        line = await made.line()
        assert (await line.ask(made.whole())).status == b"HTTP/1.1 200 OK"
        assert taken == []
        yield made
        for line in made.lines:
            line.writer.close()


async def test_the_short_way_answers_like_the_long_one(place: Place) -> None:
    line = await place.line()
    short = await line.ask(place.whole("x-request-id: mine"))
    assert len(place.taken) == 1
    # Empty `extensions` make it another request, which is not known by its bytes.
    head, body = place.request("x-request-id: mine")
    other = orjson.dumps({**orjson.loads(body), "extensions": {}})
    head = head.replace(b"content-length: %d" % len(body), b"content-length: %d" % len(other))
    long = await line.ask(head + other)
    assert len(place.taken) == 1

    assert (short.status, short.body["data"]) == (long.status, long.body["data"])
    assert [*short.body] == [*long.body] == ["data", "extensions"]
    assert short.body["extensions"]["requestId"] == long.body["extensions"]["requestId"] == "mine"
    assert short.body["extensions"].keys() == long.body["extensions"].keys()
    assert {**short.headers, b"date": b""} == {**long.headers, b"date": b""}


async def test_a_request_in_pieces_and_several_in_one_are_answered(place: Place) -> None:
    line = await place.line()
    head, body = place.request()
    assert (await line.ask(head, body)).status == b"HTTP/1.1 200 OK"
    assert (await line.ask(head[:40], head[40:] + body[:30], body[30:])).status == b"HTTP/1.1 200 OK"
    assert len(place.taken) == 0
    names = [f"name-{n}" for n in range(5)]
    line.writer.write(b"".join(place.whole(f"x-request-id: {name}") for name in names))
    replies = [await line.read() for _ in names]
    assert [reply.headers[b"x-request-id"].decode() for reply in replies] == names
    assert len(place.taken) == 5


async def test_known_and_unknown_requests_in_one_piece_are_answered_in_their_order(place: Place) -> None:
    line = await place.line()
    names = ["a", "b", "c", "d"]
    asked = [place.whole(f"x-request-id: {name}") for name in names]
    asked[1] = asked[1].replace(b"POST /graphql", b"POST /nowhere")
    line.writer.write(b"".join(asked))
    replies = [await line.read() for _ in names]
    assert [reply.headers[b"x-request-id"].decode() for reply in replies] == names
    assert [reply.status.split()[1] for reply in replies] == [b"200", b"404", b"200", b"200"]
    assert (await line.ask(asked[0])).status == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("headers", "version", "status"),
    [
        (["connection: close"], "1.1", b"200"),
        ([], "1.0", b"200"),
        (["accept: text/html"], "1.1", b"406"),
        ([f"x-{n}: y" for n in range(120)], "1.1", b"431"),
    ],
)
async def test_what_is_unusual_goes_the_long_way(place: Place, headers: list[str], version: str, status: bytes) -> None:
    line = await place.line()
    reply = await line.ask(place.whole(*headers, version=version))
    assert (reply.status.split()[1], len(place.taken)) == (status, 0)
    if status == b"200":
        assert await line.reader.read() == b""  # it was closed


async def test_who_waits_for_leave_to_send_a_body_gets_it(place: Place) -> None:
    line = await place.line()
    head, body = place.request("expect: 100-continue")
    line.writer.write(head)
    assert await line.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert (await line.ask(body)).status == b"HTTP/1.1 200 OK"


async def test_only_sessions_that_are_good_are_answered(place: Place) -> None:
    line = await place.line()
    assert (await line.ask(place.whole(token="wrong"))).status.split()[1] == b"401"
    other = await begin_session(place.world.api, place.world.bob)
    assert (await line.ask(place.whole(token=other))).status.split()[1] == b"200"
    assert len(place.taken) == 0
    await line.ask(place.whole(token=other))
    assert len(place.taken) == 1
    body = orjson.dumps({"query": "mutation { signOut { errors { code } } }"})
    head = place.request(token=other)[0].split(b"content-length")[0]
    assert (await line.ask(head + b"content-length: %d\r\n\r\n" % len(body) + body)).status.split()[1] == b"200"
    assert (await line.ask(place.whole(token=other))).status.split()[1] == b"401"
    await end_sessions(place.world.api, place.world.ana)


GRAPHQL_JSON = "application/graphql-response+json"


@pytest.mark.parametrize(
    ("said", "once", "status", "media"),
    [
        (["accept:", f"accept: {GRAPHQL_JSON}"], f"accept: {GRAPHQL_JSON}", b"200", GRAPHQL_JSON),
        (["accept: */*", "accept: x"], "accept: */*x", b"406", "application/json"),
        (["cookie: a=b", "cookie: c=d"], "cookie: a=bc=d", b"200", "application/json"),
    ],
)
async def test_what_is_said_twice_is_nothing_that_another_says_once(
    place: Place, said: list[str], once: str, status: bytes, media: str
) -> None:
    line = await place.line()
    for _ in range(2):
        assert (await line.ask(place.whole(*said))).status.split()[1] == b"200"
    assert len(place.taken) == 0
    reply = await line.ask(place.whole(once))
    assert (reply.status.split()[1], reply.headers[b"content-type"]) == (status, f"{media}; charset=utf-8".encode())


async def test_a_second_token_makes_no_wrong_one_good(place: Place) -> None:
    line = await place.line()
    for _ in range(2):
        await line.ask(place.whole("authorization: xx"))
    assert (await line.ask(place.whole(token=f"{place.token}xx"))).status.split()[1] == b"401"


async def test_a_token_that_is_empty_is_no_missing_one(place: Place) -> None:
    line = await place.line()
    head, body = place.request()
    nobody = head.replace(f"authorization: Bearer {place.token}\r\n".encode(), b"")
    asked = [nobody + body, nobody.replace(b"host: test", b"host: test\r\nauthorization:") + body]
    assert [(await line.ask(request)).status.split()[1] for request in asked] == [b"200", b"401"]
    assert len(place.taken) == 1


async def test_answers_and_sessions_are_renewed_by_one_while_the_others_are_answered(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    line, taken = await place.line(), []
    for later in (50, 85):  # of 60: late, and when all would be over had nobody renewed it
        _pass(place, monkeypatch, later)
        before = len(place.taken)
        for _ in range(5):
            assert (await line.ask(place.whole())).status.split()[1] == b"200"
        taken.append(len(place.taken) - before)

    # One asked for the session, one executed the answer.
    assert taken == [3, 5]


async def test_who_is_not_let_in_renews_nothing_and_holds_up_nobody_who_would(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = await place.line()
    _pass(place, monkeypatch, 50)
    assert (await line.ask(place.whole(token="wrong"))).status.split()[1] == b"401"
    for _ in range(2):
        await line.ask(place.whole())
    assert len(place.taken) == 0
    _pass(place, monkeypatch, 85)
    await line.ask(place.whole())
    assert len(place.taken) == 1


def _pass(place: Place, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Go on as if it were so much later than at the beginning."""
    kept = place.world.api.app.state.kept
    for part in (kept._answers, kept._sessions):
        monkeypatch.setattr(part, "_clock", lambda: monotonic() + seconds)


async def test_it_is_counted_and_logged_like_others(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    line = await place.line()
    with caplog.at_level(logging.INFO, "palpite.access"):
        for _ in range(3):
            await line.ask(place.whole("x-request-id: mine"))
    assert len(place.taken) == 3
    logged = [record for record in caplog.records if record.name == "palpite.access"]
    assert [(record.message, record.__dict__["path"], record.__dict__["status"]) for record in logged] == [
        ("request", "/graphql", 200)
    ] * 3
    page = (await place.world.api.client().http.get("/metrics")).text
    assert 'palpite_http_requests_total{method="POST",path="/graphql",status="200"} 4.0' in page
    assert 'palpite_http_request_seconds_count{path="/graphql"} 4.0' in page


async def test_a_connection_answered_this_way_is_dropped_when_it_stays_idle(place: Place) -> None:
    line = await place.line()
    await line.ask(place.whole())
    async with asyncio.timeout(20):
        assert await line.reader.read() == b""
