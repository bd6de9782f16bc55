"""The demo to its final table, with a worker and PostgreSQL killed on the way; points checked independently."""

import asyncio
import json
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from runtime.database_url import parse_database_url
from runtime.embedded.postgres import EmbeddedPostgres
from tests.support.memory import data_in_memory
from tests.support.palpite import RunningPalpite, started_palpite

pytestmark = pytest.mark.timeout(700)

MEMBERS = 60
"""Fewer than a demo has: to invent their guesses takes longer than to play."""
SEASON = "2022/worldcup"
"""With extra time; a league, which is six times as long, is played by `bench.replay`."""
NAME = "World Cup 2022"
FILE = Path(__file__).parents[2] / "integrations" / "openfootball" / "seasons" / f"{SEASON}.json"


@pytest.fixture
def data() -> Iterator[Path]:
    with data_in_memory() as folder:
        yield folder


@pytest.fixture
def url(data: Path) -> str:
    return EmbeddedPostgres(data).url


def sign(difference: int) -> int:
    return (difference > 0) - (difference < 0)


async def fetch(url: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(**parse_database_url(url).raw_arguments())
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


def results_of_the_file() -> dict[tuple[str, str], tuple[int, int]]:
    """Scores without shoot-outs by home and away team, read without any code of ours."""
    matches = json.loads(FILE.read_text())["matches"]
    scores = {(match["team1"], match["team2"]): match["score"] for match in matches}
    return {teams: tuple(score.get("et") or score["ft"]) for teams, score in scores.items()}


def wait_until_settled(url: str, share: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if asyncio.run(fetch(url, "SELECT count(*) FROM settlements"))[0][0] >= share:
            return
        time.sleep(0.2)
    raise AssertionError("settlements did not come")


def kill_worker(palpite: RunningPalpite) -> None:
    worker = next(child for child in psutil.Process(palpite.process.pid).children() if child.cmdline()[-1] == "worker")
    worker.send_signal(signal.SIGKILL)


def kill_postgres(data: Path) -> None:
    psutil.Process(int((data / "postgres" / "postmaster.pid").read_text().split("\n")[0])).kill()


GUESSES = """
SELECT m.nick_name, h.name AS home, a.name AS away, g.home AS guessed_home, g.away AS guessed_away
FROM guesses g JOIN members m ON m.id = g.member_id JOIN matches x ON x.id = g.match_id
JOIN teams h ON h.id = x.home_team_id JOIN teams a ON a.id = x.away_team_id
"""
SCORES = """
SELECT m.nick_name, s.outcome, s.exact FROM member_scores s JOIN members m ON m.id = s.member_id
WHERE s.basis = 'AFTER_EXTRA_TIME'
"""
OVER_MEMBERS = "SELECT sum(3 * outcome) FROM member_scores WHERE basis = 'AFTER_EXTRA_TIME'"
OVER_SCORELINES = """
SELECT sum(3 * l.guesses) FROM settlement_scorelines l JOIN settlements s ON s.id = l.settlement_id
WHERE l.basis = 'AFTER_EXTRA_TIME' AND l.outcome AND s.superseded_version IS NULL
"""


def test_the_final_board_is_what_the_file_and_the_guesses_come_to(data: Path, url: str) -> None:
    play = ("--season", SEASON, "--speed", "max", "--once", "--members", str(MEMBERS))
    with started_palpite("demo", *play, "--port", "0", "--data", str(data)) as demo:
        demo.wait_for_line(lambda line: line == f"Palpite is running, and {NAME} is being replayed.", seconds=300)
        wait_until_settled(url, 10, seconds=90)
        kill_worker(demo)
        demo.wait_for_line(lambda line: line.startswith("worker ended (SIGKILL); starting it again"), seconds=30)
        kill_postgres(data)
        demo.wait_for_line(lambda line: line == "PostgreSQL had ended and was started again", seconds=60)
        demo.wait_for_line(lambda line: line.startswith("The season is over"), seconds=300)
        shown = [demo.wait_for_line(lambda line: line.endswith("points"), seconds=10) for _ in range(5)]
        assert demo.process.wait(timeout=20) == 0

    guesses, scores, over_members, over_scorelines, settled = read_all(data)
    results = results_of_the_file()
    points: Counter[str] = Counter()
    exact: Counter[str] = Counter()
    for row in guesses:
        home, away = results[row["home"], row["away"]]
        points[row["nick_name"]] += 3 * (sign(row["guessed_home"] - row["guessed_away"]) == sign(home - away))
        exact[row["nick_name"]] += (row["guessed_home"], row["guessed_away"]) == (home, away)
    assert len(results) == settled == 64
    assert len(scores) == MEMBERS
    assert len(guesses) > 0.9 * MEMBERS * settled
    assert {row["nick_name"]: 3 * row["outcome"] for row in scores} == dict(points)
    assert {row["nick_name"]: row["exact"] for row in scores} == {name: exact[name] for name in points}
    assert over_members == over_scorelines == sum(points.values())
    top = sorted(points.values(), reverse=True)[:5]
    assert [int(line.split()[-2]) for line in shown] == top


def read_all(data: Path) -> tuple[Any, Any, int, int, int]:
    """What the demo left in its database."""
    server = EmbeddedPostgres(data)
    url = server.start()
    try:
        guesses = asyncio.run(fetch(url, GUESSES))
        scores = asyncio.run(fetch(url, SCORES))
        members = asyncio.run(fetch(url, OVER_MEMBERS))[0][0]
        scorelines = asyncio.run(fetch(url, OVER_SCORELINES))[0][0]
        settled = asyncio.run(fetch(url, "SELECT count(*) FROM settlements"))[0][0]
    finally:
        server.stop()
    return guesses, scores, members, scorelines, settled
