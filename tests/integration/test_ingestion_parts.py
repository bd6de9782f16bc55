"""Ingestion of a part of a reading: one round, one match, knockout rounds that appear, and matches that are open."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text, update

from domain.execution.model import Operation, Target
from domain.execution.run import Run
from domain.ids import MatchId
from domain.ingestion import service
from domain.ingestion.breaker.tables import provider_states
from domain.ingestion.errors import PrerequisiteMissing, ProviderBlocked, ProviderUnavailable
from domain.ingestion.snapshot import MatchSnapshot, TournamentSnapshot
from domain.match.model import KickOffPrecision, MatchStatus
from domain.match.tables import match_results, matches
from domain.tournament.model import Provider as ProviderName
from domain.tournament.tables import provider_refs, rounds, standings, teams, tournaments
from runtime.database import PostgresDatabase
from tests.support.ingester import (
    LONG_AGO,
    OPEN,
    Ingester,
    changed,
    counts_of,
    match_of,
    notes_of,
    round_of,
    two_rounds,
    without,
)
from tests.support.openfootball import a_match, map_matches, read_real
from tests.support.runs import run_now

WRITTEN = (rounds, teams, matches, match_results, standings, provider_refs)


async def rows_as_written(database: PostgresDatabase) -> dict[str, list[tuple[str, str]]]:
    """Every row of what ingestion writes, with the transaction that wrote it: any write shows."""
    async with database.read() as connection:
        return {
            table.name: [
                tuple(row)
                for row in await connection.execute(text(f"SELECT ctid::text, xmin::text FROM {table.name} ORDER BY 1"))
            ]
            for table in WRITTEN
        }


# ---------------------------------------------------------------- one round, one match


async def test_a_round_is_updated_and_the_others_are_left_alone(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    season = two_rounds()
    tournament_id = await ingester.whole(season)
    news = changed(changed(season, "Arsenal FC", stadium="Wembley"), "Chelsea FC", stadium="Wembley")
    ingester.tell(news)

    run = await ingester.round_matches(tournament_id, "2")

    assert counts_of(run) == (0, 1, 0, 0)
    assert (await match_of(database, "Chelsea FC")).stadium == "Wembley"
    assert (await match_of(database, "Arsenal FC")).stadium is None
    before = await rows_as_written(database)
    assert counts_of(await ingester.round_matches(tournament_id, "2")) == (0, 0, 1, 0)
    assert await rows_as_written(database) == before


async def test_matches_that_come_into_a_round_and_leave_it_are_taken(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    season = two_rounds()
    tournament_id = await ingester.whole(season)
    moved = changed(changed(season, "Chelsea FC", round_slug="1"), "Arsenal FC", round_slug="2")
    new = map_matches(a_match(round="Matchday 2", team1="Everton FC", team2="Chelsea FC", **OPEN)).snapshot.matches[0]
    ingester.tell(replace(moved, matches=(*moved.matches, new)))

    run = await ingester.round_matches(tournament_id, "2")

    assert counts_of(run) == (1, 2, 0, 0)
    first, second = [await round_of(database, tournament_id, slug) for slug in ("1", "2")]
    places = {home: (await match_of(database, home)).round_id for home in ("Chelsea FC", "Arsenal FC", "Everton FC")}
    assert places == {"Chelsea FC": first, "Arsenal FC": second, "Everton FC": second}


async def test_only_of_the_round_a_match_that_is_no_longer_listed_is_missing(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    season = two_rounds()
    tournament_id = await ingester.whole(season)
    ingester.tell(without(without(season, "Arsenal FC"), "Chelsea FC"))

    await ingester.round_matches(tournament_id, "2")

    assert (await match_of(database, "Chelsea FC")).missing_since is not None
    assert (await match_of(database, "Arsenal FC")).missing_since is None


async def test_a_match_is_updated_alone_also_when_it_comes_back_under_another_key(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    season = two_rounds()
    tournament_id = await ingester.whole(season)
    news = changed(changed(season, "Arsenal FC", stadium="Wembley"), "Chelsea FC", stadium="Wembley", key="renamed")
    ingester.tell(news)
    match_id = MatchId((await match_of(database, "Chelsea FC")).id)

    run = await ingester.match(tournament_id, match_id)

    assert counts_of(run) == (0, 1, 0, 0)
    found = await match_of(database, "Chelsea FC")
    assert (found.id, found.stadium, found.last_checked_at) == (
        match_id,
        "Wembley",
        ingester.now - timedelta(minutes=1),
    )
    assert (await match_of(database, "Arsenal FC")).stadium is None
    before = await rows_as_written(database)
    assert counts_of(await ingester.match(tournament_id, match_id)) == (0, 0, 1, 0)
    assert await rows_as_written(database) == before


async def test_a_result_of_one_match_is_accepted_and_the_tournament_follows(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    season = map_matches().snapshot
    (only,) = season.matches
    tournament_id = await ingester.whole(replace(season, matches=(_unplayed(only),)))
    ingester.tell(season)

    await ingester.match(tournament_id, MatchId((await match_of(database, "Liverpool FC")).id))

    found = await match_of(database, "Liverpool FC")
    assert (found.result_state, found.result_revision) == ("FINAL", 1)
    async with database.read() as connection:
        status = (await connection.execute(select(tournaments.c.status))).scalar_one()
    assert status == "COMPLETED"


async def test_an_older_reading_of_all_does_not_undo_a_newer_one_of_one_match(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    season = two_rounds()
    tournament_id = await ingester.whole(season)
    older = ingester.now
    ingester.now += timedelta(minutes=5)
    ingester.tell(changed(season, "Chelsea FC", stadium="Wembley"))
    await ingester.match(tournament_id, MatchId((await match_of(database, "Chelsea FC")).id))

    ingester.now = older
    ingester.tell(changed(season, "Arsenal FC", stadium="Old Trafford"))
    run = await ingester.run(Operation.INGEST_MATCHES, service.ingest_matches, Target(tournament_id))

    assert counts_of(run) == (0, 1, 2, 0)
    assert (await match_of(database, "Arsenal FC")).stadium == "Old Trafford"
    assert (await match_of(database, "Chelsea FC")).stadium == "Wembley"


async def test_teams_of_a_round_must_be_there(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    tournament_id = await ingester.whole(two_rounds())
    ingester.tell(two_rounds(team2="Wrexham AFC"))
    with pytest.raises(PrerequisiteMissing, match="Ingest the teams first"):
        await ingester.round_matches(tournament_id, "2")
    assert counts_of(await ingester.round_matches(tournament_id, "1")) == (0, 0, 2, 0)


# ---------------------------------------------------------------- knockout rounds


async def test_knockout_rounds_that_appeared_come_with_their_teams_and_matches(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    cup = await read_real("worldcup", "2022")
    knockouts = {found.slug for found in cup.rounds if found.kind == "KNOCKOUT"}
    assert len(knockouts) >= 4
    ingester.tell(cup)
    tournament_id = await ingester.whole(_only_rounds(cup, lambda slug: slug not in knockouts))
    await _set_mode(database, "REGULAR_SEASON_AND_KNOCKOUT")
    assert notes_of(await ingester.knockouts(tournament_id)) == [("Look for knockout rounds", "No round has appeared.")]

    # A team that nobody has seen before plays in the final.
    newcomer = replace(cup.teams[0], key="newcomer", name="Newcomer")
    final = [
        replace(match, home_team_key="newcomer") if match.round_slug == "final" else match for match in cup.matches
    ]
    cup = replace(cup, teams=(*cup.teams, newcomer), matches=tuple(final))
    ingester.tell(cup)
    run = await ingester.knockouts()

    assert [name for name, _ in notes_of(run)] == ["Look for knockout rounds", "Rounds", "Teams", "Matches"]
    appeared = [match for match in cup.matches if match.round_slug in knockouts]
    created = [step.counts.created for step in run.progress().steps]
    assert created == [0, len(knockouts), 1, len(appeared)]
    async with database.read() as connection:
        number = (await connection.execute(select(func.count()).select_from(matches))).scalar_one()
        positions = {
            row.slug: row.position for row in await connection.execute(select(rounds.c.slug, rounds.c.position))
        }
    assert number == len(cup.matches)
    assert positions == {found.slug: found.position for found in cup.rounds}

    before = await rows_as_written(database)
    assert notes_of(await ingester.knockouts(tournament_id)) == [("Look for knockout rounds", "No round has appeared.")]
    assert await rows_as_written(database) == before


async def test_a_draw_makes_a_round_appear_again(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    cup = await read_real("worldcup", "2022")
    finalists = next(match for match in cup.matches if match.round_slug == "final")
    undrawn = _unplayed(replace(finalists, home_team_key=None, home_label="W61"))
    others = tuple(match for match in cup.matches if match.round_slug != "final")
    tournament_id = await ingester.whole(replace(cup, matches=(*others, undrawn)))
    assert (await match_of(database, "W61")).home_team_id is None
    ingester.tell(replace(cup, matches=(*others, _unplayed(finalists))))

    run = await ingester.knockouts(tournament_id)

    assert notes_of(run)[0] == ("Look for knockout rounds", "Appeared: final.")
    async with database.read() as connection:
        drawn = select(matches.c.home_label, matches.c.home_team_id.is_not(None)).where(
            matches.c.round_id == await round_of(database, tournament_id, "final")
        )
        assert tuple((await connection.execute(drawn)).one()) == (finalists.home_label, True)


async def test_a_regular_season_has_no_knockout_rounds(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    tournament_id = await ingester.whole(two_rounds())
    asked = len(ingester.provider.asked)
    for target in (tournament_id, None):
        assert notes_of(await ingester.knockouts(target)) == [
            ("Look for knockout rounds", "No tournament with knockout rounds.")
        ]
    assert len(ingester.provider.asked) == asked


# ---------------------------------------------------------------- polling


async def test_without_an_open_match_nobody_is_asked(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    far = datetime.now(UTC) + timedelta(days=20)
    await ingester.whole(two_rounds(date=f"{far:%Y-%m-%d}"))
    asked = len(ingester.provider.asked)

    run = await ingester.poll()

    assert notes_of(run) == [("Open matches", "No match is open.")]
    assert run.progress().counts.total == 0
    assert len(ingester.provider.asked) == asked


async def test_each_season_with_open_matches_is_read_once_and_updated(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    now = datetime.now(UTC)
    began = {"kick_off": now - timedelta(minutes=30), "kick_off_precision": KickOffPrecision.EXACT}
    season = changed(changed(two_rounds(), "Arsenal FC", **began), "Chelsea FC", **began)
    other = replace(season, season="2025-26", label="Another", matches=season.matches[:0])
    first = await ingester.whole(season)
    await ingester.whole(other)
    ingester.provider.asked.clear()
    playing = {"status": MatchStatus.IN_PLAY, "running": (1, 0), "minute": 30}
    ingester.tell(changed(season, "Arsenal FC", **playing))

    run = await ingester.poll()

    assert ingester.provider.asked == [("en.1", "2024-25")]
    assert notes_of(run) == [("Open matches", "Open matches: 2.")]
    assert counts_of(run) == (0, 1, 2, 0)
    found = await match_of(database, "Arsenal FC")
    assert (found.status, found.minute, found.home_goals) == ("IN_PLAY", 30, 1)

    before = await rows_as_written(database)
    assert counts_of(await ingester.poll(first)) == (0, 0, 3, 0)
    assert await rows_as_written(database) == before


OPEN_OR_NOT = [
    ({"status": "NOT_STARTED", "hours": -1}, True),
    ({"status": "NOT_STARTED", "hours": 1}, False),
    ({"status": "NOT_STARTED", "hours": -49}, False),
    ({"status": "NOT_STARTED", "hours": -1, "kick_off_precision": "UNKNOWN"}, False),
    ({"status": "IN_PLAY", "hours": -3}, True),
    ({"status": "ENDED", "hours": -3, "result_state": "FINAL"}, True),
    ({"status": "ENDED", "hours": -5, "result_state": "FINAL"}, False),
    ({"status": "ENDED", "hours": -5, "result_state": "AWAITING_CONFIRMATION"}, True),
    ({"status": "POSTPONED", "hours": -1}, False),
    ({"status": "CANCELLED", "hours": -1}, False),
]


async def test_which_matches_are_open(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    await ingester.whole(two_rounds())
    async with database.begin() as connection:
        await connection.execute(text("ALTER TABLE matches DISABLE TRIGGER keep_passed_lock"))
        await connection.execute(update(tournaments).values(status="ACTIVE"))
        await connection.execute(update(matches).values(kick_off=None, kick_off_precision="UNKNOWN"))
        as_read = (await connection.execute(select(matches).where(matches.c.home_label == "Chelsea FC"))).one()
    for state, is_open in OPEN_OR_NOT:
        kick_off = func.clock_timestamp() + timedelta(hours=state["hours"])
        values = {"kick_off_precision": "EXACT", **state, "kick_off": kick_off}
        del values["hours"]
        async with database.begin() as connection:
            one = update(matches).where(matches.c.id == as_read.id)
            await connection.execute(one.values(**as_read._asdict()))
            await connection.execute(one.values(**values))
        ingester.provider.asked.clear()
        await ingester.poll()
        assert len(ingester.provider.asked) == is_open, state


async def test_a_poll_takes_what_is_stored_and_tells_what_it_cannot_take(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    began = {"kick_off": datetime.now(UTC) - timedelta(minutes=30), "kick_off_precision": KickOffPrecision.EXACT}
    season = changed(two_rounds(), "Arsenal FC", **began)
    await ingester.whole(season)
    news = changed(changed(season, "Arsenal FC", stadium="Wembley"), "Chelsea FC", round_slug="3")
    new = replace(news.matches[0], key="new", home_label="New FC")
    ingester.tell(replace(news, matches=(*news.matches, new)))

    run = await ingester.poll()

    assert counts_of(run)[1::2] == (1, 1)
    (rejected,) = [lines for lines in run.rejected().values() if lines]
    assert rejected[0].endswith("Ingest the rounds first: `3` is unknown.")
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(matches))).scalar_one() == 3


async def test_a_poll_of_a_provider_that_is_not_asked_now_is_no_failure(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    began = {"kick_off": datetime.now(UTC) - timedelta(minutes=30), "kick_off_precision": KickOffPrecision.EXACT}
    tournament_id = await ingester.whole(changed(two_rounds(), "Arsenal FC", **began))
    await _open_breaker(database)
    ingester.provider.asked.clear()

    run = await ingester.poll()

    assert counts_of(run) == (0, 0, 0, 1)
    assert "OPENFOOTBALL is not asked at present (PROVIDER_BLOCKED)" in str(notes_of(run)[0][1])
    with pytest.raises(ProviderBlocked, match="it is tried again after"):
        await ingester.run(Operation.INGEST_ROUNDS, service.ingest_rounds, Target(tournament_id))
    assert ingester.provider.asked == []


async def test_a_tournament_that_fails_keeps_none_of_the_others_from_theirs(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    season = two_rounds()
    other = replace(map_matches(a_match(**OPEN), season="2025-26").snapshot, label="Another")
    await ingester.whole(season)
    await ingester.whole(other)
    good = ingester.provider

    class HalfAway:
        gate = None

        async def read(self, competition: str, season: str, **options: Any) -> TournamentSnapshot:
            if season == "2024-25":
                raise ProviderUnavailable("no answer")
            return await good.read(competition, season, **options)

    run: list[Run] = []

    async def handler(one: Run) -> None:
        run.append(one)
        await service.ingest_rounds(one, {ProviderName.OPENFOOTBALL: HalfAway()}, lambda: LONG_AGO)

    with pytest.raises(ProviderUnavailable):
        await run_now(database, Operation.INGEST_ROUNDS, handler)
    states = {step.name: step.state.value for step in run[0].progress().steps}
    assert sorted(states.values()) == ["COMPLETED", "FAILED"]
    assert states["Rounds of Another"] == "COMPLETED"


# ---------------------------------------------------------------- what tests put in


def _unplayed(match: MatchSnapshot) -> MatchSnapshot:
    return replace(
        match, status=MatchStatus.NOT_STARTED, regulation=None, after_extra_time=None, shoot_out=None, running=None
    )


def _only_rounds(snapshot: TournamentSnapshot, is_there: Callable[[str], bool]) -> TournamentSnapshot:
    return replace(
        snapshot,
        rounds=tuple(found for found in snapshot.rounds if is_there(found.slug)),
        matches=tuple(match for match in snapshot.matches if is_there(match.round_slug)),
    )


async def _set_mode(database: PostgresDatabase, mode: str) -> None:
    """The season has not ended, and knockout rounds may follow."""
    async with database.begin() as connection:
        await connection.execute(update(tournaments).values(mode=mode, status="ACTIVE"))


async def _open_breaker(database: PostgresDatabase) -> None:
    async with database.begin() as connection:
        await connection.execute(provider_states.delete())
        values = {"provider": "OPENFOOTBALL", "breaker": "OPEN", "reason": "PROVIDER_BLOCKED", "openings": 1}
        retry_at = func.clock_timestamp() + timedelta(hours=1)
        await connection.execute(insert(provider_states).values(**values, retry_at=retry_at))
