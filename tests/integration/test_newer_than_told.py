"""What is read of a window after its version may be newer: whoever comes with that version must not be told it is all.

A client saw a version in one process, and comes with it to another, which reads while something changes.
"""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import pytest

from domain.ids import MatchId
from domain.leaderboard.model import BoardKey
from domain.match import store as match_store
from domain.match.model import MatchStatus
from domain.match.rules import MatchScope
from domain.member.profile import service as profiles
from domain.tournament.store import raise_versions
from live import boards
from live.events import Delta, Heartbeat, MatchDelta, MatchSnapshot, Resync, Snapshot, StreamPosition
from tests.integration.test_hub import event
from tests.support.football import MadeTournament, make_members, make_tournament, pass_lock, put_guesses, set_match
from tests.support.live import TICKS_ONLY, anyone, api_process, finish, follow, relay
from tests.support.settlement import void

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.database import PostgresDatabase


def before_once(
    owner: object, name: str, act: Callable[[], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Have something happen right before the first call."""
    real, has_happened = getattr(owner, name), False

    async def call(*args: Any, **kwargs: Any) -> Any:
        nonlocal has_happened
        if not has_happened:
            has_happened = True
            await act()
        return await real(*args, **kwargs)

    monkeypatch.setattr(owner, name, call)


async def test_matches(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cup = await make_tournament(database, matches=2)

    async def goal(match_id: MatchId, goals: int) -> None:
        await set_match(database, match_id, status=MatchStatus.IN_PLAY, home_goals=goals, away_goals=0)
        async with database.begin() as connection:
            await raise_versions(connection, cup.id, matches=True)

    for match_id in cup.matches:
        await pass_lock(database, match_id)
        await goal(match_id, 0)
    scope = MatchScope(live_of_tournament_id=cup.id)
    async with (
        api_process(database, valkey_url, TICKS_ONLY) as one,
        api_process(database, valkey_url, TICKS_ONLY) as other,
    ):
        seen = await event(one.hub.matches(scope, None, allowed=anyone).events(), MatchSnapshot)
        before_once(match_store, "matches_in_scope", lambda: goal(cup.matches[0], 1), monkeypatch)
        stream = other.hub.matches(scope, StreamPosition(seen.epoch, seen.version), allowed=anyone).events()
        first = await event(stream, Heartbeat)
        assert first.version == seen.version
        await relay(database, valkey)
        delta = await event(stream, MatchDelta)
        assert [match.id for match in delta.matches] == [cup.matches[0]]


@pytest.fixture
async def cup(database: "PostgresDatabase") -> MadeTournament:
    made = await make_tournament(database, matches=3, ruleset="kicktipp")
    ana, bob = await make_members(database, 2, joins=[made])
    await put_guesses(database, made, [(each, ana, 1, 0) for each in made.matches])
    await put_guesses(database, made, [(each, bob, 0, 1) for each in made.matches])
    for match_id in made.matches[:2]:
        await finish(database, match_id, 1, 0)
    return made


@pytest.mark.parametrize("is_round", [False, True])
async def test_nick_names(
    database: "PostgresDatabase",
    valkey_url: str,
    cup: MadeTournament,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_round: bool,
) -> None:
    key = BoardKey(tournament_id=cup.id, round_id=cup.rounds[0] if is_round else None)
    async with api_process(database, valkey_url, TICKS_ONLY) as process:
        stream = follow(process, key)
        seen = await event(stream, Snapshot)
        await stream.aclose()  # type: ignore[attr-defined]
        member = seen.rows[0].member_id

        async def rename() -> None:
            await profiles.update(database, member, nick_name="Anabel", time_zone=None, request_id="test")

        before_once(boards, "read_members", rename, monkeypatch)
        stream = follow(process, key, StreamPosition(seen.epoch, seen.version))
        await event(stream, Resync)
        again = await event(stream, Snapshot)
        assert again.members[member].nick_name == "Anabel"


async def test_how_many_matches_were_guessed(
    database: "PostgresDatabase", valkey: "Redis", valkey_url: str, cup: MadeTournament, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = BoardKey(tournament_id=cup.id)
    await relay(database, valkey)
    async with (
        api_process(database, valkey_url, TICKS_ONLY) as one,
        api_process(database, valkey_url, TICKS_ONLY) as other,
    ):
        seen = await event(follow(one, key), Snapshot)
        before_once(other.boards, "guessed_matches", lambda: void(database, cup.matches[0]), monkeypatch)
        stream = follow(other, key, StreamPosition(seen.epoch, seen.version))
        await event(stream, Resync)
        shown = dict((await event(stream, Snapshot)).guessed_matches)
        await relay(database, valkey)
        shown |= (await event(stream, Delta)).guessed_matches
        assert shown == (await event(follow(one, key), Snapshot)).guessed_matches
