"""A season played again: what stands at which moment of its clock."""

import math
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.ingestion.snapshot import MatchSnapshot, TournamentSnapshot
from domain.match.model import Goals, KickOffPrecision, MatchStatus, ResultKind
from integrations.openfootball.mapping import Season
from integrations.openfootball.replay import MATCH_SHARE, MAX_SPREAD, ReplayPlan
from integrations.openfootball.zones import zone_of
from tests.support.openfootball import DATA, JsonObject, a_match, list_seasons, map_content, real_json

START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)


def season_of(competition: str, season: str) -> Season:
    return map_content(real_json(competition, season), competition, season, zone=zone_of(competition, season))


def plan_of(season: Season, speed: float | None = 1) -> ReplayPlan:
    return ReplayPlan.from_snapshot(season.snapshot, season.courses, starts_at=START, speed=speed)


def plan(*matches: JsonObject, speed: float | None = 1) -> ReplayPlan:
    return plan_of(map_content({"name": "Test", "matches": list(matches)}), speed)


def at(plan: ReplayPlan, since_start: timedelta, match: int = 0) -> MatchSnapshot:
    return plan.at(START + since_start).matches[match]


def score_line(plan: ReplayPlan, minutes: list[float]) -> list[tuple[float, Goals | None]]:
    return [(minute, at(plan, MINUTE * minute).running) for minute in minutes]


def outcome(match: MatchSnapshot) -> tuple[object, ...]:
    """All that is told of a match in the end, but when it was played."""
    parts = (match.regulation, match.after_extra_time, match.shoot_out, match.running, match.minute)
    return match.key, match.status, match.kind, *parts, match.data_warning


def test_before_kick_off_nothing_is_told() -> None:
    match = at(plan(a_match()), -SECOND)

    assert (match.status, match.kick_off, match.kick_off_precision) == (
        MatchStatus.NOT_STARTED,
        START,
        KickOffPrecision.EXACT,
    )
    assert (match.regulation, match.running, match.minute) == (None, None, None)


def test_without_goal_lists_the_half_time_score_comes_at_45_and_the_final_one_at_90() -> None:
    replay = plan(a_match(score={"ht": [1, 0], "ft": [2, 1]}))

    assert score_line(replay, [0, 44.9, 45, 89.9, 90, 92.9]) == [
        (0, Goals(0, 0)),
        (44.9, Goals(0, 0)),
        (45, Goals(1, 0)),
        (89.9, Goals(1, 0)),
        (90, Goals(2, 1)),
        (92.9, Goals(2, 1)),
    ]
    assert [at(replay, MINUTE * minute).minute for minute in (0, 1, 44.9, 45, 92)] == [1, 1, 44, 45, 90]


def test_the_final_whistle_tells_the_result() -> None:
    replay = plan(a_match(score={"ht": [1, 0], "ft": [2, 1]}))

    in_play, ended = at(replay, MINUTE * 93 - SECOND), at(replay, MINUTE * 93)

    assert (in_play.status, in_play.regulation) == (MatchStatus.IN_PLAY, None)
    assert (ended.status, ended.regulation, ended.running, ended.minute) == (MatchStatus.ENDED, Goals(2, 1), None, None)
    assert replay.finished_at == START + MINUTE * 93


def test_a_missing_half_time_score_leaves_it_at_0_0_until_90() -> None:
    replay = plan(a_match(score={"ft": [0, 2]}))

    assert score_line(replay, [45, 89, 90]) == [(45, Goals(0, 0)), (89, Goals(0, 0)), (90, Goals(0, 2))]


GOALS = {
    "goals1": [{"name": "A", "minute": 46}, {"name": "B", "minute": 90, "offset": 4}],
    "goals2": [{"name": "C", "minute": 45, "offset": 2, "owngoal": True}],
}


def test_the_score_changes_at_the_minutes_that_the_file_tells() -> None:
    replay = plan(a_match(score={"ht": [0, 1], "ft": [2, 1]}, **GOALS))

    assert score_line(replay, [45, 45.2, 45.9, 46, 90, 90.4]) == [
        (45, Goals(0, 0)),
        (45.2, Goals(0, 1)),
        (45.9, Goals(0, 1)),
        (46, Goals(1, 1)),
        (90, Goals(1, 1)),
        (90.4, Goals(2, 1)),
    ]


def test_goals_that_do_not_add_up_to_the_result_are_not_believed() -> None:
    replay = plan(a_match(score={"ht": [0, 1], "ft": [3, 1]}, **GOALS))

    assert score_line(replay, [44, 45, 46, 90]) == [
        (44, Goals(0, 0)),
        (45, Goals(0, 1)),
        (46, Goals(0, 1)),
        (90, Goals(3, 1)),
    ]


def test_a_goal_after_the_end_is_not_believed() -> None:
    late = [{"minute": 121}]
    replay = plan(a_match(round="Final", score={"ft": [0, 0], "et": [1, 0]}, goals1=late, goals2=[]))

    assert score_line(replay, [119, 120]) == [(119, Goals(0, 0)), (120, Goals(1, 0))]


def test_extra_time_and_shoot_out_follow_the_90_minutes() -> None:
    score = {"ht": [0, 0], "ft": [1, 1], "et": [2, 2], "p": [4, 3]}
    replay = plan(a_match(round="Final", score=score))

    assert score_line(replay, [90, 119, 120, 129]) == [
        (90, Goals(1, 1)),
        (119, Goals(1, 1)),
        (120, Goals(2, 2)),
        (129, Goals(2, 2)),
    ]
    assert [at(replay, MINUTE * minute).regulation for minute in (90, 91, 129)] == [None, Goals(1, 1), Goals(1, 1)]
    assert at(replay, MINUTE * 129).shoot_out is None
    ended = at(replay, MINUTE * 130)
    assert (ended.status, ended.regulation, ended.after_extra_time, ended.shoot_out) == (
        MatchStatus.ENDED,
        Goals(1, 1),
        Goals(2, 2),
        Goals(4, 3),
    )


def test_a_shoot_out_without_extra_time() -> None:
    replay = plan(a_match(round="Final", score={"ft": [1, 1], "p": [5, 4]}))

    assert at(replay, MINUTE * 99).status is MatchStatus.IN_PLAY
    ended = at(replay, MINUTE * 100)
    assert (ended.status, ended.after_extra_time, ended.shoot_out) == (MatchStatus.ENDED, None, Goals(5, 4))


def test_the_world_cup_final_of_2022_as_it_was_played() -> None:
    season = season_of("worldcup", "2022")
    replay = plan_of(season)
    index = next(place for place, match in enumerate(season.snapshot.matches) if match.round_slug == "final")
    kick_off = at(replay, -SECOND, index).kick_off
    assert kick_off is not None

    scores = [replay.at(kick_off + MINUTE * minute).matches[index].running for minute in (22, 23, 36, 80, 81, 108, 118)]

    assert scores == [
        Goals(0, 0),
        Goals(1, 0),
        Goals(2, 0),
        Goals(2, 1),
        Goals(2, 2),
        Goals(3, 2),
        Goals(3, 3),
    ]


def test_speed_divides_the_time_since_the_first_kick_off() -> None:
    replay = plan(a_match(), a_match(team1="Chelsea FC", team2="Fulham FC", date="2024-08-18", time="16:00"), speed=60)

    first, second = replay.snapshot.matches[0], at(replay, timedelta(), 1)

    assert first.kick_off is not None
    assert second.kick_off == START + timedelta(hours=25) / 60
    assert at(replay, SECOND * 45).running == Goals(1, 0)
    assert at(replay, SECOND * 93).status is MatchStatus.ENDED
    assert at(replay, timedelta(hours=25) / 60 + SECOND * 93, 1).status is MatchStatus.ENDED


def test_greatest_speed_spreads_distinct_kick_offs_evenly_over_a_minute() -> None:
    season = season_of("en.1", "2024-25")
    before = plan_of(season, None).at(START - SECOND)

    kick_offs = sorted({match.kick_off for match in before.matches if match.kick_off})
    gaps = [later - earlier for earlier, later in pairwise(kick_offs)]

    assert len(kick_offs) == 216
    assert (kick_offs[0], kick_offs[-1]) == (START, START + MAX_SPREAD)
    assert max(gaps) - min(gaps) <= timedelta(microseconds=2)
    real = {match.key: match.kick_off for match in season.snapshot.matches}
    together = {(real[match.key], match.kick_off) for match in before.matches}
    assert len(together) == 216, "matches of one instant stay together"
    assert [kick_off for _, kick_off in sorted(together, key=lambda pair: str(pair[0]))] == kick_offs


@pytest.mark.parametrize("score", [{"ft": [1, 1]}, {"ft": [1, 1], "et": [1, 1], "p": [5, 4]}])
def test_at_greatest_speed_every_match_lasts_the_same_short_time(score: JsonObject) -> None:
    replay = plan(a_match(round="Final", score=score), speed=None)

    assert at(replay, MAX_SPREAD * MATCH_SHARE - timedelta(milliseconds=1)).status is MatchStatus.IN_PLAY
    assert at(replay, MAX_SPREAD * MATCH_SHARE).status is MatchStatus.ENDED
    assert replay.finished_at == START + MAX_SPREAD * MATCH_SHARE


def test_a_cancelled_match_is_called_off_on_its_day() -> None:
    cancelled = a_match(team1="C", team2="D", date="2024-08-18", time=None, status="cancelled", score={})
    replay = plan(a_match(), cancelled, speed=60)
    midnight = datetime(2024, 8, 18, tzinfo=ZoneInfo("Europe/London"))
    day = (midnight - datetime(2024, 8, 17, 15, tzinfo=ZoneInfo("Europe/London"))) / 60

    before, after = at(replay, day - SECOND, 1), at(replay, day, 1)

    assert (before.status, before.kind, before.kick_off_precision) == (
        MatchStatus.NOT_STARTED,
        ResultKind.PLAYED,
        KickOffPrecision.DATE,
    )
    assert (after.status, after.kind, after.kick_off) == (MatchStatus.CANCELLED, ResultKind.VOID, START + day)
    assert replay.finished_at == START + day


def test_a_cancelled_match_of_an_earlier_day_is_called_off_at_the_start() -> None:
    cancelled = a_match(team1="C", team2="D", date="2024-08-01", time=None, status="cancelled", score={})
    for speed in (60.0, None):
        replay = plan(a_match(), cancelled, speed=speed)
        assert [at(replay, since, 1).status for since in (-SECOND, timedelta())] == [
            MatchStatus.NOT_STARTED,
            MatchStatus.CANCELLED,
        ]


def test_matches_that_never_get_a_result_are_named() -> None:
    postponed = a_match(team1="C", team2="D", time=None, status="postponed", score={})
    unplayed = a_match(team1="E", team2="F", score={})
    replay = plan(a_match(), postponed, unplayed)

    assert [match.home_label for match in replay.without_result] == ["C", "E"]
    assert [at(replay, MINUTE * 500, place).status for place in (1, 2)] == [
        MatchStatus.POSTPONED,
        MatchStatus.NOT_STARTED,
    ]
    assert at(replay, MINUTE * 500, 2).kick_off == START


def test_an_awarded_match_is_not_played() -> None:
    replay = plan(a_match(status="awarded", score={"ft": [3, 0]}))

    assert at(replay, MINUTE * 45).status is MatchStatus.NOT_STARTED
    ended = at(replay, MINUTE * 93)
    assert (ended.status, ended.kind, ended.regulation) == (MatchStatus.ENDED, ResultKind.AWARDED, Goals(3, 0))


def test_a_result_without_a_known_time_locks_before_it_is_told() -> None:
    replay = plan(a_match(time=None))

    match = at(replay, -SECOND)

    assert (match.kick_off, match.kick_off_precision) == (START, KickOffPrecision.EXACT)
    assert at(replay, MINUTE * 45).status is MatchStatus.IN_PLAY


def test_a_result_without_a_date_comes_with_the_last_kick_off() -> None:
    undated = a_match(team1="C", team2="D", date=None, time=None)
    later = a_match(team1="E", team2="F", time="17:30")

    assert at(plan(a_match(), undated, later), timedelta(), 1).kick_off == START + timedelta(hours=2.5)
    assert at(plan(a_match(), undated, later, speed=None), timedelta(), 1).kick_off == START + MAX_SPREAD


def test_a_season_without_a_single_kick_off_is_over_at_once() -> None:
    replay = plan(a_match(time=None, status="postponed", score={}))

    assert (replay.finished_at, replay.changes, len(replay.without_result)) == (START, (), 1)
    assert replay.next_change_after(START) is None


def test_next_change() -> None:
    replay = plan(a_match(score={"ft": [1, 0]}))

    assert replay.next_change_after(START - SECOND) == START
    assert replay.next_change_after(START) == START + MINUTE * 2, "minute 1 is shown from kick-off on"
    assert replay.next_change_after(replay.finished_at) is None


def test_the_minute_shown_moves_at_most_once_a_second() -> None:
    replay = plan(a_match(score={"ft": [0, 0]}), speed=600)

    assert min(later - earlier for earlier, later in pairwise(replay.changes[:-1])) >= SECOND
    assert [at(replay, SECOND * second).minute for second in range(10)] == [1, 10, 20, 30, 40, 50, 60, 70, 80, 90]


@pytest.mark.parametrize("speed", [0, -1, math.inf, math.nan])
def test_an_impossible_speed_is_refused(speed: float) -> None:
    with pytest.raises(ValueError, match="speed must be above 0"):
        plan(a_match(), speed=speed)


@pytest.mark.parametrize("speed", [None, 1, 5000])
@pytest.mark.parametrize(("season", "competition"), list_seasons(DATA))
def test_every_season_ends_as_its_file_tells(season: str, competition: str, speed: float | None) -> None:
    played = season_of(competition, season)
    replay = plan_of(played, speed)

    start, end = replay.at(START - SECOND), replay.at(replay.finished_at)

    assert [outcome(match) for match in end.matches] == [outcome(match) for match in played.snapshot.matches]
    assert end.standings == played.snapshot.standings
    assert {match.status for match in start.matches} <= {MatchStatus.NOT_STARTED, MatchStatus.POSTPONED}
    assert {row.played for table in start.standings for row in table.rows} == {0}
    open_ended = {MatchStatus.NOT_STARTED, MatchStatus.POSTPONED}
    assert [match.key for match in replay.without_result] == [m.key for m in end.matches if m.status in open_ended]
    if speed is None:
        assert replay.finished_at - START <= MAX_SPREAD + MAX_SPREAD * MATCH_SHARE


def test_matches_without_result_of_the_season_in_progress() -> None:
    replay = plan_of(season_of("en.1", "2025-26"), None)

    assert Counter(match.status for match in replay.without_result) == {
        MatchStatus.NOT_STARTED: 88,
        MatchStatus.POSTPONED: 1,
    }


ORDER = {MatchStatus.NOT_STARTED: 0, MatchStatus.IN_PLAY: 1, MatchStatus.ENDED: 2, MatchStatus.CANCELLED: 2}
SPEEDS: list[float | None] = [None, 1, 300, 7200]
REPLAYS = {speed: plan_of(season_of("worldcup", "2018"), speed) for speed in SPEEDS[:3]}
REPLAYS[7200] = plan_of(season_of("fr.1", "2019-20"), 7200)


def assert_forward(earlier: TournamentSnapshot, later: TournamentSnapshot) -> None:
    for old, new in zip(earlier.matches, later.matches, strict=True):
        assert (old.key, old.kick_off) == (new.key, new.kick_off)
        assert ORDER[old.status] <= ORDER[new.status]
        if old.running is not None:
            score = new.running or new.after_extra_time or new.regulation
            assert score is not None
            assert old.running.home <= score.home
            assert old.running.away <= score.away


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SPEEDS), st.floats(-0.1, 1.1), st.floats(-0.1, 1.1))
def test_time_only_goes_forward_and_equal_moments_are_equal(speed: float | None, one: float, other: float) -> None:
    replay = REPLAYS[speed]
    length = replay.finished_at - START
    earlier, later = START + length * min(one, other), START + length * max(one, other)

    assert_forward(replay.at(earlier), replay.at(later))
    assert replay.at(earlier) == replay.at(earlier)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SPEEDS), st.floats(0, 1))
def test_nothing_changes_between_two_changes(speed: float | None, place: float) -> None:
    replay = REPLAYS[speed]
    now = START + (replay.finished_at - START) * place
    upcoming = replay.next_change_after(now)

    if upcoming is not None:
        assert replay.at(now) == replay.at(upcoming - timedelta(microseconds=1))
        assert replay.at(now) != replay.at(upcoming)
