"""The rules of the game once more in plain Python: what a history of readings, corrections and guesses comes to.

Scores are kept by team, not by side, so that a swap of home and away needs no arithmetic here.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from domain.ids import MatchId, MemberId
from domain.ingestion.snapshot import MatchSnapshot
from domain.match.model import Goals, MatchStatus, ResultKind
from tests.support.settlement import is_right

VOID = (MatchStatus.CANCELLED, MatchStatus.ABANDONED)
BEGUN = (MatchStatus.IN_PLAY, MatchStatus.ENDED)
REPLAYED_AFTER = timedelta(hours=12)
NO_FACTS = (0, 0, 0, 0, 0)


@dataclass(frozen=True)
class Said:
    """A result as somebody says it: goals of the first team first. A void one has none."""

    kind: ResultKind
    regulation: Goals | None = None
    extra_time: Goals | None = None

    def counted(self, *, is_regulation: bool) -> Goals | None:
        """The score that counts; awarded results count as given, for both bases."""
        if is_regulation and self.kind is ResultKind.PLAYED:
            return self.regulation
        return self.extra_time or self.regulation


VOIDED = Said(ResultKind.VOID)


@dataclass(eq=False)
class Game:
    """A match as it is here. `told` is what its provider says of it, whether that was taken or not."""

    told: MatchSnapshot
    is_told_turned: bool = False
    id: MatchId | None = None
    is_turned: bool = False
    """Whether the second team is at home."""
    round_slug: str = ""
    lock: datetime | None = None
    status: MatchStatus = MatchStatus.NOT_STARTED
    result: Said | None = None
    """The latest that was accepted."""
    is_decided: bool = False
    """Whether it stands; what was called off may be on again."""
    by_admin: bool = False
    was_replayed: bool = False
    saves: list[tuple[MemberId, datetime, Goals]] = field(default_factory=list)

    @property
    def is_void(self) -> bool:
        return self.status in VOID or (self.is_decided and self.result == VOIDED)

    def is_locked(self, now: datetime) -> bool:
        return self.lock is not None and self.lock <= now

    def refusal(self, now: datetime) -> str | None:
        """Why a guess is refused now."""
        if self.is_void:
            return "MATCH_NOT_GUESSABLE"
        if self.status is MatchStatus.POSTPONED:
            return "MATCH_PAUSED"
        return "MATCH_LOCKED" if self.is_locked(now) or self.status is not MatchStatus.NOT_STARTED else None

    def takes(self) -> bool:
        """Whether what is told is believed: a result that stands is not taken back by a reading without one."""
        is_final = self.is_decided and not self.is_void
        return self.by_admin or not is_final or self.told.status in (*VOID, MatchStatus.ENDED)

    def begins_anew(self, now: datetime) -> bool:
        """Whether what is told is the void match played in full once more, which is a match of its own."""
        told = self.told
        is_new = told.status not in VOID and told.kind is not ResultKind.AWARDED
        if not (is_new and self.is_void and self.is_locked(now)):
            return False
        assert self.lock is not None
        assert told.kick_off is not None
        return told.kick_off >= self.lock + REPLAYED_AFTER

    def hear(self, now: datetime) -> None:
        """Take what is told, at an instant before which everything else has happened."""
        if not self.takes():
            return
        told = self.told
        self.is_turned, self.round_slug = self.is_told_turned, told.round_slug
        self._move_lock(now)
        if self.by_admin:
            return
        self.status = told.status
        self.is_decided = told.status in (*VOID, MatchStatus.ENDED)
        if self.is_decided:
            self._accept(self.said(), now)

    def said(self) -> Said:
        """What is told, by team."""
        if self.told.status in VOID:
            return VOIDED
        return Said(self.told.kind, self.by_team(self.told.regulation), self.by_team(self.told.after_extra_time))

    def by_team(self, goals: Goals | None) -> Goals | None:
        """Goals as they are told, the first team's first."""
        return Goals(goals.away, goals.home) if goals is not None and self.is_told_turned else goals

    def overrule(self, said: Said, now: datetime) -> None:
        """An admin sets the result."""
        self.by_admin, self.is_decided = True, True
        if said.kind is not ResultKind.VOID:
            self.status = MatchStatus.ENDED
        elif self.status not in (*VOID, MatchStatus.ENDED):
            self.status = MatchStatus.ABANDONED if self.status is MatchStatus.IN_PLAY else MatchStatus.CANCELLED
        self._accept(said, now)

    def counting(self, member: MemberId) -> Goals | None:
        """The last save of a member before the lock."""
        found = [goals for by, at, goals in self.saves if by == member and (self.lock is None or at < self.lock)]
        return found[-1] if found else None

    def facts(self, member: MemberId, *, is_regulation: bool) -> tuple[int, ...]:
        """What the member's guess has got right; goals of home and away are those of the sides of today."""
        guess = self.counting(member)
        right = None if self.result is None else self.result.counted(is_regulation=is_regulation)
        if guess is None or right is None:
            return NO_FACTS
        return tuple(int(fact) for fact in is_right(self.by_side(guess), self.by_side(right)))

    def by_side(self, goals: Goals) -> Goals:
        return Goals(goals.away, goals.home) if self.is_turned else goals

    def _accept(self, said: Said, now: datetime) -> None:
        self.result = said
        if said.kind is not ResultKind.VOID:
            self.lock = min(self.lock or now, now)

    def _move_lock(self, now: datetime) -> None:
        kick_off = self.told.kick_off
        assert kick_off is not None
        if self.is_locked(now):
            self.lock = min(self.lock or now, kick_off)
        else:
            self.lock = min(kick_off, now) if self.told.status in BEGUN else kick_off
