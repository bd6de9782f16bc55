"""Every file of the shared data, with the numbers and quirks that its README tells."""

from collections import Counter
from datetime import UTC, datetime
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.ingestion.snapshot import MatchSnapshot, StandingSnapshot, TournamentSnapshot
from domain.match.model import Goals, KickOffPrecision, MatchStatus, ResultKind
from domain.tournament.model import Provider, RoundKind, StandingsMode, TournamentMode
from integrations.openfootball.files import shipped_seasons
from tests.support.openfootball import DATA, list_seasons, read_real, real_json

LEAGUE = TournamentMode.REGULAR_SEASON
CUP = TournamentMode.REGULAR_SEASON_AND_KNOCKOUT
SINGLE = StandingsMode.SINGLE_TABLE
GROUPS = StandingsMode.GROUPS

FILES = [
    ("en.1", "2023-24", "English Premier League", "2023/24", LEAGUE, SINGLE, 20, 38, 380),
    ("en.1", "2024-25", "English Premier League", "2024/25", LEAGUE, SINGLE, 20, 38, 380),
    ("en.1", "2025-26", "English Premier League", "2025/26", LEAGUE, SINGLE, 20, 38, 380),
    ("br.1", "2025", "Brasileiro Série A", "2025", LEAGUE, SINGLE, 20, 38, 380),
    ("fr.1", "2019-20", "French Ligue 1", "2019/20", LEAGUE, SINGLE, 20, 38, 380),
    ("uefa.cl", "2024-25", "UEFA Champions League", "2024/25", CUP, SINGLE, 36, 14, 189),
    ("copa.libertadores", "2025", "Copa Libertadores", "2025", CUP, GROUPS, 47, 13, 155),
    ("worldcup", "2018", "World Cup", "2018", CUP, GROUPS, 32, 8, 64),
    ("worldcup", "2022", "World Cup", "2022", CUP, GROUPS, 32, 8, 64),
]


def statuses(snapshot: TournamentSnapshot) -> dict[MatchStatus, int]:
    return dict(Counter(match.status for match in snapshot.matches))


def row_of(snapshot: TournamentSnapshot, team: str) -> StandingSnapshot:
    key = f"{snapshot.competition}/{team}"
    return next(row for table in snapshot.standings for row in table.rows if row.team_key == key)


def matches_between(snapshot: TournamentSnapshot, home: str, away: str) -> list[MatchSnapshot]:
    return [match for match in snapshot.matches if (match.home_label, match.away_label) == (home, away)]


def local_day(match: MatchSnapshot, snapshot: TournamentSnapshot) -> int:
    assert match.kick_off is not None
    return match.kick_off.astimezone(ZoneInfo(snapshot.time_zone)).toordinal()


def test_every_file_of_the_folder_is_listed_here() -> None:
    assert sorted((season, competition) for competition, season, *_ in FILES) == list_seasons(DATA)


@pytest.mark.parametrize("expected", FILES, ids=lambda row: f"{row[1]}/{row[0]}")
async def test_a_file_is_taken_whole(expected: tuple[Any, ...]) -> None:
    competition, season, label, shown, mode, table, teams, rounds, size = expected

    snapshot = await read_real(competition, season)

    assert (snapshot.provider, snapshot.competition, snapshot.season) == (Provider.OPENFOOTBALL, competition, season)
    assert (snapshot.label, snapshot.season_label, snapshot.mode, snapshot.standings_mode) == (
        label,
        shown,
        mode,
        table,
    )
    assert (len(snapshot.teams), len(snapshot.rounds), len(snapshot.matches)) == (teams, rounds, size)
    assert snapshot.rejections == ()
    assert [round_.position for round_ in snapshot.rounds] == list(range(1, rounds + 1))
    assert len({match.key for match in snapshot.matches}) == size
    assert {match.round_slug for match in snapshot.matches} == {round_.slug for round_ in snapshot.rounds}
    played_by = {key for match in snapshot.matches for key in (match.home_team_key, match.away_team_key)}
    assert played_by == {team.key for team in snapshot.teams}


@pytest.mark.parametrize(
    ("competition", "season", "team", "points", "goals"),
    [
        ("en.1", "2023-24", "Manchester City FC", 91, (96, 34)),
        ("en.1", "2023-24", "Sheffield United FC", 16, (35, 104)),
        ("en.1", "2024-25", "Liverpool FC", 84, (86, 41)),
        ("en.1", "2024-25", "Southampton FC", 12, (26, 86)),
        ("br.1", "2025", "CR Flamengo", 79, (78, 27)),
    ],
)
async def test_the_team_table_equals_the_known_one(
    competition: str, season: str, team: str, points: int, goals: tuple[int, int]
) -> None:
    snapshot = await read_real(competition, season)

    row = row_of(snapshot, team)

    (table,) = snapshot.standings
    assert (row.points, (row.goals_for, row.goals_against), row.played) == (points, goals, 38)
    assert row.position == (20 if points < 20 else 1)
    assert (table.name, table.is_computed) == (None, True)


async def test_the_season_in_progress_keeps_unplayed_matches_open_and_one_postponed() -> None:
    snapshot = await read_real("en.1", "2025-26")

    assert statuses(snapshot) == {MatchStatus.ENDED: 291, MatchStatus.NOT_STARTED: 88, MatchStatus.POSTPONED: 1}
    (postponed,) = matches_between(snapshot, "Manchester City FC", "Crystal Palace FC")
    assert postponed.status is MatchStatus.POSTPONED
    assert (postponed.kick_off, postponed.kick_off_precision) == (
        datetime(2026, 3, 21, tzinfo=UTC),
        KickOffPrecision.DATE,
    )
    assert sum(row.played for row in snapshot.standings[0].rows) == 2 * 291


async def test_cancelled_matches_of_ligue_1_are_void_and_count_in_no_table() -> None:
    snapshot = await read_real("fr.1", "2019-20")

    assert statuses(snapshot) == {MatchStatus.ENDED: 279, MatchStatus.CANCELLED: 101}
    void = [match for match in snapshot.matches if match.status is MatchStatus.CANCELLED]
    assert {(match.kind, match.regulation, match.kick_off_precision) for match in void} == {
        (ResultKind.VOID, None, KickOffPrecision.DATE)
    }
    assert sum(row.played for row in snapshot.standings[0].rows) == 2 * 279
    # The day begins at midnight in Paris, which is an hour earlier in UTC.
    (match,) = matches_between(snapshot, "RC Strasbourg", "Paris Saint-Germain")
    assert match.kick_off == datetime(2020, 3, 6, 23, 0, tzinfo=UTC)


async def test_a_moved_match_keeps_its_round() -> None:
    snapshot = await read_real("en.1", "2023-24")

    (match,) = matches_between(snapshot, "AFC Bournemouth", "Luton Town FC")

    assert match.round_slug == "17"
    assert match.kick_off == datetime(2024, 3, 13, 19, 30, tzinfo=UTC)
    assert [round_.slug for round_ in snapshot.rounds] == [str(number) for number in range(1, 39)]


async def test_17_matches_of_brazil_are_far_from_their_round_and_rounds_stay_in_order() -> None:
    snapshot = await read_real("br.1", "2025")

    far = 0
    for round_ in snapshot.rounds:
        days = [local_day(match, snapshot) for match in snapshot.matches if match.round_slug == round_.slug]
        far += sum(abs(day - median(days)) > 10 for day in days)

    assert far == 17
    assert [round_.slug for round_ in snapshot.rounds] == [str(number) for number in range(1, 39)]


@pytest.mark.parametrize(("competition", "season"), [(competition, season) for competition, season, *_ in FILES])
async def test_a_missing_half_time_score_is_no_missing_result(competition: str, season: str) -> None:
    content = real_json(competition, season)["matches"]
    without = sum("ft" in match["score"] and "ht" not in match["score"] for match in content)
    with_result = sum("ft" in match["score"] for match in content)

    snapshot = await read_real(competition, season)

    assert without > 0 or (competition, season) == ("worldcup", "2018")
    assert statuses(snapshot)[MatchStatus.ENDED] == with_result
    assert [m.regulation for m in snapshot.matches if m.regulation] == [
        Goals(*match["score"]["ft"]) for match in content if "ft" in match["score"]
    ]


async def test_champions_league_rounds_in_order_of_play() -> None:
    snapshot = await read_real("uefa.cl", "2024-25")

    sizes = Counter(match.round_slug for match in snapshot.matches)

    assert [(round_.slug, round_.kind, sizes[round_.slug]) for round_ in snapshot.rounds] == [
        *((str(number), RoundKind.SEASON, 18) for number in range(1, 9)),
        ("playoffs-1", RoundKind.KNOCKOUT, 8),
        ("playoffs-2", RoundKind.KNOCKOUT, 8),
        ("round-of-16", RoundKind.KNOCKOUT, 16),
        ("quarter-finals", RoundKind.KNOCKOUT, 8),
        ("semi-finals", RoundKind.KNOCKOUT, 4),
        ("final", RoundKind.KNOCKOUT, 1),
    ]
    assert [round_.label for round_ in snapshot.rounds][7:11] == [
        "Matchday 8",
        "Playoffs, Matchday 1",
        "Playoffs, Matchday 2",
        "Round of 16",
    ]


async def test_impossible_shoot_outs_are_kept_and_flagged() -> None:
    snapshot = await read_real("uefa.cl", "2024-25")

    flagged = [match for match in snapshot.matches if match.data_warning]

    assert [(m.home_label, m.regulation, m.after_extra_time, m.shoot_out, m.data_warning) for m in flagged] == [
        ("Liverpool FC (ENG)", Goals(0, 1), Goals(0, 1), Goals(4, 4), "impossible shoot-out 4-4"),
        ("Club Atlético de Madrid (ESP)", Goals(1, 0), Goals(1, 0), Goals(4, 4), "impossible shoot-out 4-4"),
    ]
    assert {match.status for match in flagged} == {MatchStatus.ENDED}


async def test_the_champions_league_final_without_a_score_is_not_played() -> None:
    snapshot = await read_real("uefa.cl", "2024-25")

    (final,) = [match for match in snapshot.matches if match.round_slug == "final"]

    assert (final.status, final.regulation, final.kick_off_precision) == (
        MatchStatus.NOT_STARTED,
        None,
        KickOffPrecision.EXACT,
    )


async def test_the_last_matchday_of_the_champions_league_starts_at_one_instant_at_every_ground() -> None:
    snapshot = await read_real("uefa.cl", "2024-25")

    kick_offs = {match.kick_off for match in snapshot.matches if match.round_slug == "8"}

    assert kick_offs == {datetime(2025, 1, 29, 20, 0, tzinfo=UTC)}


async def test_two_legs_are_two_matches_of_one_round() -> None:
    snapshot = await read_real("uefa.cl", "2024-25")

    liverpool, paris = "Liverpool FC (ENG)", "Paris Saint-Germain FC (FRA)"
    legs = matches_between(snapshot, liverpool, paris) + matches_between(snapshot, paris, liverpool)

    assert [leg.round_slug for leg in legs] == ["round-of-16", "round-of-16"]
    assert legs[0].key != legs[1].key


async def test_libertadores_rounds_in_order_of_play() -> None:
    snapshot = await read_real("copa.libertadores", "2025")

    assert [(round_.slug, round_.kind) for round_ in snapshot.rounds] == [
        *((f"qualifying-{number}", RoundKind.KNOCKOUT) for number in (1, 2, 3)),
        *((str(number), RoundKind.SEASON) for number in range(1, 7)),
        *((slug, RoundKind.KNOCKOUT) for slug in ("round-of-16", "quarter-finals", "semi-finals", "final")),
    ]


async def test_libertadores_groups_are_found_from_who_plays_whom() -> None:
    snapshot = await read_real("copa.libertadores", "2025")

    assert [table.name for table in snapshot.standings] == [f"Group {number}" for number in range(1, 9)]
    assert {len(table.rows) for table in snapshot.standings} == {4}
    groups = {row.team_key: table.name for table in snapshot.standings for row in table.rows}
    in_stage = [match for match in snapshot.matches if match.group]
    assert len(in_stage) == 96
    assert all(groups[m.home_team_key or ""] == groups[m.away_team_key or ""] == m.group for m in in_stage)


async def test_libertadores_has_six_shoot_outs_without_extra_time() -> None:
    snapshot = await read_real("copa.libertadores", "2025")

    shoot_outs = [match for match in snapshot.matches if match.shoot_out]

    assert [match.after_extra_time for match in shoot_outs] == [None] * 6
    assert [match.data_warning for match in shoot_outs] == [None] * 6


async def test_libertadores_tells_its_times_three_hours_behind_utc() -> None:
    snapshot = await read_real("copa.libertadores", "2025")

    (first,) = matches_between(snapshot, "Monagas SC (VEN)", "Defensor SC (URU)")
    (postponed,) = [match for match in snapshot.matches if match.status is MatchStatus.POSTPONED]

    assert first.kick_off == datetime(2025, 2, 5, 0, 30, tzinfo=UTC)
    assert (postponed.home_label, postponed.round_slug) == ("CSD Colo-Colo (CHI)", "2")
    assert postponed.kick_off == datetime(2025, 4, 11, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize("season", ["2018", "2022"])
async def test_world_cup_group_rounds_come_from_the_matches_of_each_team(season: str) -> None:
    snapshot = await read_real("worldcup", season)

    assert [round_.slug for round_ in snapshot.rounds] == [
        "1",
        "2",
        "3",
        "round-of-16",
        "quarter-finals",
        "semi-finals",
        "match-for-third-place",
        "final",
    ]
    for team in snapshot.teams:
        own = [
            match
            for match in snapshot.matches
            if match.group and team.key in (match.home_team_key, match.away_team_key)
        ]
        by_time = sorted(own, key=lambda match: match.kick_off or datetime.max.replace(tzinfo=UTC))
        assert [match.round_slug for match in by_time] == ["1", "2", "3"]


async def test_the_offset_beside_a_time_goes_before_the_zone() -> None:
    snapshot = await read_real("worldcup", "2018")

    (kaliningrad,) = matches_between(snapshot, "Croatia", "Nigeria")
    (yekaterinburg,) = matches_between(snapshot, "Egypt", "Uruguay")

    assert kaliningrad.kick_off == datetime(2018, 6, 16, 19, 0, tzinfo=UTC)
    assert yekaterinburg.kick_off == datetime(2018, 6, 15, 12, 0, tzinfo=UTC)


async def test_the_world_cup_of_2022_is_told_in_the_time_of_qatar() -> None:
    snapshot = await read_real("worldcup", "2022")

    (opening,) = matches_between(snapshot, "Qatar", "Ecuador")

    assert opening.kick_off == datetime(2022, 11, 20, 16, 0, tzinfo=UTC)
    assert (opening.stadium, opening.group) == ("Al Bayt Stadium, Al Khor", "Group A")


async def test_extra_time_is_cumulative_and_the_shoot_out_stands_alone() -> None:
    snapshot = await read_real("worldcup", "2022")

    (final,) = [match for match in snapshot.matches if match.round_slug == "final"]

    assert (final.regulation, final.after_extra_time, final.shoot_out) == (Goals(2, 2), Goals(3, 3), Goals(4, 2))
    assert (final.running, final.data_warning) == (None, None)


async def test_the_names_of_the_matches_win_over_those_of_the_groups_file() -> None:
    snapshot = await read_real("worldcup", "2022")

    names = {team.name for team in snapshot.teams}
    table = next(table for table in snapshot.standings if table.name == "Group B")

    assert "USA" in names
    assert "United States" not in names
    assert [row.team_key for row in table.rows] == [
        "worldcup/England",
        "worldcup/USA",
        "worldcup/Iran",
        "worldcup/Wales",
    ]


async def test_the_tables_of_the_provider_win_where_it_has_them() -> None:
    expected = real_json("worldcup.standings", "2018")["groups"]

    snapshot = await read_real("worldcup", "2018")

    assert [(table.name, table.is_computed) for table in snapshot.standings] == [
        (group["name"], False) for group in expected
    ]
    assert [[row.team_key for row in table.rows] for table in snapshot.standings] == [
        [f"worldcup/{row['team']['name']}" for row in group["standings"]] for group in expected
    ]


def test_the_shipped_seasons_are_the_real_files_with_their_licence() -> None:
    shipped = shipped_seasons()

    assert list_seasons(shipped) == [("2022", "worldcup"), ("2024-25", "en.1")]
    assert (shipped / "LICENSE-openfootball-CC0.md").read_text().count("CC0") > 0
    for path in shipped.glob("*/*.json"):
        assert path.read_bytes() == (DATA / path.parent.name / path.name).read_bytes()
