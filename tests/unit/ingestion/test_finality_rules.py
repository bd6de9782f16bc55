"""When a result may be believed: complete, plausible, and said twice over some time."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.ingestion.finality.model import Gate, HeldReading
from domain.ingestion.finality.rules import (
    NO_EXTRA_TIME,
    NO_REGULATION,
    NO_SCORE,
    NOT_REPEATED,
    content_of,
    held_back,
    missing_part,
    waiting_boards,
)
from domain.ingestion.snapshot import MatchSnapshot
from domain.match.model import Goals, MatchStatus, ResultKind
from tests.support.openfootball import a_match, first_match

KICK_OFF = datetime(2026, 8, 15, 14, tzinfo=UTC)
TOO_SOON = "The match is said to be over less than 85 minutes after it began."
ENDED = replace(first_match(a_match()), kick_off=KICK_OFF)
LATE = KICK_OFF + timedelta(minutes=110)
SECOND = timedelta(seconds=1)


def changed(**changes: Any) -> MatchSnapshot:
    return replace(ENDED, **changes)


def judged(match: MatchSnapshot, read_at: datetime, said: MatchSnapshot | None, said_at: datetime = LATE) -> str | None:
    held = None if said is None else HeldReading(content_of(said), said_at)
    return held_back(match, Gate(), began=match.kick_off, held=held, read_at=read_at)


def test_without_a_gate_a_result_is_final_at_once() -> None:
    assert held_back(ENDED, None, began=None, held=None, read_at=KICK_OFF) is None


def test_a_result_waits_until_it_is_said_twice_a_minute_apart() -> None:
    assert judged(ENDED, LATE, None) == NOT_REPEATED
    assert judged(ENDED, LATE + 60 * SECOND - SECOND / 1000, ENDED) == NOT_REPEATED
    assert judged(ENDED, LATE + 60 * SECOND, ENDED) is None


@pytest.mark.parametrize(
    "change",
    [
        {"regulation": Goals(2, 2)},
        {"after_extra_time": Goals(3, 1)},
        {"shoot_out": Goals(4, 3)},
        {"kind": ResultKind.AWARDED},
        {"status": MatchStatus.ABANDONED},
    ],
)
def test_another_result_begins_to_wait_anew(change: dict[str, Any]) -> None:
    assert judged(changed(**change), LATE + timedelta(hours=1), ENDED) == NOT_REPEATED


def test_what_is_not_the_result_may_change_while_it_waits() -> None:
    assert judged(changed(stadium="Wembley", round_slug="9"), LATE + 60 * SECOND, ENDED) is None


def test_a_match_that_is_over_too_soon_is_not_believed_however_often_it_is_said() -> None:
    soon = KICK_OFF + timedelta(minutes=85)
    assert judged(ENDED, soon - SECOND, ENDED, KICK_OFF) == TOO_SOON
    assert judged(ENDED, soon, ENDED, KICK_OFF) is None
    assert held_back(ENDED, Gate(), began=None, held=HeldReading(content_of(ENDED), KICK_OFF), read_at=LATE) == TOO_SOON


@pytest.mark.parametrize(
    "change",
    [{"status": MatchStatus.ABANDONED}, {"status": MatchStatus.CANCELLED}, {"kind": ResultKind.AWARDED}],
)
def test_what_was_not_played_out_needs_no_time_and_is_said_twice_too(change: dict[str, Any]) -> None:
    match = changed(**change)
    assert judged(match, KICK_OFF, None) == NOT_REPEATED
    assert judged(match, KICK_OFF + 60 * SECOND, match, KICK_OFF) is None


def test_durations_are_those_of_the_gate() -> None:
    gate, held = Gate(timedelta(minutes=10), timedelta(0)), HeldReading(content_of(ENDED), KICK_OFF)
    read_at = KICK_OFF + timedelta(minutes=10)
    assert held_back(ENDED, gate, began=KICK_OFF, held=held, read_at=read_at) is None
    too_soon = held_back(ENDED, gate, began=KICK_OFF, held=held, read_at=read_at - SECOND)
    assert too_soon == "The match is said to be over less than 10 minutes after it began."


@pytest.mark.parametrize(
    ("change", "missing", "waiting"),
    [
        ({}, None, None),
        ({"regulation": None}, NO_SCORE, None),
        ({"regulation": None, "shoot_out": Goals(4, 3)}, NO_SCORE, None),
        ({"regulation": None, "after_extra_time": Goals(2, 1)}, None, NO_REGULATION),
        ({"regulation": None, "after_extra_time": Goals(2, 1), "kind": ResultKind.AWARDED}, None, None),
        ({"went_to_extra_time": True}, NO_EXTRA_TIME, None),
        ({"went_to_extra_time": True, "after_extra_time": Goals(3, 2)}, None, None),
        ({"regulation": None, "status": MatchStatus.IN_PLAY}, None, None),
        ({"regulation": None, "status": MatchStatus.ABANDONED, "kind": ResultKind.VOID}, None, None),
    ],
)
def test_a_part_that_is_missing_is_told(change: dict[str, Any], missing: str | None, waiting: str | None) -> None:
    match = changed(**change)
    assert (missing_part(match), waiting_boards(match)) == (missing, waiting)
