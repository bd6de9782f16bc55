"""What a worker does for corrections and replays. A dry run is the real change, taken back before the commit.

So what a dry run shows and what is applied cannot differ in how they are worked out, and the digest that stands for
one of them is compared with that of the other.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from domain.audit import service as audit
from domain.audit.model import Act
from domain.correction import comparison, rules, store
from domain.correction.comparison import Comparison
from domain.correction.model import StalePreview
from domain.correction.proof import rules as proof_rules
from domain.correction.proof import service as proof
from domain.correction.proof.model import Verification
from domain.errors import NotFound
from domain.execution.effect import MOST_CHANGES, Effect
from domain.execution.model import Execution
from domain.execution.run import Run, Step
from domain.ids import TournamentId
from domain.match.model import ResultKind
from domain.scoring.rules import bases, basis_row
from domain.scoring.store import read_rulesets
from domain.settlement import service as settlement
from domain.settlement import store as settlements
from domain.settlement.result import service as results
from domain.settlement.rules import AcceptedResult, NewResult, idempotency_key
from domain.settlement.store import LockedMatch
from domain.tournament.model import Tournament
from domain.tournament.store import read_tournaments

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Made:
    """What a change did, beside the scores: matches that it worked out anew, and what its digest stands for."""

    matches: int
    stands_for: list[object]
    is_new: bool
    """Whether anything was written."""
    is_proven: bool = True
    """Whether the proofs were found to be as they must be."""
    is_secret: bool = False
    """Whether it tells what members have guessed, and the match is open for guesses: nobody may know it yet."""


_STALE = "Scores or results have changed since the dry run: repeat it and send its digest."
_OPEN = "The match is open for guesses: whom it pays is not shown before."
_UNTOLD = Comparison(members_changed=0, points_moved=0, changes=(), digest="")
Change = Callable[["AsyncConnection", Tournament], Awaitable[Made]]


async def correct_result(run: Run) -> None:
    """Set the result that the execution names, and settle it, in one transaction; or show what that would change.

    Raises StalePreview when it would do something else than the dry run has shown.
    """
    match_id = run.execution.target.match_id
    if match_id is None:
        raise NotFound("Say which match to correct.")
    wanted = rules.result_of(match_id, run.execution.params)
    async with run.step("Correct the result", total=1) as step:
        if _is_done(run.execution, step):
            return
        async with run.begin() as connection:
            match = await settlements.lock_match(connection, match_id, may_be_open=True)
            if match is None:
                raise NotFound(f"There is no match {match_id}.")
            await _attempt(run, step, connection, match.tournament_id, partial(_correct, run.execution, wanted, match))


async def replay_settlement(run: Run) -> None:
    """Work out everything anew by the second way, and repair what differs; or show what that would change.

    Raises StalePreview when it would do something else than the dry run has shown.
    """
    tournament_id = run.execution.target.tournament_id
    if tournament_id is None:
        raise NotFound("Say which tournament to replay.")
    async with run.step("Work out everything anew", total=1) as step:
        if _is_done(run.execution, step):
            return
        async with run.begin() as connection:
            await settlements.lock_tournament(connection, tournament_id)
            await _attempt(run, step, connection, tournament_id, partial(_replay, run, step))


def _is_done(execution: Execution, step: Step) -> bool:
    """Whether an earlier try has committed the change: its effect was written with it."""
    if execution.effect is None:
        return False
    step.unchanged += 1
    step.note = "An earlier try has done it."
    return True


async def _attempt(
    run: Run, step: Step, connection: "AsyncConnection", tournament_id: TournamentId, change: Change
) -> None:
    """Make a change and measure it; take it back in a dry run. The tournament's lock is held."""
    execution = run.execution
    digest = None if execution.dry_run else execution.params["expectedDigest"]
    # What has moved is refused before anything is computed: others wait for the lock.
    if digest is not None and not await store.has_dry_run(connection, execution.operation, execution.target, digest):
        raise StalePreview(_STALE)
    (tournament,) = await read_tournaments(connection, [tournament_id])
    trial = await connection.begin_nested()
    stored = bases(tournament.mode)
    before = await store.copy_scores(connection, tournament_id, stored)
    made = await change(connection, tournament)
    after = await store.copy_scores(connection, tournament_id, stored)
    (ruleset,) = await read_rulesets(connection, [tournament.ruleset_id])
    basis = basis_row(tournament.mode, ruleset.basis)
    compared = await asyncio.to_thread(comparison.compare, before, after, basis, ruleset.weights)
    if made.is_secret and execution.dry_run:
        compared, step.note = _UNTOLD, _OPEN
    effect = _effect(tournament, made, compared)
    if execution.dry_run:
        await trial.rollback()
    elif effect.digest != digest:
        raise StalePreview(_STALE)
    else:
        await trial.commit()
    await run.write_effect(connection, effect)
    run.details["effect"] = _details(effect, compared)
    _count(step, made)


def _effect(tournament: Tournament, made: Made, compared: Comparison) -> Effect:
    change = _UNTOLD.digest if made.is_secret else compared.digest
    lines = [tournament.id, tournament.settled_version, tournament.ruleset_id, *made.stands_for, change]
    return Effect(
        digest=rules.digest_of(lines),
        equals_recorded=made.is_proven and not made.is_secret and compared.members_changed == 0,
        matches=made.matches,
        members_changed=compared.members_changed,
        points_moved=compared.points_moved,
        settled_version=tournament.settled_version,
        changes=tuple(compared.changes[:MOST_CHANGES]),
    )


def _details(effect: Effect, compared: Comparison) -> dict[str, object]:
    changes = [asdict(change) | {"member_id": str(change.member_id)} for change in compared.changes]
    return asdict(effect) | {"changes": changes}


def _count(step: Step, made: Made) -> None:
    if made.is_new:
        step.updated += 1
    else:
        step.unchanged += 1


async def _correct(
    execution: Execution, wanted: NewResult, match: LockedMatch, connection: "AsyncConnection", _: Tournament
) -> Made:
    is_secret = not match.is_locked and wanted.kind is not ResultKind.VOID
    # What is only tried out has no author, and is taken back.
    asked = replace(wanted, cause="PROVIDER") if execution.dry_run else wanted
    stored = await results.store_results(connection, [asked])
    latest = stored.before.get(match.id)
    settled = await settlement.settle_locked(connection, match, execution.id)
    new, paid = settled.settlement, settled.before
    if not execution.dry_run:
        await audit.record(connection, _act(execution, wanted, latest))
    return Made(
        matches=1,
        stands_for=[
            rules.shown(wanted),
            latest.revision if latest else 0,
            idempotency_key(match.id, latest.status_at) if latest else "",
            paid.effect_digest if paid else "",
            new.effect_digest if new and not is_secret else "",
        ],
        is_new=bool(stored.new),
        is_secret=is_secret,
    )


async def _replay(run: Run, step: Step, connection: "AsyncConnection", tournament: Tournament) -> Made:
    execution = run.execution
    match_id = execution.target.match_id
    found = await proof.verify(connection, tournament, match_id)
    if not found.is_equal:
        await proof.repair(connection, tournament, found, execution.id)
        for difference in found.differences:
            step.rejected.append(proof_rules.in_words(difference))
        if not execution.dry_run:
            await audit.record(connection, _repaired(execution, found))
    return Made(
        matches=found.matches,
        stands_for=[match_id, *(proof_rules.in_words(difference) for difference in found.differences)],
        is_new=not found.is_equal,
        is_proven=found.is_equal,
    )


def _repaired(execution: Execution, found: Verification) -> Act:
    return Act(
        action="replaySettlement",
        actor_id=execution.actor_id,
        request_id=execution.request_id,
        subject_kind="TOURNAMENT",
        subject_id=found.tournament_id,
        reason=execution.reason,
        execution_id=execution.id,
        before={"digest": found.recorded_digest, "differences": len(found.differences)},
        after={"digest": found.recomputed_digest},
    )


def _act(execution: Execution, wanted: NewResult, latest: AcceptedResult | None) -> Act:
    return Act(
        action="correctResult",
        actor_id=wanted.actor_id,
        request_id=execution.request_id,
        subject_kind="MATCH",
        subject_id=wanted.match_id,
        reason=wanted.reason,
        execution_id=execution.id,
        before=None if latest is None else rules.shown(results.once_more(latest)),
        after=rules.shown(wanted),
    )
