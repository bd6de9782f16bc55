"""What admins change of tournaments: label, status, source and ruleset; faults are told together, changes audited."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import select

from domain.audit.tables import audit_log
from domain.errors import NotFound, Refused
from domain.ids import RulesetId, TournamentId, new_id
from domain.league.link.store import tournaments_of
from domain.league.model import LeagueTournamentStatus
from domain.match.tables import matches
from domain.outbox.tables import outbox
from domain.tournament import commands
from domain.tournament.model import Provider, Tournament, TournamentChange, TournamentSource, TournamentStatus
from domain.tournament.service import read_tournaments
from tests.support.api_world import World
from tests.support.football import make_league, make_member, make_tournament
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.ingester import Ingester, counts_of, two_rounds
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

REASON = "The organiser has renamed it."
ELSEWHERE = TournamentSource(Provider.OPENFOOTBALL, "en.1", "2026-27")


async def change(
    database: "PostgresDatabase", tournament_id: TournamentId, *, reason: str = REASON, **values: Any
) -> Tournament:
    wanted = TournamentChange(**values)
    return await commands.update(database, tournament_id, wanted, actor_id=None, reason=reason, request_id="test")


async def acts(database: "PostgresDatabase") -> list[tuple[Any, ...]]:
    async with database.read() as connection:
        rows = await connection.execute(select(audit_log).order_by(audit_log.c.id))
    return [(row.action, row.subject_id, row.reason, row.before, row.after) for row in rows]


async def ticks(database: "PostgresDatabase") -> list[tuple[str, str]]:
    async with database.read() as connection:
        rows = await connection.execute(select(outbox.c.message).order_by(outbox.c.id))
    return [(row.message["kind"], row.message["id"]) for row in rows]


async def test_all_of_it_is_changed_at_once_and_told(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=1, label="Old")
    before = (await read_tournaments(database, [made.id]))[made.id]

    changed = await change(database, made.id, label="  New ", status=TournamentStatus.COMPLETED, source=ELSEWHERE)

    assert changed == (await read_tournaments(database, [made.id]))[made.id]
    assert (changed.label, changed.status, changed.board_version) == ("New", TournamentStatus.COMPLETED, 1)
    assert (changed.provider, changed.competition, changed.provider_season) == ("OPENFOOTBALL", "en.1", "2026-27")
    assert changed.ruleset_id == before.ruleset_id
    old_source = {"provider": "OPENFOOTBALL", "competition": before.competition, "season": "2026-27"}
    new_source = {"provider": "OPENFOOTBALL", "competition": "en.1", "season": "2026-27"}
    was = {"label": "Old", "status": "ACTIVE", "source": old_source}
    now = {"label": "New", "status": "COMPLETED", "source": new_source}
    assert await acts(database) == [("updateTournament", made.id, REASON, was, now)]
    assert await ticks(database) == [("board", str(made.id))]


async def test_what_stays_as_it_is_changes_nothing(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=1, label="Same")
    before = (await read_tournaments(database, [made.id]))[made.id]
    source = TournamentSource(before.provider, before.competition, before.provider_season)

    same = await change(
        database, made.id, label=" Same ", status=before.status, source=source, ruleset_id=before.ruleset_id
    )
    nothing = await change(database, made.id)

    assert same == nothing == before == (await read_tournaments(database, [made.id]))[made.id]
    assert (await acts(database), await ticks(database)) == ([], [])


async def test_leagues_begin_and_end_with_the_tournament(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=1, status=TournamentStatus.UPCOMING)
    league = await make_league(database, "Office", await make_member(database, "Ana", joins=[made]), plays=[made])

    seen = []
    for status in (TournamentStatus.CANCELLED, TournamentStatus.ACTIVE, TournamentStatus.COMPLETED):
        await change(database, made.id, status=status)
        async with database.read() as connection:
            (link,) = await tournaments_of(connection, [league])
        seen.append(link.status)

    assert seen == [LeagueTournamentStatus.ACTIVE, LeagueTournamentStatus.ACTIVE, LeagueTournamentStatus.COMPLETED]


async def test_all_faults_are_told_together_and_nothing_is_changed(database: "PostgresDatabase") -> None:
    made, other = await make_tournament(database, matches=1), await make_tournament(database, matches=0)
    taken = (await read_tournaments(database, [other.id]))[other.id]
    source = TournamentSource(taken.provider, taken.competition, taken.provider_season)
    before = (await read_tournaments(database, [made.id]))[made.id]

    with pytest.raises(Refused) as refused:
        await change(database, made.id, reason="no", label="\n", source=source, ruleset_id=RulesetId(new_id()))
    with pytest.raises(Refused) as nameless:
        await change(database, made.id, source=TournamentSource(Provider.SOFASCORE, "", "x" * 101))
    with pytest.raises(NotFound) as unknown:
        await change(database, TournamentId(new_id()), label="New")

    assert [(fault.code, fault.field) for fault in refused.value.faults] == [
        ("INVALID_INPUT", ("label",)),
        ("INVALID_INPUT", ("reason",)),
        ("INVALID_INPUT", ("source",)),
        ("NOT_FOUND", ("rulesetId",)),
    ]
    assert [fault.field for fault in nameless.value.faults] == [("source", "competition"), ("source", "season")]
    assert unknown.value.field == ("tournamentId",)
    assert (await read_tournaments(database, [made.id]))[made.id] == before
    assert await acts(database) == []


async def test_from_another_source_its_matches_are_found_again(database: "PostgresDatabase") -> None:
    ingester, told = Ingester(database), two_rounds()
    tournament = await ingester.whole(told)
    before = await stored(database)
    moved = tuple(replace(match, key=f"elsewhere/{match.key}") for match in told.matches)
    ingester.tell(replace(told, competition="mirror", matches=moved))

    await change(database, tournament, source=TournamentSource(Provider.OPENFOOTBALL, "mirror", told.season))
    await ingester.matches(tournament)

    assert await stored(database) == before
    ingester.provider.snapshots.pop((told.competition, told.season))
    assert counts_of(await ingester.matches(tournament)) == (0, 0, len(before), 0)


async def stored(database: "PostgresDatabase") -> list[tuple[Any, ...]]:
    """All matches there are, and since when they are missed."""
    columns = (matches.c.id, matches.c.home_label, matches.c.away_label, matches.c.missing_since)
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(select(*columns).order_by(matches.c.id))]


# ---------------------------------------------------------------- the API


async def run(client: GraphQLClient, tournament: str, **values: Any) -> dict[str, Any]:
    wanted = {"tournamentId": tournament, "reason": REASON, **values}
    answer = await client.operation("updateTournament", input=wanted)
    payload: dict[str, Any] = answer.data["updateTournament"]
    return payload


async def test_an_admin_renames_and_is_named_in_the_log(world: World) -> None:
    root = await world.client(world.root)
    await run(root, world.tournament_id)  # the session is noted as seen
    with recorded_statements(world.api.database) as statements:
        payload = await run(root, world.tournament_id, label="Cup", status="COMPLETED")

    assert payload["errors"] == []
    shown = payload["tournament"]
    assert (shown["id"], shown["label"], shown["status"]) == (world.tournament_id, "Cup", "COMPLETED")
    assert shown["ruleset"]["code"] == "default"
    written = [each for each in statements if "members.id" not in each]  # who it is and may is read elsewhere
    # The tournament, audit, change, version, tick; the links that follow; lock, version and tick of leagues; ruleset.
    assert len(written) == 10, written
    log = (await root.operation("adminAuditLog", filter={"actions": ["updateTournament"]})).data["admin"]["auditLog"]
    (entry,) = [edge["node"] for edge in log["edges"]]
    assert (entry["actor"]["nickName"], entry["reason"]) == ("Root", REASON)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"rulesetId": "kicktipp"}, [("RULESET_FROZEN", ["rulesetId"])]),
        ({"rulesetId": "nonsense"}, [("NOT_FOUND", ["rulesetId"])]),
        ({"label": "", "reason": "x"}, [("INVALID_INPUT", ["label"]), ("INVALID_INPUT", ["reason"])]),
        (
            {"label": None, "status": None, "source": None, "rulesetId": None},
            [("INVALID_INPUT", [name]) for name in ("label", "status", "source", "rulesetId")],
        ),
    ],
)
async def test_what_cannot_be_changed_says_why(
    world: World, values: dict[str, Any], expected: list[tuple[str, list[str]]]
) -> None:
    root = await world.client(world.root)
    offered = (await root.operation("rulesets")).data["rulesets"]["edges"]
    by_code = {edge["node"]["code"]: edge["node"]["id"] for edge in offered}
    given = {name: by_code.get(value, value) if name == "rulesetId" else value for name, value in values.items()}

    payload = await run(root, world.tournament_id, **given)

    assert payload["tournament"] is None
    assert [(error["code"], error["field"]) for error in payload["errors"]] == expected


@pytest.mark.parametrize("tournament", ["nonsense", id_of("Tournament", UUID(int=7))])
async def test_a_tournament_that_is_not_there(world: World, tournament: str) -> None:
    payload = await run(await world.client(world.root), tournament, label="New")
    assert [(error["code"], error["field"]) for error in payload["errors"]] == [("NOT_FOUND", ["tournamentId"])]
