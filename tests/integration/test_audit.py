"""The audit log read back: its order, filters and pages; and that the database itself lets nobody change it."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import asyncpg
import orjson
import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import DBAPIError

from domain.audit import service as audit
from domain.audit.model import Act, AuditFilter, Subject
from domain.audit.tables import audit_log
from domain.ids import ExecutionId, MemberId, new_id
from domain.member.model import PlatformRole
from runtime.database_url import parse_database_url
from tests.support.api import Api
from tests.support.api_world import World, begin_session, make_world
from tests.support.executions import queue
from tests.support.football import make_member, make_members
from tests.support.graphql_client import GraphQLClient, id_of
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

START = datetime(2026, 1, 1, tzinfo=UTC)
FORGERY = """
INSERT INTO audit_log (id, actor_kind, action, request_id) OVERRIDING SYSTEM VALUE
SELECT id, actor_kind, action, request_id FROM audit_log ON CONFLICT (id) DO UPDATE SET action = 'forged'
"""


async def _add(database: "PostgresDatabase", *lines: dict[str, Any]) -> list[int]:
    """Lines as they may stand in the log, with instants of the test; their ids."""
    always = {"actor_kind": "SYSTEM", "action": "tested", "request_id": "r"}
    async with database.begin() as connection:
        return [
            (
                await connection.execute(insert(audit_log).values({**always, **line}).returning(audit_log.c.id))
            ).scalar_one()
            for line in lines
        ]


async def _ids(database: "PostgresDatabase", wanted: AuditFilter | None = None) -> list[int]:
    return [entry.id for entry in await audit.page(database, wanted or AuditFilter(), first=100, after=None)]


async def _admin(api: Api) -> GraphQLClient:
    root = await make_member(api.database, "Root", role=PlatformRole.ADMIN)
    return api.client(await begin_session(api, root))


# ---------------------------------------------------------------- the domain


async def test_the_latest_comes_first_and_equal_instants_have_an_order(database: "PostgresDatabase") -> None:
    late, early, same_a, same_b = await _add(
        database,
        {"at": START + timedelta(hours=2)},
        {"at": START},
        {"at": START + timedelta(hours=1)},
        {"at": START + timedelta(hours=1)},
    )

    assert await _ids(database) == [late, same_b, same_a, early]


async def test_pages_walk_every_entry_once_also_where_instants_are_equal(database: "PostgresDatabase") -> None:
    await _add(database, *({"at": START + timedelta(seconds=number // 4)} for number in range(10)))
    walked: list[int] = []
    after = None
    while True:
        entries = await audit.page(database, AuditFilter(), first=3, after=after)
        walked += [entry.id for entry in entries[:3]]
        if len(entries) <= 3:
            break
        after = (entries[2].at, entries[2].id)

    assert walked == await _ids(database)
    assert len(set(walked)) == 10


async def test_filters_hold_together(database: "PostgresDatabase") -> None:
    ana, bob = await make_members(database, 2)
    subject = new_id()
    of_ana = {"actor_id": ana, "actor_kind": "MEMBER"}
    first, second, third, fourth = await _add(
        database,
        {"at": START, "action": "one", "subject_kind": "MATCH", "subject_id": subject, **of_ana},
        {"at": START + timedelta(hours=1), "action": "two", "subject_kind": "MATCH", "subject_id": subject},
        {"at": START + timedelta(hours=2), "action": "two", "actor_id": bob, "actor_kind": "MEMBER"},
        {"at": START + timedelta(hours=3), "action": "three", **of_ana},
    )
    mine = Subject("MATCH", subject)

    assert await _ids(database, AuditFilter(actor_id=ana)) == [fourth, first]
    assert await _ids(database, AuditFilter(subject=mine)) == [second, first]
    assert await _ids(database, AuditFilter(subject=Subject("ROUND", subject))) == []
    assert await _ids(database, AuditFilter(actions=("two", "three"))) == [fourth, third, second]
    assert await _ids(database, AuditFilter(since=START + timedelta(hours=1))) == [fourth, third, second]
    assert await _ids(database, AuditFilter(before=START + timedelta(hours=1))) == [first]
    assert await _ids(database, AuditFilter(ana, mine, ("one",), START, START + timedelta(seconds=1))) == [first]
    assert await _ids(database, AuditFilter(bob, mine)) == []


async def test_an_entry_says_all_that_was_recorded(database: "PostgresDatabase") -> None:
    (ana,) = await make_members(database, 1)
    execution_id = (await queue(database)).execution.id
    act = Act(
        "tested",
        ana,
        "request-7",
        subject_kind="EXECUTION",
        subject_id=execution_id,
        reason="because",
        execution_id=execution_id,
        before={"a": 1},
        after={"b": [2]},
    )
    async with database.begin() as connection:
        await audit.record(connection, act)

    (entry,) = await audit.page(database, AuditFilter(), first=10, after=None)
    assert (entry.action, entry.actor_id, entry.request_id, entry.reason) == ("tested", ana, "request-7", "because")
    assert (entry.subject_kind, entry.subject_id, entry.execution_id) == ("EXECUTION", execution_id, execution_id)
    assert (entry.before, entry.after) == ({"a": 1}, {"b": [2]})
    assert await audit.read_entries(database, [entry.id, entry.id + 1]) == {entry.id: entry}


# ---------------------------------------------------------------- append-only


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_log SET reason = 'x'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "TRUNCATE audit_log RESTART IDENTITY CASCADE",
        "TRUNCATE members CASCADE",
        FORGERY,
    ],
)
async def test_the_database_refuses_every_change(database: "PostgresDatabase", statement: str) -> None:
    await _add(database, {"reason": "kept"})

    with pytest.raises(DBAPIError, match=r"rows of \w+ are never changed or removed"):
        async with database.begin() as connection:
            await connection.execute(text(statement))
    async with database.read() as connection:
        assert (await connection.execute(select(audit_log.c.reason))).scalars().all() == ["kept"]


async def test_the_owner_of_the_table_is_refused_too(database: "PostgresDatabase", database_url: str) -> None:
    """A role that may do anything with the table, as the one that runs the migrations does."""
    await _add(database, {})
    connection = await asyncpg.connect(**parse_database_url(database_url).raw_arguments())
    try:
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("CREATE ROLE palpite_owner NOSUPERUSER")
        await connection.execute("GRANT USAGE, CREATE ON SCHEMA public TO palpite_owner")
        await connection.execute("ALTER TABLE audit_log OWNER TO palpite_owner")
        await connection.execute("SET LOCAL ROLE palpite_owner")
        for statement in ("UPDATE audit_log SET reason = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"):
            with pytest.raises(asyncpg.RaiseError, match="never changed or removed"):
                async with connection.transaction():
                    await connection.execute(statement)
        await transaction.rollback()
    finally:
        await connection.close()


# ---------------------------------------------------------------- the API


async def _log_of_many_kinds(world: World, times: int) -> None:
    """Acts of several people on everything that an act may be done to."""
    database, cup = world.api.database, world.tournament
    subjects: list[tuple[str | None, Any]] = [
        ("MEMBER", world.ana),
        ("TOURNAMENT", cup.id),
        ("ROUND", cup.rounds[0]),
        ("MATCH", world.open),
        ("LEAGUE", world.league),
        ("MEMBER", new_id()),
        (None, None),
    ]
    actors: list[MemberId | None] = [world.ana, world.bob, None]
    execution_id: ExecutionId = (await queue(database)).execution.id
    async with database.begin() as connection:
        for number in range(times):
            kind, subject_id = subjects[number % len(subjects)]
            act = Act(
                "tested",
                actors[number % len(actors)],
                "r",
                subject_kind=kind,
                subject_id=subject_id,
                execution_id=execution_id if number % 2 else None,
                system=True,
            )
            await audit.record(connection, act)


@pytest.mark.parametrize("times", [14, 100])
async def test_the_operation_takes_a_fixed_number_of_statements(api: Api, times: int) -> None:
    world = await make_world(api)
    await _log_of_many_kinds(world, times)
    client = await world.client(world.root)

    with recorded_statements(api.database) as statements:
        answer = await client.operation("adminAuditLog", first=times)

    nodes = [edge["node"] for edge in answer.data["admin"]["auditLog"]["edges"]]
    assert len(nodes) == times
    # Session with the role, page; members, tournaments, rounds, matches, executions: each kind of object once.
    assert len(set(statements)) == 7, "\n".join(statements)
    assert len(statements) == 7


async def test_subjects_are_shown_but_leagues_and_what_is_gone(api: Api) -> None:
    world = await make_world(api)
    await _log_of_many_kinds(world, 7)
    client = await world.client(world.root)

    answer = await client.operation("adminAuditLog", first=7, filter={"actions": ["tested"]})

    found = [edge["node"]["subject"] for edge in answer.data["admin"]["auditLog"]["edges"]]
    assert found == [
        None,
        None,
        None,
        {"__typename": "Match", "id": id_of("Match", world.open)},
        {"__typename": "Round", "id": id_of("Round", world.tournament.rounds[0])},
        {"__typename": "Tournament", "id": world.tournament_id},
        {"__typename": "Member", "id": id_of("Member", world.ana)},
    ]


async def test_the_operation_shows_a_command_with_everything_about_it(api: Api) -> None:
    client = await _admin(api)
    ran = await client.operation("runOperation", input={"operation": {"settlePending": {}}, "reason": "to be sure"})

    answer = await client.operation("adminAuditLog")

    (edge,) = answer.data["admin"]["auditLog"]["edges"]
    node = edge["node"]
    execution = ran.data["runOperation"]["execution"]
    assert node["action"] == "runOperation"
    assert node["reason"] == "to be sure"
    assert node["requestId"] == ran.extensions["requestId"]
    assert node["actor"]["nickName"] == "Root"
    assert node["subject"] == {"__typename": "Execution", "id": execution["id"]}
    assert node["execution"] == {"id": execution["id"], "operation": "SETTLE_PENDING", "state": "QUEUED"}
    assert node["before"] is None
    assert orjson.loads(node["after"]) == {"operation": "SETTLE_PENDING", "params": {}, "alreadyLive": False}
    by_id = await client.run(
        "query($id: ID!) { node(id: $id) { id ... on AuditEntry { action } } }", {"id": node["id"]}
    )
    assert by_id.data["node"] == {"id": node["id"], "action": "runOperation"}


async def test_filters_of_the_operation_take_ids_of_any_kind(api: Api) -> None:
    world = await make_world(api)
    await _log_of_many_kinds(world, 7)
    client = await world.client(world.root)

    async def count(**wanted: Any) -> int:
        answer = await client.operation("adminAuditLog", first=100, filter={"actions": ["tested"], **wanted})
        return len(answer.data["admin"]["auditLog"]["edges"])

    assert await count() == 7
    assert await count(subjectId=id_of("Match", world.open)) == 1
    assert await count(subjectId=id_of("League", world.league)) == 1
    assert await count(subjectId=id_of("Member", world.ana)) == 1
    assert await count(subjectId=id_of("Viewer", world.ana)) == 1
    assert await count(subjectId=id_of("AdminMember", world.ana)) == 1
    assert await count(subjectId=id_of("Round", world.open)) == 0
    assert await count(actorId=id_of("Member", world.ana)) == 3
    assert await count(since="2100-01-01T00:00:00Z") == 0
    assert await count(before="2000-01-01T00:00:00Z") == 0
    assert await count(actions=["other"]) == 0
    assert await count(actions=[]) == 7


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        ({"subjectId": "nonsense"}, ["filter", "subjectId"]),
        ({"subjectId": id_of("Match", "not-a-uuid")}, ["filter", "subjectId"]),
        ({"actorId": id_of("Match", new_id())}, ["filter", "actorId"]),
    ],
)
async def test_an_id_that_is_none_is_refused(api: Api, wanted: dict[str, str], field: list[str]) -> None:
    answer = await (await _admin(api)).operation("adminAuditLog", filter=wanted)

    assert answer.codes == ["NOT_FOUND"]
    assert answer.errors[0]["extensions"]["field"] == field


@pytest.mark.parametrize("also", [0, 100], ids=["of all acts", "of a hundred acts"])
async def test_pages_follow_their_cursors_and_no_others(api: Api, also: int) -> None:
    await _add(api.database, *({"at": START + timedelta(seconds=number // 2)} for number in range(5)))
    client = await _admin(api)
    wanted = {"actions": ["tested", *(f"anActWithALongName{number}" for number in range(also))]} if also else None
    seen: list[str] = []
    after = None
    while True:
        answer = await client.operation("adminAuditLog", first=2, after=after, filter=wanted)
        log = answer.data["admin"]["auditLog"]
        seen += [edge["node"]["id"] for edge in log["edges"]]
        assert log["pageInfo"]["hasPreviousPage"] is (after is not None)
        if not log["pageInfo"]["hasNextPage"]:
            break
        after = log["pageInfo"]["endCursor"]

    assert len(seen) == len(set(seen)) == 5
    other = await client.operation("adminAuditLog", first=2, after=after, filter={"actions": ["tested"]})
    assert other.codes == ["INVALID_INPUT"]
    assert (await client.operation("adminAuditLog", first=101)).codes == ["INVALID_INPUT"]


async def test_others_may_not_read_it(api: Api) -> None:
    await _add(api.database, {})
    member = await api.sign_up("Eve")

    for client, code in ((member, "FORBIDDEN"), (api.client(), "UNAUTHENTICATED")):
        answer = await client.operation("adminAuditLog")
        assert answer.codes == [code]
        assert answer.body["data"] == {"admin": None}
        node = await client.run("query($id: ID!) { node(id: $id) { id } }", {"id": id_of("AuditEntry", 1)})
        assert node.data == {"node": None}
