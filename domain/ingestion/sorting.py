"""Sorts the items of a reading: new, changed, come back under another key, held back, or as they were."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from domain.execution.run import Step
from domain.ids import MatchId, RoundId, new_id
from domain.ingestion import linking, mapping, rules
from domain.ingestion.errors import PrerequisiteMissing
from domain.ingestion.finality.model import HeldReading
from domain.ingestion.linking import Links
from domain.ingestion.model import Reading, References, StoredMatch
from domain.ingestion.scope import Scope
from domain.ingestion.snapshot import MatchSnapshot
from domain.ingestion.verdict import ACCEPTED, Verdict, judge, status_warning
from domain.match.model import ResultState

AMBIGUOUS = "may be more than one of the matches that are stored; nothing of it was taken"
DOUBLED = "is listed more than once; nothing of it was taken"


@dataclass(slots=True)
class Sorted:
    """What became of each item that is applied."""

    taken: int = 0
    new: dict[MatchId, dict[str, Any]] = field(default_factory=dict)
    changed: dict[MatchId, dict[str, Any]] = field(default_factory=dict)
    named: dict[str, MatchId] = field(default_factory=dict)
    """Keys of the provider that are new here or stand for another match than before, with their matches."""
    gone: list[MatchId] = field(default_factory=list)
    """Stored matches that are no longer listed, and were until now."""
    results: list[tuple[MatchId, MatchSnapshot]] = field(default_factory=list)
    """Matches with a result to accept, where anything about them is new or an admin has set another one."""
    swapped: set[MatchId] = field(default_factory=set)
    """Matches whose teams have changed sides."""
    moved: dict[MatchId, tuple[RoundId, RoundId]] = field(default_factory=dict)
    """Matches of another round than before, with both."""
    held: dict[MatchId, HeldReading] = field(default_factory=dict)
    """What was said of results that are not believed yet, where that is new."""
    released: set[MatchId] = field(default_factory=set)
    """Matches of which nothing is held any more."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Why results are held back, by the provider's keys of their matches."""
    set_aside: dict[str, str] = field(default_factory=dict)
    """Why nothing was taken of records, by the provider's keys."""
    unknown_statuses: dict[MatchId, str] = field(default_factory=dict)
    """Words for how matches stand that we do not know, where that is new."""


@dataclass(frozen=True, slots=True)
class Known:
    """A reading, and what it is sorted against."""

    reading: Reading
    references: References
    stored: Mapping[MatchId, StoredMatch]
    now: datetime
    """By the database's clock."""


def sort(known: Known, step: Step, scope: Scope) -> Sorted:
    """What is to be written. Raises PrerequisiteMissing for unknown rounds and teams, unless the scope leaves them out.

    Items are matched with what is stored before any is left out, so that a part of a reading sorts as the whole does.
    """
    references, reading = known.references, known.reading
    slugs = {key: slug for slug, key in references.rounds.items()}
    links = _link(known)
    pairs = [(match, _stored(match, links, known)) for match in reading.snapshot.matches]
    clear, doubled = linking.one_each([pair for pair in pairs if pair[0].key not in links.ambiguous])
    taken = [pair for pair in clear if scope.takes(*pair, slugs)]
    if scope.creates:
        _require([match for match, _ in taken], references)
    found = Sorted(taken=len(taken))
    listed = links.doubtful.union((match.id for _, match in pairs if match is not None), references.matches.values())
    found.gone = [
        key
        for key, stored in known.stored.items()
        if key not in listed and _is_missed(stored, reading) and scope.covers(stored, slugs)
    ]
    found.set_aside = dict.fromkeys(sorted(links.ambiguous), AMBIGUOUS) | {match.key: DOUBLED for match in doubled}
    for key, reason in found.set_aside.items():
        step.reject(f"{key}: {reason}")
    for match, present in taken:
        if not scope.creates and (fault := _missing([match], references)):
            step.reject(f"{match.key}: {fault}")
        elif present is None:
            _take_new(found, match, known, step)
        elif not _is_later(present, reading):
            _take(found, match, present, known, step)
    return found


def _link(known: Known) -> Links:
    stored, keys = known.stored, known.references.matches
    listed = {match.key: match for match in known.reading.snapshot.matches}
    unknown = [match for key, match in listed.items() if key not in keys]
    seen = {match_id: listed.get(key) for key, match_id in keys.items()}
    unseen = [match for match_id, match in stored.items() if match_id not in seen]
    put_off = [stored[match_id] for match_id, item in seen.items() if item is not None and rules.is_put_off(item)]
    return linking.link(unknown, unseen, put_off, known.references, known.now)


def _stored(match: MatchSnapshot, links: Links, known: Known) -> StoredMatch | None:
    """The stored match that an item is; None for one that is new, or a void one that is played anew."""
    match_id = known.references.matches.get(match.key) or links.found.get(match.key)
    if match_id is None or linking.begins_anew(match, known.stored[match_id], known.now):
        return None
    return known.stored[match_id]


def _take_new(found: Sorted, match: MatchSnapshot, known: Known, step: Step) -> None:
    verdict = judge(match, None, known.references, known.reading, known.now)
    match_id = MatchId(new_id())
    found.named[match.key] = match_id
    found.new[match_id] = {**verdict.values, "result_state": _before_acceptance(verdict.state, ResultState.NONE)}
    if verdict.accepts:
        found.results.append((match_id, match))
    _note(found, match, match_id, verdict, None, step)
    if (left := known.references.matches.get(match.key)) is not None:
        _leave_void(found, known.stored[left], match)


def _leave_void(found: Sorted, stored: StoredMatch, match: MatchSnapshot) -> None:
    """A void match whose key now stands for its replay stays void; nobody will repeat that of it any more."""
    if stored.result_state is ResultState.VOID:
        return
    found.changed[stored.id] = {**stored.values, "hold_reason": None, "result_state": stored.result_state.value}
    found.released.add(stored.id)
    found.results.append((stored.id, replace(match, status=stored.status)))


def _take(found: Sorted, match: MatchSnapshot, stored: StoredMatch, known: Known, step: Step) -> None:
    is_swapped = linking.is_swapped(match, stored, known.references)
    before = mapping.turned(stored) if is_swapped else stored
    is_told = match.unknown_status is None and not stored.by_admin
    if is_told and mapping.lost_result(match, before):
        step.reject(f"{match.key}: {mapping.GONE_SCORE}")
        return
    verdict = judge(match, before, known.references, known.reading, known.now)
    values = verdict.values
    if known.references.matches.get(match.key) != stored.id:
        found.named[match.key] = stored.id
    is_changed = values != stored.values or stored.missing or verdict.state is not stored.result_state
    if is_changed:
        state = _before_acceptance(verdict.state, stored.result_state)
        found.changed[stored.id] = {**values, "result_state": state}
    if is_swapped:
        found.swapped.add(stored.id)
    if values["round_id"] != stored.values["round_id"]:
        found.moved[stored.id] = (stored.values["round_id"], values["round_id"])
    # Whether it says something else than an admin is for the acceptance of results to see: then it waits for an admin.
    if verdict.accepts and (is_changed or stored.by_admin):
        found.results.append((stored.id, match))
    _note(found, match, stored.id, verdict, stored, step)


def _note(
    found: Sorted, match: MatchSnapshot, match_id: MatchId, verdict: Verdict, stored: StoredMatch | None, step: Step
) -> None:
    """What is to be remembered and told of a result that is not accepted."""
    before = stored.held if stored is not None else None
    if verdict.hold is not None:
        found.reasons[match.key] = verdict.hold
    if verdict.held is not None and (verdict.hold is not None or (stored is not None and stored.by_admin)):
        if verdict.held != before:
            found.held[match_id] = verdict.held
    elif before is not None and match.unknown_status is None:
        found.released.add(match_id)
    if match.unknown_status is not None:
        warning = status_warning(match.unknown_status)
        step.reject(f"{match.key}: {warning}")
        if stored is None or stored.values["data_warning"] != warning:
            found.unknown_statuses[match_id] = match.unknown_status


def _require(taken: Iterable[MatchSnapshot], references: References) -> None:
    if fault := _missing(taken, references):
        raise PrerequisiteMissing(fault)


def _missing(taken: Iterable[MatchSnapshot], references: References) -> str | None:
    """What must be ingested before these matches can be stored."""
    matches = list(taken)
    if missing := {match.round_slug for match in matches} - references.rounds.keys():
        return f"Ingest the rounds first: {rules.some(missing)} unknown."
    keys = {key for match in matches for key in (match.home_team_key, match.away_team_key) if key}
    if missing := keys - references.teams.keys():
        return f"Ingest the teams first: {rules.some(missing)} unknown."
    return None


def _is_missed(stored: StoredMatch, reading: Reading) -> bool:
    """Whether it is news that a match is not listed. A void one is over, and may have made room for its replay."""
    is_over = stored.result_state is ResultState.VOID
    return not (stored.missing or is_over or _is_later(stored, reading))


def _is_later(stored: StoredMatch, reading: Reading) -> bool:
    """Whether what is stored of a match is from a later reading: of one match or round, applied meanwhile."""
    return stored.checked_at is not None and stored.checked_at > reading.read_at


def _before_acceptance(state: ResultState, present: ResultState) -> str:
    """FINAL and VOID are set by the acceptance of the result itself, in the same transaction."""
    return (present if state in ACCEPTED else state).value
