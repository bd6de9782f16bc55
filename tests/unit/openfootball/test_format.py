"""Both forms of the format, rounds, times, and what single matches may say."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import groupby
from zoneinfo import ZoneInfo

import pytest

from domain.ingestion.errors import ProviderBadData
from domain.ingestion.snapshot import TournamentSnapshot
from domain.match.model import Goals, KickOffPrecision, MatchStatus, ResultKind
from domain.tournament.model import RoundKind, TournamentMode
from integrations.openfootball.parse import RawGroup
from integrations.openfootball.rounds import read_round
from integrations.openfootball.zones import COMPETITIONS, COUNTRIES, WORLD_CUPS, zone_of
from tests.support.openfootball import (
    DATA,
    JsonObject,
    a_match,
    first_match,
    list_seasons,
    map_content,
    map_matches,
    real_json,
)


def nested(content: JsonObject) -> JsonObject:
    """The older form of the same file: rounds, numbers, and teams as objects."""
    matches = sorted(enumerate(content["matches"], start=1), key=lambda item: item[1]["round"])
    rounds = [
        {"name": name, "matches": [older_match(number, match) for number, match in group]}
        for name, group in groupby(matches, key=lambda item: item[1]["round"])
    ]
    return {"name": content["name"], "rounds": rounds}


def older_match(number: int, match: JsonObject) -> JsonObject:
    teams = {side: {"name": match[side]} for side in ("team1", "team2")}
    return {"num": number, **{name: value for name, value in match.items() if name != "round"}, **teams}


def by_key(snapshot: TournamentSnapshot) -> TournamentSnapshot:
    """The nested form cannot keep the order of the flat one."""
    return replace(snapshot, matches=tuple(sorted(snapshot.matches, key=lambda match: match.key)))


@pytest.mark.parametrize(("season", "competition"), list_seasons(DATA))
def test_both_forms_of_every_file_give_the_same_snapshot(season: str, competition: str) -> None:
    content = real_json(competition, season)
    zone = zone_of(competition, season)

    flat = map_content(content, competition, season, zone=zone)
    older = map_content(nested(content), competition, season, zone=zone)

    assert by_key(older.snapshot) == by_key(flat.snapshot)
    assert older.courses == flat.courses


def test_older_files_tell_codes_scores_grounds_and_offsets_apart() -> None:
    older = {
        "num": 56,
        "date": "2018-07-03",
        "time": "21:00",
        "team1": {"name": "Colombia", "code": "COL"},
        "team2": {"name": "England", "code": "ENG"},
        "score1": 1,
        "score2": 1,
        "score1i": 0,
        "score2i": 0,
        "score1et": 1,
        "score2et": 1,
        "score1p": 3,
        "score2p": 4,
        "stadium": {"key": "spartak", "name": "Spartak Stadium"},
        "city": "Moscow",
        "timezone": "UTC+3",
    }

    snapshot = map_content({"name": "World Cup 2018", "rounds": [{"name": "Round of 16", "matches": [older]}]}).snapshot

    (match,) = snapshot.matches
    assert (match.regulation, match.after_extra_time, match.shoot_out) == (Goals(1, 1), Goals(1, 1), Goals(3, 4))
    assert match.kick_off == datetime(2018, 7, 3, 18, 0, tzinfo=UTC)
    assert match.stadium == "Spartak Stadium, Moscow"
    assert [(team.name, team.code) for team in snapshot.teams] == [("Colombia", "COL"), ("England", "ENG")]


def test_older_files_write_null_for_scores_to_come() -> None:
    match = first_match(a_match(score=None, score1=None, score2=None) | {"score1": None, "score2": None})

    assert (match.status, match.regulation) == (MatchStatus.NOT_STARTED, None)


def test_a_byte_order_mark_and_unknown_fields_are_no_fault() -> None:
    season = map_matches(a_match(attendance=60_000, referee={"name": "M. Oliver"}))

    assert len(season.snapshot.matches) == 2
    assert season.snapshot.rejections == ()


@pytest.mark.parametrize(
    ("text", "slug", "label", "kind"),
    [
        ("Matchday 17", "17", "Matchday 17", RoundKind.SEASON),
        ("matchday  07", "7", "Matchday 7", RoundKind.SEASON),
        ("League, Matchday 3", "3", "Matchday 3", RoundKind.SEASON),
        ("Group, Matchday 6", "6", "Matchday 6", RoundKind.SEASON),
        ("Playoffs, Matchday 1", "playoffs-1", "Playoffs, Matchday 1", RoundKind.KNOCKOUT),
        ("Qualifying, Round 2", "qualifying-2", "Qualifying, Round 2", RoundKind.KNOCKOUT),
        ("Round 1", "round-1", "Round 1", RoundKind.KNOCKOUT),
        ("Round of 16", "round-of-16", "Round of 16", RoundKind.KNOCKOUT),
        ("Finals, Round of 16", "round-of-16", "Round of 16", RoundKind.KNOCKOUT),
        ("Round of 32", "round-of-32", "Round of 32", RoundKind.KNOCKOUT),
        ("Quarter-finals", "quarter-finals", "Quarter-finals", RoundKind.KNOCKOUT),
        ("Quarter-final", "quarter-finals", "Quarter-finals", RoundKind.KNOCKOUT),
        ("Finals, Quarterfinals", "quarter-finals", "Quarter-finals", RoundKind.KNOCKOUT),
        ("Finals, Semifinals", "semi-finals", "Semi-finals", RoundKind.KNOCKOUT),
        ("Match for third place", "match-for-third-place", "Match for third place", RoundKind.KNOCKOUT),
        ("Finals, Final", "final", "Final", RoundKind.KNOCKOUT),
        ("Répêchage (aller)", "repechage-aller", "Répêchage (aller)", RoundKind.KNOCKOUT),
    ],
)
def test_round_names(text: str, slug: str, label: str, kind: RoundKind) -> None:
    name = read_round(text)

    assert (name.slug, name.label, name.kind) == (slug, label, kind)


def test_rounds_of_a_cup_stand_in_order_though_two_are_on_one_day() -> None:
    snapshot = map_content(
        {
            "name": "Cup",
            "matches": [
                a_match(round="Final", date="2025-05-10"),
                a_match(round="Match for third place", date="2025-05-10"),
                a_match(round="Semi-finals", date="2025-05-01"),
            ],
        }
    ).snapshot

    assert [round_.slug for round_ in snapshot.rounds] == ["semi-finals", "match-for-third-place", "final"]
    assert snapshot.mode is TournamentMode.KNOCKOUT
    assert snapshot.standings == ()


def test_group_matchdays_that_are_true_rounds_are_kept() -> None:
    """A match of the first round that was put off is still of the first round."""
    dates = {1: "2024-09-17", 2: "2024-10-01", 3: "2024-10-22"}
    pairs = [(1, "A", "B"), (1, "C", "D"), (2, "A", "C"), (2, "B", "D"), (3, "A", "D"), (3, "B", "C")]
    matches = [
        a_match(round=f"Matchday {number}", date=dates[number], team1=home, team2=away, group="Group A")
        for number, home, away in pairs
    ]
    matches[0]["date"] = "2024-12-01"

    snapshot = map_content({"name": "Cup", "matches": matches}).snapshot

    assert [match.round_slug for match in snapshot.matches] == ["1", "1", "2", "2", "3", "3"]


def test_a_group_missing_at_a_match_is_taken_from_the_groups_file_though_one_name_differs() -> None:
    groups = (RawGroup("Group B", ("England", "Iran", "United States", "Wales")),)
    content = {
        "name": "World Cup",
        "matches": [a_match(team1="USA", team2="Wales"), a_match(team1="England", team2="Iran", group="Group B")],
    }

    snapshot = map_content(content, groups=groups).snapshot

    assert [match.group for match in snapshot.matches] == ["Group B", "Group B"]
    assert [team.name for team in snapshot.teams] == ["England", "Iran", "USA", "Wales"]


def test_groups_are_not_made_up_while_the_fixtures_are_incomplete() -> None:
    matches = [a_match(round="Group, Matchday 1", team1=home, team2=away) for home, away in (("A", "B"), ("C", "D"))]

    snapshot = map_content({"name": "Cup", "matches": matches}).snapshot

    assert [(table.name, len(table.rows)) for table in snapshot.standings] == [(None, 4)]


@pytest.mark.parametrize(
    ("day", "clock", "instant"),
    [
        ("2024-08-17", "15:00", datetime(2024, 8, 17, 14, 0, tzinfo=UTC)),
        ("2024-12-26", "15:00", datetime(2024, 12, 26, 15, 0, tzinfo=UTC)),
        # The hour that summer time skips, and the one that comes twice: the offset from before the change.
        ("2025-03-30", "01:30", datetime(2025, 3, 30, 1, 30, tzinfo=UTC)),
        ("2024-10-27", "01:30", datetime(2024, 10, 27, 0, 30, tzinfo=UTC)),
        ("2024-08-17", "18:00 UTC+3", datetime(2024, 8, 17, 15, 0, tzinfo=UTC)),
        ("2024-08-17", "18:00 UTC-4", datetime(2024, 8, 17, 22, 0, tzinfo=UTC)),
        ("2024-08-17", "18:00 UTC+5:30", datetime(2024, 8, 17, 12, 30, tzinfo=UTC)),
        ("2024-08-17", "18:00 UTC", datetime(2024, 8, 17, 18, 0, tzinfo=UTC)),
    ],
)
def test_one_instant_in_utc(day: str, clock: str, instant: datetime) -> None:
    match = first_match(a_match(date=day, time=clock))

    assert (match.kick_off, match.kick_off_precision) == (instant, KickOffPrecision.EXACT)
    assert match.kick_off is not None
    assert match.kick_off.tzinfo is UTC


def test_without_a_time_only_the_day_is_known() -> None:
    match = first_match(a_match(time=None, score={}))

    assert (match.kick_off, match.kick_off_precision) == (
        datetime(2024, 8, 16, 23, 0, tzinfo=UTC),
        KickOffPrecision.DATE,
    )


def test_without_a_date_nothing_is_known() -> None:
    match = first_match(a_match(date=None, time=None, score={}, status="postponed"))

    assert (match.kick_off, match.kick_off_precision) == (None, KickOffPrecision.UNKNOWN)


@pytest.mark.parametrize(
    ("competition", "season", "zone"),
    [
        ("en.1", "2024-25", "Europe/London"),
        ("en.2", "2024-25", "Europe/London"),
        ("fr.1", "2019-20", "Europe/Paris"),
        ("br.1", "2025", "America/Sao_Paulo"),
        ("uefa.cl", "2024-25", "Europe/Paris"),
        ("copa.libertadores", "2025", "Etc/GMT+3"),
        ("euro", "2024", "Europe/Paris"),
        ("worldcup", "2018", "Europe/Moscow"),
        ("worldcup", "2022", "Asia/Qatar"),
        ("worldcup", "2014", None),
        ("us.1", "2024", None),
    ],
)
def test_the_zone_belongs_to_the_competition(competition: str, season: str, zone: str | None) -> None:
    found = zone_of(competition, season)

    assert (found.key if found else None) == zone


def test_every_zone_of_the_tables_exists() -> None:
    for name in (*COUNTRIES.values(), *COMPETITIONS.values(), *WORLD_CUPS.values()):
        assert ZoneInfo(name).key == name


def test_an_unknown_zone_is_refused_and_never_guessed() -> None:
    with pytest.raises(ProviderBadData, match=r"the time zone of this competition is not known"):
        map_content({"name": "MLS", "matches": [a_match()]}, "us.1", "2024", zone=None)


def test_an_unknown_zone_is_no_fault_where_every_time_tells_its_offset() -> None:
    snapshot = map_content(
        {"name": "World Cup", "matches": [a_match(time="17:00 UTC-3")]}, "worldcup", "2014", zone=None
    )

    assert snapshot.snapshot.matches[0].kick_off == datetime(2024, 8, 17, 20, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "score", "expected"),
    [
        (None, {}, (MatchStatus.NOT_STARTED, ResultKind.PLAYED, None)),
        (None, {"ft": [0, 0]}, (MatchStatus.ENDED, ResultKind.PLAYED, Goals(0, 0))),
        ("awarded", {"ft": [3, 0]}, (MatchStatus.ENDED, ResultKind.AWARDED, Goals(3, 0))),
        ("postponed", {}, (MatchStatus.POSTPONED, ResultKind.PLAYED, None)),
        ("cancelled", {}, (MatchStatus.CANCELLED, ResultKind.VOID, None)),
        ("CANCELLED", {}, (MatchStatus.CANCELLED, ResultKind.VOID, None)),
        ("abandoned", {}, (MatchStatus.ABANDONED, ResultKind.VOID, None)),
    ],
)
def test_status_and_score_together(status: str | None, score: JsonObject, expected: tuple[object, ...]) -> None:
    match = first_match(a_match(status=status, score=score))

    assert (match.status, match.kind, match.regulation) == expected


def test_the_score_of_an_abandoned_match_is_ignored_and_said() -> None:
    match = first_match(a_match(status="abandoned", score={"ft": [1, 0]}))

    assert (match.status, match.regulation) == (MatchStatus.ABANDONED, None)
    assert match.data_warning == "is abandoned and has a score, which is ignored"


@pytest.mark.parametrize("shoot_out", [[1, 0], [3, 0], [4, 1], [3, 4], [5, 3], [5, 4], [9, 10]])
def test_possible_shoot_outs(shoot_out: list[int]) -> None:
    assert first_match(a_match(score={"ft": [1, 1], "p": shoot_out})).data_warning is None


@pytest.mark.parametrize("shoot_out", [[0, 0], [4, 4], [4, 0], [5, 2], [0, 6], [8, 6]])
def test_impossible_shoot_outs_are_stored_and_flagged(shoot_out: list[int]) -> None:
    match = first_match(a_match(score={"ft": [1, 1], "p": shoot_out}))

    assert match.shoot_out == Goals(*shoot_out)
    assert match.data_warning == f"impossible shoot-out {shoot_out[0]}-{shoot_out[1]}"


def test_a_half_time_score_above_the_final_one_is_flagged() -> None:
    match = first_match(a_match(score={"ht": [2, 0], "ft": [1, 0]}))

    assert (match.regulation, match.data_warning) == (
        Goals(1, 0),
        "half-time score 2-0 is above that of the 90 minutes 1-0",
    )


def test_placeholders_of_a_draw_to_come_are_no_teams() -> None:
    season = map_matches(a_match(round="Round of 16", team1="W74", team2="3A/B/C/D/F", score={}))

    match = season.snapshot.matches[0]

    assert (match.home_team_key, match.away_team_key) == (None, None)
    assert (match.home_label, match.away_label) == ("W74", "3A/B/C/D/F")
    assert [team.name for team in season.snapshot.teams] == ["Fulham FC", "Liverpool FC"]


def test_keys_are_stable_text() -> None:
    season = map_matches(a_match())

    match = season.snapshot.matches[0]

    assert match.key == "en.1/2024-25/1/Arsenal FC/Everton FC"
    assert (match.home_team_key, match.away_team_key) == ("en.1/Arsenal FC", "en.1/Everton FC")


# World Cup 1982: two group stages, the second of them in groups of three, where a team rests on each matchday.
SPAIN_82 = {
    "Group 1": "1 14 Italy-Poland, 1 15 Peru-Cameroon, 2 18 Italy-Peru, 2 19 Poland-Cameroon, 3 22 Poland-Peru",
    "Group 6": "1 14 Brazil-USSR, 1 15 Scotland-New Zealand, 2 18 Brazil-Scotland, 3 22 USSR-Scotland",
    "Group 3": "1 13 Argentina-Belgium, 2 19 Belgium-El Salvador, 3 22 Belgium-Hungary",
    "Group A": "4 28 Poland-Belgium, 5 29 Belgium-USSR, 6 30 USSR-Poland",
    "Group C": "4 29 Italy-Argentina, 5 30 Argentina-Brazil, 6 30 Italy-Brazil",
}


def test_matchdays_of_odd_groups_are_not_taken_for_calendar_days() -> None:
    told = []
    for group, listed in SPAIN_82.items():
        for item in listed.split(", "):
            number, day, sides = item.split(" ", 2)
            home, away = sides.split("-")
            date = f"1982-06-{day}"
            told.append(a_match(round=f"Matchday {number}", date=date, time=None, team1=home, team2=away, group=group))

    snapshot = map_content({"name": "World Cup 1982", "matches": told}, "worldcup", "1982", zone=None).snapshot

    assert [round_.slug for round_ in snapshot.rounds] == ["1", "2", "3", "4", "5", "6"]
    assert [match.round_slug for match in snapshot.matches] == [match["round"].split()[1] for match in told]
    assert len(snapshot.standings) == len(SPAIN_82)
