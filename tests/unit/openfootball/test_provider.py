"""Replays on disk, and the provider that reads them beside the seasons."""

import os
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from stat import S_IMODE
from zoneinfo import ZoneInfo

import pytest

from domain.ingestion.errors import ProviderBadData, ProviderNotFound
from domain.match.model import MatchStatus
from integrations.openfootball.provider import OpenFootballProvider
from integrations.openfootball.replays import ReplayDescription, is_replay, read_replay, write_replay
from tests.support.openfootball import DATA, NOW, a_match, real_json, write_season

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FULL_SPEED = ReplayDescription(source_season="2024-25", starts_at=START, speed=None)


@pytest.fixture
def replays(tmp_path: Path) -> Path:
    return tmp_path / "replays"


@pytest.fixture
def provider(replays: Path) -> OpenFootballProvider:
    return OpenFootballProvider(DATA, replays_folder=replays)


def test_replays_of_one_day_are_numbered(replays: Path) -> None:
    names = [write_replay(replays, "en.1", FULL_SPEED, day=START.date()) for _ in range(3)]

    assert names == [f"2024-25 (replay 2026-11-24-{number})" for number in (1, 2, 3)]
    assert sorted(path.name for path in (replays / "en.1").iterdir()) == [f"{name}.json" for name in names]


def test_names_that_are_taken_elsewhere_are_left_out(replays: Path) -> None:
    assert write_replay(
        replays, "en.1", FULL_SPEED, day=START.date(), taken={"2024-25 (replay 2026-11-24-1)"}
    ).endswith("-2)")


def test_writers_at_one_moment_get_names_of_their_own(replays: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda _: write_replay(replays, "en.1", FULL_SPEED, day=START.date()), range(40)))

    assert len(set(names)) == 40
    assert {read_replay(replays, "en.1", name) for name in names} == {FULL_SPEED}


def test_a_description_is_read_by_other_users_too(replays: Path) -> None:
    name = write_replay(replays, "en.1", FULL_SPEED, day=START.date())

    assert S_IMODE((replays / "en.1" / f"{name}.json").stat().st_mode) == 0o644


@pytest.mark.parametrize(("competition", "season"), [("../en.1", "2024-25"), ("en.1", "../2024-25"), ("en.1", "")])
def test_a_replay_cannot_be_written_outside_of_its_folder(replays: Path, competition: str, season: str) -> None:
    with pytest.raises(ProviderNotFound):
        write_replay(replays, competition, ReplayDescription(season, START, None), day=START.date())

    assert not replays.exists()


@pytest.mark.parametrize(
    ("season", "expected"),
    [
        ("2024-25 (replay 2026-11-24-1)", True),
        ("2018 (replay 2026-11-24-12)", True),
        ("2024-25", False),
        ("../x (replay 2026-11-24-1)", False),
        ("2024-25 (replay 2026-11-24-1)/..", False),
        ("(replay 2026-11-24-1)", False),
    ],
)
def test_which_seasons_are_replays(season: str, expected: bool) -> None:
    assert is_replay(season) is expected


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"{", "truncated"),
        (b'{"source_season": "2024-25", "starts_at": "2026-11-24T12:00:00", "speed": null}', "has no offset"),
        (b'{"source_season": "2024-25", "starts_at": "2026-11-24T12:00:00Z", "speed": -1}', "speed must be above 0"),
        (b'{"source_season": "2024-25", "starts_at": "2026-11-24T12:00:00Z", "speed": "max"}', "speed"),
    ],
)
async def test_a_description_that_makes_no_sense(
    provider: OpenFootballProvider, replays: Path, content: bytes, reason: str
) -> None:
    name = write_replay(replays, "en.1", FULL_SPEED, day=START.date())
    (replays / "en.1" / f"{name}.json").write_bytes(content)

    with pytest.raises(ProviderBadData, match=reason):
        await provider.read("en.1", name, now=NOW)


async def test_an_unknown_replay_is_not_found(provider: OpenFootballProvider) -> None:
    with pytest.raises(ProviderNotFound):
        await provider.read("en.1", "2024-25 (replay 2026-11-24-9)", now=NOW)


async def test_a_replay_is_a_tournament_of_its_own_with_the_same_teams(
    provider: OpenFootballProvider, replays: Path
) -> None:
    name = write_replay(replays, "en.1", FULL_SPEED, day=START.date())

    replay = await provider.read("en.1", name, now=START)
    season = await provider.read("en.1", "2024-25", now=START)

    assert (replay.competition, replay.season) == ("en.1", "2024-25 (replay 2026-11-24-1)")
    assert replay.season_label == "2024/25 (replay 2026-11-24-1)"
    assert (replay.teams, replay.rounds, replay.time_zone) == (season.teams, season.rounds, season.time_zone)
    assert {match.key for match in replay.matches}.isdisjoint(match.key for match in season.matches)


async def test_reading_a_replay_follows_the_clock(provider: OpenFootballProvider, replays: Path) -> None:
    name = write_replay(replays, "en.1", FULL_SPEED, day=START.date())
    ended = []

    for seconds in (-1, 10, 30, 63):
        snapshot = await provider.read("en.1", name, now=START + timedelta(seconds=seconds))
        ended.append(sum(match.status is MatchStatus.ENDED for match in snapshot.matches))

    assert (ended[0], ended[-1]) == (0, 380)
    assert 0 < ended[1] < ended[2] < 380


async def test_the_plan_is_made_once_until_a_file_changes(tmp_path: Path, replays: Path) -> None:
    source = write_season(tmp_path, "en.1", "2024-25", {"name": "x", "matches": [a_match()]})
    provider = OpenFootballProvider(tmp_path, replays_folder=replays)
    name = write_replay(replays, "en.1", FULL_SPEED, day=START.date())

    plan = await provider.read_plan("en.1", name)
    assert await provider.read_plan("en.1", name) is plan

    source = write_season(tmp_path, "en.1", "2024-25", {"name": "x", "matches": [a_match(team2="Chelsea FC")]})
    os.utime(source, ns=(1, 1))
    assert (await provider.read_plan("en.1", name)).snapshot.matches[0].away_label == "Chelsea FC"


async def test_a_replay_may_play_a_file_of_another_folder(tmp_path: Path, replays: Path) -> None:
    write_season(tmp_path, "xx.1", "2024", {"name": "Cup 2024", "matches": [a_match(time="15:00 UTC+1")]})
    name = write_replay(replays, "xx.1", ReplayDescription("2024", START, 1.0, folder=str(tmp_path)), day=START.date())

    snapshot = await OpenFootballProvider(DATA, replays_folder=replays).read("xx.1", name, now=START)

    assert [(match.home_label, match.kick_off) for match in snapshot.matches] == [("Arsenal FC", START)]


async def test_a_replay_tells_nothing_of_the_tables_to_come(provider: OpenFootballProvider, replays: Path) -> None:
    name = write_replay(replays, "worldcup", ReplayDescription("2018", START, None), day=START.date())

    snapshot = await provider.read("worldcup", name, now=START - timedelta(seconds=1))

    assert {(table.is_computed, row.points) for table in snapshot.standings for row in table.rows} == {(True, 0)}


async def test_a_zone_that_is_set_goes_before_the_known_one(tmp_path: Path) -> None:
    write_season(tmp_path, "us.1", "2024", {"name": "MLS 2024", "matches": [a_match()]})
    provider = OpenFootballProvider(tmp_path, time_zones={"us.1": ZoneInfo("America/New_York")})

    snapshot = await provider.read("us.1", "2024", now=NOW)

    assert snapshot.time_zone == "America/New_York"
    assert snapshot.matches[0].kick_off == datetime(2024, 8, 17, 19, 0, tzinfo=UTC)


async def test_a_file_that_changed_is_read_anew(tmp_path: Path) -> None:
    content = real_json("worldcup", "2022")
    write_season(tmp_path, "worldcup", "2022", content)
    provider = OpenFootballProvider(tmp_path)
    first = await provider.read("worldcup", "2022", now=NOW)

    content["matches"][0]["score"]["ft"] = [0, 3]
    write_season(tmp_path, "worldcup", "2022", content)
    second = await provider.read("worldcup", "2022", now=NOW)

    assert [after.key for before, after in zip(first.matches, second.matches, strict=True) if before != after] == [
        "worldcup/2022/1/Qatar/Ecuador"
    ]
