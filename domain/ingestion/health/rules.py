"""What stored data show to be wrong, in words with what to do. Pure."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from hashlib import sha256

from domain.ingestion.health.model import (
    DoubtfulMatch,
    HealthProblem,
    HealthProblemCode,
    Pending,
    QuarantinedRecord,
    StoredTournament,
)
from domain.ingestion.verdict import ACCEPTED, is_status_warning
from domain.match.model import ResultKind
from domain.tournament.model import TournamentStatus

MOST_PROBLEMS = 50
STALE_AFTER = timedelta(hours=24)
OVERDUE_AFTER = timedelta(hours=4)
"""After kick-off: extra time, a shoot-out and a long break are over by then."""

# What keeps all from going on, then what keeps points from members, then what may be wrong without doing so.
WORST_FIRST = (
    HealthProblemCode.INCOMPLETE,
    HealthProblemCode.STALE,
    HealthProblemCode.HELD_RESULT,
    HealthProblemCode.UNKNOWN_STATUS,
    HealthProblemCode.OVERDUE_MATCH,
    HealthProblemCode.RESULT_DIFFERS,
    HealthProblemCode.QUARANTINED_RECORD,
    HealthProblemCode.MISSING_MATCH,
    HealthProblemCode.IMPOSSIBLE_SCORE,
)
_CORRECT = "Set the right result by `correctResult`"


def problems_of_tournament(found: StoredTournament) -> Iterator[HealthProblem]:
    """What is wrong with a tournament as a whole. One that was called off needs nothing."""
    if found.status is TournamentStatus.CANCELLED:
        return
    numbers = {"rounds": found.rounds, "teams": found.teams, "matches": found.matches}
    if missing := [name for name, number in numbers.items() if number == 0]:
        message = f"Not ingested yet: {', '.join(missing)}. Run the operations that do so."
        yield _problem(found, HealthProblemCode.INCOMPLETE, message, *missing)
    elif found.status is TournamentStatus.ACTIVE and found.is_stale:
        when = "never" if found.read_at is None else f"last at {found.read_at:%Y-%m-%d %H:%M} UTC"
        message = f"Its matches were read {when}. See whether its schedules run and its provider answers."
        yield _problem(found, HealthProblemCode.STALE, message, str(found.read_at))


def problems_of_match(match: DoubtfulMatch) -> Iterator[HealthProblem]:
    """What is wrong with a match; often one thing, sometimes several."""
    title = match.title
    if match.hold_reason is not None:
        message = f"{title}: {match.hold_reason} {_CORRECT}, or wait for the provider."
        yield _problem(match, HealthProblemCode.HELD_RESULT, message, match.hold_reason)
    if match.pending is not None:
        message = f"{title}: the provider says {_told(match.pending)}. {_CORRECT}, or dismiss this."
        yield _differs(match, message, match.pending)
    elif match.held_content is not None and match.result_state in ACCEPTED:
        message = f"{title}: the provider has changed its result, and is waited for to repeat it."
        yield _problem(match, HealthProblemCode.RESULT_DIFFERS, message, match.held_content)
    if match.is_overdue:
        message = f"{title}: it should be over. Ingest it, or see what its provider says."
        yield _problem(match, HealthProblemCode.OVERDUE_MATCH, message, str(match.kick_off))
    if match.missing_since is not None:
        message = (
            f"{title}: the provider no longer lists it. If it will not be played, {_CORRECT[:1].lower()}{_CORRECT[1:]}."
        )
        yield _problem(match, HealthProblemCode.MISSING_MATCH, message, str(match.missing_since))
    if match.data_warning is not None:
        is_status = is_status_warning(match.data_warning)
        code = HealthProblemCode.UNKNOWN_STATUS if is_status else HealthProblemCode.IMPOSSIBLE_SCORE
        yield _problem(match, code, f"{title}: {match.data_warning}", match.data_warning)


def problem_of_record(record: QuarantinedRecord) -> HealthProblem:
    message = f"The provider's record `{record.external_id}` {record.reason}. See which match it is at the provider."
    mark = (record.external_id, record.reason)
    return HealthProblem(record.tournament_id, HealthProblemCode.QUARANTINED_RECORD, None, _mark(*mark), message)


def worst(problems: Iterable[HealthProblem]) -> tuple[HealthProblem, ...]:
    """The worst ones first, and no more than are shown. Among equals the order in which they came."""
    return tuple(sorted(problems, key=lambda problem: WORST_FIRST.index(problem.code))[:MOST_PROBLEMS])


def _told(pending: Pending) -> str:
    if pending.kind is ResultKind.VOID or pending.goals is None:
        return "that it pays nobody"
    return f"{pending.goals.home}-{pending.goals.away}"


def _differs(match: DoubtfulMatch, message: str, pending: Pending) -> HealthProblem:
    # What the provider says may change while it waits: then it is another problem.
    mark = _mark(str(pending.id), str(pending.found_at))
    return HealthProblem(
        match.tournament_id, HealthProblemCode.RESULT_DIFFERS, match.id, mark, message, pending_id=pending.id
    )


def _problem(
    about: StoredTournament | DoubtfulMatch, code: HealthProblemCode, message: str, *evidence: str
) -> HealthProblem:
    if isinstance(about, StoredTournament):
        return HealthProblem(about.id, code, None, _mark(*evidence), message)
    return HealthProblem(about.tournament_id, code, about.id, _mark(*evidence), message)


def _mark(*evidence: str) -> str:
    return sha256("\0".join(evidence).encode()).hexdigest()[:16]
