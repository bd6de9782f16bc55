"""The day of a time zone, as two instants."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.match.rules import day_of


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "zone", "start", "end"),
    [
        ("2026-11-24T13:40:45", "UTC", "2026-11-24T00:00", "2026-11-25T00:00"),
        ("2026-11-24T00:00:00", "UTC", "2026-11-24T00:00", "2026-11-25T00:00"),
        ("2026-11-24T23:59:59", "UTC", "2026-11-24T00:00", "2026-11-25T00:00"),
        # An evening match in Brazil is of the day before in UTC.
        ("2026-11-25T01:00:00", "America/Sao_Paulo", "2026-11-24T03:00", "2026-11-25T03:00"),
        ("2026-11-24T11:00:00", "Pacific/Kiritimati", "2026-11-24T10:00", "2026-11-25T10:00"),
        # 23 hours: the clocks go forward.
        ("2026-03-29T12:00:00", "Europe/Berlin", "2026-03-28T23:00", "2026-03-29T22:00"),
        # 25 hours: the clocks go back.
        ("2026-10-25T12:00:00", "Europe/Berlin", "2026-10-24T22:00", "2026-10-25T23:00"),
        # No midnight at all: the day begins at one o'clock.
        ("2026-09-06T12:00:00", "America/Santiago", "2026-09-06T04:00", "2026-09-07T03:00"),
    ],
)
def test_a_day_runs_from_midnight_to_midnight(now: str, zone: str, start: str, end: str) -> None:
    assert day_of(utc(now), ZoneInfo(zone)) == (utc(start), utc(end))


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/Santiago", "Asia/Beirut", "Australia/Lord_Howe"])
def test_days_of_a_year_leave_no_gap_and_hold_their_own_noon(zone: str) -> None:
    now = utc("2026-01-01T12:00")
    before = day_of(now, ZoneInfo(zone))
    for _ in range(365):
        day = day_of(before[1] + timedelta(hours=1), ZoneInfo(zone))
        assert day[0] == before[1]
        assert day[0] < day[1]
        before = day
