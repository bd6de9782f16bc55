"""First places that are told with a version: what they show, that nobody reads then, and when somebody does."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from time import monotonic
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis

from domain.clock import utc_now
from domain.ids import TournamentId, new_id
from domain.installation.service import begin_epoch
from domain.leaderboard.front import Front, Fronts, read_front
from domain.leaderboard.loading import load
from domain.leaderboard.many import held
from domain.leaderboard.model import BoardKey, BoardSource
from domain.leaderboard.projector import project
from domain.leaderboard.service import Boards
from domain.member.profile import service as profiles
from integrations.valkey import fronts
from integrations.valkey.projection import ValkeyProjection
from live.boards import BoardFeed, BoardState, Window
from live.events import Delta, Resync, Snapshot
from tests.integration.test_hub import event
from tests.support.football import MadeTournament, make_members, make_tournament, pass_lock, put_guesses
from tests.support.live import QUICK, TICKS_ONLY, Process, api_process, follow, until
from tests.support.settlement import in_play, play
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase


@pytest.fixture
def projection(valkey: Redis) -> ValkeyProjection:
    return ValkeyProjection(valkey)


@pytest.fixture
async def cup(database: "PostgresDatabase", projection: ValkeyProjection) -> MadeTournament:
    """Two rounds of two matches, the first settled, and 110 members, of whom many are level."""
    made = await make_tournament(database, matches=4, rounds=2, ruleset="kicktipp")
    members = await make_members(database, 110, joins=[made])
    given = [(match_id, one, n % 3, n % 2) for match_id in made.matches for n, one in enumerate(members)]
    await put_guesses(database, made, given)
    await pass_lock(database, *made.matches[:3])
    await play(database, made.matches[0], 2, 1)
    await project(database, projection, made.id)
    return made


async def told_of(
    database: "PostgresDatabase", projection: ValkeyProjection, tournament_id: TournamentId
) -> Front | None:
    """What is told of a board as it is projected now."""
    loaded, stamps = await load(database, tournament_id), await projection.stamps([tournament_id])
    assert loaded is not None
    return await read_front(database, tournament_id, stamps[tournament_id], loaded.ranking)


async def goal(database: "PostgresDatabase", projection: ValkeyProjection, cup: MadeTournament, goals: int = 1) -> None:
    await in_play(database, cup.id, cup.matches[1], goals, 0)
    await project(database, projection, cup.id)


def shown(state: BoardState) -> tuple[object, ...]:
    """All that streams show of it."""
    sheet = state.sheet
    return state.head, sheet.members, list(sheet.names), sheet.numbers.tolist(), state.counted, state.is_changing


@pytest.mark.parametrize("first", [1, 2, 50, 100])
@pytest.mark.parametrize("live", [0, 2])
async def test_a_board_that_was_told_is_the_one_that_is_read(
    database: "PostgresDatabase", projection: ValkeyProjection, cup: MadeTournament, live: int, first: int
) -> None:
    for match_id in cup.matches[1 : 1 + live]:
        await in_play(database, cup.id, match_id, 2, 0)
    await project(database, projection, cup.id)
    front = await told_of(database, projection, cup.id)
    assert front is not None
    boards, window = Boards(database, projection, utc_now), Window(BoardKey(tournament_id=cup.id), first)
    boards.hear(cup.id, front.state.version, lambda: fronts.decode(fronts.encode(front)))
    feed = BoardFeed(database, boards)
    read = await feed.load(window)

    with recorded_statements(database) as statements:
        told = await feed.load(window, read, front.state.version)

    assert statements == []
    assert read is not None
    assert told is not None
    assert shown(told) == shown(read)
    assert told.guessed is read.guessed
    assert told.head.live_matches == live
    assert await told.board.window(100) == await read.board.window(100)
    last = (await read.board.page(last=2)).rows
    assert await told.board.around(last[1].member_id, 1) == list(last)


@pytest.fixture
async def process(
    database: "PostgresDatabase", projection: ValkeyProjection, valkey_url: str
) -> AsyncIterator[Process]:
    async with api_process(database, valkey_url, TICKS_ONLY, projection) as made:
        yield made


async def test_a_goal_reaches_streams_without_a_reading(
    database: "PostgresDatabase",
    projection: ValkeyProjection,
    cup: MadeTournament,
    process: Process,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    streams = [follow(process, BoardKey(tournament_id=cup.id), first=first) for first in (3, 50)]
    before = [await event(stream, Snapshot) for stream in streams]
    monkeypatch.setattr(process.boards, "_follow", None)
    await goal(database, projection, cup)
    for stream, seen in zip(streams, before, strict=True):
        delta = await event(stream, Delta)
        assert (delta.from_version, delta.version) == (seen.version, seen.version + 1)
        assert delta.head.live_matches == 1


async def test_a_rename_that_no_version_tells_yet_is_not_told_as_if_it_were_all(
    database: "PostgresDatabase", projection: ValkeyProjection, cup: MadeTournament, process: Process
) -> None:
    stream = follow(process, BoardKey(tournament_id=cup.id))
    member = (await event(stream, Snapshot)).rows[0].member_id
    await profiles.update(database, member, nick_name="Anabel", time_zone=None, request_id="test")

    assert await told_of(database, projection, cup.id) is None
    await goal(database, projection, cup)
    assert (await event(stream, Delta)).members[member].nick_name == "Anabel"


async def test_nothing_is_shown_of_what_was_told_of_another_epoch(
    database: "PostgresDatabase", projection: ValkeyProjection, cup: MadeTournament, process: Process
) -> None:
    stream = follow(process, BoardKey(tournament_id=cup.id))
    await event(stream, Snapshot)
    front = await told_of(database, projection, cup.id)
    assert front is not None
    await begin_epoch(database, reason="test")
    await goal(database, projection, cup)
    begun = await event(stream, Resync)
    assert begun.epoch != front.state.epoch
    assert (await event(stream, Snapshot)).version == front.state.version + 1

    await projection.announce(cup.id, front.state.version + 2, front)  # by who has not noticed yet
    await goal(database, projection, cup, goals=2)
    assert (await event(stream, Delta)).epoch == begun.epoch


async def test_a_tick_counts_whatever_is_told_beside_it(
    database: "PostgresDatabase", projection: ValkeyProjection, cup: MadeTournament, process: Process
) -> None:
    stream = follow(process, BoardKey(tournament_id=cup.id))
    version = (await event(stream, Snapshot)).version
    earlier = await told_of(database, projection, cup.id)
    assert earlier is not None
    for told in (earlier, None):
        await goal(database, projection, cup, goals=version)
        version += 1
        await projection.announce(cup.id, version, told)
        assert (await event(stream, Delta)).version == version


async def test_only_what_is_of_the_epoch_and_new_enough_is_found(
    database: "PostgresDatabase", projection: ValkeyProjection, cup: MadeTournament
) -> None:
    front = await told_of(database, projection, cup.id)
    assert front is not None
    epoch, version, heard = front.state.epoch, front.state.version, Fronts()
    heard.hear(cup.id, version, lambda: front)
    assert heard.find(cup.id, epoch, version) is front
    assert heard.find(cup.id, epoch, version - 1) is front
    assert heard.find(cup.id, epoch, version + 1) is None
    assert heard.find(cup.id, "another", version) is None
    heard.hear(cup.id, version + 1, lambda: front)
    assert heard.find(cup.id, epoch, version + 1) is None, "it does not show what was told"
    for _ in range(64):
        heard.hear(TournamentId(new_id()), 1, lambda: front)
    assert heard.find(cup.id, epoch, version) is None, "of many tournaments those that moved last are kept"


async def test_what_was_told_is_read_once_for_all_windows_and_only_when_one_asks(
    database: "PostgresDatabase", projection: ValkeyProjection, cup: MadeTournament
) -> None:
    front = await told_of(database, projection, cup.id)
    assert front is not None
    read, heard = list[int](), Fronts()
    for version in (front.state.version - 1, front.state.version):
        heard.hear(cup.id, version, lambda: read.append(version) or front)  # type: ignore[func-returns-value]  # noqa: B023
    assert not read
    for _ in range(2):
        assert heard.find(cup.id, front.state.epoch, front.state.version) is front
    assert read == [front.state.version]


async def test_nothing_is_made_of_what_is_no_front(
    database: "PostgresDatabase", projection: ValkeyProjection, cup: MadeTournament
) -> None:
    front = await told_of(database, projection, cup.id)
    assert front is not None
    value = fronts.encode(front)
    assert fronts.decode(value) == front
    for broken in ("", "AAAA", value[:-8], value[:20] + "!" + value[21:], "00000000" + value[8:], "ä" + value):
        assert fronts.decode(broken) is None
    with pytest.raises(ValueError, match="different rows"):
        replace(front, names=front.names[1:])


async def test_a_comparison_that_finds_another_version_reads_whatever_was_told(
    database: "PostgresDatabase", projection: ValkeyProjection, valkey_url: str, cup: MadeTournament
) -> None:
    async with api_process(database, valkey_url, QUICK, projection) as process:
        stream = follow(process, BoardKey(tournament_id=cup.id))
        version = (await event(stream, Snapshot)).version
        front = await told_of(database, projection, cup.id)
        assert front is not None
        part = replace(front.state.parts[0], board_version=version + 1)
        false = replace(front, state=replace(front.state, parts=(part,)))
        process.boards.hear(cup.id, version + 1, lambda: false)  # and no tick
        await in_play(database, cup.id, cup.matches[1], 1, 0)
        assert (await event(stream, Delta)).head.live_matches == 1


async def test_who_gave_up_a_projection_waits_for_it_again_once_boards_are_told(
    database: "PostgresDatabase",
    projection: ValkeyProjection,
    cup: MadeTournament,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    boards, board_key = Boards(database, projection, utc_now, patience=timedelta(seconds=1)), BoardKey(None, cup.id)
    await in_play(database, cup.id, cup.matches[1], 1, 0)
    assert await source_of(boards, board_key) is BoardSource.DATABASE
    monkeypatch.setattr(held, "monotonic", lambda: monotonic() + 60)  # a minute later
    await goal(database, projection, cup, goals=2)
    front = await told_of(database, projection, cup.id)
    assert front is not None
    boards.hear(cup.id, front.state.version, lambda: front)
    assert await source_of(boards, board_key, (front.state.epoch, front.state.version)) is BoardSource.PROJECTION

    await in_play(database, cup.id, cup.matches[1], 3, 0)
    reading, waited = asyncio.create_task(source_of(boards, board_key)), boards._held
    assert waited is not None
    await until(lambda: reading.done() or bool(waited._waiting))
    await project(database, projection, cup.id)
    assert await reading is BoardSource.PROJECTION


async def source_of(boards: Boards, board_key: BoardKey, told: tuple[str, int] | None = None) -> BoardSource:
    board = await boards.follow(board_key, (), told)
    assert board is not None
    return board.head.source


def test_fronts_of_a_release_whose_numbers_mean_something_else_are_not_read() -> None:
    code = "import domain.leaderboard.sheet as sheet; {}; from integrations.valkey import fronts; print(fronts._FORM)"
    forms = {
        subprocess.run([sys.executable, "-c", code.format(change)], capture_output=True, check=True).stdout
        for change in ("pass", "sheet.COLUMNS = sheet.COLUMNS[::-1]", "sheet.CRITERIA = sheet.CRITERIA[::-1]")
    }
    assert len(forms) == 3
