"""Under which ruleset a tournament and each league count: chosen freely until the first lock, then never again."""

from typing import Any

import pytest
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError

from domain.audit.tables import audit_log
from domain.errors import Forbidden, NotFound, Refused
from domain.ids import LeagueId, MemberId, RulesetId, TournamentId, new_id
from domain.league import service as leagues
from domain.league.link import service as links
from domain.league.model import League, LeagueTournament, LeagueTournamentStatus, LinkChange
from domain.league.tables import league_tournaments
from domain.league.tables import leagues as leagues_table
from domain.scoring import service as rulesets
from domain.scoring.rules import RulesetFrozen
from domain.tournament import commands
from domain.tournament import service as tournaments
from domain.tournament.model import Tournament, TournamentChange
from domain.tournament.tables import tournaments as tournaments_table
from runtime.database import PostgresDatabase
from tests.support.api_world import World
from tests.support.football import MadeTournament, make_league, make_member, make_tournament, pass_lock
from tests.support.graphql_client import id_of

REASON = "The season has not begun."
ACTIVE, COMPLETED = LeagueTournamentStatus.ACTIVE, LeagueTournamentStatus.COMPLETED


@pytest.fixture
async def made(database: PostgresDatabase) -> MadeTournament:
    return await make_tournament(database, matches=3)


@pytest.fixture
async def ana(database: PostgresDatabase, made: MadeTournament) -> MemberId:
    return await make_member(database, "Ana", joins=[made])


@pytest.fixture
async def league(database: PostgresDatabase, made: MadeTournament, ana: MemberId) -> LeagueId:
    return await make_league(database, "Office", ana, plays=[made])


@pytest.fixture
async def presets(database: PostgresDatabase) -> dict[str, RulesetId]:
    return {each.code: each.id for each in await rulesets.page_of_latest(database, first=10)}


async def change_default(database: PostgresDatabase, made: MadeTournament, ruleset_id: RulesetId) -> Tournament:
    return await commands.update(
        database, made.id, TournamentChange(ruleset_id=ruleset_id), actor_id=None, reason=REASON, request_id="test"
    )


def faults(refusal: Refused) -> list[tuple[str, tuple[str, ...] | None]]:
    return [(fault.code, fault.field) for fault in refusal.faults]


async def change_link(
    database: PostgresDatabase, member: MemberId, league: LeagueId, tournament: TournamentId, **change: Any
) -> League:
    return await links.update(database, member, league, tournament, LinkChange(**change), "test")


async def link_of(database: PostgresDatabase, league: LeagueId) -> LeagueTournament:
    ((link,),) = (await leagues.tournaments_of(database, [league])).values()
    return link


async def acts(database: PostgresDatabase) -> list[tuple[str, Any, Any]]:
    async with database.read() as connection:
        rows = await connection.execute(select(audit_log).order_by(audit_log.c.id))
    return [(row.action, row.before, row.after) for row in rows]


# ---------------------------------------------------------------- the tournament's own


async def test_a_tournament_changes_its_ruleset_until_the_first_lock(
    database: PostgresDatabase, made: MadeTournament, league: LeagueId, presets: dict[str, RulesetId]
) -> None:
    before = (await tournaments.read_tournaments(database, [made.id]))[made.id]

    changed = await change_default(database, made, presets["kicktipp"])
    same = await change_default(database, made, presets["kicktipp"])

    found = (await tournaments.read_tournaments(database, [made.id]))[made.id]
    assert changed.ruleset_id == same.ruleset_id == found.ruleset_id == presets["kicktipp"]
    assert found.board_version == before.board_version + 1
    # A league has chosen for itself.
    assert (await link_of(database, league)).ruleset_id == presets["default"]
    assert await acts(database) == [
        (
            "updateTournament",
            {"rulesetId": str(presets["default"])},
            {"rulesetId": str(presets["kicktipp"])},
        )
    ]

    await pass_lock(database, made.matches[1])
    with pytest.raises(Refused) as raised:
        await change_default(database, made, presets["default"])
    assert faults(raised.value) == [("RULESET_FROZEN", ("rulesetId",))]
    assert (await change_default(database, made, presets["kicktipp"])).ruleset_id == presets["kicktipp"]
    assert len(await acts(database)) == 1


# ---------------------------------------------------------------- a league's choice


async def test_a_league_chooses_until_the_first_lock(
    database: PostgresDatabase, made: MadeTournament, ana: MemberId, league: LeagueId, presets: dict[str, RulesetId]
) -> None:
    changed = await change_link(database, ana, league, made.id, ruleset_id=presets["exact-bonus"])
    same = await change_link(database, ana, league, made.id, ruleset_id=presets["exact-bonus"], status=ACTIVE)

    link = await link_of(database, league)
    assert (link.ruleset_id, link.status, link.ruleset_frozen) == (presets["exact-bonus"], ACTIVE, False)
    assert changed.board_version == same.board_version == 1
    told = {"tournamentId": str(made.id), "status": "ACTIVE"}
    assert await acts(database) == [
        (
            "updateLeagueTournament",
            {**told, "rulesetId": str(presets["default"])},
            {**told, "rulesetId": str(presets["exact-bonus"])},
        )
    ]

    await pass_lock(database, made.matches[0])
    with pytest.raises(RulesetFrozen):
        await change_link(database, ana, league, made.id, ruleset_id=presets["kicktipp"], status=COMPLETED)
    assert await link_of(database, league) == LeagueTournament(league, made.id, presets["exact-bonus"], ACTIVE, True)

    # The status is no part of what is frozen, and naming the present ruleset changes nothing.
    ended = await change_link(database, ana, league, made.id, ruleset_id=presets["exact-bonus"], status=COMPLETED)
    assert ended.board_version == 2
    assert (await link_of(database, league)).status is COMPLETED


async def test_a_change_of_what_is_not_there_changes_nothing(
    database: PostgresDatabase, made: MadeTournament, ana: MemberId, league: LeagueId
) -> None:
    other = await make_tournament(database, matches=1)
    for tournament, change, field in (
        (other.id, {"status": COMPLETED}, ("leagueTournamentId",)),
        (made.id, {"ruleset_id": RulesetId(new_id()), "status": COMPLETED}, ("rulesetId",)),
    ):
        with pytest.raises(NotFound) as raised:
            await change_link(database, ana, league, tournament, **change)
        assert raised.value.field == field
    async with database.begin() as connection:
        await connection.execute(update(league_tournaments).values(removed_at=league_tournaments.c.added_at))
    with pytest.raises(NotFound):
        await change_link(database, ana, league, made.id, status=COMPLETED)
    assert await acts(database) == []


async def test_only_admins_of_a_league_that_is_there_choose(
    database: PostgresDatabase, made: MadeTournament, ana: MemberId
) -> None:
    bob, eve = await make_member(database, "Bob", joins=[made]), await make_member(database, "Eve")
    league = await make_league(database, "Office", ana, members=[bob], plays=[made])
    with pytest.raises(Forbidden):
        await change_link(database, bob, league, made.id, status=COMPLETED)
    with pytest.raises(NotFound):
        await change_link(database, eve, league, made.id, status=COMPLETED)
    async with database.begin() as connection:
        await connection.execute(update(leagues_table).values(deleted_at=leagues_table.c.created_at))
    with pytest.raises(NotFound):
        await change_link(database, ana, league, made.id, status=COMPLETED)


# ---------------------------------------------------------------- the database


@pytest.mark.usefixtures("league")
async def test_the_database_itself_refuses_a_change_after_the_first_lock(
    database: PostgresDatabase, made: MadeTournament, ana: MemberId, presets: dict[str, RulesetId]
) -> None:
    other = await make_tournament(database, matches=1)
    changes: list[Any] = [
        update(tournaments_table).where(tournaments_table.c.id == made.id).values(ruleset_id=presets["kicktipp"]),
        update(league_tournaments).values(ruleset_id=presets["kicktipp"]),
    ]
    for change in changes:
        async with database.begin() as connection:
            await connection.execute(change)

    await pass_lock(database, made.matches[2])

    for change in changes:
        with pytest.raises(DBAPIError, match="its ruleset is frozen"):
            async with database.begin() as connection:
                await connection.execute(change.values(ruleset_id=presets["exact-bonus"]))
    # Other columns of the same rows, the same ruleset, and another tournament are free.
    async with database.begin() as connection:
        await connection.execute(update(tournaments_table).values(label="Renamed", ruleset_id=presets["kicktipp"]))
        await connection.execute(update(league_tournaments).values(status="COMPLETED"))
        await connection.execute(changes[0].where(tournaments_table.c.id == other.id))
    late = await make_league(database, "Late", ana)
    link = {"league_id": late, "tournament_id": made.id, "status": "ACTIVE"}
    with pytest.raises(DBAPIError, match="its ruleset is frozen"):
        async with database.begin() as connection:
            await connection.execute(insert(league_tournaments).values(**link, ruleset_id=presets["default"]))
    async with database.begin() as connection:
        await connection.execute(insert(league_tournaments).values(**link, ruleset_id=presets["kicktipp"]))


async def test_a_league_founded_late_plays_under_the_tournaments_ruleset(
    database: PostgresDatabase, ana: MemberId
) -> None:
    made = await make_tournament(database, matches=1, ruleset="kicktipp")
    await pass_lock(database, made.matches[0])

    league = await leagues.create(database, ana, "Late", None, [made.id], "test")

    assert await link_of(database, league.id) == LeagueTournament(league.id, made.id, made.ruleset_id, ACTIVE, True)


# ---------------------------------------------------------------- the API


async def test_a_league_admin_changes_what_the_league_plays(world: World) -> None:
    database = world.api.database
    presets = {each.code: each.id for each in await rulesets.page_of_latest(database, first=10)}
    made = await make_tournament(database, matches=2, label="Cup")
    ana = await world.client(world.ana)
    wanted = {"name": "Family", "tournamentIds": [id_of("Tournament", made.id)]}
    league = (await ana.operation("createLeague", input=wanted)).data["createLeague"]["league"]
    link = league["tournaments"][0]
    change = {"leagueTournamentId": link["id"], "rulesetId": id_of("Ruleset", presets["kicktipp"])}

    changed = (await ana.operation("updateLeagueTournament", input=change)).data["updateLeagueTournament"]

    assert changed["errors"] == []
    (shown,) = changed["league"]["tournaments"]
    assert (shown["ruleset"]["code"], shown["status"], shown["rulesetFrozen"]) == ("kicktipp", "ACTIVE", False)
    assert shown["tournament"]["label"] == "Cup"
    read = (await ana.operation("league", id=league["id"])).data["league"]["tournaments"]
    assert [each["ruleset"]["code"] for each in read] == ["kicktipp"]


async def test_what_cannot_be_changed_says_why(world: World) -> None:
    offered = await rulesets.page_of_latest(world.api.database, first=10)
    ids = {each.code: id_of("Ruleset", each.id) for each in offered}
    link = id_of("LeagueTournament", world.league, world.tournament.id)
    ana = await world.client(world.ana)
    changes: list[tuple[dict[str, Any], list[tuple[str, list[str]]]]] = [
        ({"rulesetId": ids["kicktipp"]}, [("RULESET_FROZEN", ["rulesetId"])]),
        ({"rulesetId": ids["kicktipp"], "status": "COMPLETED"}, [("RULESET_FROZEN", ["rulesetId"])]),
        ({"rulesetId": None, "status": None}, [("INVALID_INPUT", ["status"]), ("INVALID_INPUT", ["rulesetId"])]),
        ({"rulesetId": "nonsense"}, [("NOT_FOUND", ["rulesetId"])]),
        ({"leagueTournamentId": "nonsense"}, [("NOT_FOUND", ["leagueTournamentId"])]),
        ({}, []),
        ({"status": "ACTIVE"}, []),
        ({"rulesetId": ids["default"]}, []),
    ]
    for change, expected in changes:
        answer = await ana.operation("updateLeagueTournament", input={"leagueTournamentId": link, **change})

        payload = answer.data["updateLeagueTournament"]
        assert [(error["code"], error["field"]) for error in payload["errors"]] == expected, change
        assert (payload["league"] is None) == bool(expected)
        left = await link_of(world.api.database, world.league)
        assert (left.status, left.ruleset_id) == (ACTIVE, world.tournament.ruleset_id)
