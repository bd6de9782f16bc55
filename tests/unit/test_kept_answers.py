"""Kept answers and known sessions are renewed by one who asks, before their time is over, and never outlive it."""

import asyncio
import gc
import tracemalloc
from collections.abc import Hashable
from typing import Any
from uuid import UUID, uuid4

import pytest
from graphql import FieldNode, OperationDefinitionNode, parse

from domain.ids import MemberId
from schema.build import build_schema
from schema.sharing import Parted
from schema.transport import answers as kept_answers
from schema.transport import sessions as known
from schema.transport.answers import Query, SharedAnswers
from schema.transport.parts import Parts
from schema.transport.selections import Selections
from schema.transport.sessions import KnownSessions
from schema.transport.shortcut import find_kept

REQUEST, MEDIA = (b"body",), b"application/json"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Source:
    """Numbers its executions."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> dict[str, Any]:
        self.count += 1
        return {"data": self.count}


class Board(Parted):
    """One that moves when it is told to."""

    def __init__(self) -> None:
        self.version = 1
        self.tournament_id = uuid4()

    def state(self) -> tuple[Hashable, UUID]:
        return self.version, self.tournament_id


async def test_an_answer_is_renewed_by_one_while_the_others_have_it() -> None:
    clock, source = Clock(), Source()
    answers, query = SharedAnswers(lambda: True, seconds=2, clock=clock), _query(uuid4())
    await answers.answer(query, source)
    answers.remember(REQUEST, query, MEDIA)
    clock.now += 1.4
    assert _data(answers) == b"1"
    clock.now += 0.2
    assert [_data(answers) for _ in range(3)] == [None, b"1", b"1"]

    kept = await answers.answer(query, source)

    assert kept is not None
    assert (kept.data, source.count) == (b"2", 2)
    clock.now += 1.4
    assert _data(answers) == b"2"


async def test_who_is_cancelled_leaves_the_others_the_answer_that_they_wait_for() -> None:
    answers, query, gate, source = SharedAnswers(lambda: True, seconds=60), _query(uuid4()), asyncio.Event(), Source()

    async def wait() -> dict[str, Any]:
        await gate.wait()
        return await source()

    gone, stays = [asyncio.create_task(answers.answer(query, wait)) for _ in range(2)]
    await asyncio.sleep(0.01)
    gone.cancel()
    await asyncio.sleep(0.01)
    gate.set()
    kept = await stays

    assert kept is not None
    assert (kept.data, source.count, gone.cancelled()) == (b"1", 1, True)


async def test_an_answer_that_nobody_renews_ends_in_time() -> None:
    clock, source = Clock(), Source()
    answers, query = SharedAnswers(lambda: True, seconds=2, clock=clock), _query(uuid4())
    await answers.answer(query, source)
    answers.remember(REQUEST, query, MEDIA)
    clock.now += 1.9
    assert [_data(answers) for _ in range(2)] == [None, b"1"]
    clock.now += 0.1

    assert [_data(answers) for _ in range(2)] == [None, None]


async def test_who_is_not_let_in_renews_nothing() -> None:
    clock, source = Clock(), Source()
    answers, sessions = SharedAnswers(lambda: True, seconds=2, clock=clock), KnownSessions(seconds=60, clock=clock)
    query = _query(uuid4())
    await answers.answer(query, source)
    answers.remember((b"body", b"", b"", b""), query, MEDIA)
    sessions.note(b"known", b"", MemberId(uuid4()), clock.now)
    clock.now += 1.6

    def is_found(token: bytes) -> bool:
        scope = {"headers": [(b"authorization", token)], "state": {}}
        return find_kept(answers, sessions, scope, b"body") is not None

    assert [is_found(token) for token in (b"unknown", b"known", b"known")] == [False, False, True], "the second renews"


async def test_without_ticks_only_what_has_a_version_is_kept_and_no_longer_than_anything_else() -> None:
    clock, source = Clock(), Source()
    answers = SharedAnswers(lambda: False, seconds=2, clock=clock)
    plain, versioned = _query(uuid4()), Query("page of version 7", uuid4(), cost=0, is_versioned=True)

    assert await answers.answer(plain, source) is None
    assert [await _text(answers, versioned, source) for _ in range(3)] == [b"1", b"1", b"1"]
    clock.now += 2
    assert await _text(answers, versioned, source) == b"2"


async def test_what_was_kept_is_given_to_nobody_while_no_ticks_are_heard() -> None:
    hears, source = [True], Source()
    answers, query = SharedAnswers(lambda: hears[0], seconds=60), _query(uuid4())
    assert await _text(answers, query, source) == b"1"
    answers.remember(REQUEST, query, MEDIA)
    assert _data(answers) == b"1"

    hears[0] = False

    assert (_data(answers), await answers.answer(query, source)) == (None, None)


async def test_what_is_asked_counts_as_what_is_answered() -> None:
    """Else a stranger could have the process hold gigabytes of variables."""
    source = Source()
    answers = SharedAnswers(lambda: True, seconds=2, most_bytes=100_000)
    queries = [Query(("document", f"{number:010000}".encode()), uuid4(), cost=1) for number in range(20)]
    for query in queries:
        await answers.answer(query, source)
    assert [await _is_kept(answers, query) for query in reversed(queries)] == [True] * 8 + [False] * 12

    for length, is_kept in ((15_000, True), (17_000, False)):
        query = Query(("document", b"x" * length), uuid4(), cost=1)
        await answers.answer(query, source)
        assert await _is_kept(answers, query) is is_kept
        request = (b"body", b"of %d" % length)
        answers.remember(request, query, MEDIA)
        assert (answers.find(request) is not None) is is_kept
        assert (request in answers._requests) is is_kept


async def test_requests_are_counted_with_their_answers_and_go_with_them() -> None:
    """Else a stranger could have the process hold twice as much, for as long as nobody else asks."""
    clock, source = Clock(), Source()
    answers = SharedAnswers(lambda: True, seconds=2, most_bytes=100_000, clock=clock)
    for number in range(20):
        await answers.answer(query := Query(number, uuid4(), cost=1), source)
        answers.remember((f"{number:010000}".encode(), b"*/*"), query, MEDIA)
    assert len(answers._requests) == len(answers._kept) == 8

    await answers.answer(query := _query(uuid4()), source)
    alone = answers._bytes
    for number in range(50):  # of one answer too
        answers.remember((f"{number:01000}".encode(), b"*/*"), query, MEDIA)
    assert answers._bytes <= 100_000
    assert len(answers._requests) == 32 + 5
    assert answers.find((f"{18:01000}".encode(), b"*/*")) is not None
    assert answers.find((f"{17:01000}".encode(), b"*/*")) is None

    clock.now += 2
    await answers.answer(last := Query("last", uuid4(), cost=1), source)
    assert (list(answers._kept), answers._requests) == ([last.key], {})
    assert answers._bytes < alone


async def test_memory_that_is_held_is_what_is_counted() -> None:
    source = Source()
    answers = SharedAnswers(lambda: True, seconds=2, most_bytes=4 * 1024 * 1024)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for number in range(1_000):
        key = (f"{number:>5000}", None, b"{}")
        await answers.answer(query := Query(key, uuid4(), cost=1), source)
        answers.remember((f"{number:>6000}".encode(), b"*/*", b"application/json", b""), query, MEDIA)
    gc.collect()
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert 0.9 * answers._bytes < held - before < 4 * 1024 * 1024


async def test_an_answer_that_is_renewed_has_the_requests_of_the_former_one() -> None:
    clock, source = Clock(), Source()
    answers, query = SharedAnswers(lambda: True, seconds=2, clock=clock), _query(uuid4())
    await answers.answer(query, source)
    answers.remember(REQUEST, query, MEDIA)
    held = answers._bytes
    answers.moved(query.tournament_id)
    assert _data(answers) is None
    await answers.answer(query, source)

    answers.remember(REQUEST, query, MEDIA)

    assert (_data(answers), answers._bytes) == (b"2", held)


async def test_a_request_that_asks_for_a_later_version_is_remembered_for_that_alone() -> None:
    source = Source()
    answers, tournament = SharedAnswers(lambda: True, seconds=2), uuid4()
    versions = [Query(f"page of version {version}", tournament, cost=1, is_versioned=True) for version in (7, 8)]
    for query in versions:
        await answers.answer(query, source)
        answers.remember(REQUEST, query, MEDIA)

    assert _data(answers) == b"2"
    assert [kept.requests for kept in answers._kept.values()] == [[], [REQUEST]]


async def test_only_the_requests_that_were_noted_last_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_answers, "_MOST_REQUESTS", 2)
    answers, query = SharedAnswers(lambda: True, seconds=60), _query(uuid4())
    await answers.answer(query, Source())
    requests = [(b"one",), (b"two",), (b"three",)]
    for request in requests:
        answers.remember(request, query, MEDIA)

    assert [answers.find(request) is not None for request in requests] == [False, True, True]


async def test_what_is_too_old_is_held_no_longer_than_until_something_else_is_kept() -> None:
    clock, source = Clock(), Source()
    answers = SharedAnswers(lambda: True, seconds=2, clock=clock)
    for number in range(20):
        await answers.answer(Query(number, uuid4(), cost=1), source)
    clock.now += 1
    await answers.answer(Query("younger", uuid4(), cost=1), source)
    assert len(answers._kept) == 21
    clock.now += 1
    await answers.answer(Query("youngest", uuid4(), cost=1), source)

    assert list(answers._kept) == ["younger", "youngest"]
    held = answers._bytes
    clock.now += 2
    await answers.answer(Query("youngest", uuid4(), cost=1), source)
    assert 0 < answers._bytes < held


async def test_a_part_of_a_board_that_moved_while_it_was_executed_is_given_to_nobody() -> None:
    document = parse("{ tournament { leaderboard { rows { edges { cursor } } } } }")
    (operation,) = document.definitions
    assert isinstance(operation, OperationDefinitionNode)
    (node,) = operation.selection_set.selections
    assert isinstance(node, FieldNode)
    parts = Parts(SharedAnswers(lambda: True, seconds=60), Selections(build_schema(), document), operation, {})
    board, source = Board(), Source()

    async def move() -> dict[str, Any]:
        board.version += 1
        return await source()

    assert await parts.answer(board, [node], move) is None
    board.version = 1
    assert await parts.answer(board, [node], source) is not None
    assert source.count == 2


def test_a_session_is_asked_for_anew_by_one_and_ends_in_time() -> None:
    clock = Clock()
    sessions = KnownSessions(seconds=2, clock=clock)
    sessions.note(b"token", b"", MemberId(uuid4()), clock.now)
    clock.now += 1.4
    assert sessions.are_good(b"token", b"")
    clock.now += 0.2
    assert [sessions.are_good(b"token", b"") for _ in range(3)] == [False, True, True]
    clock.now += 0.4

    assert [sessions.are_good(b"token", b"") for _ in range(2)] == [False, False]
    assert not sessions.are_good(b"another", b"")


def test_what_was_said_before_a_session_may_have_ended_counts_no_longer() -> None:
    clock = Clock()
    sessions, member, other = KnownSessions(seconds=2, clock=clock), MemberId(uuid4()), MemberId(uuid4())
    asked_at = clock.now
    for header, member_id in ((b"one", member), (b"two", member), (b"other", other)):
        sessions.note(header, b"", member_id, asked_at)
    clock.now += 0.1
    sessions.doubt(member)
    sessions.note(b"late", b"", member, asked_at)
    sessions.note(b"", b"theme=dark", None, asked_at)

    assert [sessions.are_good(header, b"") for header in (b"one", b"two", b"late", b"other")] == [False] * 3 + [True]
    assert sessions.are_good(b"", b"theme=dark")
    clock.now += 0.1
    sessions.note(b"one", b"", member, clock.now)
    assert sessions.are_good(b"one", b"")
    sessions.doubt(other)
    clock.now += 2
    sessions.doubt(other)
    assert list(sessions._doubted) == [other]
    clock.now += 1
    sessions.doubt(member)
    clock.now += 0.5
    sessions.doubt(other)
    assert list(sessions._doubted) == [member, other], "whose time is over first is looked at first"


def test_what_was_said_at_the_moment_at_which_a_session_may_have_ended_counts_no_longer() -> None:
    clock, member = Clock(), MemberId(uuid4())
    sessions = KnownSessions(seconds=2, clock=clock)
    sessions.note(b"token", b"", member, clock.now)
    sessions.doubt(member)

    assert not sessions.are_good(b"token", b"")


def test_only_the_sessions_that_were_noted_last_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_MOST", 2)
    clock = Clock()
    sessions = KnownSessions(seconds=2, clock=clock)
    for header in (b"one", b"two", b"three"):
        sessions.note(header, b"", MemberId(uuid4()), clock.now)

    assert [sessions.are_good(header, b"") for header in (b"one", b"two", b"three")] == [False, True, True]


async def _is_kept(answers: SharedAnswers, query: Query) -> bool:
    """Found out without keeping anything."""

    async def fail() -> dict[str, Any]:
        return {"errors": ["not kept"]}

    return await answers.answer(query, fail) is not None


async def _text(answers: SharedAnswers, query: Query, source: Source) -> bytes | None:
    kept = await answers.answer(query, source)
    return None if kept is None else kept.data


def _query(tournament_id: UUID) -> Query:
    return Query("document", tournament_id, cost=1)


def _data(answers: SharedAnswers) -> bytes | None:
    """What one who asks gets at once."""
    found = answers.find(REQUEST)
    return None if found is None or answers.is_to_renew(found.kept) else found.kept.data
