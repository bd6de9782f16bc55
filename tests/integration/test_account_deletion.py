"""Deleting an account: who may, what goes at once, who is refused, and what others see."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select, update
from websockets.exceptions import ConnectionClosed

from domain.audit.tables import audit_log
from domain.clock import utc_now
from domain.errors import DomainError, NotFound, Refused, Unauthenticated
from domain.execution.exports import file_key
from domain.execution.model import Operation
from domain.execution.tables import executions
from domain.guess.tables import guess_revisions, tournament_members
from domain.ids import ExecutionId, MemberId
from domain.leaderboard.export.model import ExportFormat, Wanted
from domain.leaderboard.export.service import export_leaderboard, request_export
from domain.leaderboard.model import BoardKey
from domain.leaderboard.service import Boards
from domain.league import service as leagues
from domain.league.membership import service as memberships
from domain.league.tables import league_members
from domain.league.tables import leagues as leagues_table
from domain.member import service as members
from domain.member.erasure.service import delete_account
from domain.member.erasure.work import erase_member
from domain.member.model import FORMER_MEMBER, PlatformRole
from domain.member.tables import members as members_table
from domain.member.tables import sessions
from domain.tournament import service as tournaments
from integrations.object_store.folder import FolderStore
from tests.support.api import PASSWORD, Api, open_stream, served
from tests.support.api_world import CODE, begin_session, make_world
from tests.support.erasure import KEEP, REMOVE, delete, erase, left_to_do
from tests.support.executions import read_one, until
from tests.support.football import make_league, make_member, make_members, make_tournament
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.settlement import claim, finish, work
from tests.support.statements import until_one_waits

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

MEMBER = "query ($id: ID!) { node(id: $id) { ... on Member { nickName } } }"
GUESSES = "query ($id: ID!) { match(id: $id) { guesses { edges { node { member { nickName } } } } } }"
MODES = ("KEEP_ANONYMOUS", "REMOVE_FROM_BOARDS")


async def ask(client: GraphQLClient, name: str, mode: str = MODES[0]) -> dict[str, Any]:
    answer = await client.operation("deleteAccount", input={"erasure": mode, "confirmNickName": name})
    payload: dict[str, Any] = answer.data["deleteAccount"]
    return payload


def errors(payload: dict[str, Any]) -> list[tuple[str, list[str] | None]]:
    return [(error["code"], error["field"]) for error in payload["errors"]]


async def the_rest(api: Api) -> None:
    """What a worker does of it."""
    files = FolderStore(api.settings.data / "files")
    await work(api.database, lambda run: erase_member(run, files), await left_to_do(api.database))


# ---------------------------------------------------------------- what goes


@pytest.mark.parametrize("mode", MODES)
async def test_what_names_the_member_goes_at_once_and_the_sessions_with_it(api: Api, mode: str) -> None:
    bob = await api.sign_up("Bob")
    cookie = api.client()
    variables = {"email": "bob@example.org", "password": PASSWORD}
    other = api.client(
        (await cookie.operation("signIn", input=variables | {"delivery": "TOKEN"})).data["signIn"]["token"]
    )
    assert (await bob.operation("updateProfile", input={"timeZone": "Europe/Lisbon"})).data["updateProfile"]["viewer"]

    deleted = await ask(bob, "  Bob ", mode)

    async with api.database.read() as connection:
        (row,) = await connection.execute(select(members_table))
        live = (await connection.execute(select(func.count()).select_from(sessions))).scalar_one()
        log = list(await connection.execute(select(audit_log).order_by(audit_log.c.id)))
    assert (deleted["deletedMemberId"], deleted["errors"]) == (id_of("Member", row.id), [])
    assert (row.nick_name, row.email, row.email_confirmed_at, row.password_hash) == (FORMER_MEMBER, None, None, None)
    assert (row.time_zone, row.platform_role, row.erased_at is None, live) == ("UTC", "MEMBER", False, 0)
    assert (log[-1].action, log[-1].actor_id, log[-1].after) == ("deleteAccount", row.id, {"erasure": mode})
    assert "Bob" not in str([(entry.before, entry.after, entry.reason) for entry in log])
    # Neither token is anybody's, the password opens nothing, and the address makes a new account.
    for client in (bob, other):
        assert (await client.run("{ viewer { id } }")).status == 401
        second = await client.run(
            'mutation { deleteAccount(input: {erasure: KEEP_ANONYMOUS, confirmNickName: "Bob"}) { errors { code } } }'
        )
        assert second.codes == ["UNAUTHENTICATED"]
    refused = (await cookie.operation("signIn", input=variables)).data["signIn"]
    assert errors(refused) == [("INVALID_CREDENTIALS", None)]
    again = await api.sign_up("Bob")
    found = (await again.run("{ viewer { member { id nickName } } }")).data["viewer"]["member"]
    assert found["nickName"] == "Bob"
    assert found["id"] != id_of("Member", row.id)


async def test_sockets_of_the_member_close(api: Api) -> None:
    world = await make_world(api)
    token = await begin_session(api, world.bob)
    async with served(api) as address, open_stream(address, token) as stream, open_stream(address) as others:
        assert errors(await ask(await world.client(world.bob), "Bob")) == []
        with pytest.raises(ConnectionClosed) as closed:
            await stream.receive(5)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4401
        assert await others.is_answered()


async def test_others_see_a_former_member_or_nobody(api: Api) -> None:
    world = await make_world(api)
    for member, name, mode in ((world.bob, "Bob", MODES[0]), (world.vic, "Vic", MODES[1])):
        assert errors(await ask(await world.client(member), name, mode)) == []
        await the_rest(api)
    ana, root = await world.client(world.ana), await world.client(world.root)

    shown = await ana.run(MEMBER, {"id": id_of("Member", world.bob)})
    assert shown.data["node"]["nickName"] == FORMER_MEMBER
    roster = await ana.operation("league", id=world.league_id)
    names = {edge["node"]["member"]["nickName"] for edge in roster.data["league"]["members"]["edges"]}
    assert names == {"Ana", FORMER_MEMBER}
    board = await ana.operation("tournamentLeaderboard", id=world.tournament_id)
    rows = [edge["node"] for edge in board.data["tournament"]["leaderboard"]["rows"]["edges"]]
    assert [row["member"]["nickName"] for row in rows] == ["Ana", FORMER_MEMBER]
    guessed = (await ana.run(GUESSES, {"id": id_of("Match", world.settled)})).data["match"]["guesses"]["edges"]
    assert {edge["node"]["member"]["nickName"] for edge in guessed} == {"Ana", FORMER_MEMBER}
    for search in ("Bob", "Former", "bob@example.org"):
        found = (await root.operation("adminMembers", search=search)).data["admin"]["members"]["edges"]
        assert found == []
    made = await root.operation(
        "changePlatformRole", input={"memberId": id_of("Member", world.bob), "role": "ADMIN", "reason": "to be sure"}
    )
    assert errors(made.data["changePlatformRole"]) == [("NOT_FOUND", ["memberId"])]
    audited = (await root.operation("adminAuditLog")).data["admin"]["auditLog"]["edges"]
    acts = [entry["node"] for entry in audited if entry["node"]["action"] == "deleteAccount"]
    assert [act["actor"]["nickName"] for act in acts] == [FORMER_MEMBER] * 2
    assert (await root.operation("adminExecutions")).data["admin"]["executions"]["edges"]


async def test_files_of_the_member_go_and_what_waits_to_be_written_is_cancelled(api: Api) -> None:
    world = await make_world(api)
    files, boards = FolderStore(api.settings.data / "files"), Boards(api.database, None, utc_now)
    keys: dict[MemberId, str] = {}
    for member in (world.ana, world.bob):
        client = await world.client(member)
        for kind in ("CSV", "JSON"):
            board = {"board": {"leagueId": world.league_id}, "format": kind}
            assert errors((await client.operation("exportLeaderboard", input=board)).data["exportLeaderboard"]) == []
            if kind == "CSV":
                async with api.database.read() as connection:
                    newest = select(executions.c.id).order_by(executions.c.queued_at.desc()).limit(1)
                    export_id = ExecutionId((await connection.execute(newest)).scalar_one())
                await work(api.database, lambda run: export_leaderboard(run, boards, files), export_id)
                keys[member] = file_key(export_id, 1, "csv")
    assert await files.get(keys[world.bob]) is not None

    assert errors(await ask(await world.client(world.bob), "Bob")) == []
    await the_rest(api)

    assert await files.get(keys[world.bob]) is None
    assert await files.get(keys[world.ana]) is not None
    async with api.database.read() as connection:
        states = await connection.execute(
            select(executions.c.actor_id, executions.c.params["ending"].astext, executions.c.state).where(
                executions.c.operation == Operation.EXPORT_LEADERBOARD
            )
        )
        assert {tuple(row) for row in states} == {
            (world.ana, "csv", "COMPLETED"),
            (world.ana, "json", "QUEUED"),
            (world.bob, "csv", "COMPLETED"),
            (world.bob, "json", "CANCELLED"),
        }


async def test_a_file_that_is_being_written_goes_with_its_member_and_none_is_begun(api: Api) -> None:
    world = await make_world(api)
    files, boards = FolderStore(api.settings.data / "files"), Boards(api.database, None, utc_now)
    wanted = Wanted(world.bob, BoardKey(None, world.tournament.id), None, True, ExportFormat.CSV)
    export = await request_export(api.database, wanted, request_id="test")
    run = await claim(api.database, export.id)
    assert errors(await ask(await world.client(world.bob), "Bob")) == []

    async def is_cancelled() -> bool:
        return (await read_one(api.database, export.id)).cancel_requested_at is not None

    erasing = asyncio.create_task(the_rest(api))
    await until(is_cancelled)
    await export_leaderboard(run, boards, files)  # by a worker that has not heard of it
    await finish(run)
    await erasing
    assert await files.get(file_key(export.id, 1, "csv")) is None
    with pytest.raises(Unauthenticated):  # whose request had been let in before
        await request_export(api.database, wanted, request_id="test")


# ---------------------------------------------------------------- who is refused


async def test_another_name_and_leagues_with_others_are_refused_together(api: Api) -> None:
    world = await make_world(api)
    ana = await world.client(world.ana)
    await make_league(api.database, "Alone", world.ana, plays=[world.tournament])

    payload = await ask(ana, "ana")

    assert payload["deletedMemberId"] is None
    assert errors(payload) == [("INVALID_INPUT", ["confirmNickName"]), ("LAST_ADMIN", None)]
    assert "Office" in payload["errors"][1]["message"]
    assert await members.read_account(api.database, world.ana) is not None
    transfer = {"leagueId": world.league_id, "memberId": id_of("Member", world.bob)}
    assert errors((await ana.operation("transferLeague", input=transfer)).data["transferLeague"]) == []
    assert errors(await ask(ana, "Ana")) == []
    async with api.database.read() as connection:
        rows = await connection.execute(select(leagues_table.c.name, leagues_table.c.deleted_at.is_(None)))
        assert dict(rows.tuples().all()) == {"Office": True, "Alone": False}
        last = select(audit_log.c.action).where(audit_log.c.actor_id == world.ana).order_by(audit_log.c.id)
        assert list((await connection.execute(last)).scalars()) == ["transferLeague", "deleteLeague", "deleteAccount"]


async def test_a_league_of_former_members_goes_with_its_founder_and_is_handed_to_none_of_them(
    database: "PostgresDatabase",
) -> None:
    ana, bob = await make_members(database, 2)
    league = await make_league(database, "Office", ana, members=[bob])
    await delete(database, bob, KEEP)
    with pytest.raises(NotFound):
        await memberships.transfer(database, ana, league, bob, "test")
    await delete_account(database, ana, KEEP, confirm_nick_name="Member 0", request_id="test")
    assert await leagues.read(database, ana, [league]) == {}


async def test_the_last_platform_admin_stays_and_of_two_at_once_one_does(database: "PostgresDatabase") -> None:
    admins = [await make_member(database, name, role=PlatformRole.ADMIN) for name in ("One", "Other")]
    both = [
        delete_account(database, admin, REMOVE, confirm_nick_name=name, request_id="test")
        for admin, name in zip(admins, ("One", "Other"), strict=True)
    ]
    answers = await asyncio.gather(*both, return_exceptions=True)
    (refused,) = [answer for answer in answers if isinstance(answer, DomainError)]
    assert isinstance(refused, Refused)
    assert [fault.code for fault in refused.faults] == ["LAST_ADMIN"]
    assert sorted([await members.platform_role(database, admin) or "" for admin in admins]) == ["", "ADMIN"]


async def test_asked_twice_at_once_it_is_done_once(database: "PostgresDatabase") -> None:
    bob = await make_member(database, "Bob", joins=[await make_tournament(database, matches=1)])
    twice = [delete_account(database, bob, REMOVE, confirm_nick_name="Bob", request_id="test") for _ in range(2)]
    answers = await asyncio.gather(*twice, return_exceptions=True)
    assert [type(answer) for answer in answers if answer is not None] == [Unauthenticated]
    async with database.read() as connection:
        assert len((await connection.execute(select(executions.c.id))).all()) == 1


# ---------------------------------------------------------------- what comes at the same time


async def test_what_was_on_its_way_with_the_session_brings_nothing_back(api: Api) -> None:
    """Each was let in by the session, and waits while the account is deleted."""
    world = await make_world(api)
    database, bob = api.database, await api.sign_up("Zoe")
    async with database.read() as connection:
        zoe = MemberId(
            (
                await connection.execute(select(members_table.c.id).where(members_table.c.nick_name == "Zoe"))
            ).scalar_one()
        )
    late = [
        lambda: tournaments.join(database, zoe, world.tournament.id, "test"),
        lambda: leagues.join(database, zoe, CODE, "test"),
        lambda: leagues.create(database, zoe, "Mine", None, [], "test"),
        lambda: members.sign_in(
            database,
            email="zoe@example.org",
            password=PASSWORD,
            user_agent=None,
            session_days=1,
            request_id="test",
        ),
    ]
    async with database.begin() as connection:
        row = select(members_table.c.id).where(members_table.c.id == zoe)
        await connection.execute(row.with_for_update(key_share=True))
        waiting = [asyncio.create_task(call()) for call in late]  # type: ignore[func-returns-value,arg-type,var-annotated]
        await until_one_waits(database, len(late))
        values = {"nick_name": FORMER_MEMBER, "email": None, "password_hash": None, "erased_at": func.now()}
        await connection.execute(update(members_table).where(members_table.c.id == zoe).values(values))
        await connection.execute(sessions.delete().where(sessions.c.member_id == zoe))

    answers = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(answer) for answer in answers] == [Unauthenticated] * len(late)
    async with database.read() as connection:
        for table in (tournament_members, league_members, sessions):
            of_member = select(func.count()).where(table.c.member_id == zoe)
            assert (await connection.execute(of_member)).scalar_one() == 0
    assert (await bob.run("{ viewer { id } }")).status == 401


async def test_saves_are_removed_of_erased_members_only(database: "PostgresDatabase", tmp_path: Path) -> None:
    world_of = await make_tournament(database, matches=1)
    ana, bob = await make_members(database, 2, joins=[world_of])
    async with database.begin() as connection:
        for member in (ana, bob):
            values = {"tournament_id": world_of.id, "match_id": world_of.matches[0], "member_id": member}
            rest = {"revision": 1, "home": 1, "away": 0, "saved_at": func.now(), "request_id": "test"}
            await connection.execute(guess_revisions.insert().values(**values, **rest))
    with pytest.raises(Exception, match="never changed or removed"):
        async with database.begin() as connection:
            await connection.execute(guess_revisions.delete().where(guess_revisions.c.member_id == bob))
    await erase(database, bob, REMOVE, FolderStore(tmp_path))
    async with database.read() as connection:
        assert list((await connection.execute(select(guess_revisions.c.member_id))).scalars()) == [ana]
    for change in (guess_revisions.update().values(home=2), guess_revisions.delete()):
        with pytest.raises(Exception, match="never changed or removed"):
            async with database.begin() as connection:
                await connection.execute(change)
