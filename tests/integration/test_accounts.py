"""Profiles, sessions and platform roles: what members change of themselves, and admins of members."""

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, text, update
from websockets.exceptions import ConnectionClosed

from domain.audit.tables import audit_log
from domain.errors import DomainError, Forbidden, NotFound, Refused
from domain.ids import MemberId, new_id
from domain.league.tables import leagues
from domain.member import service as members
from domain.member.administration import service as administration
from domain.member.model import PlatformRole
from domain.member.profile import service as profile
from domain.member.rules import LastAdmin
from domain.member.tables import members as members_table
from domain.member.tables import sessions
from domain.outbox.tables import outbox
from tests.support.api import Api, open_stream, served
from tests.support.api_world import begin_session, make_world
from tests.support.football import make_league, make_member, make_tournament
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

ADMIN, MEMBER = PlatformRole.ADMIN, PlatformRole.MEMBER
REASON = "Helps to run it."


async def run(client: GraphQLClient, name: str, /, **values: Any) -> dict[str, Any]:
    payload: dict[str, Any] = (await client.operation(name, input=values)).data[name]
    return payload


def errors(payload: dict[str, Any]) -> list[tuple[str, list[str] | None]]:
    return [(error["code"], error["field"]) for error in payload["errors"]]


# ---------------------------------------------------------------- profiles


async def test_every_board_follows_a_new_name(database: "PostgresDatabase") -> None:
    cup, other = await make_tournament(database, matches=1), await make_tournament(database, matches=1)
    ana = await make_member(database, "Ana", joins=[cup, other])
    for name in ("One", "Two"):
        await make_league(database, name, ana)
    gone = await make_league(database, "Gone", ana)
    async with database.begin() as connection:
        await connection.execute(update(leagues).where(leagues.c.id == gone).values(deleted_at=func.now()))

    changed = await profile.update(database, ana, nick_name=" Anna ", time_zone=None, request_id="r1")

    assert (changed.nick_name, changed.time_zone) == ("Anna", "UTC")
    assert changed == await members.read_account(database, ana)
    async with database.read() as connection:
        versions = select(leagues.c.id == gone, leagues.c.board_version).order_by(leagues.c.name)
        assert [tuple(row) for row in await connection.execute(versions)] == [(True, 0), (False, 1), (False, 1)]
        messages = (await connection.execute(select(outbox.c.topic, outbox.c.message["id"].astext))).all()
        (row,) = await connection.execute(select(audit_log))
    assert sorted(topic for topic, _ in messages) == ["MEMBERS", "MEMBERS", "TICK", "TICK"]
    assert {id_ for topic, id_ in messages if topic == "MEMBERS"} == {str(cup.id), str(other.id)}
    assert (row.action, row.after, row.before) == ("updateProfile", {"changed": ["nickName"]}, None)


async def test_a_zone_alone_moves_no_board_and_the_same_again_nothing(database: "PostgresDatabase") -> None:
    ana = await make_member(database, "Ana", joins=[await make_tournament(database, matches=1)])
    await make_league(database, "One", ana)
    moved = await profile.update(database, ana, nick_name="Ana", time_zone="Europe/Lisbon", request_id="r1")
    assert moved == await profile.update(database, ana, nick_name=None, time_zone=None, request_id="r1")
    assert moved.time_zone == "Europe/Lisbon"
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(outbox))).scalar_one() == 0
        assert list((await connection.execute(select(audit_log.c.after))).scalars()) == [{"changed": ["timeZone"]}]
    with pytest.raises(Refused) as refused:
        await profile.update(database, ana, nick_name="A", time_zone="Mars/Olympus", request_id="r1")
    assert [fault.field for fault in refused.value.faults] == [("nickName",), ("timeZone",)]


async def test_a_profile_over_the_api(api: Api) -> None:
    world = await make_world(api)
    bob = await world.client(world.bob)
    changed = await run(bob, "updateProfile", nickName="Robert", timeZone="America/Lima")
    assert (changed["viewer"]["member"]["nickName"], changed["viewer"]["timeZone"]) == ("Robert", "America/Lima")
    board = (await bob.operation("league", id=world.league_id)).data["league"]["leaderboard"]
    assert [edge["node"]["member"]["nickName"] for edge in board["rows"]["edges"]] == ["Ana", "Robert"]
    removed = await run(bob, "updateProfile", nickName=None, timeZone=None)
    assert errors(removed) == [("INVALID_INPUT", ["nickName"]), ("INVALID_INPUT", ["timeZone"])]


async def test_open_boards_hear_of_a_new_name(api: Api) -> None:
    world = await make_world(api)
    document = "subscription ($board: BoardInput!) { leaderboardUpdates(board: $board) { ... on LeaderboardSnapshot"
    document += " { rows { member { nickName } } } ... on LeaderboardDelta { rows { member { nickName } } } } }"
    async with served(api) as address, open_stream(address, await begin_session(api, world.ana)) as stream:
        await stream.subscribe("1", document, board={"leagueId": world.league_id})
        await stream.data()
        await run(await world.client(world.bob), "updateProfile", nickName="Robert")
        rows = (await stream.data())["leaderboardUpdates"]["rows"]
    assert rows == [{"member": {"nickName": "Robert"}}]


# ---------------------------------------------------------------- sessions


async def last_seen(api: Api, member: MemberId, minutes: list[int]) -> list[UUID]:
    """Sessions of a member, seen so many minutes ago."""
    async with api.database.begin() as connection:
        await connection.execute(sessions.delete().where(sessions.c.member_id == member))
    ids = []
    for number in minutes:
        await begin_session(api, member)
        async with api.database.begin() as connection:
            newest = select(func.max(sessions.c.created_at)).where(sessions.c.member_id == member).scalar_subquery()
            seen = func.clock_timestamp() - text("make_interval(mins => :ago)").bindparams(ago=number)
            changed = update(sessions).where(sessions.c.member_id == member, sessions.c.created_at == newest)
            row = await connection.execute(changed.values(last_seen_at=seen).returning(sessions.c.id))
            ids.append(row.scalar_one())
    return ids


ACCOUNT = """
query ($first: Int!, $after: String) { viewer { sessions(first: $first, after: $after) {
  edges { node { id viewerIsUsing userAgent createdAt lastSeenAt expiresAt } } pageInfo { endCursor hasNextPage }
} } }
"""


@pytest.mark.parametrize("first", [1, 2, 100])
async def test_sessions_latest_seen_first(api: Api, first: int) -> None:
    world = await make_world(api)
    old, new, ended, expired = await last_seen(api, world.bob, [40, 3, 5, 6])
    async with api.database.begin() as connection:
        await connection.execute(update(sessions).where(sessions.c.id == ended).values(revoked_at=func.now()))
        await connection.execute(update(sessions).where(sessions.c.id == expired).values(expires_at=func.now()))
    bob = await world.client(world.bob)
    found: list[dict[str, Any]] = []
    after = None
    while True:
        page = (await bob.run(ACCOUNT, {"first": first, "after": after})).data["viewer"]["sessions"]
        found += [edge["node"] for edge in page["edges"]]
        if not page["pageInfo"]["hasNextPage"]:
            break
        after = page["pageInfo"]["endCursor"]
    assert [each["id"] for each in found[1:]] == [id_of("Session", new), id_of("Session", old)]
    assert [each["viewerIsUsing"] for each in found] == [True, False, False]
    assert all(datetime.fromisoformat(each["expiresAt"]) > datetime.fromisoformat(each["createdAt"]) for each in found)


async def test_a_revoked_session_is_nobody_and_its_sockets_close(api: Api) -> None:
    world = await make_world(api)
    token = await begin_session(api, world.bob)
    theirs, bob = api.client(token), await world.client(world.bob)
    shown = (await theirs.run(ACCOUNT, {"first": 5})).data["viewer"]["sessions"]["edges"]
    (mine,) = [edge["node"]["id"] for edge in shown if edge["node"]["viewerIsUsing"]]
    async with served(api) as address, open_stream(address, token) as stream:
        assert errors(await run(await world.client(world.ana), "revokeSession", sessionId=mine)) == [
            ("NOT_FOUND", ["sessionId"])
        ]
        revoked = await run(bob, "revokeSession", sessionId=mine)
        assert (revoked["revokedSessionId"], errors(revoked)) == (mine, [])
        with pytest.raises(ConnectionClosed) as closed:
            await stream.receive()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
    assert (await theirs.run("{ viewer { id } }")).status == 401
    assert errors(await run(bob, "revokeSession", sessionId=mine)) == [("NOT_FOUND", ["sessionId"])]


async def test_the_present_session_may_be_revoked_too(api: Api) -> None:
    world = await make_world(api)
    client = await world.client(world.bob)
    (edge,) = (await client.run(ACCOUNT, {"first": 5})).data["viewer"]["sessions"]["edges"]
    assert errors(await run(client, "revokeSession", sessionId=edge["node"]["id"])) == []
    assert (await client.run("{ viewer { id } }")).status == 401


# ---------------------------------------------------------------- platform roles


async def change(database: "PostgresDatabase", actor: MemberId, member: MemberId, role: PlatformRole) -> Any:
    return await administration.change_role(database, member, role, actor_id=actor, reason=REASON, request_id="r1")


async def test_admins_are_made_and_unmade_and_the_last_one_stays(database: "PostgresDatabase") -> None:
    root, bob = await make_member(database, "Root", role=ADMIN), await make_member(database, "Bob")
    with pytest.raises(LastAdmin):
        await change(database, root, root, MEMBER)
    with pytest.raises(Forbidden):
        await change(database, bob, bob, ADMIN)
    with pytest.raises(NotFound):
        await change(database, root, MemberId(new_id()), ADMIN)
    assert (await change(database, root, root, ADMIN)).platform_role is ADMIN

    assert (await change(database, root, bob, ADMIN)).platform_role is ADMIN
    assert await members.platform_role(database, bob) is ADMIN
    assert (await change(database, bob, root, MEMBER)).platform_role is MEMBER
    with pytest.raises(Forbidden):
        await change(database, root, bob, MEMBER)

    async with database.read() as connection:
        rows = list(await connection.execute(select(audit_log).order_by(audit_log.c.id)))
    assert [(row.action, row.actor_id, row.subject_id, row.reason, row.before, row.after) for row in rows] == [
        ("changePlatformRole", root, bob, REASON, {"platformRole": "MEMBER"}, {"platformRole": "ADMIN"}),
        ("changePlatformRole", bob, root, REASON, {"platformRole": "ADMIN"}, {"platformRole": "MEMBER"}),
    ]


async def test_of_two_who_unmake_each_other_one_stays(database: "PostgresDatabase") -> None:
    one, other = [await make_member(database, name, role=ADMIN) for name in ("One", "Other")]
    for _ in range(5):
        both = [change(database, one, other, MEMBER), change(database, other, one, MEMBER)]
        answers = await asyncio.gather(*both, return_exceptions=True)
        assert [type(answer) for answer in answers if isinstance(answer, DomainError)] == [Forbidden]
        roles = {member: await members.platform_role(database, member) for member in (one, other)}
        (left,) = [member for member, role in roles.items() if role is ADMIN]
        await change(database, left, other if left == one else one, ADMIN)


async def test_members_are_listed_and_searched_by_admins(api: Api) -> None:
    world = await make_world(api)
    await make_member(api.database, "ROOTED", email="r%@example.org")
    async with api.database.begin() as connection:
        erased = {"erased_at": func.now(), "email": None, "nick_name": "Former member"}
        await connection.execute(update(members_table).where(members_table.c.id == world.eve).values(erased))
    root = await world.client(world.root)

    async def names(**variables: Any) -> list[str]:
        page = (await root.operation("adminMembers", **variables)).data["admin"]["members"]
        return [edge["node"]["member"]["nickName"] for edge in page["edges"]]

    assert await names() == ["Ana", "Bob", "ROOTED", "Root", "Vic"]
    assert await names(search="roo") == ["ROOTED", "Root"]
    assert await names(search="BOB@example.org") == ["Bob"]
    assert [await names(search=each) for each in ("%", "o", "bob@", "eve")] == [[]] * 4
    page = (await root.operation("adminMembers", first=2)).data["admin"]["members"]
    assert await names(after=page["pageInfo"]["endCursor"]) == ["ROOTED", "Root", "Vic"]
    assert (await root.operation("adminMembers", search="a\u0000")).codes == ["INVALID_INPUT"]
    assert "example.org" not in str(page)
    with recorded_statements(api.database) as statements:
        await names()
    assert len(statements) <= 3, statements


async def test_a_role_over_the_api(api: Api) -> None:
    world = await make_world(api)
    root = await world.client(world.root)
    bob = id_of("Member", world.bob)
    made = await run(root, "changePlatformRole", memberId=bob, role="ADMIN", reason=REASON)
    assert (made["adminMember"]["platformRole"], made["adminMember"]["member"]["id"]) == ("ADMIN", bob)
    own = await run(root, "changePlatformRole", memberId=id_of("Member", world.root), role="MEMBER", reason=REASON)
    assert own["adminMember"]["platformRole"] == "MEMBER"
    # Lost at once.
    again = await run(root, "changePlatformRole", memberId=bob, role="MEMBER", reason=REASON)
    assert errors(again) == [("FORBIDDEN", None)]
    last = await run(await world.client(world.bob), "changePlatformRole", memberId=bob, role="MEMBER", reason=REASON)
    assert errors(last) == [("LAST_ADMIN", ["memberId"])]
