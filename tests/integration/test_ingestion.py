"""Ingestion of real seasons, twice, changed, broken: what is written, what is left alone, what is refused."""

import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text, update

from domain.audit.tables import audit_log
from domain.errors import DomainError
from domain.execution.model import Operation, Target
from domain.execution.run import Run, Step
from domain.guess import service as guess_service
from domain.guess.model import GuessInput
from domain.guess.tables import guesses
from domain.ids import MatchId, TournamentId
from domain.ingestion import service, store
from domain.ingestion.errors import ProviderBadData, ProviderNotFound
from domain.ingestion.ports import Provider
from domain.ingestion.snapshot import TournamentSnapshot
from domain.match.model import Goals
from domain.match.tables import match_results, matches
from domain.settlement.result.tables import pending_results
from domain.tournament import service as tournament_service
from domain.tournament.model import Provider as ProviderName
from domain.tournament.model import TournamentMode, TournamentStatus
from domain.tournament.tables import provider_refs, rounds, standings, teams, tournaments
from integrations.openfootball.provider import OpenFootballProvider
from runtime.database import PostgresDatabase
from tests.support.corrections import correct, make_admin, result
from tests.support.football import make_member
from tests.support.openfootball import DATA, a_match
from tests.support.runs import last_step, run_now
from tests.support.settlement import settle_queued

LONG_AGO = datetime(2030, 1, 1, tzinfo=UTC)
SEASONS = [
    ("2023-24", "en.1"),
    ("2024-25", "en.1"),
    ("2025-26", "en.1"),
    ("2025", "br.1"),
    ("2019-20", "fr.1"),
    ("2024-25", "uefa.cl"),
    ("2025", "copa.libertadores"),
    ("2018", "worldcup"),
    ("2022", "worldcup"),
]
WRITTEN = (rounds, teams, matches, match_results, standings, provider_refs)


class Ingester:
    """Ingests as a worker would, from one folder, at one time of its clock."""

    def __init__(self, database: PostgresDatabase, folder: Path, now: datetime = LONG_AGO) -> None:
        self.database = database
        self.folder = folder
        self.now = now

    def _handler(self, what: Callable[[Run, dict[ProviderName, Provider], Any], Awaitable[None]]) -> Any:
        providers: dict[ProviderName, Provider] = {ProviderName.OPENFOOTBALL: OpenFootballProvider(self.folder)}
        return lambda run: what(run, providers, lambda: self.now)

    async def tournament(self, season: str, competition: str, **params: Any) -> TournamentId:
        source = {"provider": "OPENFOOTBALL", "competition": competition, "season": season, **params}
        run = await run_now(
            self.database, Operation.INGEST_TOURNAMENT, self._handler(service.ingest_tournament), None, source
        )
        async with self.database.read() as connection:
            found = await store.find_tournament(connection, ProviderName.OPENFOOTBALL, competition, season)
        assert found is not None
        assert run.progress().counts.failed == 0 or run.rejected()
        return TournamentId(found["id"])

    async def part(self, operation: Operation, tournament_id: TournamentId) -> Step:
        handlers = {
            Operation.INGEST_ROUNDS: service.ingest_rounds,
            Operation.INGEST_TEAMS: service.ingest_teams,
            Operation.INGEST_MATCHES: service.ingest_matches,
            Operation.INGEST_STANDINGS: service.ingest_standings,
        }
        run = await run_now(self.database, operation, self._handler(handlers[operation]), Target(tournament_id))
        return last_step(run)

    async def whole(self, season: str, competition: str) -> TournamentId:
        tournament_id = await self.tournament(season, competition)
        for operation in PARTS:
            await self.part(operation, tournament_id)
        return tournament_id


PARTS = (Operation.INGEST_ROUNDS, Operation.INGEST_TEAMS, Operation.INGEST_MATCHES, Operation.INGEST_STANDINGS)


async def rows_as_written(database: PostgresDatabase) -> dict[str, list[tuple[str, str]]]:
    """Every row of what ingestion writes, with the transaction that wrote it: any write shows."""
    found: dict[str, list[tuple[str, str]]] = {}
    async with database.read() as connection:
        for table in WRITTEN:
            rows = await connection.execute(text(f"SELECT ctid::text, xmin::text FROM {table.name} ORDER BY 1"))
            found[table.name] = [tuple(row) for row in rows]
    return found


@pytest.mark.parametrize(("season", "competition"), SEASONS)
async def test_a_season_is_stored_whole_and_a_second_reading_writes_no_row(
    database: PostgresDatabase, season: str, competition: str
) -> None:
    ingester = Ingester(database, DATA)
    snapshot = await OpenFootballProvider(DATA).read(competition, season, now=LONG_AGO)
    tournament_id = await ingester.tournament(season, competition)
    created = {operation: (await ingester.part(operation, tournament_id)).created for operation in PARTS}
    rows = sum(len(group.rows) for group in snapshot.standings)
    assert list(created.values()) == [len(snapshot.rounds), len(snapshot.teams), len(snapshot.matches), rows]

    before = await rows_as_written(database)
    ingester.now += timedelta(minutes=1)
    for operation in PARTS:
        step = await ingester.part(operation, tournament_id)
        assert (step.created, step.updated, step.unchanged) == (0, 0, created[operation])
        assert (step.note or "").startswith("Nothing changed.")
    assert await rows_as_written(database) == before
    await _assert_every_result_is_accepted_once(database, tournament_id, snapshot)


async def _assert_every_result_is_accepted_once(
    database: PostgresDatabase, tournament_id: TournamentId, snapshot: TournamentSnapshot
) -> None:
    over = [match for match in snapshot.matches if match.status in ("ENDED", "CANCELLED", "ABANDONED")]
    async with database.read() as connection:
        results = (await connection.execute(select(match_results.c.kind, match_results.c.revision))).all()
        jobs = (
            await connection.execute(text("SELECT count(*) FROM executions WHERE operation = 'SETTLE_MATCH'"))
        ).scalar_one()
        states = dict(
            (
                await connection.execute(
                    select(matches.c.result_state, func.count())
                    .where(matches.c.tournament_id == tournament_id)
                    .group_by(matches.c.result_state)
                )
            ).all()
        )
    assert [row.revision for row in results] == [1] * len(over)
    assert jobs == len(over)
    void = sum(match.status != "ENDED" for match in over)
    assert sum(row.kind == "VOID" for row in results) == void
    assert states.get("FINAL", 0) == len(over) - void
    assert states.get("VOID", 0) == void
    assert states.get("NONE", 0) == len(snapshot.matches) - len(over)


async def test_team_table_of_the_premier_league(database: PostgresDatabase) -> None:
    tournament_id = await Ingester(database, DATA).whole("2024-25", "en.1")
    (table,) = (await tournament_service.standings_of(database, [tournament_id]))[tournament_id]
    names = await tournament_service.read_teams(database, [row.team_id for row in table.rows])
    shown = {names[row.team_id].name: row for row in table.rows}
    assert table.is_computed
    assert (shown["Liverpool FC"].points, shown["Liverpool FC"].goals_for, shown["Liverpool FC"].goals_against) == (
        84,
        86,
        41,
    )
    assert shown["Southampton FC"].points == 12


async def test_a_tournament_knows_its_mode_status_and_current_round(database: PostgresDatabase) -> None:
    ingester = Ingester(database, DATA)
    over = await ingester.whole("2022", "worldcup")
    running = await ingester.whole("2025-26", "en.1")
    found = await tournament_service.read_tournaments(database, [over, running])
    assert found[over].mode is TournamentMode.REGULAR_SEASON_AND_KNOCKOUT
    assert found[over].status is TournamentStatus.COMPLETED
    assert found[running].status is TournamentStatus.ACTIVE
    round_id = found[over].current_round_id
    assert round_id is not None
    assert (await tournament_service.read_rounds(database, [round_id]))[round_id].slug == "final"


# ---------------------------------------------------------------- files that change


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "2024-25").mkdir()
    return tmp_path


def write(folder: Path, *items: dict[str, Any]) -> None:
    (folder / "2024-25" / "en.1.json").write_text(json.dumps({"name": "English Premier League", "matches": items}))


OTHER = a_match(team1="Liverpool FC", team2="Fulham FC", score={"ft": [0, 0]})


async def only_match(database: PostgresDatabase, home: str) -> Any:
    async with database.read() as connection:
        return (await connection.execute(select(matches).where(matches.c.home_label == home))).one()


async def test_a_changed_score_is_a_new_revision(database: PostgresDatabase, folder: Path) -> None:
    ingester = Ingester(database, folder)
    write(folder, a_match(), OTHER)
    tournament_id = await ingester.whole("2024-25", "en.1")
    write(folder, a_match(score={"ft": [2, 2]}), OTHER)
    ingester.now += timedelta(minutes=1)
    step = await ingester.part(Operation.INGEST_MATCHES, tournament_id)
    assert (step.created, step.updated, step.unchanged) == (0, 1, 1)
    match = await only_match(database, "Arsenal FC")
    assert (match.home_regulation, match.away_regulation, match.result_revision) == (2, 2, 2)


async def test_what_an_admin_has_set_stays_and_the_reading_waits(database: PostgresDatabase, folder: Path) -> None:
    ingester = Ingester(database, folder)
    write(folder, a_match(), OTHER)
    tournament_id = await ingester.whole("2024-25", "en.1")
    match = await only_match(database, "Arsenal FC")
    await settle_queued(database)
    await correct(database, result(await make_admin(database), match.id, Goals(5, 0)))
    before = await only_match(database, "Arsenal FC")

    for minute, score in ((1, [2, 2]), (2, [2, 2]), (3, [3, 3])):
        write(folder, a_match(score={"ft": score}), OTHER)
        ingester.now = LONG_AGO + timedelta(minutes=minute)
        step = await ingester.part(Operation.INGEST_MATCHES, tournament_id)
        assert (step.updated, step.unchanged) == (0, 2)

    assert await only_match(database, "Arsenal FC") == before
    assert (before.home_goals, before.home_regulation, before.result_revision) == (5, 5, 2)
    async with database.read() as connection:
        waiting = (await connection.execute(select(pending_results))).one()
    assert (waiting.match_id, waiting.home_regulation, waiting.accepted_at, waiting.dismissed_at) == (
        match.id,
        3,
        None,
        None,
    )


async def test_a_final_result_that_vanishes_is_kept_and_told(database: PostgresDatabase, folder: Path) -> None:
    ingester = Ingester(database, folder)
    write(folder, a_match(), OTHER)
    tournament_id = await ingester.whole("2024-25", "en.1")
    write(folder, a_match(score={}), OTHER)
    ingester.now += timedelta(minutes=1)
    step = await ingester.part(Operation.INGEST_MATCHES, tournament_id)
    assert step.failed == 1
    assert "is settled or final here" in step.rejected[0]
    match = await only_match(database, "Arsenal FC")
    assert (match.status, match.result_state, match.home_goals) == ("ENDED", "FINAL", 2)


async def test_a_match_that_moves_to_another_round_stays_the_same_match(
    database: PostgresDatabase, folder: Path
) -> None:
    ingester = Ingester(database, folder)
    write(folder, a_match(), OTHER)
    tournament_id = await ingester.whole("2024-25", "en.1")
    before = await only_match(database, "Arsenal FC")
    write(folder, a_match(round="Matchday 2"), OTHER)
    ingester.now += timedelta(minutes=1)
    await ingester.part(Operation.INGEST_ROUNDS, tournament_id)
    step = await ingester.part(Operation.INGEST_MATCHES, tournament_id)
    after = await only_match(database, "Arsenal FC")
    assert (step.created, step.updated) == (0, 1)
    assert after.id == before.id
    assert after.round_id != before.round_id


async def test_a_match_that_the_file_drops_is_kept_as_missing(database: PostgresDatabase, folder: Path) -> None:
    ingester = Ingester(database, folder)
    write(folder, a_match(), OTHER)
    tournament_id = await ingester.whole("2024-25", "en.1")
    write(folder, OTHER)
    ingester.now += timedelta(minutes=1)
    await ingester.part(Operation.INGEST_MATCHES, tournament_id)
    match = await only_match(database, "Arsenal FC")
    assert match.missing_since is not None
    write(folder, a_match(), OTHER)
    ingester.now += timedelta(minutes=1)
    await ingester.part(Operation.INGEST_MATCHES, tournament_id)
    assert (await only_match(database, "Arsenal FC")).missing_since is None


async def test_an_older_reading_does_not_undo_a_newer_one(database: PostgresDatabase, folder: Path) -> None:
    ingester = Ingester(database, folder)
    write(folder, a_match(), OTHER)
    tournament_id = await ingester.whole("2024-25", "en.1")
    write(folder, a_match(score={"ft": [0, 1]}), OTHER)
    ingester.now -= timedelta(minutes=1)
    step = await ingester.part(Operation.INGEST_MATCHES, tournament_id)
    assert (step.updated, step.note) == (0, "A later reading was applied meanwhile; this one was left out.")
    assert (await only_match(database, "Arsenal FC")).home_goals == 2


async def test_the_last_guess_before_an_earlier_kick_off_counts(database: PostgresDatabase, folder: Path) -> None:
    """The kick-off turns out to have been earlier than saves that were taken."""
    ingester = Ingester(database, folder)
    far = datetime.now(UTC) + timedelta(days=20)
    coming = {"date": f"{far:%Y-%m-%d}", "time": "12:00", "score": {}}
    write(folder, a_match(**coming), OTHER)
    tournament_id = await ingester.whole("2024-25", "en.1")
    match = await only_match(database, "Arsenal FC")
    member_id = await make_member(database, "Early Bird")
    await tournament_service.join(database, member_id, tournament_id, "test")
    first = await guess_service.save(database, member_id, GuessInput(MatchId(match.id), 1, 0), "test")
    assert first.saved_at is not None
    kick_off = first.saved_at + timedelta(microseconds=1)
    await guess_service.save(database, member_id, GuessInput(MatchId(match.id), 4, 4), "test")
    # The file tells minutes only, so the stored kick-off is what a provider with seconds would have told.
    snapshot = await OpenFootballProvider(folder).read("en.1", "2024-25", now=ingester.now)
    moved = [_replaced(item, kick_off) if item.home_label == "Arsenal FC" else item for item in snapshot.matches]
    ingester.now += timedelta(minutes=1)
    await _ingest_snapshot(database, tournament_id, snapshot, tuple(moved), ingester.now)
    guess = (await guess_service.read_own(database, member_id, [MatchId(match.id)]))[MatchId(match.id)]
    assert guess.goals == (1, 0)
    assert guess.late_goals == (4, 4)
    async with database.read() as connection:
        stored = (await connection.execute(select(guesses.c.home, guesses.c.saved_at))).one()
        audited = await connection.execute(select(audit_log.c.after).where(audit_log.c.action == "restoreGuesses"))
    assert (stored.home, stored.saved_at) == (1, first.saved_at)
    assert audited.scalar_one() == {"restored": 1, "removed": 0}


def _replaced(item: Any, kick_off: datetime) -> Any:
    from dataclasses import replace

    return replace(item, kick_off=kick_off)


async def _ingest_snapshot(
    database: PostgresDatabase, tournament_id: TournamentId, snapshot: Any, items: tuple[Any, ...], now: datetime
) -> None:
    from dataclasses import replace

    class Told:
        gate = None

        async def read(self, *_: Any, **__: Any) -> Any:
            return replace(snapshot, matches=items)

    await run_now(
        database,
        Operation.INGEST_MATCHES,
        lambda run: service.ingest_matches(run, {ProviderName.OPENFOOTBALL: Told()}, lambda: now),
        Target(tournament_id),
    )


# ---------------------------------------------------------------- bad input


async def nothing_is_stored(database: PostgresDatabase) -> None:
    async with database.read() as connection:
        for table in (tournaments, *WRITTEN):
            assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 0


async def test_a_file_that_makes_no_sense_fails_whole(database: PostgresDatabase, folder: Path) -> None:
    for content in ("", "{", '{"matches": 3}', "[]", '{"name": "x", "matches": [{"round": 1}]', "\x00"):
        (folder / "2024-25" / "en.1.json").write_text(content)
        with pytest.raises(ProviderBadData, match=r"en\.1\.json"):
            await Ingester(database, folder).tournament("2024-25", "en.1")
        await nothing_is_stored(database)


async def test_a_season_that_is_not_there(database: PostgresDatabase, folder: Path) -> None:
    for season, competition in (("2024-25", "en.9"), ("1900", "en.1"), ("..", "..")):
        with pytest.raises(ProviderNotFound):
            await Ingester(database, folder).tournament(season, competition)
        await nothing_is_stored(database)


BAD_ITEMS = [
    a_match(score={"ft": [-1, 0]}),
    a_match(score={"ft": [100, 0]}),
    a_match(score={"ft": [1, 0, 2]}),
    a_match(score={"ft": [1.5, 0]}),
    a_match(status="eaten by the dog"),
    a_match(team2="Arsenal FC"),
]


async def test_a_bad_item_is_reported_with_file_index_and_reason(database: PostgresDatabase, folder: Path) -> None:
    write(folder, OTHER, *BAD_ITEMS)
    ingester = Ingester(database, folder)
    tournament_id = await ingester.tournament("2024-25", "en.1")
    for operation in PARTS[:2]:
        await ingester.part(operation, tournament_id)
    step = await ingester.part(Operation.INGEST_MATCHES, tournament_id)
    assert (step.created, step.failed) == (1, len(BAD_ITEMS))
    items = range(1, len(BAD_ITEMS) + 1)
    assert [line.partition(":")[0] for line in step.rejected] == [f"en.1.json, item {number}" for number in items]


async def test_two_matches_with_one_key(database: PostgresDatabase, folder: Path) -> None:
    write(folder, a_match(), a_match(score={"ft": [0, 3]}), OTHER)
    ingester = Ingester(database, folder)
    tournament_id = await ingester.whole("2024-25", "en.1")
    ingester.now += timedelta(minutes=1)
    step = await ingester.part(Operation.INGEST_MATCHES, tournament_id)
    assert (step.unchanged, step.failed) == (2, 1)
    assert (await only_match(database, "Arsenal FC")).home_goals == 2


async def test_an_impossible_shoot_out_is_stored_and_flagged(database: PostgresDatabase) -> None:
    await Ingester(database, DATA).whole("2024-25", "uefa.cl")
    async with database.read() as connection:
        flagged = (
            await connection.execute(
                select(matches.c.home_shoot_out, matches.c.away_shoot_out, matches.c.result_state).where(
                    matches.c.data_warning.is_not(None)
                )
            )
        ).all()
    assert [tuple(row) for row in flagged] == [(4, 4, "FINAL"), (4, 4, "FINAL")]


async def test_matches_need_rounds_and_teams(database: PostgresDatabase) -> None:
    ingester = Ingester(database, DATA)
    tournament_id = await ingester.tournament("2022", "worldcup")
    with pytest.raises(DomainError, match="Ingest the rounds first") as refused:
        await ingester.part(Operation.INGEST_MATCHES, tournament_id)
    assert refused.value.code == "PREREQUISITE_MISSING"
    await ingester.part(Operation.INGEST_ROUNDS, tournament_id)
    with pytest.raises(DomainError, match="Ingest the teams first"):
        await ingester.part(Operation.INGEST_MATCHES, tournament_id)


async def test_a_label_chosen_by_an_admin_stays(database: PostgresDatabase) -> None:
    ingester = Ingester(database, DATA)
    tournament_id = await ingester.tournament("2022", "worldcup", label="Qatar")
    assert await ingester.tournament("2022", "worldcup") == tournament_id
    assert (await tournament_service.read_tournaments(database, [tournament_id]))[tournament_id].label == "Qatar"


async def test_two_executions_of_one_tournament_at_once_make_one(database: PostgresDatabase) -> None:
    ingester = Ingester(database, DATA)
    tournament_id = await ingester.tournament("2022", "worldcup")
    async with database.begin() as connection:
        await connection.execute(update(tournaments).values(label="x"))
    assert await ingester.tournament("2022", "worldcup") == tournament_id
