"""`palpite settlement verify`, as it is typed: what it prints, and its exit codes."""

import json
import subprocess
from typing import TYPE_CHECKING

from domain.ids import new_id
from schema.ids import encode
from tests.support.corrections import spoil_member
from tests.support.forked import run_forked
from tests.support.settled import settle_one

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase


async def verify(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return await run_forked("settlement", "verify", *arguments, DATABASE_URL=url)


async def test_what_is_equal_is_said_with_exit_code_0(database: "PostgresDatabase", database_url: str) -> None:
    nothing = await verify(database_url)
    await settle_one(database, "One")
    equal = await verify(database_url)

    assert (nothing.returncode, nothing.stdout.strip()) == (0, "Nothing has been settled yet.")
    assert equal.returncode == 0, equal.stderr
    assert equal.stdout.startswith("One 2026/27: 1 matches, 1 members, equal. Digest ")


async def test_differences_are_listed_with_exit_code_1(database: "PostgresDatabase", database_url: str) -> None:
    good, _ = await settle_one(database, "Good")
    bad, member_id = await settle_one(database, "Bad")
    await spoil_member(database, bad, member_id)

    table = await verify(database_url)
    told = await verify(database_url, "--json")
    one = await verify(database_url, "--tournament", encode("Tournament", good), "--json")

    assert (table.returncode, told.returncode, one.returncode) == (1, 1, 0)
    assert "Bad 2026/27: 1 matches, 1 members, 1 differences." in table.stdout
    assert "WORKED OUT ANEW" in " ".join(table.stdout.split())
    summaries = {found["tournament"]: found for found in json.loads(told.stdout)}
    assert summaries["Good 2026/27"]["isEqual"]
    assert summaries["Good 2026/27"]["differences"] == []
    assert summaries["Bad 2026/27"]["recordedDigest"] != summaries["Bad 2026/27"]["recomputedDigest"]
    assert summaries["Bad 2026/27"]["differences"] == [
        {
            "kind": "MEMBER",
            "id": str(member_id),
            "basis": "AFTER_EXTRA_TIME",
            "what": "facts",
            "recorded": "outcome 4, goal difference 1, home goals 1, away goals 1, exact 1",
            "recomputed": "outcome 1, goal difference 1, home goals 1, away goals 1, exact 1",
        }
    ]
    assert [found["tournament"] for found in json.loads(one.stdout)] == ["Good 2026/27"]


async def test_what_cannot_be_asked_is_one_line_with_exit_code_2(database_url: str) -> None:
    nonsense = await verify(database_url, "--tournament", "nonsense")
    wanted = new_id()
    unknown = await verify(database_url, "--tournament", str(wanted))
    nowhere = await verify("postgresql://nobody@127.0.0.1:1/none")

    for refused in (nonsense, unknown, nowhere):
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith("palpite: ")
        assert len(refused.stderr.strip().splitlines()) == 1
    assert unknown.stderr.strip() == f"palpite: There is no tournament {wanted}."
