"""A finished season played again on a clock of its own: the snapshot as it would stand at a moment. Pure.

A match is played in minutes of the match clock, without the break at half-time: what the file tells for minute 60
happens 60 minutes after kick-off, divided by the speed.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from domain.ingestion.snapshot import MatchSnapshot, TournamentSnapshot
from domain.ingestion.standings import compute_standings
from domain.match.model import Goals, KickOffPrecision, MatchStatus, ResultKind
from integrations.openfootball.mapping import Course

MAX_SPREAD = timedelta(seconds=60)
"""At full speed all kick-offs of a season fall within this time."""
MATCH_SHARE = 1 / 24
"""Where kick-offs are spread evenly, a match lasts this share of the whole, extra time and shoot-out included."""

HALF = 45
REGULATION = 90
EXTRA_TIME = 120
ADDED_TIME = 3
"""Match minutes from the last one on the clock to the final whistle."""
SHOOT_OUT = 7
"""Match minutes that a shoot-out takes."""

VOID = frozenset({MatchStatus.CANCELLED, MatchStatus.ABANDONED})
_NO_COURSE = Course(half_time=None, goals=None)


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """What happens when, fixed at the start. Equal plans give equal snapshots at equal moments."""

    snapshot: TournamentSnapshot
    """The season as the file has it, with kick-offs on the clock of the replay."""
    timelines: tuple["_Timeline", ...]
    starts_at: datetime
    """The first kick-off."""
    changes: tuple[datetime, ...]
    """Every instant at which `at` gives something new, in order."""
    finished_at: datetime
    """From here on every result and every cancellation of the file is out."""
    without_result: tuple[MatchSnapshot, ...]
    """Matches that never get a result: postponed, or without a score in the file."""

    @classmethod
    def from_snapshot(
        cls,
        snapshot: TournamentSnapshot,
        courses: Mapping[str, Course],
        *,
        starts_at: datetime,
        speed: float | None,
        spread: timedelta = MAX_SPREAD,
    ) -> Self:
        """`speed` is how many times faster than life, above 0; None spreads the kick-offs evenly over `spread`."""
        clock = _Clock.of(snapshot.matches, starts_at, speed, spread)
        timelines = tuple(_timeline(match, courses.get(match.key, _NO_COURSE), clock) for match in snapshot.matches)
        changes = sorted({instant for timeline in timelines for instant in timeline.instants})
        return cls(
            snapshot=snapshot,
            timelines=timelines,
            starts_at=starts_at,
            changes=tuple(changes),
            finished_at=changes[-1] if changes else starts_at,
            without_result=tuple(t.states[-1] for t in timelines if _is_without_result(t.states[-1])),
        )

    def at(self, now: datetime) -> TournamentSnapshot:
        """The season as it stands at `now`; its team tables are computed: they tell nothing of what is to come."""
        matches = tuple(timeline.at(now) for timeline in self.timelines)
        standings = compute_standings(matches, self.snapshot.rounds)
        return replace(self.snapshot, matches=matches, standings=standings)

    def next_change_after(self, now: datetime) -> datetime | None:
        """When `at` gives something new; None when nothing happens any more."""
        place = bisect_right(self.changes, now)
        return self.changes[place] if place < len(self.changes) else None


@dataclass(frozen=True, slots=True)
class _Timeline:
    """States of a match: the first one before all instants, each further one from its instant on."""

    instants: tuple[datetime, ...]
    states: tuple[MatchSnapshot, ...]

    def at(self, now: datetime) -> MatchSnapshot:
        return self.states[bisect_right(self.instants, now)]


@dataclass(frozen=True, slots=True)
class _Clock:
    starts_at: datetime
    speed: float | None
    spread: timedelta
    kick_offs: tuple[datetime, ...]
    """Distinct kick-offs in the file, in order."""

    @classmethod
    def of(cls, matches: Iterable[MatchSnapshot], starts_at: datetime, speed: float | None, spread: timedelta) -> Self:
        if speed is not None and not (math.isfinite(speed) and speed > 0):
            raise ValueError("speed must be above 0")
        if spread <= timedelta():
            raise ValueError("the spread of kick-offs must be above 0")
        kick_offs = {match.kick_off for match in matches if match.kick_off and _kicks_off(match)}
        return cls(starts_at, speed, spread, tuple(sorted(kick_offs)))

    def moment(self, real: datetime | None) -> datetime:
        """When a moment of the file comes on the clock of the replay. What has no date comes with the last kick-off."""
        if not self.kick_offs:
            return self.starts_at
        if self.speed is None:
            last = len(self.kick_offs) - 1
            place = min(bisect_left(self.kick_offs, real), last) if real else last
            return self.starts_at + self.spread * (place / max(last, 1))
        since_start = (real or self.kick_offs[-1]) - self.kick_offs[0]
        return self.starts_at + max(since_start, timedelta()) / self.speed

    def since_kick_off(self, minutes: float, whistle: int) -> timedelta:
        """How long `minutes` last of a match that is over after `whistle` of them."""
        return (
            self.spread * (MATCH_SHARE * minutes / whistle)
            if self.speed is None
            else timedelta(minutes=minutes) / self.speed
        )


def _kicks_off(match: MatchSnapshot) -> bool:
    if match.status is MatchStatus.ENDED:
        return True
    return match.status is MatchStatus.NOT_STARTED and match.kick_off_precision is KickOffPrecision.EXACT


def _is_without_result(match: MatchSnapshot) -> bool:
    return match.status in {MatchStatus.NOT_STARTED, MatchStatus.POSTPONED}


def _timeline(match: MatchSnapshot, course: Course, clock: _Clock) -> _Timeline:
    moment = clock.moment(match.kick_off)
    if match.status is MatchStatus.ENDED:
        return _played(match, course, moment, clock)
    planned = replace(match, kick_off=moment if match.kick_off else None)
    if match.status in VOID:
        return _Timeline((moment,), (_before(planned), planned))
    return _Timeline((), (planned,))


def _before(match: MatchSnapshot) -> MatchSnapshot:
    """Nothing known but teams and kick-off."""
    return replace(
        match,
        status=MatchStatus.NOT_STARTED,
        kind=ResultKind.PLAYED,
        regulation=None,
        after_extra_time=None,
        shoot_out=None,
        data_warning=None,
    )


def _played(match: MatchSnapshot, course: Course, kick_off: datetime, clock: _Clock) -> _Timeline:
    """A match with a result. Where the file knows no time the kick-off is exact all the same: it must lock first."""
    final = replace(match, kick_off=kick_off, kick_off_precision=KickOffPrecision.EXACT)
    whistle = _whistle(final)
    minute = clock.since_kick_off(1, whistle)
    marks = [] if final.kind is ResultKind.AWARDED else _marks(final, course, minute)
    instants = [kick_off + clock.since_kick_off(at, whistle) for at in (*(at for at, _ in marks), whistle)]
    return _Timeline(tuple(instants), (_before(final), *(state for _, state in marks), final))


def _whistle(final: MatchSnapshot) -> int:
    """Match minute of the end, a shoot-out included."""
    return _last_minute(final) + ADDED_TIME + (SHOOT_OUT if final.shoot_out else 0)


def _last_minute(final: MatchSnapshot) -> int:
    return EXTRA_TIME if final.after_extra_time else REGULATION


def _marks(final: MatchSnapshot, course: Course, minute: timedelta) -> list[tuple[float, MatchSnapshot]]:
    """States in play by match minute. The minute shown moves at most once a second: a fast replay stays light."""
    score_at = dict(_score_changes(final, course))
    last = _last_minute(final)
    step = max(1, math.ceil(timedelta(seconds=1) / minute))
    minutes: set[float] = {0, *range(step, last + 1, step), *score_at}
    if final.after_extra_time:
        minutes.add(REGULATION + 1)
    in_play = replace(_before(final), status=MatchStatus.IN_PLAY)
    running = Goals(0, 0)
    marks: list[tuple[float, MatchSnapshot]] = []
    for at in sorted(minutes):
        running = score_at.get(at, running)
        # Boards that count the 90 minutes alone need to know that these are over.
        regulation = final.regulation if final.after_extra_time and at >= REGULATION + 1 else None
        state = replace(in_play, running=running, minute=max(1, int(at)), regulation=regulation)
        if not marks or marks[-1][1] != state:
            marks.append((at, state))
    return marks


def _score_changes(final: MatchSnapshot, course: Course) -> list[tuple[float, Goals]]:
    """Running scores by match minute: by the goals of the file when they add up to its result, else by its parts."""
    by_goals = _by_goals(course)
    if by_goals is not None and _adds_up(by_goals, final):
        return by_goals
    parts: list[tuple[float, Goals | None]] = [(REGULATION, final.regulation), (EXTRA_TIME, final.after_extra_time)]
    if course.half_time and final.regulation and _is_within(course.half_time, final.regulation):
        parts.insert(0, (HALF, course.half_time))
    return [(at, goals) for at, goals in parts if goals is not None]


def _by_goals(course: Course) -> list[tuple[float, Goals]] | None:
    if course.goals is None:
        return None
    score = Goals(0, 0)
    changes: dict[float, Goals] = {}
    for goal in course.goals:
        score = Goals(score.home + goal.is_home, score.away + (not goal.is_home))
        # Added time of a half must stay before the next half: 45+2 comes before 46.
        changes[goal.minute + min(goal.added, 9) / 10] = score
    return list(changes.items())


def _adds_up(changes: Sequence[tuple[float, Goals]], final: MatchSnapshot) -> bool:
    end = final.after_extra_time or final.regulation
    last = changes[-1][1] if changes else Goals(0, 0)
    after_90 = next((goals for at, goals in reversed(changes) if at < REGULATION + 1), Goals(0, 0))
    is_in_time = all(at < _last_minute(final) + 1 for at, _ in changes)
    return is_in_time and last == end and after_90 == final.regulation


def _is_within(part: Goals, whole: Goals) -> bool:
    return part.home <= whole.home and part.away <= whole.away
