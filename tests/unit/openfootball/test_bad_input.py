"""Files that make no sense: items are rejected with file, index and reason, or nothing is read at all."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from domain.ingestion.errors import ProviderBadData, ProviderNotFound, ProviderUnavailable
from domain.ingestion.snapshot import TournamentSnapshot
from domain.match.model import KickOffPrecision
from integrations.openfootball.mapping import Source, map_season
from integrations.openfootball.parse import parse_file, parse_groups, parse_standings
from integrations.openfootball.provider import OpenFootballProvider
from integrations.openfootball.zones import zone_of
from tests.support.campaign import times
from tests.support.openfootball import (
    DATA,
    NOW,
    a_match,
    map_content,
    map_matches,
    only_rejection,
    real_json,
    write_season,
)


@pytest.mark.parametrize(
    ("score", "reason"),
    [
        ({"ft": [-1, 0]}, "Expected `int` >= 0 - at `$.score.ft[0]`"),
        ({"ft": [0, 100]}, "Expected `int` <= 99 - at `$.score.ft[1]`"),
        ({"ft": [1]}, "Expected `array` of length 2 - at `$.score.ft`"),
        ({"ft": [1, 2, 3]}, "Expected `array` of length 2 - at `$.score.ft`"),
        ({"ft": []}, "Expected `array` of length 2 - at `$.score.ft`"),
        ({"ft": "2-1"}, "Expected `array | null`, got `str` - at `$.score.ft`"),
        ({"ft": {"home": 2, "away": 1}}, "Expected `array | null`, got `object` - at `$.score.ft`"),
        ({"ft": [1.5, 0]}, "Expected `int`, got `float` - at `$.score.ft[0]`"),
        ({"ft": ["1", 0]}, "Expected `int`, got `str` - at `$.score.ft[0]`"),
        ({"ft": [True, 0]}, "Expected `int`, got `bool` - at `$.score.ft[0]`"),
        ({"ft": [None, None]}, "Expected `int`, got `null` - at `$.score.ft[0]`"),
        ({"ht": [-1, 0], "ft": [1, 0]}, "Expected `int` >= 0 - at `$.score.ht[0]`"),
        ({"ft": [1, 1], "p": [101, 100]}, "Expected `int` <= 99 - at `$.score.p[0]`"),
        ("2-1", "Expected `object | null`, got `str` - at `$.score`"),
    ],
)
def test_a_score_that_is_no_score(score: Any, reason: str) -> None:
    rejection = only_rejection(a_match(score=score))

    assert (rejection.file, rejection.index, rejection.reason) == ("en.1.json", 0, reason)


@pytest.mark.parametrize(
    ("score", "status", "reason"),
    [
        ({"ft": [2, 1], "et": [1, 1]}, None, "score after extra time 1-1 is below that of the 90 minutes 2-1"),
        ({"et": [2, 1]}, None, "has a part of a score and no score after 90 minutes"),
        ({"p": [4, 3]}, None, "has a part of a score and no score after 90 minutes"),
        ({"ht": [1, 0]}, None, "has a part of a score and no score after 90 minutes"),
        ({}, "awarded", "is awarded and has no score"),
        ({"ft": [1, 0]}, "postponed", "is postponed and has a score"),
        ({"ft": [1, 0]}, "walkover", "status `walkover` is unknown"),
    ],
)
def test_a_score_and_status_that_cannot_be(score: Any, status: str | None, reason: str) -> None:
    rejection = only_rejection(a_match(score=score, status=status))

    assert (rejection.index, rejection.reason) == (0, f"Arsenal FC - Everton FC (Matchday 1): {reason}")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"team2": "Arsenal FC"}, "Arsenal FC - Arsenal FC (Matchday 1): a team cannot play against itself"),
        ({"date": "17.08.2024"}, "Arsenal FC - Everton FC (Matchday 1): date `17.08.2024` is not YYYY-MM-DD"),
        ({"date": "2024-02-30"}, "Arsenal FC - Everton FC (Matchday 1): date `2024-02-30` is not in the calendar"),
        ({"time": "3pm"}, "Arsenal FC - Everton FC (Matchday 1): time `3pm` is not HH:MM or HH:MM UTC+N"),
        ({"time": "25:00"}, "Arsenal FC - Everton FC (Matchday 1): time `25:00` is not on the clock"),
        ({"time": "15:00 UTC+99"}, "Arsenal FC - Everton FC (Matchday 1): offset `UTC+99` is nowhere on earth"),
        ({"time": "15:00 UTCx"}, "Arsenal FC - Everton FC (Matchday 1): offset `UTCx` is not UTC+N"),
        ({"round": "???"}, "Arsenal FC - Everton FC (???): round `???` has no letters or digits"),
        ({"round": " "}, "has no round"),
        ({"round": None}, "has no round"),
        ({"team1": None}, "Object missing required field `team1`"),
        ({"team1": ""}, "Expected `str` of length >= 1 - at `$.team1`"),
        ({"team1": "  "}, "a team has no name"),
        ({"team1": 7}, "Expected `str | object`, got `int` - at `$.team1`"),
        ({"score": None, "score1": 2}, "score1 and score2 are not a pair"),
    ],
)
def test_a_match_that_makes_no_sense(change: dict[str, Any], reason: str) -> None:
    rejection = only_rejection(a_match(**change))

    assert (rejection.index, rejection.reason) == (0, reason)


def test_a_score_between_teams_that_are_not_drawn() -> None:
    rejection = only_rejection(a_match(round="Final", team1="W61", team2="W62"))

    assert rejection.reason == "W61 - W62 (Final): has a score and a team that is not drawn yet"


def test_of_two_matches_with_one_key_the_second_is_rejected() -> None:
    snapshot = map_matches(a_match(), a_match(date="2025-02-01", score={"ft": [0, 0]})).snapshot

    (rejection,) = snapshot.rejections
    assert (rejection.file, rejection.index) == ("en.1.json", 1)
    assert rejection.reason == "Arsenal FC - Everton FC (Matchday 1): is listed twice in this round"
    assert [match.home_label for match in snapshot.matches] == ["Arsenal FC", "Liverpool FC"]


def test_a_match_listed_twice_shifts_no_group_round() -> None:
    content = real_json("worldcup", "2022")
    content["matches"].append(content["matches"][0])

    snapshot = map_content(content, "worldcup", "2022", zone=zone_of("worldcup", "2022")).snapshot

    assert [(rejection.index, rejection.reason) for rejection in snapshot.rejections] == [
        (64, "Qatar - Ecuador (Matchday 1): is listed twice in this round")
    ]
    assert len(snapshot.matches) == 64


def test_the_index_counts_through_the_rounds_of_the_nested_form() -> None:
    rounds = [
        {"name": "Matchday 1", "matches": [a_match(), a_match(team1="Chelsea FC", team2="Fulham FC")]},
        {"name": "Matchday 2", "matches": [a_match(score={"ft": [1, -1]})]},
    ]

    snapshot = map_content({"name": "Test", "rounds": rounds}).snapshot

    assert [rejection.index for rejection in snapshot.rejections] == [2]


def test_goal_lists_that_make_no_sense_are_no_reason_to_refuse_a_match() -> None:
    season = map_matches(a_match(goals1=[{"minute": "late"}], goals2=7))

    assert season.snapshot.rejections == ()
    assert season.courses[season.snapshot.matches[0].key].goals is None


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "en.1.json: Input data was truncated (byte 0)"),
        (b"Bournemouth 1-0 Luton", "en.1.json: JSON is malformed: invalid character (byte 0)"),
        (b"<html></html>", "en.1.json: JSON is malformed: invalid character (byte 0)"),
        (b'{"name": "x", "matches": [{"round": "Matchday 1"', "en.1.json: Input data was truncated (byte 48)"),
        (b'{"name": "x", "matches": []} x', "en.1.json: JSON is malformed: trailing characters (byte 30)"),
        (b"[]", "en.1.json: Expected `object`, got `array`"),
        (b"null", "en.1.json: Expected `object`, got `null`"),
        (b'{"matches": []}', "en.1.json: Object missing required field `name`"),
        (b'{"name": "x"}', "en.1.json: has neither `matches` nor `rounds`"),
        (b'{"name": "x", "groups": []}', "en.1.json: has neither `matches` nor `rounds`"),
        (b'{"name": "x", "matches": {}}', "en.1.json: Expected `array | null`, got `object` - at `$.matches`"),
        (b'{"name": "x", "rounds": [7]}', "en.1.json: Expected `object`, got `int` - at `$.rounds[0]`"),
        (b'{"name": "x", "matches": []}', "en.1.json: has no matches"),
        (b'{"name": "x\\u0000", "matches": []}', "en.1.json: a text holds a NUL character (byte 11)"),
        (b'{"name": "\xff", "matches": []}', "en.1.json: not UTF-8 (byte 10)"),
        (b'{"deep": ' + b"[" * 100_000, "en.1.json: nested too deeply"),
    ],
)
async def test_a_file_that_makes_no_sense_as_a_whole(tmp_path: Path, data: bytes, reason: str) -> None:
    write_season(tmp_path, "en.1", "2024-25", data)

    with pytest.raises(ProviderBadData) as failure:
        await OpenFootballProvider(tmp_path).read("en.1", "2024-25", now=NOW)

    assert str(failure.value) == reason
    assert (failure.value.code, failure.value.retryable) == ("PROVIDER_BAD_DATA", False)


async def test_every_real_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = (DATA / "2022" / "worldcup.json").read_bytes().rstrip()
    for length in range(0, len(whole), 997):
        write_season(tmp_path, "worldcup", "2022", whole[:length])
        with pytest.raises(ProviderBadData, match=rf"truncated \(byte {length}\)"):
            await OpenFootballProvider(tmp_path).read("worldcup", "2022", now=NOW)


async def test_a_file_of_nothing_but_bad_matches_is_refused_with_the_first_reason(tmp_path: Path) -> None:
    write_season(
        tmp_path, "en.1", "2024-25", {"name": "x", "matches": [a_match(status="?"), a_match(team2="Arsenal FC")]}
    )

    with pytest.raises(ProviderBadData, match=r"none of 2 matches can be taken; match 1: Arsenal FC - Arsenal FC"):
        await OpenFootballProvider(tmp_path).read("en.1", "2024-25", now=NOW)


async def test_broken_files_beside_the_matches_are_refused_by_their_own_name(tmp_path: Path) -> None:
    write_season(tmp_path, "worldcup", "2022", real_json("worldcup", "2022"))
    write_season(tmp_path, "worldcup.groups", "2022", b'{"groups": [')

    with pytest.raises(ProviderBadData, match=r"^worldcup\.groups\.json: Input data was truncated \(byte 12\)$"):
        await OpenFootballProvider(tmp_path).read("worldcup", "2022", now=NOW)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"played": 4}, "Uruguay played 4 matches, which is not won + drawn + lost"),
        ({"team": {"name": "Paraguay"}}, "the groups or teams are not those of the matches"),
    ],
)
async def test_tables_that_make_no_sense_are_reported_and_computed(
    tmp_path: Path, row: dict[str, Any], reason: str
) -> None:
    tables = real_json("worldcup.standings", "2018")
    tables["groups"][0]["standings"][0] |= row
    write_season(tmp_path, "worldcup", "2018", real_json("worldcup", "2018"))
    write_season(tmp_path, "worldcup.standings", "2018", tables)

    snapshot = await OpenFootballProvider(tmp_path).read("worldcup", "2018", now=NOW)

    (rejection,) = snapshot.rejections
    assert (rejection.file, rejection.index) == ("worldcup.standings.json", None)
    assert rejection.reason == f"{reason}; tables are computed from the results"
    assert {table.is_computed for table in snapshot.standings} == {True}


@pytest.mark.parametrize(
    ("competition", "season"),
    [
        ("en.1", "1999-00"),
        ("xx.9", "2024-25"),
        ("../2024-25/en.1", "2024-25"),
        ("en.1", "../openfootball/2024-25"),
        ("en.1", ".."),
        ("en.1", "/etc"),
        ("en.1", "2024-25/"),
        ("en.1\x00", "2024-25"),
        ("", "2024-25"),
        ("worldcup.groups", "2018"),
        ("worldcup.standings", "2018"),
        ("en.1", "2024-25 (replay 2026-11-24-1)"),
        ("en.1", "../x (replay 2026-11-24-1)"),
    ],
)
async def test_names_that_are_no_season_of_the_folder(competition: str, season: str) -> None:
    with pytest.raises(ProviderNotFound) as failure:
        await OpenFootballProvider(DATA).read(competition, season, now=NOW)

    assert failure.value.code == "PROVIDER_NOT_FOUND"


async def test_a_season_outside_the_folder_is_not_reached(tmp_path: Path) -> None:
    write_season(tmp_path, "en.1", "secret", {"name": "x", "matches": [a_match()]})
    (tmp_path / "inside").mkdir()

    with pytest.raises(ProviderNotFound):
        await OpenFootballProvider(tmp_path / "inside").read("en.1", "../secret", now=NOW)


async def test_a_file_that_cannot_be_read_is_worth_another_attempt(tmp_path: Path) -> None:
    (tmp_path / "2024-25" / "en.1.json").mkdir(parents=True)

    with pytest.raises(ProviderUnavailable) as failure:
        await OpenFootballProvider(tmp_path).read("en.1", "2024-25", now=NOW)

    assert failure.value.retryable


async def test_a_file_larger_than_any_season_is_refused(tmp_path: Path) -> None:
    path = write_season(tmp_path, "en.1", "2024-25", b"")
    with path.open("wb") as file:
        file.truncate(33 * 2**20)

    with pytest.raises(ProviderBadData, match=r"en\.1\.json: larger than 32 MiB"):
        await OpenFootballProvider(tmp_path).read("en.1", "2024-25", now=NOW)


def read_anything(data: bytes, competition: str = "en.1", season: str = "2024-25") -> TournamentSnapshot | None:
    source = Source(competition, season, "file.json", zone_of(competition, season))
    with suppress(ProviderBadData):
        return map_season(parse_file(data, "file.json"), source).snapshot
    return None


def assert_sound(snapshot: TournamentSnapshot) -> None:
    """What storing relies on."""
    keys = [match.key for match in snapshot.matches]
    slugs = {round_.slug for round_ in snapshot.rounds}
    teams = {team.key for team in snapshot.teams}
    assert len(keys) == len(set(keys)) > 0
    assert len(slugs) == len(snapshot.rounds)
    assert len(teams) == len(snapshot.teams)
    assert all("\x00" not in key for key in (*keys, *slugs, *teams))
    for match in snapshot.matches:
        assert match.round_slug in slugs
        assert {match.home_team_key, match.away_team_key} - {None} <= teams
        assert (match.kick_off is None) == (match.kick_off_precision is KickOffPrecision.UNKNOWN)
        assert match.kick_off is None or match.kick_off.utcoffset() is not None
        for part in (match.regulation, match.after_extra_time, match.shoot_out):
            assert part is None or all(0 <= goals <= 99 for goals in part)
    for table in snapshot.standings:
        assert {row.team_key for row in table.rows} <= teams


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-200, 200) | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["Arsenal FC", "Chelsea FC", "W49", "2A", ""]) | st.text(max_size=8)
PAIRS = st.lists(st.integers(-1, 101), min_size=1, max_size=3) | JSON
SCORES = st.dictionaries(st.sampled_from(["ft", "ht", "et", "p"]), PAIRS, max_size=4) | JSON
ROUNDS = st.sampled_from(["Matchday 1", "Matchday 12", "Group, Matchday 2", "Finals, Final", "Qualifying, Round 1"])
GOALS = st.lists(st.fixed_dictionaries({"minute": st.integers(-1, 140)}), max_size=3) | JSON
MATCHES = st.fixed_dictionaries(
    {"team1": NAMES | JSON, "team2": NAMES | JSON, "round": ROUNDS | NAMES | JSON},
    optional={
        "date": st.sampled_from(["2024-08-17", "2024-13-01", "0001-01-01", "9999-12-31"]) | JSON,
        "time": st.sampled_from(["15:00", "00:00 UTC+14", "23:59 UTC-12", "7"]) | JSON,
        "score": SCORES,
        "status": st.sampled_from(["postponed", "cancelled", "awarded"]) | JSON,
        "group": st.sampled_from(["Group A", "Group B"]) | JSON,
        "goals1": GOALS,
        "goals2": GOALS,
    },
)


@given(st.binary(max_size=200))
def test_any_bytes_give_a_snapshot_or_the_typed_error(data: bytes) -> None:
    read_anything(data)


@given(JSON)
def test_any_json_gives_a_snapshot_or_the_typed_error(content: Any) -> None:
    read_anything(json.dumps(content).encode())
    for parse in (parse_groups, parse_standings):
        with suppress(ProviderBadData):
            parse(json.dumps(content).encode(), "file.json")


@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=times(60, 200), deadline=None)
@given(st.lists(MATCHES, max_size=6), st.booleans(), st.sampled_from(["en.1", "us.1", "worldcup"]))
def test_any_matches_give_a_sound_snapshot_or_the_typed_error(matches: list[Any], is_nested: bool, code: str) -> None:
    content = {"rounds": [{"name": "Matchday 1", "matches": matches}]} if is_nested else {"matches": matches}

    snapshot = read_anything(json.dumps({"name": "x", **content}).encode(), code)

    if snapshot is not None:
        assert_sound(snapshot)
        assert len(snapshot.matches) + len(snapshot.rejections) == len(matches)


WORLD_CUP = (DATA / "2022" / "worldcup.json").read_bytes()


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(WORLD_CUP) - 1), st.integers(0, 255))
def test_a_real_file_with_one_wrong_byte_gives_a_sound_snapshot_or_the_typed_error(place: int, byte: int) -> None:
    data = WORLD_CUP[:place] + bytes([byte]) + WORLD_CUP[place + 1 :]

    snapshot = read_anything(data, "worldcup", "2022")

    if snapshot is not None:
        assert_sound(snapshot)
        assert len(snapshot.matches) + len(snapshot.rejections) == 64
