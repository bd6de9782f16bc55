"""`palpite projection verify` and `rebuild`, as they are typed: what they print, their exit codes, what they change."""

import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from redis.asyncio import Redis
from sqlalchemy import update

from domain.ids import new_id
from domain.settlement.tables import member_scores
from domain.tournament.model import TournamentStatus
from domain.tournament.service import read_tournaments
from domain.tournament.tables import tournaments
from integrations.valkey.layout import key
from schema.ids import encode
from tests.support.corrections import spoil_member
from tests.support.football import make_tournament
from tests.support.forked import run_forked
from tests.support.settled import settle_one

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase


pytestmark = pytest.mark.timeout(400)


async def run(command: str, urls: tuple[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    database_url, redis_url = urls
    return await run_forked("projection", command, *arguments, DATABASE_URL=database_url, REDIS_URL=redis_url)


async def test_what_is_missing_is_told_written_and_then_the_same(
    database: "PostgresDatabase", database_url: str, valkey: Redis, valkey_url: str
) -> None:
    urls = (database_url, valkey_url)
    nothing = await run("verify", urls)
    one, _ = await settle_one(database, "One")
    await make_tournament(database, matches=1, label="Over", status=TournamentStatus.COMPLETED)

    missing = await run("verify", urls)
    assert await valkey.keys("*") == []
    written = await run("rebuild", urls, "--json")
    same = await run("verify", urls)

    assert (nothing.returncode, nothing.stdout.strip()) == (
        0,
        "No tournament is in play, and none that is over has a board in Valkey. Any is named by --tournament ID.",
    )
    assert missing.returncode == 1
    assert missing.stdout.split() == ["TOURNAMENT", "WHERE", "PROBLEM", "One", "2026/27", "PROJECTION", "is", "missing"]
    version = (await read_tournaments(database, [one]))[one].board_version
    wanted = {"tournamentId": str(one), "tournament": "One 2026/27", "version": version, "problem": None}
    assert json.loads(written.stdout) == [wanted]
    assert (same.returncode, same.stdout.strip()) == (0, "1 tournaments, all the same.")


async def test_scores_and_projection_are_told_apart(
    database: "PostgresDatabase", database_url: str, valkey: Redis, valkey_url: str
) -> None:
    urls = (database_url, valkey_url)
    good, _ = await settle_one(database, "Good")
    bad, member_id = await settle_one(database, "Bad")
    assert (await run("rebuild", urls)).returncode == 0
    await spoil_member(database, bad, member_id)
    await valkey.set(key(good, "facts"), b"nonsense")

    told = await run("verify", urls, "--json")
    rebuilt = await run("rebuild", urls, "--tournament", str(good))
    after = await run("verify", urls, "--tournament", encode("Tournament", good), "--json")

    assert (told.returncode, rebuilt.returncode, after.returncode) == (1, 0, 0)
    found = {row["tournament"]: row["problems"] for row in json.loads(told.stdout)}
    assert [problem["where"] for problem in found["Bad 2026/27"]] == ["LEDGER", "SCORES", "PROJECTION"]
    assert str(member_id) in found["Bad 2026/27"][1]["problem"]
    assert found["Good 2026/27"] == [{"where": "PROJECTION", "problem": "differs in facts"}]
    assert json.loads(after.stdout) == [{"tournamentId": str(good), "tournament": "Good 2026/27", "problems": []}]


@pytest.mark.parametrize("number", [3_000, 40_000])
async def test_a_board_that_cannot_be_ranked_is_told_and_the_others_are_written(
    database: "PostgresDatabase", database_url: str, valkey_url: str, number: int
) -> None:
    urls = (database_url, valkey_url)
    made = [(await settle_one(database, label))[0] for label in ("A", "B", "C")]
    assert (await run("rebuild", urls)).returncode == 0
    before = await read_tournaments(database, made)
    async with database.begin() as connection:
        spoiled = update(member_scores).where(member_scores.c.tournament_id == made[1])
        await connection.execute(spoiled.values(exact=number, goal_difference=number, outcome=number))
        over = update(tournaments).where(tournaments.c.id == made[2])  # its board stays in Valkey
        await connection.execute(over.values(status=TournamentStatus.COMPLETED))

    told = await run("verify", urls, "--json")
    rebuilt = await run("rebuild", urls, "--json")
    shown = await run("rebuild", urls, "--tournament", str(made[1]))

    assert [told.returncode, rebuilt.returncode, shown.returncode] == [1, 1, 1]
    problems = {row["tournament"]: row["problems"] for row in json.loads(told.stdout)}
    assert (problems["A 2026/27"], problems["C 2026/27"]) == ([], [])
    cannot = "A score of this board cannot be ranked."
    assert problems["B 2026/27"][-1] == {"where": "PROJECTION", "problem": cannot}
    written = {row["tournament"]: (row["version"], row["problem"]) for row in json.loads(rebuilt.stdout)}
    assert written == {
        "A 2026/27": (before[made[0]].board_version + 1, None),
        "B 2026/27": (None, cannot),
        "C 2026/27": (before[made[2]].board_version + 1, None),
    }
    assert shown.stdout.split() == ["TOURNAMENT", "VERSION", "PROBLEM", "B", "2026/27", *cannot.split()]


async def test_what_cannot_be_done_is_one_line_with_exit_code_2(database_url: str, valkey_url: str) -> None:
    urls = (database_url, valkey_url)
    nonsense = await run("verify", urls, "--tournament", "nonsense")
    unknown = await run("rebuild", urls, "--tournament", str(new_id()))
    nowhere = await run("verify", (database_url, "redis://127.0.0.1:1/0"))

    for refused in (nonsense, unknown, nowhere):
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith("palpite: ")
        assert len(refused.stderr.strip().splitlines()) == 1
    assert unknown.stderr.strip() == "palpite: There is no such tournament."
