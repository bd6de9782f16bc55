"""What a match's score and status say together, and what in them is impossible."""

from dataclasses import dataclass

from domain.match.model import Goals, MatchStatus, ResultKind
from integrations.openfootball.parse import Pair, RawMatch, RawScore

VOID = frozenset({MatchStatus.CANCELLED, MatchStatus.ABANDONED})

_STATUSES = {
    "postponed": MatchStatus.POSTPONED,
    "cancelled": MatchStatus.CANCELLED,
    "canceled": MatchStatus.CANCELLED,
    "abandoned": MatchStatus.ABANDONED,
    # The only word for a match that is over: a played one has a score and no status.
    "awarded": MatchStatus.ENDED,
}

# Greatest possible lead of the winner of a shoot-out by his goals: five kicks each, ended as soon as it is decided.
_GREATEST_LEAD = {1: 1, 2: 2, 3: 3, 4: 3, 5: 2}


@dataclass(frozen=True, slots=True)
class Reading:
    status: MatchStatus
    kind: ResultKind
    regulation: Goals | None = None
    after_extra_time: Goals | None = None
    shoot_out: Goals | None = None
    warning: str | None = None


def read_result(match: RawMatch) -> Reading:
    """Status and score parts. Raises ValueError, for people, when they are impossible.

    An empty score means not played, or not entered yet: the match stays open, be it in the past.
    """
    status = _read_status(match.status)
    score = match.score
    if status in VOID:
        return Reading(status, ResultKind.VOID, warning=_void_warning(status, score))
    if score.ft is None:
        return _without_result(match.status, status, score)
    if status is MatchStatus.POSTPONED:
        raise ValueError("is postponed and has a score")
    _refuse_impossible(score)
    return Reading(
        status=MatchStatus.ENDED,
        kind=ResultKind.AWARDED if status is MatchStatus.ENDED else ResultKind.PLAYED,
        regulation=Goals(*score.ft),
        after_extra_time=Goals(*score.et) if score.et else None,
        shoot_out=Goals(*score.p) if score.p else None,
        warning=_warning(score),
    )


def _read_status(text: str | None) -> MatchStatus | None:
    if text is None:
        return None
    status = _STATUSES.get(text.strip().lower())
    if status is None:
        raise ValueError(f"status `{text}` is unknown")
    return status


def _void_warning(status: MatchStatus, score: RawScore) -> str | None:
    return f"is {status.lower()} and has a score, which is ignored" if score.ft else None


def _without_result(text: str | None, status: MatchStatus | None, score: RawScore) -> Reading:
    if status is MatchStatus.ENDED:
        raise ValueError(f"is {text} and has no score")
    if score.ht or score.et or score.p:
        raise ValueError("has a part of a score and no score after 90 minutes")
    return Reading(status or MatchStatus.NOT_STARTED, ResultKind.PLAYED)


def _refuse_impossible(score: RawScore) -> None:
    if score.et and score.ft and _is_below(score.et, score.ft):
        raise ValueError(f"score after extra time {_text(score.et)} is below that of the 90 minutes {_text(score.ft)}")


def _warning(score: RawScore) -> str | None:
    if score.p and not _is_possible_shoot_out(score.p):
        return f"impossible shoot-out {_text(score.p)}"
    if score.ht and score.ft and _is_below(score.ft, score.ht):
        return f"half-time score {_text(score.ht)} is above that of the 90 minutes {_text(score.ft)}"
    return None


def _is_possible_shoot_out(pair: Pair) -> bool:
    lead = abs(pair[0] - pair[1])
    return 1 <= lead <= _GREATEST_LEAD.get(max(pair), 1)


def _is_below(pair: Pair, floor: Pair) -> bool:
    return pair[0] < floor[0] or pair[1] < floor[1]


def _text(pair: Pair) -> str:
    return f"{pair[0]}-{pair[1]}"
