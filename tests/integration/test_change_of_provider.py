"""A tournament whose data come from another provider from now on: neither teams nor matches are doubled."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, update

from domain.clock import utc_now
from domain.execution.model import Operation, Target
from domain.ids import MatchId, MemberId, RulesetId, TournamentId
from domain.ingestion import service
from domain.ingestion.snapshot import TournamentSnapshot
from domain.leaderboard.model import AfterRound, BoardKey
from domain.leaderboard.service import Boards
from domain.match.tables import matches
from domain.tournament import commands
from domain.tournament.model import Provider, RoundKind, TournamentChange, TournamentMode, TournamentSource
from domain.tournament.tables import provider_refs, rounds, standings, teams, tournaments
from tests.support.corrections import make_admin
from tests.support.driven_provider import DrivenProvider
from tests.support.football import MadeTournament, make_league, make_members, put_guesses
from tests.support.ingester import LONG_AGO, counts_of
from tests.support.openfootball import a_match, map_content, map_matches, read_real, real_json
from tests.support.runs import run_now
from tests.support.settlement import play

if TYPE_CHECKING:
    from domain.execution.run import Run
    from runtime.database import PostgresDatabase

# As the other provider calls them; `Man Utd`, `Spurs` and `Wolves` share no word with the name of the first one.
OTHER_NAMES = {
    "Brighton & Hove Albion FC": "Brighton and Hove Albion",
    "Manchester United FC": "Man Utd",
    "Tottenham Hotspur FC": "Spurs",
    "Wolverhampton Wanderers FC": "Wolves",
}
PARTS: tuple[tuple[Operation, Any], ...] = (
    (Operation.INGEST_ROUNDS, service.ingest_rounds),
    (Operation.INGEST_TEAMS, service.ingest_teams),
    (Operation.INGEST_MATCHES, service.ingest_matches),
    (Operation.INGEST_STANDINGS, service.ingest_standings),
)


class Providers:
    """Both of them, as workers know them, at one time of the clock."""

    def __init__(self, database: "PostgresDatabase") -> None:
        self.database = database
        self.told = {Provider.OPENFOOTBALL: DrivenProvider(), Provider.SOFASCORE: DrivenProvider()}
        self.now: datetime = LONG_AGO

    async def tournament(self, snapshot: TournamentSnapshot) -> TournamentId:
        self.tell(snapshot)
        params = {"competition": snapshot.competition, "season": snapshot.season, "provider": snapshot.provider.value}
        run = await self.run(Operation.INGEST_TOURNAMENT, service.ingest_tournament, None, params)
        async with self.database.read() as connection:
            found = await service.store.find_tournament(
                connection, snapshot.provider, snapshot.competition, snapshot.season
            )
        assert found is not None
        assert counts_of(run)[0] == 1
        await self.read(TournamentId(found["id"]))
        return TournamentId(found["id"])

    def tell(self, snapshot: TournamentSnapshot) -> None:
        self.told[snapshot.provider].snapshots[snapshot.competition, snapshot.season] = snapshot

    async def read(self, tournament_id: TournamentId) -> "list[Run]":
        return [await self.run(operation, handler, Target(tournament_id)) for operation, handler in PARTS]

    async def run(
        self, operation: Operation, handler: Any, target: Target | None, params: dict[str, Any] | None = None
    ) -> "Run":
        now = self.now
        self.now += timedelta(minutes=1)
        return await run_now(self.database, operation, lambda run: handler(run, self.told, lambda: now), target, params)


@pytest.fixture
def providers(database: "PostgresDatabase") -> Providers:
    return Providers(database)


def retold(snapshot: TournamentSnapshot, season: str = "61627") -> TournamentSnapshot:
    """What the other provider says of the same season: numbers for names, other names, other labels of rounds."""
    numbers = {team.key: str(number) for number, team in enumerate(snapshot.teams, start=1)}
    names = {
        team.key: OTHER_NAMES.get(team.name, team.name.removesuffix(" FC").removeprefix("AFC "))
        for team in snapshot.teams
    }
    told = [
        replace(
            match,
            key=str(9_000_000 + number),
            home_team_key=numbers[match.home_team_key or ""],
            away_team_key=numbers[match.away_team_key or ""],
            home_label=names[match.home_team_key or ""],
            away_label=names[match.away_team_key or ""],
            stadium="Told by the other one",
        )
        for number, match in enumerate(snapshot.matches)
    ]
    groups = [
        replace(group, rows=tuple(replace(row, team_key=numbers[row.team_key]) for row in group.rows))
        for group in snapshot.standings
    ]
    return replace(
        snapshot,
        provider=Provider.SOFASCORE,
        competition="17",
        season=season,
        rounds=tuple(replace(one, label=f"Round {one.slug}") for one in snapshot.rounds),
        teams=tuple(replace(team, key=numbers[team.key], name=names[team.key]) for team in snapshot.teams),
        matches=tuple(told),
        standings=tuple(groups),
    )


async def come_to(database: "PostgresDatabase", tournament_id: TournamentId, snapshot: TournamentSnapshot) -> None:
    """What `updateTournament` does."""
    source = TournamentSource(snapshot.provider, snapshot.competition, snapshot.season)
    change, admin = TournamentChange(source=source), await make_admin(database)
    await commands.update(
        database, tournament_id, change, actor_id=admin, reason="The other one is faster.", request_id="test"
    )


async def identities(database: "PostgresDatabase", tournament_id: TournamentId) -> dict[Any, tuple[Any, ...]]:
    """Matches with their rounds and teams, by id."""
    columns = (
        matches.c.id,
        matches.c.round_id,
        matches.c.home_team_id,
        matches.c.away_team_id,
        matches.c.missing_since,
    )
    async with database.read() as connection:
        rows = await connection.execute(select(*columns).where(matches.c.tournament_id == tournament_id))
        return {row.id: tuple(row) for row in rows}


async def count(database: "PostgresDatabase", table: Any) -> int:
    async with database.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


async def test_matches_and_teams_keep_their_identity_with_another_provider(
    database: "PostgresDatabase", providers: Providers
) -> None:
    first = await read_real("en.1", "2024-25")
    tournament_id = await providers.tournament(first)
    before = await identities(database, tournament_id)

    other = retold(first)
    providers.tell(other)
    await come_to(database, tournament_id, other)
    runs = await providers.read(tournament_id)

    assert [counts_of(run)[0] for run in runs] == [0, 0, 0, 0], "nothing is created"
    assert await identities(database, tournament_id) == before
    sizes = [await count(database, table) for table in (rounds, teams, matches, standings)]
    assert sizes == [len(first.rounds), 20, 380, 20]
    assert await count(database, provider_refs) == 2 * (20 + 380)
    async with database.read() as connection:
        stadiums = await connection.execute(select(matches.c.stadium).distinct())
        assert stadiums.scalars().all() == ["Told by the other one"]
    assert [counts_of(run)[:2] for run in await providers.read(tournament_id)] == [(0, 0)] * 4


async def test_rounds_of_other_names_make_room_and_matches_follow(
    database: "PostgresDatabase", providers: Providers
) -> None:
    first = await read_real("en.1", "2024-25")
    tournament_id = await providers.tournament(first)
    before = await identities(database, tournament_id)
    other = _of_other_names(retold(first))

    providers.tell(other)
    await come_to(database, tournament_id, other)
    await providers.read(tournament_id)

    after = await identities(database, tournament_id)
    assert {key: row[2:] for key, row in after.items()} == {key: row[2:] for key, row in before.items()}
    async with database.read() as connection:
        rows = await connection.execute(
            select(rounds.c.slug).where(rounds.c.tournament_id == tournament_id).order_by(rounds.c.position)
        )
        slugs = list(rows.scalars())
    assert slugs == [one.slug for one in (*other.rounds, *first.rounds)]
    assert [counts_of(run)[:2] for run in await providers.read(tournament_id)] == [(0, 0)] * 4


async def test_rounds_of_other_names_have_begun_when_those_before_them_did(
    database: "PostgresDatabase", providers: Providers
) -> None:
    begun = await _two_rounds_begun(database, providers)
    ana, bob = begun.members
    before = await begun.told()

    await begun.come_to_another()
    await providers.read(begun.id)
    after = await begun.told()

    assert [slug for slug, *_ in before.history[ana]] == ["1", "2"]
    assert [slug for slug, *_ in after.history[ana]] == ["round-1", "round-2"]
    assert {name: [row[1:] for row in rows] for name, rows in after.history.items()} == {
        name: [row[1:] for row in rows] for name, rows in before.history.items()
    }
    assert before.movement == after.movement != dict.fromkeys([ana, bob])
    assert after.after_the_current_round == after.now
    begun.kick_offs[2] = providers.now - timedelta(days=1)
    providers.tell(_of_other_names(retold(_season(begun.kick_offs, ended=2))))
    await providers.read(begun.id)
    third = await begun.told()
    assert [row[1:] for row in third.history[bob]][:2] == [row[1:] for row in after.history[bob]]
    assert [slug for slug, *_ in third.history[bob]] == ["round-1", "round-2", "round-3"]
    assert third.after_the_current_round == third.now


async def test_a_round_that_begins_as_the_provider_changes_is_what_movement_is_since(
    database: "PostgresDatabase", providers: Providers
) -> None:
    begun = await _two_rounds_begun(database, providers)
    nothing = dict.fromkeys(begun.members, 0)
    assert (await begun.told()).movement != nothing

    begun.kick_offs[2] = providers.now - timedelta(days=1)
    await begun.come_to_another()
    await providers.read(begun.id)

    assert (await begun.told()).movement == nothing


async def test_until_matches_have_moved_to_rounds_of_other_names_boards_tell_what_they_told(
    database: "PostgresDatabase", providers: Providers
) -> None:
    begun = await _two_rounds_begun(database, providers)
    before = await begun.told()

    await begun.come_to_another()
    await providers.run(Operation.INGEST_ROUNDS, service.ingest_rounds, Target(begun.id))
    assert await begun.told() == before
    await run_now(database, Operation.SYNC_CURRENT_ROUND, service.sync_current_round, Target(begun.id))
    assert await begun.told() == before


async def test_a_look_out_for_knockouts_that_comes_first_leaves_beginnings_as_they_were(
    database: "PostgresDatabase", providers: Providers
) -> None:
    begun = await _two_rounds_begun(database, providers)
    before = await begun.beginnings()

    other = await begun.come_to_another(knockout=True)
    await providers.run(Operation.INGEST_KNOCKOUT_ROUNDS, service.ingest_knockout_rounds, Target(begun.id))
    assert other.rounds[-1].slug in await begun.beginnings()
    await providers.read(begun.id)

    after = await begun.beginnings()
    assert [after[f"round-{number}"] for number in (1, 2, 3)] == [before[str(number)] for number in (1, 2, 3)]


async def test_a_round_that_one_reading_leaves_out_has_begun_as_before(
    database: "PostgresDatabase", providers: Providers
) -> None:
    begun = await _two_rounds_begun(database, providers)
    before, beginnings = await begun.told(), await begun.beginnings()
    whole = _season(begun.kick_offs, ended=2)
    lacking = [replace(one, position=number) for number, one in enumerate(whole.rounds, 1) if one.slug != "2"]
    lacking = [replace(one, position=number) for number, one in enumerate(lacking, 1)]
    played = tuple(match for match in whole.matches if match.round_slug != "2")

    providers.tell(replace(whole, rounds=tuple(lacking), matches=played))
    await providers.run(Operation.INGEST_ROUNDS, service.ingest_rounds, Target(begun.id))
    providers.tell(whole)
    await providers.read(begun.id)

    assert await begun.beginnings() == beginnings
    assert await begun.told() == before


@dataclass
class Begun:
    """A tournament of three rounds of which two have begun, with a league of two."""

    database: "PostgresDatabase"
    providers: Providers
    id: TournamentId
    key: BoardKey
    members: list[MemberId]
    kick_offs: list[datetime]

    async def told(self) -> "Told":
        return await _told(self.database, self.key, self.members)

    async def come_to_another(self, *, knockout: bool = False) -> TournamentSnapshot:
        """The same season, from another provider under other names from now on; it is not read yet."""
        other = _of_other_names(retold(_season(self.kick_offs, ended=2)))
        if knockout:
            *rest, last = other.rounds
            other = replace(other, rounds=(*rest, replace(last, kind=RoundKind.KNOCKOUT)))
            async with self.database.begin() as connection:
                await connection.execute(update(tournaments).values(mode=TournamentMode.KNOCKOUT.value))
        self.providers.tell(other)
        await come_to(self.database, self.id, other)
        return other

    async def beginnings(self) -> dict[str, Any]:
        """When rounds began, by slugs."""
        async with self.database.read() as connection:
            return {row.slug: row.baseline_at for row in await connection.execute(select(rounds))}


async def _two_rounds_begun(database: "PostgresDatabase", providers: Providers) -> Begun:
    providers.now = datetime.now(UTC)
    later = providers.now + timedelta(days=9)
    kick_offs = [later, later, later]
    tournament_id = await providers.tournament(_season(kick_offs))
    played = await _matches(database, tournament_id)
    made = MadeTournament(tournament_id, await _ruleset(database, tournament_id), (), (), tuple(chain(*played)))
    ana, bob = await make_members(database, 2, joins=[made])
    await put_guesses(database, made, [(played[0][0], ana, 1, 0), (played[1][0], bob, 1, 0)])
    league = await make_league(database, "League", ana, members=[bob], plays=[made])
    for number, day in enumerate([-9, -2]):
        kick_offs[number] = providers.now + timedelta(days=day)
        providers.tell(_season(kick_offs))
        await providers.read(tournament_id)
        for match_id in played[number]:
            await play(database, match_id, 1, 0)
    return Begun(database, providers, tournament_id, BoardKey(league, tournament_id), [ana, bob], kick_offs)


@dataclass
class Told:
    """What a board tells: of each member rank and points, and of history slug, rank, points and those of the round."""

    now: list[tuple[MemberId, int, int]]
    after_the_current_round: list[tuple[MemberId, int, int]]
    movement: dict[MemberId, int | None]
    history: dict[MemberId, list[tuple[str, int | None, int, int]]]


async def _told(database: "PostgresDatabase", key: BoardKey, members: list[MemberId]) -> Told:
    boards = Boards(database, None, utc_now)
    async with database.read() as connection:
        slugs = {row.id: row.slug for row in await connection.execute(select(rounds.c.id, rounds.c.slug))}
        current = select(tournaments.c.current_round_id).where(tournaments.c.id == key.tournament_id)
        current_id = (await connection.execute(current)).scalar_one()
    board, past = await boards.open(key), await boards.open(key, as_of=AfterRound(current_id))
    assert board is not None
    assert past is not None
    rows, earlier = (await board.page(first=9)).rows, (await past.page(first=9)).rows
    history = await board.history(members)
    return Told(
        [(row.member_id, row.rank, row.points) for row in rows],
        [(row.member_id, row.rank, row.points) for row in earlier],
        await board.movement(rows),
        {
            member: [(slugs[one.round_id], one.rank, one.points, one.round_points) for one in told]
            for member, told in history.items()
        },
    )


def _season(kick_offs: list[datetime], *, ended: int = 0) -> TournamentSnapshot:
    """Rounds of one match or two; the first `ended` of them are over, 1-0 each."""
    pairs = [("Arsenal", "Everton", 1), ("Chelsea", "Brentford", 1), ("Leeds", "Derby", 2), ("Everton", "Leeds", 3)]
    listed = [
        a_match(round=f"Matchday {n}", team1=home, team2=away, score={"ft": [1, 0]} if n <= ended else {})
        for home, away, n in pairs
    ]
    told = map_matches(*listed, competition="en.1").snapshot
    timed = [replace(match, kick_off=kick_offs[int(match.round_slug) - 1]) for match in told.matches]
    return replace(told, matches=tuple(timed))


def _of_other_names(snapshot: TournamentSnapshot) -> TournamentSnapshot:
    named = [replace(one, slug=f"round-{one.slug}") for one in snapshot.rounds]
    played = [replace(match, round_slug=f"round-{match.round_slug}") for match in snapshot.matches]
    return replace(snapshot, rounds=tuple(named), matches=tuple(played))


async def _matches(database: "PostgresDatabase", tournament_id: TournamentId) -> list[list[MatchId]]:
    """Of each round."""
    statement = (
        select(func.array_agg(matches.c.id))
        .join(rounds, rounds.c.id == matches.c.round_id)
        .where(matches.c.tournament_id == tournament_id)
        .group_by(rounds.c.position)
        .order_by(rounds.c.position)
    )
    async with database.read() as connection:
        return list((await connection.execute(statement)).scalars())


async def _ruleset(database: "PostgresDatabase", tournament_id: TournamentId) -> RulesetId:
    async with database.read() as connection:
        statement = select(tournaments.c.ruleset_id).where(tournaments.c.id == tournament_id)
        return RulesetId((await connection.execute(statement)).scalar_one())


async def test_a_team_that_the_other_provider_has_elsewhere_too_is_one_team(
    database: "PostgresDatabase", providers: Providers
) -> None:
    """Another tournament has come from it all along: its teams are stored, and are those of this one."""
    first = await read_real("en.1", "2024-25")
    other = retold(first)
    elsewhere = await providers.tournament(replace(other, season="1"))
    tournament_id = await providers.tournament(first)
    assert await count(database, teams) == 40

    providers.tell(other)
    await come_to(database, tournament_id, other)
    await providers.read(tournament_id)

    def sides(found: dict[Any, tuple[Any, ...]]) -> set[Any]:
        return {row[2:4] for row in found.values()}

    found = await identities(database, tournament_id)
    assert len(found) == 380
    assert all(row[-1] is None for row in found.values()), "no match is missing"
    assert sides(found) == sides(await identities(database, elsewhere))
    assert [counts_of(run)[:2] for run in await providers.read(tournament_id)] == [(0, 0)] * 4


async def test_a_team_that_its_provider_calls_otherwise_from_now_on_is_one_team(
    database: "PostgresDatabase", providers: Providers
) -> None:
    """A file has names for keys, and its matches are known by those of their teams."""
    content = real_json("en.1", "2024-25")
    content["matches"] = [match for match in content["matches"] if int(match["round"].split()[-1]) <= 4]
    content["matches"].append(
        a_match(round="Final", team1="W1", team2="W2", date="2025-06-01", score={})
    )  # not drawn yet
    tournament_id = await providers.tournament(map_content(content).snapshot)
    before = await identities(database, tournament_id)
    renamed = {"Wolverhampton Wanderers FC": "Wolves", "AFC Bournemouth": "Bournemouth"}
    for match in content["matches"]:
        match |= {side: renamed.get(match[side], match[side]) for side in ("team1", "team2")}

    providers.tell(map_content(content).snapshot)
    runs = await providers.read(tournament_id)

    assert [counts_of(run)[0] for run in runs] == [0, 0, 0, 0], "nothing is created"
    assert await identities(database, tournament_id) == before
    assert [counts_of(run)[:2] for run in await providers.read(tournament_id)][:1] == [(0, 0)]
    async with database.read() as connection:
        names = set((await connection.execute(select(teams.c.name))).scalars())
    assert len(names) == 20
    assert set(renamed.values()) <= names
    assert [counts_of(run)[:2] for run in await providers.read(tournament_id)] == [(0, 0)] * 4
