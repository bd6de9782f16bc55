"""Rulesets: the presets, those on offer, and new versions beside the ones that never change."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import DBAPIError

from domain.audit.tables import audit_log
from domain.errors import Refused
from domain.ids import new_id
from domain.scoring import service
from domain.scoring.model import GuessFact, NewRuleset, Ruleset, ScoreBasis, Weights
from domain.scoring.tables import FACTS, rulesets
from runtime.database import PostgresDatabase
from tests.support.api_world import World
from tests.support.graphql_client import id_of

PRESETS = {
    "default": Weights(3, 0, 0, 0, 0),
    "exact-bonus": Weights(3, 0, 0, 0, 2),
    "kicktipp": Weights(2, 1, 0, 0, 1),
}
WANTED = NewRuleset("office", "Office", ScoreBasis.REGULATION, ((GuessFact.EXACT, 5), (GuessFact.OUTCOME, 1)))


async def create(database: PostgresDatabase, wanted: NewRuleset = WANTED, reason: str = "It is wanted.") -> Ruleset:
    return await service.create(database, wanted, actor_id=None, reason=reason, request_id="test")


async def test_a_new_installation_offers_the_presets(database: PostgresDatabase) -> None:
    found = await service.page_of_latest(database, first=10)

    assert {each.code: each.weights for each in found} == PRESETS
    assert [each.code for each in found] == sorted(PRESETS)
    assert {(each.version, each.basis) for each in found} == {(1, ScoreBasis.AFTER_EXTRA_TIME)}


async def test_a_code_that_is_there_gets_its_next_version_and_the_former_ones_stay(database: PostgresDatabase) -> None:
    first = await create(database)
    second = await create(database, NewRuleset("office", "Office, new", ScoreBasis.AFTER_EXTRA_TIME, ()))
    preset = await create(database, NewRuleset("kicktipp", "Kicktipp", ScoreBasis.AFTER_EXTRA_TIME, ()))

    assert (first.version, second.version, preset.version) == (1, 2, 2)
    assert (first.weights, second.weights) == (Weights(1, 0, 0, 0, 5), Weights(0, 0, 0, 0, 0))
    offered = {each.code: each for each in await service.page_of_latest(database, first=10)}
    assert (offered["office"], offered["kicktipp"]) == (second, preset)
    kept = await service.read_rulesets(database, [first.id])
    assert kept == {first.id: first}
    async with database.read() as connection:
        rows = await connection.execute(
            select(rulesets.c.outcome, rulesets.c.goal_difference, rulesets.c.exact).where(
                rulesets.c.code == "kicktipp", rulesets.c.version == 1
            )
        )
    assert rows.one() == (2, 1, 1)


async def test_versions_that_are_made_at_once_are_numbered_one_by_one(database: PostgresDatabase) -> None:
    made = await asyncio.gather(*(create(database) for _ in range(8)))

    assert sorted(each.version for each in made) == list(range(1, 9))


async def test_the_database_changes_no_ruleset_and_removes_none(database: PostgresDatabase) -> None:
    for change in (update(rulesets).values(outcome=9), delete(rulesets)):
        with pytest.raises(DBAPIError, match="rows of rulesets are never changed or removed"):
            async with database.begin() as connection:
                await connection.execute(change)


@pytest.mark.parametrize("weight", [-1, 101])
async def test_the_database_takes_no_weight_out_of_bounds(database: PostgresDatabase, weight: int) -> None:
    values = {"id": new_id(), "code": "mine", "version": 1, "label": "Mine", "basis": ScoreBasis.REGULATION}
    wrong = insert(rulesets).values(**values, **dict.fromkeys(FACTS, 0) | {"exact": weight})
    with pytest.raises(DBAPIError, match="ck_rulesets_weights"):
        async with database.begin() as connection:
            await connection.execute(wrong)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": ""}, ("code",)),
        ({"code": "Office"}, ("code",)),
        ({"code": "our office"}, ("code",)),
        ({"code": "büro"}, ("code",)),
        ({"code": "office\n"}, ("code",)),
        ({"code": "x" * 41}, ("code",)),
        ({"label": "  "}, ("label",)),
        ({"label": "x" * 61}, ("label",)),
        ({"label": "two\nlines"}, ("label",)),
        ({"points": ((GuessFact.EXACT, 101),)}, ("weights", "0", "points")),
        ({"points": ((GuessFact.EXACT, 0), (GuessFact.OUTCOME, -1))}, ("weights", "1", "points")),
        ({"points": ((GuessFact.EXACT, 1), (GuessFact.EXACT, 1))}, ("weights", "1", "fact")),
    ],
)
async def test_what_makes_no_sense_is_refused(
    database: PostgresDatabase, change: dict[str, Any], field: tuple[str, ...]
) -> None:
    values = {"code": WANTED.code, "label": WANTED.label, "basis": WANTED.basis, "points": WANTED.points, **change}

    with pytest.raises(Refused) as raised:
        await create(database, NewRuleset(**values))

    assert [(fault.code, fault.field) for fault in raised.value.faults] == [("INVALID_INPUT", field)]
    assert len(await service.page_of_latest(database, first=10)) == len(PRESETS)


async def test_all_faults_are_told_together(database: PostgresDatabase) -> None:
    points = tuple((fact, 200) for fact in [*GuessFact, GuessFact.EXACT])
    with pytest.raises(Refused) as raised:
        await create(database, NewRuleset("A B", "", ScoreBasis.REGULATION, points), reason="no")

    assert {fault.field for fault in raised.value.faults} == {
        ("code",),
        ("label",),
        ("weights",),
        ("weights", "5", "fact"),
        *(("weights", str(place), "points") for place in range(6)),
        ("reason",),
    }


@pytest.mark.parametrize("first", [1, 2, 3, 100])
async def test_walking_the_pages_gives_each_code_once(database: PostgresDatabase, first: int) -> None:
    for code in ("z9", "a-1", "9", "office", "office"):
        await create(database, NewRuleset(code, "One more", ScoreBasis.REGULATION, ()))

    found: list[Ruleset] = []
    after = None
    while True:
        page = await service.page_of_latest(database, first=first, after=after)
        found += page[:first]
        if len(page) <= first:
            break
        after = found[-1].code

    assert [each.code for each in found] == sorted([*PRESETS, "z9", "a-1", "9", "office"])


async def test_an_admin_adds_one_and_everyone_can_read_it(world: World) -> None:
    weights = [{"fact": "EXACT", "points": 5}, {"fact": "OUTCOME", "points": 1}]
    wanted = {"code": "office", "label": " Office ", "weights": weights, "reason": "The office wants it."}
    created = await (await world.client(world.root)).operation("createRuleset", input=wanted)
    made = created.data["createRuleset"]["ruleset"]
    nobody = await world.client(None)

    listed = (await nobody.operation("rulesets", first=2)).data["rulesets"]
    rest = (await nobody.operation("rulesets", after=listed["pageInfo"]["endCursor"])).data["rulesets"]
    again = await nobody.run(
        "query ($id: ID!) { node(id: $id) { id ... on Ruleset { code version } } }", {"id": made["id"]}
    )

    assert created.data["createRuleset"]["errors"] == []
    assert (made["code"], made["version"], made["label"]) == ("office", 1, "Office")
    assert made["scoreBasis"] == "AFTER_EXTRA_TIME"
    assert [(each["fact"], each["points"]) for each in made["weights"]] == [
        ("OUTCOME", 1),
        ("GOAL_DIFFERENCE", 0),
        ("HOME_GOALS", 0),
        ("AWAY_GOALS", 0),
        ("EXACT", 5),
    ]
    edges = listed["edges"] + rest["edges"]
    assert [edge["node"]["code"] for edge in edges] == ["default", "exact-bonus", "kicktipp", "office"]
    assert edges[-1]["node"] == made
    assert (listed["pageInfo"]["hasNextPage"], rest["pageInfo"]["hasNextPage"]) == (True, False)
    assert again.data["node"] == {"id": made["id"], "code": "office", "version": 1}


async def test_a_new_version_is_audited_with_the_one_before_it(world: World) -> None:
    client = await world.client(world.root)
    for points in (5, 6):
        wanted = {"code": "office", "label": "Office", "weights": [{"fact": "EXACT", "points": points}]}
        await client.operation("createRuleset", input={**wanted, "scoreBasis": "REGULATION", "reason": "As agreed."})

    async with world.api.database.read() as connection:
        lines = (await connection.execute(select(audit_log).order_by(audit_log.c.id.desc()).limit(2))).all()

    after = {"code": "office", "version": 2, "label": "Office", "scoreBasis": "REGULATION"}
    weights = dict.fromkeys((fact.value for fact in GuessFact), 0)
    assert lines[0].after == {**after, "weights": {**weights, "EXACT": 6}}
    assert lines[0].before == lines[1].after == {**after, "version": 1, "weights": {**weights, "EXACT": 5}}
    assert lines[1].before is None
    assert (lines[0].action, lines[0].actor_id, lines[0].reason) == ("createRuleset", world.root, "As agreed.")


async def test_faults_come_with_the_place_in_the_input(world: World) -> None:
    weights = [{"fact": "EXACT", "points": 5}, {"fact": "EXACT", "points": 101}]
    wanted = {"code": "Office", "label": "Office", "weights": weights, "reason": "As agreed."}

    payload = (await (await world.client(world.root)).operation("createRuleset", input=wanted)).data["createRuleset"]

    assert payload["ruleset"] is None
    assert [(error["code"], error["field"]) for error in payload["errors"]] == [
        ("INVALID_INPUT", ["code"]),
        ("INVALID_INPUT", ["weights", "1", "fact"]),
        ("INVALID_INPUT", ["weights", "1", "points"]),
    ]


@pytest.mark.parametrize("after", ["nonsense", id_of("Ruleset", "x")])
async def test_a_cursor_of_another_list_is_refused(world: World, after: str) -> None:
    answer = await (await world.client(None)).operation("rulesets", after=after)

    assert answer.codes == ["INVALID_INPUT"]


async def test_a_tournament_is_not_begun_under_a_ruleset_that_there_is_not(world: World) -> None:
    client = await world.client(world.root)
    source = {"provider": "OPENFOOTBALL", "competition": "en.1", "season": "2024-25"}

    def wanted(ruleset: str) -> dict[str, Any]:
        operation = {"ingestTournament": {"source": source, "rulesetId": ruleset}}
        return {"operation": operation, "reason": "A new season."}

    (offered, *_) = await service.page_of_latest(world.api.database, first=1)
    for ruleset in (id_of("Ruleset", new_id()), "nonsense", world.tournament_id):
        field = ["operation", "ingestTournament", "rulesetId"]
        run = (await client.operation("runOperation", input=wanted(ruleset))).data["runOperation"]
        assert [(error["code"], error["field"]) for error in run["errors"]] == [("NOT_FOUND", field)]
        schedule = {"name": "Mine", "cron": "0 4 * * *", **wanted(ruleset)}
        made = (await client.operation("createSchedule", input=schedule)).data["createSchedule"]
        assert [(error["code"], error["field"]) for error in made["errors"]] == [("NOT_FOUND", field)]
    known = (await client.operation("runOperation", input=wanted(id_of("Ruleset", offered.id)))).data["runOperation"]
    assert known["errors"] == []
    assert known["execution"]["state"] == "QUEUED"
