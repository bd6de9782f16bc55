"""Tournaments: lists, parts, joining."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from sqlalchemy import func, insert, select

from domain.audit.tables import audit_log
from domain.errors import NotFound
from domain.guess.tables import tournament_members
from domain.ids import RoundId, RulesetId, TeamId, TournamentId
from domain.outbox.tables import outbox
from domain.scoring.model import ScoreBasis, Weights
from domain.scoring.service import read_rulesets
from domain.settlement.tables import member_scores
from domain.tournament import service, store
from domain.tournament.model import Standing, StandingsGroup, Tournament, TournamentMode, TournamentStatus
from domain.tournament.rules import list_position
from domain.tournament.tables import standings
from runtime.database import PostgresDatabase
from tests.support.football import MadeTournament, make_member, make_tournament
from tests.support.statements import recorded_statements


async def walk(database: PostgresDatabase, first: int, **filters: object) -> list[str]:
    """Labels of all pages, one after another."""
    labels: list[str] = []
    after = None
    while True:
        found: list[Tournament] = await service.page(database, first=first, after=after, **filters)  # type: ignore[arg-type]
        labels += [tournament.label for tournament in found[:first]]
        if len(found) <= first:
            return labels
        after = list_position(found[first - 1])


async def make_all(database: PostgresDatabase) -> dict[str, MadeTournament]:
    kinds = {
        "b over": TournamentStatus.COMPLETED,
        "a over": TournamentStatus.COMPLETED,
        "z now": TournamentStatus.ACTIVE,
        "same": TournamentStatus.ACTIVE,
        "soon": TournamentStatus.UPCOMING,
        "gone": TournamentStatus.CANCELLED,
    }
    made = {label: await make_tournament(database, matches=0, label=label, status=kinds[label]) for label in kinds}
    await make_tournament(database, matches=0, label="same")
    return made


@pytest.mark.parametrize("first", [1, 2, 3, 100])
async def test_the_list_goes_by_status_and_label_and_hides_cancelled_ones(
    database: PostgresDatabase, first: int
) -> None:
    await make_all(database)
    assert await walk(database, first) == ["same", "same", "z now", "soon", "a over", "b over"]
    assert await walk(database, first, statuses=[TournamentStatus.CANCELLED]) == ["gone"]
    assert await walk(database, first, statuses=[TournamentStatus.COMPLETED, TournamentStatus.UPCOMING]) == [
        "soon",
        "a over",
        "b over",
    ]
    assert await walk(database, first, statuses=[]) == []


async def test_the_list_by_joined_or_not(database: PostgresDatabase) -> None:
    made = await make_all(database)
    ana = await make_member(database, "Ana", joins=[made["z now"], made["a over"]])
    await make_member(database, "Bea", joins=[made["soon"]])
    assert await walk(database, 1, joined_by=ana, joined=True) == ["z now", "a over"]
    assert await walk(database, 1, joined_by=ana, joined=False) == ["same", "same", "soon", "b over"]
    ids = [tournament.id for tournament in made.values()]
    assert await service.joined(database, ana, ids) == {made["z now"].id, made["a over"].id}
    assert await service.joined(database, ana, [made["soon"].id]) == set()


async def test_parts_of_a_tournament(database: PostgresDatabase) -> None:
    made = await make_tournament(database, rounds=3, matches=2, ruleset="kicktipp")
    other = await make_tournament(database, rounds=1, matches=0)
    with recorded_statements(database) as statements:
        found = await service.read_tournaments(database, [made.id, other.id, TournamentId(uuid4())])
        rounds = await service.rounds_of(database, [made.id, other.id])
        await service.read_rounds(database, made.rounds)
        teams = await service.read_teams(database, [*made.teams, TeamId(uuid4())])
        found_rulesets = await read_rulesets(database, [made.ruleset_id, RulesetId(uuid4())])
    assert len(statements) == 5
    assert set(found) == {made.id, other.id}
    assert found[made.id].current_round_id == made.rounds[0]
    assert {key: [each.id for each in value] for key, value in rounds.items()} == {
        made.id: list(made.rounds),
        other.id: list(other.rounds),
    }
    assert {team.id: team.name for team in teams.values()} == {
        team_id: f"Team {n}" for n, team_id in enumerate(made.teams)
    }
    (ruleset,) = found_rulesets.values()
    assert (ruleset.code, ruleset.version, ruleset.weights) == ("kicktipp", 1, Weights(2, 1, 0, 0, 1))
    assert ruleset.basis is ScoreBasis.AFTER_EXTRA_TIME
    by_slug = await service.round_by_slug(database, made.id, "2")
    assert by_slug is not None
    assert by_slug.id == made.rounds[1]
    assert await service.round_by_slug(database, other.id, "2") is None
    assert await service.read_rounds(database, [RoundId(uuid4())]) == {}


async def test_team_tables_by_group_with_level_teams_by_name(database: PostgresDatabase) -> None:
    made = await make_tournament(database, matches=2)
    single = await make_tournament(database, matches=1)
    zero = dict.fromkeys(("played", "won", "drawn", "lost", "goals_for", "goals_against", "points"), 0)
    rows = [
        (made.id, "Group B", made.teams[3], 1),
        (made.id, "Group A", made.teams[2], 1),
        (made.id, "Group A", made.teams[1], 1),
        (made.id, "Group A", made.teams[0], 3),
        (single.id, "", single.teams[0], 1),
    ]
    async with database.begin() as connection:
        names = ("tournament_id", "group_name", "team_id", "position")
        values = [{**dict(zip(names, row, strict=True)), "is_computed": True, **zero} for row in rows]
        await connection.execute(insert(standings), values)
    found = await service.standings_of(database, [made.id, single.id, TournamentId(uuid4())])

    def standing(group: str | None, position: int, team: TeamId) -> Standing:
        return Standing(group, position, team, 0, 0, 0, 0, 0, 0, 0)

    group_a = (
        standing("Group A", 1, made.teams[1]),
        standing("Group A", 1, made.teams[2]),
        standing("Group A", 3, made.teams[0]),
    )
    assert found == {
        made.id: [
            StandingsGroup("Group A", True, group_a),
            StandingsGroup("Group B", True, (standing("Group B", 1, made.teams[3]),)),
        ],
        single.id: [StandingsGroup(None, True, (standing(None, 1, single.teams[0]),))],
    }


@pytest.mark.parametrize(
    ("mode", "bases"),
    [
        (TournamentMode.REGULAR_SEASON, ["AFTER_EXTRA_TIME"]),
        (TournamentMode.REGULAR_SEASON_AND_KNOCKOUT, ["AFTER_EXTRA_TIME", "REGULATION"]),
        (TournamentMode.KNOCKOUT, ["AFTER_EXTRA_TIME", "REGULATION"]),
    ],
)
async def test_joining_puts_a_member_on_the_boards_with_no_points(
    database: PostgresDatabase, mode: TournamentMode, bases: list[str]
) -> None:
    made = await make_tournament(database, mode=mode)
    ana = await make_member(database, "Ana")
    await service.join(database, ana, made.id, "r1")
    async with database.read() as connection:
        scores = (await connection.execute(select(member_scores).order_by(member_scores.c.basis))).all()
        messages = (await connection.execute(select(outbox.c.topic, outbox.c.message))).all()
    assert [tuple(row) for row in scores] == [(made.id, basis, ana, 0, 0, 0, 0, 0) for basis in bases]
    assert [tuple(row) for row in messages] == [("MEMBERS", {"id": str(made.id)})]
    assert await service.joined(database, ana, [made.id]) == {made.id}


async def test_joining_many_times_at_once_is_joining_once(database: PostgresDatabase) -> None:
    made = await make_tournament(database)
    ana = await make_member(database, "Ana")
    await asyncio.gather(*(service.join(database, ana, made.id, f"r{n}") for n in range(20)))
    await service.join(database, ana, made.id, "later")
    async with database.read() as connection:
        for table in (tournament_members, member_scores, outbox):
            assert (await connection.execute(select(func.count()).select_from(table))).scalar_one() == 1
        acts = (await connection.execute(select(audit_log.c.action, audit_log.c.actor_id))).all()
    assert [tuple(act) for act in acts] == [("joinTournament", ana)]


async def test_there_is_no_joining_of_an_unknown_tournament(database: PostgresDatabase) -> None:
    ana = await make_member(database, "Ana")
    with pytest.raises(NotFound) as refused:
        await service.join(database, ana, TournamentId(uuid4()), "r1")
    assert refused.value.field == ("tournamentId",)


async def test_versions_rise_with_a_tick_each(database: PostgresDatabase) -> None:
    made = await make_tournament(database)
    before = (await service.read_tournaments(database, [made.id]))[made.id]
    async with database.begin() as connection:
        await store.raise_versions(connection, made.id)
        await store.raise_versions(connection, made.id, board=True)
        await store.raise_versions(connection, made.id, board=True, matches=True)
    after = (await service.read_tournaments(database, [made.id]))[made.id]
    assert after == replace(before, board_version=2, match_version=1)
    async with database.read() as connection:
        messages = (await connection.execute(select(outbox.c.topic, outbox.c.message).order_by(outbox.c.id))).all()
    assert [(row.topic, row.message) for row in messages] == [
        ("TICK", {"kind": "board", "id": str(made.id)}),
        ("TICK", {"kind": "board", "id": str(made.id)}),
        ("TICK", {"kind": "matches", "id": str(made.id)}),
    ]
