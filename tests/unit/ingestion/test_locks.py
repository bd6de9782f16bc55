"""When guesses close, and kick-offs that only stand for a day."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.ingestion.rules import lock_of, without_placeholders
from domain.ingestion.snapshot import MatchSnapshot
from domain.match.model import KickOffPrecision, MatchStatus
from tests.support.openfootball import a_match, first_match

NOW = datetime(2026, 8, 15, 14, tzinfo=UTC)
HOUR = timedelta(hours=1)
MATCH = first_match(a_match(score={}))
LONDON = ZoneInfo("Europe/London")
MIDNIGHT = datetime(2026, 8, 15, 23, tzinfo=UTC)  # of the 16th in London


@pytest.mark.parametrize(
    ("kick_off", "present", "lock_at"),
    [
        (NOW + HOUR, None, NOW + HOUR),
        (NOW + HOUR, NOW + 2 * HOUR, NOW + HOUR),
        (NOW + 2 * HOUR, NOW + HOUR, NOW + 2 * HOUR),
        (NOW + HOUR, NOW, NOW),
        (NOW + HOUR, NOW - HOUR, NOW - HOUR),
        (NOW - 2 * HOUR, NOW - HOUR, NOW - 2 * HOUR),
        (NOW - HOUR, NOW + HOUR, NOW - HOUR),
    ],
)
def test_a_lock_follows_the_kick_off_and_never_reopens(
    kick_off: datetime, present: datetime | None, lock_at: datetime
) -> None:
    assert lock_of(replace(MATCH, kick_off=kick_off), present, NOW) == lock_at


@pytest.mark.parametrize("precision", [KickOffPrecision.DATE, KickOffPrecision.UNKNOWN])
def test_without_a_time_there_is_no_lock_before_play_but_a_passed_one_stays(precision: KickOffPrecision) -> None:
    match = replace(MATCH, kick_off=NOW - 5 * HOUR, kick_off_precision=precision)
    assert lock_of(match, None, NOW) is None
    assert lock_of(match, NOW + HOUR, NOW) is None
    assert lock_of(match, NOW - HOUR, NOW) == NOW - HOUR
    assert lock_of(replace(match, status=MatchStatus.IN_PLAY), None, NOW) == NOW


def many(count: int, **changes: Any) -> list[MatchSnapshot]:
    told: dict[str, Any] = {"kick_off": MIDNIGHT} | changes
    return [replace(MATCH, key=str(n), **told) for n in range(count)]


def precisions(matches: list[MatchSnapshot]) -> list[str]:
    return [match.kick_off_precision.value for match in without_placeholders(matches, LONDON)]


def test_many_of_a_round_at_one_midnight_have_only_a_date() -> None:
    evening = replace(MATCH, key="evening", kick_off=MIDNIGHT - 3 * HOUR)
    assert precisions([*many(3), evening]) == ["DATE", "DATE", "DATE", "EXACT"]


@pytest.mark.parametrize(
    "matches",
    [
        many(2),
        [*many(2), *many(1, round_slug="2")],
        [*many(2), *many(1, kick_off=MIDNIGHT + 24 * HOUR)],
        many(5, kick_off=MIDNIGHT + HOUR),
        many(3, status=MatchStatus.ENDED),
    ],
)
def test_a_midnight_that_is_no_placeholder_stays(matches: list[MatchSnapshot]) -> None:
    assert set(precisions(matches)) == {"EXACT"}
