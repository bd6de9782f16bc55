"""Team tables computed from results."""

from dataclasses import replace
from typing import Any

from domain.ingestion.snapshot import StandingSnapshot
from domain.ingestion.standings import compute_standings
from domain.match.model import Goals, MatchStatus
from tests.support.openfootball import JsonObject, a_match, map_content, read_real, real_json


def league(*results: tuple[str, str, Any]) -> tuple[StandingSnapshot, ...]:
    matches = [
        a_match(round=f"Matchday {number}", team1=home, team2=away, score={"ft": goals} if goals else {})
        for number, (home, away, goals) in enumerate(results, start=1)
    ]
    (table,) = map_content({"name": "Test", "matches": matches}).snapshot.standings
    return table.rows


def places(rows: tuple[StandingSnapshot, ...]) -> list[tuple[int, str, int]]:
    return [(row.position, row.team_key.removeprefix("en.1/"), row.points) for row in rows]


def test_points_then_goal_difference_then_goals_scored() -> None:
    rows = league(("A", "B", [1, 0]), ("C", "D", [2, 0]), ("E", "F", [3, 1]), ("G", "H", [0, 0]))

    assert places(rows) == [
        (1, "E", 3),
        (2, "C", 3),
        (3, "A", 3),
        (4, "G", 1),
        (4, "H", 1),
        (6, "B", 0),
        (7, "F", 0),
        (8, "D", 0),
    ]


def test_level_teams_share_a_position_and_the_next_one_is_skipped() -> None:
    rows = league(("B", "X", [2, 0]), ("A", "Y", [2, 0]), ("C", "Z", [1, 0]))

    assert [row.position for row in rows] == [1, 1, 3, 4, 5, 5]
    assert [row.team_key for row in rows[:2]] == ["en.1/A", "en.1/B"]


def test_a_row_tells_everything() -> None:
    rows = league(("A", "B", [1, 0]), ("B", "A", [2, 2]), ("A", "C", [0, 3]))

    assert places(rows) == [(1, "A", 4), (2, "C", 3), (3, "B", 1)]
    row = next(row for row in rows if row.team_key == "en.1/A")

    assert row == StandingSnapshot(
        team_key="en.1/A", position=1, played=3, won=1, drawn=1, lost=1, goals_for=3, goals_against=5, points=4
    )


def test_teams_without_a_result_are_listed_with_nothing_played() -> None:
    rows = league(("A", "B", None))

    assert [(row.position, row.played, row.points) for row in rows] == [(1, 0, 0), (1, 0, 0)]


def table_of(*matches: JsonObject) -> dict[str, tuple[int, int]]:
    (table,) = map_content({"name": "Test", "matches": list(matches)}).snapshot.standings
    return {row.team_key.removeprefix("en.1/"): (row.played, row.points) for row in table.rows}


def test_awarded_results_count() -> None:
    assert table_of(a_match(team1="A", team2="B", status="awarded", score={"ft": [3, 0]})) == {"A": (1, 3), "B": (1, 0)}


def test_cancelled_and_postponed_matches_do_not_count() -> None:
    assert table_of(
        a_match(team1="A", team2="B", time=None, status="cancelled", score={}),
        a_match(team1="C", team2="D", time=None, status="postponed", score={}),
    ) == {"A": (0, 0), "B": (0, 0), "C": (0, 0), "D": (0, 0)}


async def test_matches_in_play_do_not_count() -> None:
    snapshot = await read_real("en.1", "2024-25")
    in_play = replace(snapshot.matches[0], status=MatchStatus.IN_PLAY, regulation=None, running=Goals(5, 0))

    (table,) = compute_standings([in_play], snapshot.rounds)

    assert [row.played for row in table.rows] == [0, 0]


async def test_knockout_rounds_have_no_table() -> None:
    snapshot = await read_real("uefa.cl", "2024-25")
    knockouts = [match for match in snapshot.matches if not match.round_slug.isdigit()]

    assert compute_standings(knockouts, snapshot.rounds) == ()
    assert {row.played for row in snapshot.standings[0].rows} == {8}


async def test_computed_tables_equal_the_official_ones_of_the_world_cup_2018() -> None:
    """All numbers are equal; positions too but where only the rules of FIFA part two level teams (fair play, draw)."""
    snapshot = await read_real("worldcup", "2018")
    official = {
        row["team"]["name"]: row
        for group in real_json("worldcup.standings", "2018")["groups"]
        for row in group["standings"]
    }

    tables = compute_standings(snapshot.matches, snapshot.rounds)

    apart = []
    for row in (row for table in tables for row in table.rows):
        name = row.team_key.removeprefix("worldcup/")
        told = official.pop(name)
        assert (row.played, row.won, row.drawn, row.lost) == tuple(told[n] for n in ("played", "won", "drawn", "lost"))
        assert (row.goals_for, row.goals_against, row.points) == (told["goals_for"], told["goals_against"], told["pts"])
        if row.position != told["pos"]:
            apart.append((name, row.position, told["pos"]))
    assert official == {}
    assert apart == [("Senegal", 2, 3)]
    assert [table.name for table in tables] == [f"Group {letter}" for letter in "ABCDEFGH"]
    assert {table.is_computed for table in tables} == {True}
