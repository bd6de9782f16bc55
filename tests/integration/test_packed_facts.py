"""All facts of a tournament as one value: of one moment, whether one connection reads them or two do."""

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import Integer, cast, func, text, update

from domain.leaderboard.facts import MOST_OF_A_FACT, read_copy, read_packed
from domain.leaderboard.fold import store as fold
from domain.leaderboard.packed import store as packed
from domain.leaderboard.rules import MAX_COUNTER
from domain.scoring.model import ScoreBasis
from domain.scoring.tables import FACTS
from domain.settlement.tables import member_scores
from tests.support.football import join, make_members, make_tournament
from tests.support.statements import recorded_statements

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

BASIS = ScoreBasis.AFTER_EXTRA_TIME


@pytest.mark.parametrize(("part_pages", "in_parts"), [(packed._PART_PAGES, False), (3, True), (1, True)])
async def test_facts_are_read_as_they_are(
    database: "PostgresDatabase", monkeypatch: pytest.MonkeyPatch, *, part_pages: int, in_parts: bool
) -> None:
    """Up to the most that one may be, and of no other tournament."""
    monkeypatch.setattr(packed, "_PART_PAGES", part_pages)
    made, other, empty = [await make_tournament(database, matches=1) for _ in range(3)]
    await make_members(database, 3, joins=[other])
    members = await make_members(database, 300, joins=[made])
    least = {"outcome": MAX_COUNTER - 500, "goal_difference": 1_000, "home_goals": 600, "away_goals": 700, "exact": 0}
    facts = {fact: least[fact] + cast(func.random() * 500, Integer) for fact in FACTS}
    async with database.begin() as connection:
        await connection.execute(update(member_scores).values(**facts))
    async with database.read() as connection:
        await connection.execute(text("VACUUM ANALYZE member_scores"))

    async with database.snapshot() as connection:
        wanted = read_copy(await fold.copy(connection, fold.present_facts(None, made.id, BASIS)))
        nobody = read_packed(await packed.packed_facts(database, connection, empty.id, BASIS))
        async with database.begin() as writing:  # after the moment, so nobody must see it
            await writing.execute(update(member_scores).values(exact=0))
        await join(database, made.id, await make_members(database, 5))
        with recorded_statements(database) as statements:
            found = read_packed(await packed.packed_facts(database, connection, made.id, BASIS))

    assert len(found[0]) == len(members)
    assert [each.tolist() for each in found] == [each.tolist() for each in wanted]
    assert [each.shape for each in nobody] == [(0,), (0, len(FACTS))]
    read = [statement for statement in statements if "string_agg" in statement]
    assert (len(read) > 1) is in_parts


# Each exact score is a goal difference, and that an outcome.
@pytest.mark.parametrize(
    "large", [FACTS[:1], FACTS[:2], ("outcome", "goal_difference", "exact"), FACTS[2:3], FACTS[3:4]]
)
async def test_a_fact_that_does_not_fit_is_refused_and_touches_no_other(
    database: "PostgresDatabase", large: tuple[str, ...]
) -> None:
    made = await make_tournament(database, matches=1)
    await make_members(database, 3, joins=[made])

    async def read(number: int) -> list[list[int]]:
        async with database.begin() as connection:
            await connection.execute(
                update(member_scores).values(dict.fromkeys(FACTS, 7) | dict.fromkeys(large, number))
            )
        async with database.snapshot() as connection:
            _, facts = read_packed(await packed.packed_facts(database, connection, made.id, BASIS))
        return [list(row) for row in facts.tolist()]

    most = min(most for name, most in zip(FACTS, MOST_OF_A_FACT, strict=True) if name in large)
    assert await read(most) == [[most if name in large else 7 for name in FACTS]] * 3
    for number in (most + 1, 65_536, 70_000, 2**31 - 1):
        with pytest.raises(OverflowError, match=r"A score of this board cannot be ranked\."):
            await read(number)


async def test_who_is_found_by_an_index_is_not_looked_for_in_every_part(
    database: "PostgresDatabase", monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a table that holds many others."""
    monkeypatch.setattr(packed, "_PART_PAGES", 1)
    made = await make_tournament(database, matches=1)
    members = await make_members(database, 3, joins=[made])
    others = text(
        "INSERT INTO member_scores (tournament_id, basis, member_id)"
        " SELECT gen_random_uuid(), :basis, gen_random_uuid() FROM generate_series(1, 20000)"
    )
    async with database.begin() as connection:
        await connection.execute(others, {"basis": BASIS})
    async with database.read() as connection:
        await connection.execute(text("VACUUM ANALYZE member_scores"))

    async with database.snapshot() as connection:
        with recorded_statements(database) as statements:
            found, _ = read_packed(await packed.packed_facts(database, connection, made.id, BASIS))

    assert len(found) == len(members)
    assert len([statement for statement in statements if "string_agg" in statement]) == 1
