"""The operations of leagues over the API: what they answer, in how many statements, and what streams hear of them."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select

from domain.leaderboard.model import BoardKey
from domain.leaderboard.store import versions as versions_of
from domain.league.membership import service as memberships
from domain.league.model import LeagueRole
from domain.league.tables import league_invites, league_members
from domain.scoring.service import page_of_latest
from tests.support.api import Api, Stream, open_socket, served
from tests.support.api_world import CODE, World, begin_session, make_world
from tests.support.football import make_league, make_tournament, pass_lock
from tests.support.graphql_client import GraphQLClient, id_of, read_operation
from tests.support.settlement import play
from tests.support.statements import recorded_statements

NOWHERE = UUID(int=7)


async def run(client: GraphQLClient, name: str, /, **values: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await client.operation(name, input=values)).data[name]
    return payload


def errors(payload: dict[str, Any]) -> list[tuple[str, list[str] | None]]:
    return [(error["code"], error["field"]) for error in payload["errors"]]


async def place(world: World, member: UUID) -> str:
    """The global id of a membership."""
    of_member = select(league_members.c.id).where(
        league_members.c.member_id == member, league_members.c.left_at.is_(None)
    )
    async with world.api.database.read() as connection:
        return id_of("LeagueMembership", world.league, (await connection.execute(of_member)).scalar_one())


async def invite(world: World) -> str:
    async with world.api.database.read() as connection:
        of_code = select(league_invites.c.id).where(league_invites.c.code == CODE)
        found = (await connection.execute(of_code)).scalar_one()
    return id_of("LeagueInvite", world.league, found)


# ---------------------------------------------------------------- what they answer


async def test_a_league_is_renamed(world: World) -> None:
    ana = await world.client(world.ana)
    renamed = await run(ana, "updateLeague", leagueId=world.league_id, name="Club", description="At noon.")
    assert (renamed["league"]["name"], renamed["league"]["description"], errors(renamed)) == ("Club", "At noon.", [])
    plain = await run(ana, "updateLeague", leagueId=world.league_id, description=None)
    assert (plain["league"]["name"], plain["league"]["description"]) == ("Club", None)
    nameless = await run(ana, "updateLeague", leagueId=world.league_id, name=None, description="d" * 501)
    assert errors(nameless) == [("INVALID_INPUT", ["name"]), ("INVALID_INPUT", ["description"])]
    assert (await ana.operation("league", id=world.league_id)).data["league"]["name"] == "Club"


async def test_a_tournament_comes_goes_and_comes_again(world: World) -> None:
    database = world.api.database
    presets = {each.code: id_of("Ruleset", each.id) for each in await page_of_latest(database, first=10)}
    cup = await make_tournament(database, matches=1, label="Cup")
    ana = await world.client(world.ana)
    wanted = {"leagueId": world.league_id, "tournamentId": id_of("Tournament", cup.id)}

    added = await run(ana, "addLeagueTournament", **wanted, rulesetId=presets["kicktipp"])
    (_, link) = added["league"]["tournaments"]
    assert (link["tournament"]["label"], link["ruleset"]["code"], link["status"]) == ("Cup", "kicktipp", "ACTIVE")
    joined = await (await world.client(world.vic)).run(
        "query ($id: ID!) { tournament(id: $id) { viewerHasJoined } }", {"id": wanted["tournamentId"]}
    )
    assert joined.data["tournament"]["viewerHasJoined"] is True

    removed = await run(ana, "removeLeagueTournament", leagueTournamentId=link["id"])
    assert [each["tournament"]["label"] for each in removed["league"]["tournaments"]] == ["Test League"]
    assert errors(await run(ana, "removeLeagueTournament", leagueTournamentId=link["id"])) == [
        ("NOT_FOUND", ["leagueTournamentId"])
    ]
    again = await run(ana, "addLeagueTournament", **wanted)
    assert [each["ruleset"]["code"] for each in again["league"]["tournaments"]] == ["default", "kicktipp"]


async def test_after_a_lock_another_ruleset_is_refused(world: World) -> None:
    database = world.api.database
    (kicktipp,) = [each for each in await page_of_latest(database, first=10) if each.code == "kicktipp"]
    cup = await make_tournament(database, matches=1)
    await pass_lock(database, cup.matches[0])
    wanted = {"leagueId": world.league_id, "tournamentId": id_of("Tournament", cup.id)}
    ana = await world.client(world.ana)
    refused = await run(ana, "addLeagueTournament", **wanted, rulesetId=id_of("Ruleset", kicktipp.id))
    assert (errors(refused), refused["league"]) == ([("RULESET_FROZEN", ["rulesetId"])], None)
    assert errors(await run(ana, "addLeagueTournament", **wanted)) == []


async def test_members_are_promoted_and_removed(world: World) -> None:
    ana, bobs = await world.client(world.ana), await place(world, world.bob)
    promoted = await run(ana, "changeLeagueRole", membershipId=bobs, role="ADMIN")
    membership = promoted["membership"]
    assert (membership["id"], membership["role"], membership["member"]["nickName"]) == (bobs, "ADMIN", "Bob")
    bob = await world.client(world.bob)
    anas = await place(world, world.ana)
    for payload in (
        await run(bob, "changeLeagueRole", membershipId=anas, role="MEMBER"),
        await run(bob, "removeLeagueMember", membershipId=anas),
    ):
        assert errors(payload) == [("LAST_ADMIN", ["membershipId"])]
    assert errors(await run(bob, "removeLeagueMember", membershipId=bobs)) == [("INVALID_INPUT", ["membershipId"])]

    removed = await run(bob, "removeLeagueMember", membershipId=await place(world, world.vic))
    assert removed["league"] == {"id": world.league_id, "members": {"totalCount": 2}}
    assert (await (await world.client(world.vic)).operation("league", id=world.league_id)).data["league"] is None


async def test_a_league_is_left_handed_on_and_deleted(world: World) -> None:
    ana, bob = await world.client(world.ana), await world.client(world.bob)
    stays = await run(ana, "leaveLeague", leagueId=world.league_id)
    assert (errors(stays), stays["removedLeagueId"]) == ([("LAST_ADMIN", None)], None)
    handed = await run(ana, "transferLeague", leagueId=world.league_id, memberId=id_of("Member", world.bob))
    assert handed["league"]["founder"]["nickName"] == "Bob"
    assert handed["league"]["viewerPermissions"] == ["EDIT", "INVITE", "MANAGE_MEMBERS", "MANAGE_TOURNAMENTS", "LEAVE"]
    # Who is an admin and no founder may neither hand it on nor delete it.
    assert errors(await run(ana, "deleteLeague", leagueId=world.league_id)) == [("FORBIDDEN", None)]
    anew = {"leagueId": world.league_id, "memberId": id_of("Member", world.ana)}
    assert errors(await run(ana, "transferLeague", **anew)) == [("FORBIDDEN", None)]
    left = await run(ana, "leaveLeague", leagueId=world.league_id)
    assert (left["removedLeagueId"], errors(left)) == (world.league_id, [])
    assert (await ana.operation("league", id=world.league_id)).data["league"] is None
    assert errors(await run(bob, "transferLeague", **anew)) == [("NOT_FOUND", ["memberId"])]
    deleted = await run(bob, "deleteLeague", leagueId=world.league_id)
    assert (deleted["removedLeagueId"], errors(deleted)) == (world.league_id, [])
    assert (await bob.operation("league", id=world.league_id)).data["league"] is None


async def test_invites_are_listed_for_whom_may_invite(world: World) -> None:
    ana = await world.client(world.ana)
    made = [(await run(ana, "createLeagueInvite", leagueId=world.league_id, maxUses=uses))["invite"] for uses in (1, 2)]
    first = (await ana.operation("leagueInvites", id=world.league_id, first=2)).data["league"]["viewerInvites"]
    assert [edge["node"] for edge in first["edges"]] == made[::-1]
    after = first["pageInfo"]["endCursor"]
    second = (await ana.operation("leagueInvites", id=world.league_id, after=after)).data["league"]["viewerInvites"]
    assert [edge["node"]["code"] for edge in second["edges"]] == [CODE]

    revoked = await run(ana, "revokeLeagueInvite", inviteId=await invite(world))
    assert (revoked["invite"]["code"], revoked["invite"]["revokedAt"] is None) == (CODE, False)
    eve = await world.client(world.eve)
    assert errors(await run(eve, "joinLeague", code=CODE)) == [("INVITE_INVALID", ["code"])]
    usable = (await ana.operation("leagueInvites", id=world.league_id)).data["league"]["viewerInvites"]
    assert len(usable["edges"]) == 2
    for member in (world.bob, world.vic):
        seen = await (await world.client(member)).operation("leagueInvites", id=world.league_id)
        assert seen.data["league"]["viewerInvites"] is None
    other = id_of("League", await make_league(world.api.database, "Others", world.ana))
    for values in ({"id": other, "after": after}, {"id": world.league_id, "first": 101}):
        assert (await ana.operation("leagueInvites", **values)).codes == ["INVALID_INPUT"]


async def test_an_id_of_something_else_is_not_found(world: World) -> None:
    ana, league, nowhere = await world.client(world.ana), world.league_id, id_of("Tournament", NOWHERE)
    for name, values, field in (
        ("updateLeague", {"leagueId": "nonsense"}, "leagueId"),
        ("deleteLeague", {"leagueId": nowhere}, "leagueId"),
        ("leaveLeague", {"leagueId": id_of("League")}, "leagueId"),
        ("transferLeague", {"leagueId": league, "memberId": id_of("League", NOWHERE)}, "memberId"),
        ("transferLeague", {"leagueId": league, "memberId": id_of("Member", NOWHERE)}, "memberId"),
        ("removeLeagueMember", {"membershipId": id_of("LeagueMembership", NOWHERE)}, "membershipId"),
        ("changeLeagueRole", {"membershipId": "nonsense", "role": "ADMIN"}, "membershipId"),
        ("revokeLeagueInvite", {"inviteId": "nonsense"}, "inviteId"),
        ("addLeagueTournament", {"leagueId": league, "tournamentId": "nonsense"}, "tournamentId"),
        ("addLeagueTournament", {"leagueId": league, "tournamentId": nowhere}, "tournamentId"),
        ("addLeagueTournament", {"leagueId": league, "tournamentId": nowhere, "rulesetId": "x"}, "rulesetId"),
        ("removeLeagueTournament", {"leagueTournamentId": "nonsense"}, "leagueTournamentId"),
    ):
        assert errors(await run(ana, name, **values)) == [("NOT_FOUND", [field])], (name, values)


# ---------------------------------------------------------------- statements

STATEMENTS = {
    # Session and right; the league locked and read, and what is to be changed; change, version, tick, audit; then what
    # the answer shows, such as the founder, what is played, its tournaments and rulesets.
    "updateLeague": 12,
    "removeLeagueMember": 12,
    "changeLeagueRole": 10,
    "transferLeague": 15,
    "revokeLeagueInvite": 7,
    "addLeagueTournament": 22,
    "removeLeagueTournament": 14,
    "leaveLeague": 9,
    "deleteLeague": 8,
}


@pytest.mark.parametrize("crowd", [0, 20])
async def test_each_takes_a_fixed_number_of_statements(api: Api, crowd: int) -> None:
    world = await make_world(api, crowd=crowd)
    cup = await make_tournament(api.database, matches=1)
    ana, bob = await world.client(world.ana), await world.client(world.bob)
    for client in (ana, bob):
        await client.operation("league", id=world.league_id)  # their sessions are noted as seen
    league = {"leagueId": world.league_id}
    link = id_of("LeagueTournament", world.league, cup.id)
    calls: list[tuple[GraphQLClient, str, dict[str, Any]]] = [
        (ana, "updateLeague", {**league, "name": "Club"}),
        (ana, "removeLeagueMember", {"membershipId": await place(world, world.vic)}),
        (ana, "changeLeagueRole", {"membershipId": await place(world, world.bob), "role": "ADMIN"}),
        (ana, "transferLeague", {**league, "memberId": id_of("Member", world.bob)}),
        (ana, "revokeLeagueInvite", {"inviteId": await invite(world)}),
        (ana, "addLeagueTournament", {**league, "tournamentId": id_of("Tournament", cup.id)}),
        (ana, "removeLeagueTournament", {"leagueTournamentId": link}),
        (ana, "leaveLeague", league),
        (bob, "deleteLeague", league),
    ]
    counted = {}
    for client, name, values in calls:
        with recorded_statements(api.database) as statements:
            payload = await run(client, name, **values)
        assert errors(payload) == [], name
        counted[name] = len(statements)
    assert counted == STATEMENTS


# ---------------------------------------------------------------- streams


async def _watching(address: str, api: Api, world: World, member: UUID) -> tuple[Any, Stream]:
    connection = await open_socket(address)
    stream = Stream(connection)
    await stream.begin(await begin_session(api, member))
    await stream.subscribe("1", read_operation("leaderboardUpdates"), board={"leagueId": world.league_id})
    assert (await stream.data())["leaderboardUpdates"]["__typename"] == "LeaderboardSnapshot"
    return connection, stream


async def _remove(world: World, member: UUID) -> None:
    await run(await world.client(world.ana), "removeLeagueMember", membershipId=await place(world, member))


async def _leave(world: World, member: UUID) -> None:
    await run(await world.client(member), "leaveLeague", leagueId=world.league_id)


@pytest.mark.parametrize("go", [_remove, _leave], ids=["removed", "left"])
@pytest.mark.parametrize("member", ["bob", "vic"])
async def test_who_is_out_hears_no_more_and_the_others_hear_of_it(
    api: Api, go: Callable[[World, UUID], Any], member: str
) -> None:
    world = await make_world(api)
    async with served(api) as address:
        gone = getattr(world, member)
        theirs, stream = await _watching(address, api, world, gone)
        ours, other = await _watching(address, api, world, world.ana)
        await go(world, gone)
        await play(api.database, world.locked, 3, 2)
        last = await stream.receive()
        assert (last["type"], last["payload"][0]["extensions"]["code"]) == ("error", "FORBIDDEN")
        # Nobody else is turned away; the ranking without the member comes in one delta or in two.
        removed: list[str] = []
        while True:
            event = (await other.data())["leaderboardUpdates"]
            assert event["__typename"] == "LeaderboardDelta"
            removed += event["removedRowIds"]
            if event["leaderboard"]["settledMatches"] == 2:
                break
        row = id_of("LeaderboardRow", world.league, None, None, gone)
        assert removed == ([row] if member == "bob" else [])
        for connection in (theirs, ours):
            await connection.close()


async def test_who_only_watches_from_now_on_goes_on_watching(api: Api) -> None:
    world = await make_world(api)
    async with served(api) as address:
        connection, stream = await _watching(address, api, world, world.bob)
        ana = await world.client(world.ana)
        await run(ana, "changeLeagueRole", membershipId=await place(world, world.bob), role="VIEWER")
        event = (await stream.data())["leaderboardUpdates"]
        assert event["removedRowIds"] == [id_of("LeaderboardRow", world.league, None, None, world.bob)]
        await connection.close()


async def test_the_streams_of_a_deleted_league_end(api: Api) -> None:
    world = await make_world(api)
    async with served(api) as address:
        watching = [await _watching(address, api, world, member) for member in (world.ana, world.bob)]
        await run(await world.client(world.ana), "deleteLeague", leagueId=world.league_id)
        endings = [await stream.receive() for _, stream in watching]
        assert [ending["type"] for ending in endings] == ["error", "error"]
        assert {ending["payload"][0]["extensions"]["code"] for ending in endings} == {"FORBIDDEN"}
        for connection, _ in watching:
            await connection.close()


async def test_no_frame_to_the_removed_was_computed_after_the_removal(api: Api) -> None:
    """Members go one by one while scores change: each removal raises the version, and no frame that has it is sent."""
    world = await make_world(api, crowd=4)
    found, _ = await memberships.page(api.database, world.league, 100)
    crowd = [each for each in found if each.role is LeagueRole.MEMBER and each.member_id != world.bob]
    key = BoardKey(league_id=world.league)

    async def last_version(stream: Stream) -> int:
        """Of what was sent before the end."""
        version = 0
        while (message := await stream.receive())["type"] == "next":
            version = message["payload"]["data"]["leaderboardUpdates"]["version"]
        assert message["payload"][0]["extensions"]["code"] == "FORBIDDEN"
        return version

    async with served(api) as address:
        watching = [await _watching(address, api, world, each.member_id) for each in crowd]
        endings = [asyncio.create_task(last_version(stream)) for _, stream in watching]
        without = []
        for number, each in enumerate(crowd):
            await memberships.remove(api.database, world.ana, world.league, each.id, "test")
            without.append((await versions_of(api.database, [key]))[key])
            await play(api.database, world.locked, number, 0)
        sent = [await ending for ending in endings]
        assert [last < removed for last, removed in zip(sent, without, strict=True)] == [True] * 4
        for connection, _ in watching:
            await connection.close()


async def test_names_of_many_members_are_read_at_once(api: Api) -> None:
    world = await make_world(api, crowd=20)
    document = "query ($id: ID!) { league(id: $id) { members { edges { node { member { nickName } } } } } }"
    bob = await world.client(world.bob)
    await bob.run(document, {"id": world.league_id})
    with recorded_statements(api.database) as statements:
        answer = await bob.run(document, {"id": world.league_id})
    assert len(answer.data["league"]["members"]["edges"]) == 23
    # Session, league, members, how many, names.
    assert len(statements) == 5, statements
