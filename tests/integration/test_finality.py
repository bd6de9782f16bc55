"""Final means final: a provider with a gate is believed when it repeats itself, and members see why a result waits."""

import logging
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from domain.execution.run import Run
from domain.ids import MatchId, TournamentId
from domain.ingestion.finality.model import Gate
from domain.ingestion.finality.rules import NO_EXTRA_TIME, NO_SCORE, NOT_REPEATED
from domain.ingestion.finality.tables import held_readings
from domain.ingestion.lookout import store as lookout
from domain.ingestion.snapshot import TournamentSnapshot
from domain.match.model import Goals, MatchStatus, ResultKind
from domain.match.tables import match_results
from domain.settlement.result.tables import pending_results
from runtime.database import PostgresDatabase
from tests.support.corrections import correct, make_admin, result
from tests.support.ingester import OPEN, Ingester, changed, match_of
from tests.support.openfootball import a_match, map_matches
from tests.support.settlement import queued, settle_queued

HOME = "Arsenal FC"
COMING = changed(map_matches(a_match(**OPEN)).snapshot, "Liverpool FC", status=MatchStatus.NOT_STARTED, regulation=None)
PLAYED = changed(COMING, HOME, status=MatchStatus.ENDED, regulation=Goals(2, 1))
OTHERWISE = changed(PLAYED, HOME, regulation=Goals(2, 2))
CALLED_OFF = changed(COMING, HOME, status=MatchStatus.CANCELLED, kind=ResultKind.VOID)


class Gated(Ingester):
    """One season of a provider with a gate; each reading comes a minute after the one before."""

    def __init__(self, database: PostgresDatabase) -> None:
        super().__init__(database)
        self.provider.gate = Gate()
        self.tournament_id: TournamentId | None = None

    async def read(self, snapshot: TournamentSnapshot) -> Run:
        """A reading of all matches."""
        if self.tournament_id is None:
            self.tournament_id = await self.whole(COMING)
        self.tell(snapshot)
        return await self.matches(self.tournament_id)

    async def match_id(self) -> MatchId:
        return MatchId((await match_of(self.database, HOME)).id)

    async def state(self) -> tuple[str, str | None, int, int]:
        """What may be said of the result, why it waits, its revision, and how many settlements are queued."""
        found = await match_of(self.database, HOME)
        return found.result_state, found.hold_reason, found.result_revision, len(await queued(self.database))


async def held(database: PostgresDatabase) -> int:
    async with database.read() as connection:
        return (await connection.execute(select(func.count()).select_from(held_readings))).scalar_one()


async def test_a_result_is_settled_once_it_was_repeated(database: PostgresDatabase) -> None:
    season = Gated(database)
    run = await season.read(PLAYED)
    assert await season.state() == ("AWAITING_CONFIRMATION", NOT_REPEATED, 0, 0)
    shown = await match_of(database, HOME)
    assert (shown.status, shown.home_goals, shown.away_goals) == ("ENDED", 2, 1)
    key = PLAYED.matches[0].key
    assert run.progress().steps[0].note == f"Held back from settlement: {key}: {NOT_REPEATED}"

    await season.read(PLAYED)
    assert await season.state() == ("FINAL", None, 1, 1)
    assert await held(database) == 0
    await settle_queued(database)
    before = await match_of(database, HOME)
    for _ in range(2):
        run = await season.read(PLAYED)
        assert run.progress().counts.updated == 0
    assert await match_of(database, HOME) == before
    assert await held(database) == 0


async def test_two_readings_must_be_apart_and_say_the_same(database: PostgresDatabase) -> None:
    season = Gated(database)
    await season.read(PLAYED)
    for snapshot in (OTHERWISE, PLAYED, OTHERWISE):
        await season.read(snapshot)
        assert await season.state() == ("AWAITING_CONFIRMATION", NOT_REPEATED, 0, 0)
    season.now -= timedelta(seconds=1)
    await season.read(OTHERWISE)
    assert await season.state() == ("AWAITING_CONFIRMATION", NOT_REPEATED, 0, 0)
    await season.read(OTHERWISE)
    assert await season.state() == ("FINAL", None, 1, 1)
    assert (await match_of(database, HOME)).away_goals == 2


async def test_a_match_that_is_over_too_soon_is_not_settled(database: PostgresDatabase) -> None:
    season = Gated(database)
    await season.read(COMING)
    kick_off = season.now - timedelta(minutes=80)
    soon = changed(PLAYED, HOME, kick_off=kick_off)
    for _ in range(4):
        await season.read(soon)
        assert await season.state() == (
            "AWAITING_CONFIRMATION",
            "The match is said to be over less than 85 minutes after it began.",
            0,
            0,
        )
    await season.read(soon)
    await season.read(soon)
    assert await season.state() == ("FINAL", None, 1, 1)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"regulation": None}, NO_SCORE),
        ({"went_to_extra_time": True}, NO_EXTRA_TIME),
    ],
)
async def test_an_incomplete_result_waits_for_its_part_or_for_an_admin(
    database: PostgresDatabase, changes: dict[str, Any], reason: str
) -> None:
    season = Gated(database)
    for _ in range(3):
        await season.read(changed(PLAYED, HOME, **changes))
    assert await season.state() == ("AWAITING_CONFIRMATION", reason, 0, 0)
    await correct(database, result(await make_admin(database), await season.match_id(), Goals(2, 1)))
    assert await season.state() == ("FINAL", None, 1, 0)


async def test_an_admin_confirms_a_result_that_waits(database: PostgresDatabase) -> None:
    season = Gated(database)
    await season.read(PLAYED)
    effect = await correct(database, result(await make_admin(database), await season.match_id(), Goals(2, 1)))
    assert effect.settled_version == 0
    before = await match_of(database, HOME)
    assert (before.result_state, before.hold_reason, before.result_revision) == ("FINAL", None, 1)
    for _ in range(3):
        await season.read(PLAYED)
    assert await match_of(database, HOME) == before
    async with database.read() as connection:
        source = (await connection.execute(select(match_results.c.source))).scalar_one()
        assert (await connection.execute(select(func.count()).select_from(pending_results))).scalar_one() == 0
    assert source == "OVERRIDE"
    # What differs waits for the admin, once it was repeated.
    await season.read(OTHERWISE)
    assert await _pending(database) == []
    for _ in range(3):
        await season.read(OTHERWISE)
        assert await _pending(database) == [(2, 2)]
    assert await match_of(database, HOME) == before


async def test_a_settled_result_stays_until_another_one_was_repeated(database: PostgresDatabase) -> None:
    season = Gated(database)
    for snapshot in (PLAYED, PLAYED):
        await season.read(snapshot)
    await settle_queued(database)
    before = await match_of(database, HOME)
    for snapshot in (OTHERWISE, PLAYED, CALLED_OFF, PLAYED, OTHERWISE):
        await season.read(snapshot)
        assert await match_of(database, HOME) == before
    await season.read(OTHERWISE)
    after = await match_of(database, HOME)
    assert (after.result_state, after.result_revision, after.away_goals, after.hold_reason) == ("FINAL", 2, 2, None)
    assert len(await queued(database)) == 1


async def test_a_match_that_is_called_off_for_a_moment_is_not_void(database: PostgresDatabase) -> None:
    season = Gated(database)
    await season.read(CALLED_OFF)
    assert await season.state() == ("AWAITING_CONFIRMATION", NOT_REPEATED, 0, 0)
    await season.read(COMING)
    assert await season.state() == ("NONE", None, 0, 0)
    assert await held(database) == 0
    await season.read(CALLED_OFF)
    await season.read(CALLED_OFF)
    assert await season.state() == ("VOID", None, 1, 1)


async def test_a_status_that_is_not_known_is_not_settled_and_alerts_once(
    database: PostgresDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    season = Gated(database)
    await season.read(COMING)
    with caplog.at_level(logging.WARNING, logger="domain.ingestion.matches"):
        for _ in range(3):
            run = await season.read(changed(PLAYED, HOME, status=MatchStatus.NOT_STARTED, unknown_status="Retired"))
    warning = "The provider says `Retired`, which is not known here: the match is not settled."
    assert run.progress().steps[0].note == f"Nothing changed.\n{PLAYED.matches[0].key}: {warning}"
    assert run.progress().counts.failed == 1
    found = await match_of(database, HOME)
    assert (found.status, found.result_state, found.data_warning) == ("NOT_STARTED", "NONE", warning)
    assert [record.getMessage() for record in caplog.records] == [
        f"unknown_match_status: match={await season.match_id()} status=Retired"
    ]
    for _ in range(2):
        await season.read(PLAYED)
    assert await season.state() == ("FINAL", None, 1, 1)
    # What was settled stays.
    await season.read(changed(PLAYED, HOME, status=MatchStatus.NOT_STARTED, unknown_status="Retired"))
    found = await match_of(database, HOME)
    assert (found.status, found.result_state, found.home_goals) == ("ENDED", "FINAL", 2)


async def test_a_result_that_waits_is_asked_for_again(database: PostgresDatabase) -> None:
    season = Gated(database)
    await season.read(COMING)
    async with database.read() as connection:
        now = (await connection.execute(select(func.clock_timestamp()))).scalar_one()
    season.now = now
    await season.read(changed(PLAYED, HOME, kick_off=now - timedelta(hours=2)))
    assert (await season.state())[0] == "AWAITING_CONFIRMATION"
    async with database.read() as connection:
        assert await lookout.open_matches(connection, None) == {season.tournament_id: 1}
    await season.poll(season.tournament_id)
    assert await season.state() == ("FINAL", None, 1, 1)


async def test_openfootball_has_no_gate(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    await ingester.whole(PLAYED)
    found = await match_of(database, HOME)
    assert (found.result_state, found.result_revision) == ("FINAL", 1)


async def test_awarded_results_count_as_given_and_say_so(database: PostgresDatabase) -> None:
    season = Gated(database)
    awarded = changed(PLAYED, HOME, kind=ResultKind.AWARDED, regulation=Goals(3, 0), kick_off=season.now)
    await season.read(awarded)
    await season.read(awarded)
    found = await match_of(database, HOME)
    assert (found.result_state, found.result_kind, found.home_regulation) == ("FINAL", "AWARDED", 3)


async def test_interrupted_stays_in_play_and_postponed_waits_for_nothing(database: PostgresDatabase) -> None:
    season = Gated(database)
    await season.read(changed(COMING, HOME, status=MatchStatus.IN_PLAY, running=Goals(1, 0), minute=30))
    assert await season.state() == ("PROVISIONAL", None, 0, 0)
    await season.read(changed(COMING, HOME, status=MatchStatus.POSTPONED))
    assert await season.state() == ("NONE", None, 0, 0)
    lock = (await match_of(database, HOME)).lock_at
    moved = changed(COMING, HOME, kick_off=season.now + timedelta(days=3650))
    await season.read(moved)
    found = await match_of(database, HOME)
    assert (found.lock_at, found.kick_off) == (lock, moved.matches[0].kick_off)


async def _pending(database: PostgresDatabase) -> list[tuple[int, int]]:
    async with database.read() as connection:
        rows = await connection.execute(select(pending_results))
        return [(row.home_regulation, row.away_regulation) for row in rows if row.dismissed_at is None]
