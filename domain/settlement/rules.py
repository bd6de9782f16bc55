"""The arithmetic of settlement: scorelines scored once, what a new result changes, and the digest that proves it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from hashlib import sha256

from domain.errors import DomainError
from domain.ids import MatchId, MemberId, RoundId
from domain.match.model import Goals, ResultKind
from domain.scoring.model import Facts, ScoreBasis
from domain.scoring.rules import counted_goals, facts
from domain.settlement.model import ScoreVersionKind

NOTHING = Facts(0, 0, 0, 0, 0)
# Whose word counts: an admin's, a provider's final one, a provider's running score.
_WEIGHT = {"OVERRIDE": 3, "CONFIRMED": 2, "PROVISIONAL": 1}


class ResultIncomplete(DomainError):
    """A part of the score that was played is missing, and no other part may stand in for it."""

    code = "RESULT_INCOMPLETE"


@dataclass(frozen=True, slots=True)
class NewResult:
    """A result to accept, as its source tells it. A void one has no parts."""

    match_id: MatchId
    kind: ResultKind
    regulation: Goals | None
    after_extra_time: Goals | None
    shoot_out: Goals | None
    cause: str = "PROVIDER"
    source: str = "CONFIRMED"
    actor_id: MemberId | None = None
    """The admin who says so, with `reason`; None for providers and for the system."""
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class AcceptedResult:
    """One revision of a match's result. `status_at` is ours: the database time of its acceptance."""

    match_id: MatchId
    revision: int
    kind: ResultKind
    source: str
    regulation: Goals | None
    after_extra_time: Goals | None
    shoot_out: Goals | None
    status_at: datetime
    cause: str = "PROVIDER"


@dataclass(frozen=True, slots=True)
class PendingResult:
    """What a provider says of a match whose result an admin has set; it has no number unless it is accepted."""

    match_id: MatchId
    kind: ResultKind
    regulation: Goals | None
    after_extra_time: Goals | None
    shoot_out: Goals | None
    found_at: datetime
    is_open: bool
    """Whether it waits for a decision."""
    was_refused: bool
    """Whether an admin has dismissed it: said once more, it is not asked about again."""


@dataclass(frozen=True, slots=True)
class Scoreline:
    """What everyone who guessed this score got right under one basis, and how many they are."""

    basis: ScoreBasis
    goals: Goals
    facts: Facts
    guesses: int


@dataclass(frozen=True, slots=True)
class Delta:
    """What a settlement adds to the facts of everyone who guessed this score; parts may be negative."""

    basis: ScoreBasis
    goals: Goals
    facts: Facts


@dataclass(frozen=True, slots=True)
class LedgerLine:
    """One basis of a tournament counted two ways: over its members, and over its active settlements' scorelines."""

    basis: ScoreBasis
    of_members: Facts
    of_scorelines: Facts

    @property
    def is_balanced(self) -> bool:
        return self.of_members == self.of_scorelines


def replaces(latest: AcceptedResult | None, found: NewResult) -> bool:
    """Whether `found` is a new revision: it says something else, weighs more, or asks for a replay.

    What weighs less than the latest one replaces nothing, and a running score is never a revision.
    """
    if found.source == "PROVISIONAL":
        return False
    if latest is None or found.cause == "REPLAY":
        return True
    if _WEIGHT[found.source] != _WEIGHT[latest.source]:
        return _WEIGHT[found.source] > _WEIGHT[latest.source]
    return not says_the_same(latest, found)


def is_outranked(latest: AcceptedResult | None, found: NewResult) -> bool:
    """Whether an admin has set the result, so that what the provider says of it has to wait."""
    return latest is not None and latest.source == "OVERRIDE" and found.source == "CONFIRMED"


def says_the_same(latest: "AcceptedResult | NewResult | PendingResult", found: NewResult) -> bool:
    """Whether two results are equal in all that they say; void ones have no parts."""
    if ResultKind.VOID in (latest.kind, found.kind):
        return latest.kind is found.kind
    return (latest.kind, latest.regulation, latest.after_extra_time, latest.shoot_out) == (
        found.kind,
        found.regulation,
        found.after_extra_time,
        found.shoot_out,
    )


def turned(result: NewResult) -> NewResult:
    """The result as it is once the teams have changed sides."""

    def other_way(goals: Goals | None) -> Goals | None:
        return None if goals is None else Goals(goals.away, goals.home)

    return replace(
        result,
        regulation=other_way(result.regulation),
        after_extra_time=other_way(result.after_extra_time),
        shoot_out=other_way(result.shoot_out),
    )


def moves_digest(moves: Mapping[MatchId, tuple[RoundId, RoundId]]) -> str:
    """SHA-256 in hex over matches that have moved, each with the round that it left and the one that it came to."""
    lines = [f"{match_id} {before} {after}" for match_id, (before, after) in sorted(moves.items())]
    return sha256("\n".join(lines).encode()).hexdigest()


def idempotency_key(match_id: MatchId, status_at: datetime) -> str:
    return f"settlement:{match_id}:{status_at.isoformat()}"


def score(
    result: AcceptedResult, bases: Sequence[ScoreBasis], guesses: Mapping[Goals, int]
) -> tuple[list[Scoreline], list[ScoreBasis]]:
    """The scorelines of `guesses` judged under each basis, and the bases whose part of the score is missing.

    Raises ResultIncomplete when no basis can be judged. A void result judges nothing.
    """
    if result.kind is ResultKind.VOID:
        return [], []
    counted = {basis: _counted(result, basis) for basis in bases}
    missing = [basis for basis, goals in counted.items() if goals is None]
    if len(missing) == len(bases):
        raise ResultIncomplete(f"Result {result.revision} of match {result.match_id} lacks the score after 90 minutes.")
    lines = [
        Scoreline(basis, goals, facts(goals, right), count)
        for basis, right in counted.items()
        if right is not None
        for goals, count in guesses.items()
    ]
    return sorted(lines, key=_order), missing


def deltas(old: Iterable[Scoreline], new: Iterable[Scoreline]) -> list[Delta]:
    """New minus old facts of each scoreline; those that stay as they are do not appear."""
    before = {(line.basis, line.goals): line.facts for line in old}
    after = {(line.basis, line.goals): line.facts for line in new}
    found = []
    for key in sorted(before.keys() | after.keys()):
        difference = _subtract(after.get(key, NOTHING), before.get(key, NOTHING))
        if any(difference):
            found.append(Delta(*key, difference))
    return found


def rows_changed(changes: Iterable[Delta], guesses: Mapping[Goals, int]) -> int:
    """How many rows of `member_scores` the deltas write."""
    return sum(guesses.get(change.goals, 0) for change in changes)


def members_changed(changes: Iterable[Delta], guesses: Mapping[Goals, int]) -> int:
    """How many members they concern: one whose facts change under two bases counts once."""
    return sum(guesses.get(goals, 0) for goals in {change.goals for change in changes})


def effect_digest(match_id: MatchId, revision: int, lines: Iterable[Scoreline]) -> str:
    """SHA-256 in hex over match, revision, and each basis' scorelines in order with their facts and guess counts."""
    text = [f"{match_id} {revision}"]
    for line in sorted(lines, key=_order):
        right = "".join(str(fact) for fact in line.facts)
        text.append(f"{line.basis} {line.goals.home}-{line.goals.away} {right} {line.guesses}")
    return sha256("\n".join(text).encode()).hexdigest()


def must_recount(newer: Iterable[AcceptedResult], paid: Sequence[Scoreline], guesses: Mapping[Goals, int]) -> bool:
    """Whether guesses may have changed since they were paid: then what was paid cannot be taken back by scoreline.

    A replay says so; counts that differ from those of the proof (`paid`, empty when nothing was paid) show it.
    """
    if any(result.cause == "REPLAY" for result in newer):
        return True
    counted = {basis: {line.goals: line.guesses for line in paid if line.basis is basis} for basis in ScoreBasis}
    return any(lines and lines != dict(guesses) for lines in counted.values())


def version_kind(newer: Sequence[AcceptedResult], *, is_first: bool) -> ScoreVersionKind:
    """What the public log says of the settlement of the last of these results."""
    if all(result.cause == "REPLAY" for result in newer):
        return ScoreVersionKind.REPLAYED
    if newer[-1].kind is ResultKind.VOID:
        return ScoreVersionKind.VOIDED
    return ScoreVersionKind.SETTLED if is_first else ScoreVersionKind.CORRECTED


def _counted(result: AcceptedResult, basis: ScoreBasis) -> Goals | None:
    return counted_goals(result.kind, basis, result.regulation, result.after_extra_time)


def _order(line: Scoreline) -> tuple[ScoreBasis, Goals]:
    return line.basis, line.goals


def _subtract(new: Facts, old: Facts) -> Facts:
    return Facts(*(after - before for after, before in zip(new, old, strict=True)))
