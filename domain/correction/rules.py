"""Rules of corrections: what an admin may enter, how it travels with an execution, and what a digest stands for."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from domain.correction.model import CorrectionSource
from domain.errors import Fault
from domain.ids import MatchId, MemberId
from domain.match.model import Goals, ResultKind
from domain.settlement.rules import NewResult

_MOST_GOALS = 99
# Parts of a result, as the contract's inputs name them.
_PARTS = {"regulation": "regulation", "after_extra_time": "afterExtraTime", "shoot_out": "shootOut"}


def faults_of(result: NewResult) -> list[Fault]:
    """Everything that is wrong with a result that an admin enters, before anything is known of its match."""
    parts = {name: getattr(result, part) for part, name in _PARTS.items()}
    if result.kind is ResultKind.VOID:
        return [_fault("A void result has no goals.", name) for name, goals in parts.items() if goals is not None]
    faults = [
        _fault(f"Goals are whole numbers from 0 to {_MOST_GOALS}.", name, side)
        for name, goals in parts.items()
        if goals is not None
        for side, number in zip(("home", "away"), goals, strict=True)
        if not 0 <= number <= _MOST_GOALS
    ]
    return faults or _contradictions(result)


def params_of(result: NewResult, *, dry_run: bool, expected_digest: str | None) -> dict[str, Any]:
    """The parameters of the execution. A real correction carries who makes it and why: the public log tells that."""
    values: dict[str, Any] = {"kind": result.kind.value, "dryRun": dry_run}
    for part, name in _PARTS.items():
        goals = getattr(result, part)
        values[name] = None if goals is None else list(goals)
    if not dry_run:
        values |= {"expectedDigest": expected_digest, "reason": result.reason, "actorId": str(result.actor_id)}
    return values


def result_of(match_id: MatchId, params: Mapping[str, Any]) -> NewResult:
    """The result that an execution's parameters name. A dry run has neither an actor nor a reason of its own."""
    actor_id = params.get("actorId")
    parts = {part: None if params[name] is None else Goals(*params[name]) for part, name in _PARTS.items()}
    return NewResult(
        match_id,
        ResultKind(params["kind"]),
        regulation=parts["regulation"],
        after_extra_time=parts["after_extra_time"],
        shoot_out=parts["shoot_out"],
        cause="CORRECTION",
        source="OVERRIDE",
        actor_id=None if actor_id is None else MemberId(UUID(actor_id)),
        reason=params.get("reason"),
    )


def shown(result: NewResult) -> dict[str, Any]:
    """A result for the audit log."""
    values = params_of(result, dry_run=True, expected_digest=None)
    del values["dryRun"]
    return values


def source_of(cause: str) -> CorrectionSource:
    return CorrectionSource.ADMIN if cause == "CORRECTION" else CorrectionSource.PROVIDER


def reason_of(cause: str, kind: ResultKind, reason: str | None) -> str:
    """Why, for the public log: an admin's own words, or a standing phrase for a provider."""
    if cause == "CORRECTION" and reason is not None:
        return reason
    if kind is ResultKind.VOID:
        return "The provider called the match off."
    return "The provider changed its result."


def digest_of(lines: Iterable[object]) -> str:
    """SHA-256 in hex over lines of text."""
    return sha256("\n".join(str(line) for line in lines).encode()).hexdigest()


def _contradictions(result: NewResult) -> list[Fault]:
    faults = []
    if result.regulation is None:
        faults.append(_fault("The score after 90 minutes is required.", "regulation"))
    elif result.after_extra_time is not None and (
        result.after_extra_time.home < result.regulation.home or result.after_extra_time.away < result.regulation.away
    ):
        words = "The score after extra time includes the goals of the 90 minutes; it cannot be lower."
        faults.append(_fault(words, "afterExtraTime"))
    if result.shoot_out is not None and result.shoot_out.home == result.shoot_out.away:
        faults.append(_fault("A shoot-out cannot end level.", "shootOut"))
    return faults


def _fault(message: str, *field: str) -> Fault:
    return Fault("INVALID_INPUT", message, field)
