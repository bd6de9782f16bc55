"""Which slots a schedule has: missed ones, days that the clock changes, and expressions that make no sense."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.execution.model import Command, Operation, Target
from domain.ids import ScheduleId, new_id
from domain.schedule import slots
from domain.schedule.model import Schedule, ScheduleStatus

NOW = datetime(2026, 8, 1, 12, 0, 30, tzinfo=UTC)


def schedule(*, cron: str | None = "* * * * *", next_slot: datetime = NOW, time_zone: str = "UTC") -> Schedule:
    return Schedule(
        id=ScheduleId(new_id()),
        name="test",
        command=Command(Operation.SETTLE_PENDING, Target(), {}),
        cron=cron,
        run_at=None if cron else next_slot,
        time_zone=time_zone,
        status=ScheduleStatus.ACTIVE,
        next_slot=next_slot,
    )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_latest_missed_slot_runs_and_the_others_are_counted() -> None:
    due = slots.due(schedule(cron="*/5 * * * *", next_slot=at("2026-07-29T12:05")), NOW)

    assert due == slots.Due(at("2026-08-01T12:00"), missed=3 * 24 * 12 - 1, next_slot=at("2026-08-01T12:05"))


def test_a_slot_of_this_moment_runs_and_one_that_is_still_to_come_does_not() -> None:
    assert slots.due(schedule(next_slot=NOW.replace(second=0)), NOW.replace(second=0)) == slots.Due(
        at("2026-08-01T12:00"), 0, at("2026-08-01T12:01")
    )
    assert slots.due(schedule(next_slot=at("2026-08-01T12:01")), NOW) is None


def test_a_rare_schedule_runs_however_long_nobody_was_there() -> None:
    due = slots.due(schedule(cron="0 6 1 1 *", next_slot=at("2024-01-01T06:00")), NOW)

    assert due == slots.Due(at("2026-01-01T06:00"), missed=2, next_slot=at("2027-01-01T06:00"))


def test_years_of_missed_minutes_are_counted_over_the_last_week() -> None:
    due = slots.due(schedule(next_slot=at("2020-01-01T00:00")), NOW)

    assert due == slots.Due(at("2026-08-01T12:00"), missed=7 * 24 * 60 - 1, next_slot=at("2026-08-01T12:01"))


def test_a_one_time_schedule_always_runs_and_then_never_again() -> None:
    assert slots.due(schedule(cron=None, next_slot=at("2026-01-01T00:00")), NOW) == slots.Due(
        at("2026-01-01T00:00"), 0, None
    )


@pytest.mark.parametrize(
    ("zone", "cron", "after", "expected"),
    [
        # Spring in Berlin: 02:00 becomes 03:00 on 2026-03-29.
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-03-28T00:00",
            ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"],
        ),
        # Autumn: 03:00 becomes 02:00 on 2026-10-25, so 02:30 comes twice and counts once.
        (
            "Europe/Berlin",
            "30 2 * * *",
            "2026-10-24T00:00",
            ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"],
        ),
        (
            "Europe/Berlin",
            "0 12 * * *",
            "2026-03-28T12:00",
            ["2026-03-29T10:00", "2026-03-30T10:00", "2026-03-31T10:00"],
        ),
        # Every half hour goes on in real time through the doubled hour.
        (
            "Europe/Berlin",
            "*/30 * * * *",
            "2026-10-25T00:00",
            ["2026-10-25T00:30", "2026-10-25T01:00", "2026-10-25T01:30"],
        ),
        (
            "Europe/Berlin",
            "*/30 * * * *",
            "2026-03-29T00:30",
            ["2026-03-29T01:00", "2026-03-29T01:30", "2026-03-29T02:00"],
        ),
        # Lisbon is at 00:00 UTC in winter: 01:00 becomes 02:00 on 2026-03-29, and 02:00 becomes 01:00 on 2026-10-25.
        (
            "Europe/Lisbon",
            "15 1 * * *",
            "2026-03-28T00:00",
            ["2026-03-28T01:15", "2026-03-29T01:00", "2026-03-30T00:15"],
        ),
        (
            "Europe/Lisbon",
            "15 1 * * *",
            "2026-10-24T00:00",
            ["2026-10-24T00:15", "2026-10-25T00:15", "2026-10-26T01:15"],
        ),
        # Each hour of the day in Lisbon: the doubled one has two slots, as it has two hours.
        (
            "Europe/Lisbon",
            "0 * * * *",
            "2026-10-24T23:30",
            ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"],
        ),
        # São Paulo changed at midnight: 2018-11-04 begins at 01:00, and 2018-02-17 has 23:00 twice.
        (
            "America/Sao_Paulo",
            "0 0 * * *",
            "2018-11-03T00:00",
            ["2018-11-03T03:00", "2018-11-04T03:00", "2018-11-05T02:00"],
        ),
        (
            "America/Sao_Paulo",
            "30 23 * * *",
            "2018-02-17T02:00",
            ["2018-02-18T01:30", "2018-02-19T02:30", "2018-02-20T02:30"],
        ),
        (
            "America/Sao_Paulo",
            "*/20 0 * * *",
            "2018-11-03T03:30",
            ["2018-11-03T03:40", "2018-11-04T03:00", "2018-11-05T02:00"],
        ),
        # Of an hour that comes twice, only the first counts; of three times in the gap there is one run.
        (
            "America/Sao_Paulo",
            "*/30 23 * * *",
            "2018-02-17T02:00",
            ["2018-02-18T01:00", "2018-02-18T01:30", "2018-02-19T02:00"],
        ),
        (
            "Europe/Berlin",
            "0 */2 * * *",
            "2026-03-28T23:30",
            ["2026-03-29T01:00", "2026-03-29T02:00", "2026-03-29T04:00"],
        ),
        # Lord Howe moves by half an hour: 02:00 becomes 02:30 on 2026-10-04, and 02:00 becomes 01:30 on 2026-04-05.
        (
            "Australia/Lord_Howe",
            "15 2 * * *",
            "2026-10-02T20:00",
            ["2026-10-03T15:30", "2026-10-04T15:15", "2026-10-05T15:15"],
        ),
        (
            "Australia/Lord_Howe",
            "45 1 * * *",
            "2026-04-03T20:00",
            ["2026-04-04T14:45", "2026-04-05T15:15", "2026-04-06T15:15"],
        ),
    ],
)
def test_slots_follow_the_clock_of_their_zone(zone: str, cron: str, after: str, expected: list[str]) -> None:
    instant, found = at(after), []
    for _ in expected:
        instant = slots.first_slot(cron, zone, instant)
        found.append(instant)

    assert found == [at(one) for one in expected]


def test_a_slot_never_lies_in_the_past() -> None:
    """02:40 comes a second time; 02:30 of that day has been, though the clock shows it as still to come."""
    second_0210 = at("2026-10-25T01:10")

    assert slots.first_slot("30 2 * * *", "Europe/Berlin", second_0210) == at("2026-10-26T01:30")


ZONES = ("Europe/Lisbon", "America/Sao_Paulo", "Australia/Lord_Howe")
DAYS = st.integers(0, 13 * 365 * 24 * 60).map(lambda minutes: at("2017-01-01T00:00") + timedelta(minutes=minutes))


@settings(deadline=None)
@given(zone=st.sampled_from(ZONES), after=DAYS, hour=st.integers(0, 23), minute=st.integers(0, 59))
def test_a_daily_slot_comes_once_a_day_and_never_before_its_time(
    zone: str, after: datetime, hour: int, minute: int
) -> None:
    cron, clock = f"{minute} {hour} * * *", ZoneInfo(zone)
    first = slots.first_slot(cron, zone, after)
    second = slots.first_slot(cron, zone, first)
    shown = [(slot.astimezone(clock).hour, slot.astimezone(clock).minute) for slot in (first, second)]

    assert after < first < second
    assert (second.astimezone(clock).date() - first.astimezone(clock).date()).days == 1
    assert all(one >= (hour, minute) for one in shown)  # later only where the gap has swallowed it
    assert (hour, minute) in shown  # no two days in a row have a gap


@pytest.mark.parametrize(
    "cron", ["* * * * *", "0 6 1 1 *", "*/10 8-20 * * MON-FRI", "0 0 29 2 *", "0 12 * * SUN#1", "5 4 L * *"]
)
def test_a_good_expression_has_no_problem(cron: str) -> None:
    assert slots.cron_problem(cron, "Europe/Lisbon", NOW) is None


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("", "five fields"),
        ("* * * *", "five fields"),
        ("* * * * * *", "five fields"),
        ("@daily", "five fields"),
        ("0 0 1 1 " + "1," * 200 + "1", "five fields"),
        ("60 * * * *", "Bad minute"),
        ("* 24 * * *", "Bad hour"),
        ("* * 0 * *", "Bad day-of-month"),
        ("* * * 13 *", "Bad month"),
        ("* * * * 9", "Bad day-of-week"),
        ("*/0 * * * *", "Bad minute"),
        ("0 0 30 2 *", "Bad day-of-month"),
        ("1\0 * * * *", "Bad minute"),
    ],
)
def test_a_bad_expression_is_told_in_words(cron: str, words: str) -> None:
    assert words in (slots.cron_problem(cron, "UTC", NOW) or "")
