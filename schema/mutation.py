"""The root of writes."""

import strawberry

from domain.errors import DomainError
from domain.guess.model import Guess as FoundGuess
from domain.guess.model import GuessInput
from domain.ids import MatchId, new_id
from domain.ingestion.health.model import HealthProblem
from domain.tournament.model import Tournament as FoundTournament
from resolvers import (
    correction as corrections,
)
from resolvers import (
    dead_letter as dead_letters,
)
from resolvers import (
    execution as executions,
)
from resolvers import (
    export as exports,
)
from resolvers import (
    guess as guesses,
)
from resolvers import (
    health,
)
from resolvers import (
    member as members,
)
from resolvers import (
    ruleset as rulesets,
)
from resolvers import (
    schedule as schedules,
)
from resolvers import (
    tournament as tournaments,
)
from resolvers.context import Context
from schema import ids
from schema.account_mutations import AccountMutations
from schema.commands import CancelExecutionInput, RetryExecutionInput, RunOperationInput, required_execution
from schema.context import Info
from schema.correction import CorrectResultInput, ReplaySettlementInput, goals_of
from schema.dead_letter import (
    DeadLetterPayload,
    DiscardDeadLetterInput,
    ReplayDeadLetterInput,
    required_dead_letter,
)
from schema.execution import ExecutionPayload
from schema.export import Export, ExportLeaderboardInput, ExportPayload
from schema.guess import (
    Guess,
    SaveGuessesInput,
    SaveGuessesPayload,
    SaveGuessInput,
    SaveGuessPayload,
    SaveGuessResult,
)
from schema.health import DismissHealthProblemInput, HealthProblemPayload
from schema.league_mutations import LeagueMutations
from schema.outcome import outcome, user_errors
from schema.rights_first import mutation
from schema.ruleset import CreateRulesetInput, RulesetPayload
from schema.schedule import (
    CreateScheduleInput,
    RunScheduleNowInput,
    SchedulePayload,
    UpdateScheduleInput,
    required_schedule,
)
from schema.sessions import session_payload
from schema.shared import given
from schema.tournament import JoinTournamentInput, Tournament, TournamentPayload
from schema.tournament_inputs import UpdateTournamentInput
from schema.viewer import SessionPayload, SignInInput, SignOutPayload, SignUpInput


@strawberry.type(
    description=(
        "Writes. Each takes one `input`; refusals that a user can cause come back in `errors`, and then "
        "nothing was changed."
    )
)
class Mutation(AccountMutations, LeagueMutations):
    @mutation(
        members.sign_up,
        description=(
            "Create an account with a password and sign in; a mail asks to confirm the address. Open to anyone."
        ),
    )
    async def sign_up(self, info: Info, input: SignUpInput) -> SessionPayload:
        session, errors = await outcome(
            lambda: members.sign_up(
                info.context,
                email=input.email,
                password=input.password,
                nick_name=input.nick_name,
                time_zone=input.time_zone,
            )
        )
        return session_payload(info.context, session, input.delivery, errors)

    @mutation(members.sign_in, description="Sign in with e-mail and password. Open to anyone.")
    async def sign_in(self, info: Info, input: SignInInput) -> SessionPayload:
        session, errors = await outcome(
            lambda: members.sign_in(info.context, email=input.email, password=input.password)
        )
        return session_payload(info.context, session, input.delivery, errors)

    @mutation(members.sign_out, description="End the present session.")
    async def sign_out(self, info: Info) -> SignOutPayload:
        _, errors = await outcome(lambda: members.sign_out(info.context))
        return SignOutPayload(errors=errors)

    @mutation(
        tournaments.join,
        description=(
            "Join a tournament: opens guessing for all its matches that have not locked. Joining twice is harmless."
        ),
    )
    async def join_tournament(self, info: Info, input: JoinTournamentInput) -> TournamentPayload:
        joined, errors = await outcome(
            lambda: tournaments.join(
                info.context,
                tournament_id=ids.required(ids.tournament_id(input.tournament_id), "tournament", "tournamentId"),
            )
        )
        return TournamentPayload(tournament=Tournament.from_domain(joined) if joined else None, errors=errors)

    @mutation(
        guesses.save,
        description=(
            "Save the viewer's guess for one match, until its lock, which the database clock decides inside the write."
        ),
    )
    async def save_guess(self, info: Info, input: SaveGuessInput) -> SaveGuessPayload:
        wanted = _guess_input(input)
        saved, errors = await outcome(lambda: guesses.save(info.context, guess=wanted))
        shown = saved or await guesses.own(info.context, wanted.match_id)
        return SaveGuessPayload(guess=Guess.from_domain(shown) if shown else None, errors=errors)

    @mutation(guesses.save_many, description="Save up to 100 guesses; each succeeds or fails on its own.")
    async def save_guesses(self, info: Info, input: SaveGuessesInput) -> SaveGuessesPayload:
        wanted = [_guess_input(item) for item in input.guesses]
        results, errors = await outcome(lambda: guesses.save_many(info.context, inputs=wanted))
        shown = [
            await _result(info.context, item, wanted[index], index, result)
            for index, (item, result) in enumerate(zip(input.guesses, results or [], strict=False))
        ]
        return SaveGuessesPayload(results=shown, errors=errors)

    @mutation(
        exports.export_leaderboard,
        description=(
            "Ask for a file of a whole board, with the ranks that the board shows. Members who may see the board."
        ),
    )
    async def export_leaderboard(self, info: Info, input: ExportLeaderboardInput) -> ExportPayload:
        asked, errors = await outcome(
            lambda: exports.export_leaderboard(
                info.context,
                key=input.board.key(),
                as_of=input.moment(),
                settled_only=input.settled_only,
                kind=input.format,
            )
        )
        export = Export.from_domain(asked, info.context.services) if asked else None
        return ExportPayload(export=export, errors=errors)

    @mutation(
        executions.run,
        description=(
            "Queue any ingestion, settlement or projection operation; answers at once with its execution. "
            "Platform admins."
        ),
    )
    async def run_operation(self, info: Info, input: RunOperationInput) -> ExecutionPayload:
        accepted, errors = await outcome(
            lambda: executions.run(info.context, command=input.operation.command(), reason=input.reason)
        )
        return ExecutionPayload.from_outcome(accepted, errors, info.context.services.report_url)

    @mutation(
        executions.retry,
        description=(
            "Run a failed or cancelled execution again, as a new execution; its dead letter counts as replayed. "
            "Platform admins."
        ),
    )
    async def retry_execution(self, info: Info, input: RetryExecutionInput) -> ExecutionPayload:
        accepted, errors = await outcome(
            lambda: executions.retry(
                info.context, execution_id=required_execution(input.execution_id), reason=input.reason
            )
        )
        return ExecutionPayload.from_outcome(accepted, errors, info.context.services.report_url)

    @mutation(
        executions.cancel,
        description=(
            "Cancel a queued execution, or ask a running one to stop after its present step. Platform admins."
        ),
    )
    async def cancel_execution(self, info: Info, input: CancelExecutionInput) -> ExecutionPayload:
        cancelled, errors = await outcome(
            lambda: executions.cancel(
                info.context, execution_id=required_execution(input.execution_id), reason=input.reason
            )
        )
        return ExecutionPayload.from_outcome(cancelled, errors, info.context.services.report_url)

    @mutation(
        corrections.correct_result,
        description=(
            "Correct, award, void or confirm a result: dry run first, then again with the digest that it reported. "
            "Platform admins."
        ),
    )
    async def correct_result(self, info: Info, input: CorrectResultInput) -> ExecutionPayload:
        accepted, errors = await outcome(
            lambda: corrections.correct_result(
                info.context,
                match_id=ids.required(ids.match_id(input.match_id), "match", "matchId"),
                kind=input.kind,
                regulation=goals_of(input.regulation),
                after_extra_time=goals_of(input.after_extra_time),
                shoot_out=goals_of(input.shoot_out),
                reason=input.reason,
                dry_run=input.dry_run,
                expected_digest=given(input.expected_digest),
            )
        )
        return ExecutionPayload.from_outcome(accepted, errors, info.context.services.report_url)

    @mutation(
        corrections.replay_settlement,
        description=(
            "Recompute settlements from guesses, results and rulesets: dry run first, then again with the digest that "
            "it reported. Platform admins."
        ),
    )
    async def replay_settlement(self, info: Info, input: ReplaySettlementInput) -> ExecutionPayload:
        accepted, errors = await outcome(
            lambda: corrections.replay_settlement(
                info.context,
                tournament_id=ids.required(ids.tournament_id(input.tournament_id), "tournament", "tournamentId"),
                match_id=ids.optional_id(input.match_id, ids.match_id, "match", "matchId"),
                reason=input.reason,
                dry_run=input.dry_run,
                expected_digest=given(input.expected_digest),
            )
        )
        return ExecutionPayload.from_outcome(accepted, errors, info.context.services.report_url)

    @mutation(dead_letters.replay, description="Send a dead letter's job again. Platform admins.")
    async def replay_dead_letter(self, info: Info, input: ReplayDeadLetterInput) -> DeadLetterPayload:
        replayed, errors = await outcome(
            lambda: dead_letters.replay(
                info.context, dead_letter_id=required_dead_letter(input.dead_letter_id), reason=input.reason
            )
        )
        return DeadLetterPayload.from_replay(replayed, errors, info.context.services.report_url)

    @mutation(dead_letters.discard, description="Close a dead letter without running it again. Platform admins.")
    async def discard_dead_letter(self, info: Info, input: DiscardDeadLetterInput) -> DeadLetterPayload:
        discarded, errors = await outcome(
            lambda: dead_letters.discard(
                info.context, dead_letter_id=required_dead_letter(input.dead_letter_id), reason=input.reason
            )
        )
        return DeadLetterPayload.from_discard(discarded, errors)

    @mutation(schedules.create, description="Create a recurring or one-time schedule of an operation. Platform admins.")
    async def create_schedule(self, info: Info, input: CreateScheduleInput) -> SchedulePayload:
        created, errors = await outcome(
            lambda: schedules.create(info.context, new=input.to_domain(), reason=input.reason)
        )
        return SchedulePayload.from_outcome(created, errors)

    @mutation(schedules.update, description="Change, pause, resume or retire a schedule. Platform admins.")
    async def update_schedule(self, info: Info, input: UpdateScheduleInput) -> SchedulePayload:
        updated, errors = await outcome(
            lambda: schedules.update(
                info.context,
                schedule_id=required_schedule(input.schedule_id),
                change=input.change(),
                reason=input.reason,
            )
        )
        return SchedulePayload.from_outcome(updated, errors)

    @mutation(schedules.run_now, description="Run a schedule's operation now, apart from its slots. Platform admins.")
    async def run_schedule_now(self, info: Info, input: RunScheduleNowInput) -> ExecutionPayload:
        accepted, errors = await outcome(
            lambda: schedules.run_now(
                info.context, schedule_id=required_schedule(input.schedule_id), reason=input.reason
            )
        )
        return ExecutionPayload.from_outcome(accepted, errors, info.context.services.report_url)

    @mutation(
        rulesets.create,
        description="Add a ruleset, or a new version of one; existing versions never change. Platform admins.",
    )
    async def create_ruleset(self, info: Info, input: CreateRulesetInput) -> RulesetPayload:
        created, errors = await outcome(
            lambda: rulesets.create(info.context, new=input.to_domain(), reason=input.reason)
        )
        return RulesetPayload.from_outcome(created, errors)

    @mutation(
        health.dismiss,
        description="Dismiss a problem that needs no act, such as a provider's differing result. Platform admins.",
    )
    async def dismiss_health_problem(self, info: Info, input: DismissHealthProblemInput) -> HealthProblemPayload:
        dismissed, errors = await outcome(lambda: _dismiss(info.context, input))
        return HealthProblemPayload(dismissed_problem_id=input.problem_id if dismissed else None, errors=errors)

    @mutation(
        tournaments.update,
        description="Change what ingestion does not own: label, status, default ruleset, source. Platform admins.",
    )
    async def update_tournament(self, info: Info, input: UpdateTournamentInput) -> TournamentPayload:
        updated, errors = await outcome(lambda: _update_tournament(info.context, input))
        return TournamentPayload(tournament=Tournament.from_domain(updated) if updated else None, errors=errors)


async def _dismiss(context: Context, wanted: DismissHealthProblemInput) -> HealthProblem:
    tournament_id, key = wanted.problem()
    return await health.dismiss(context, tournament_id=tournament_id, key=key, reason=wanted.reason)


async def _update_tournament(context: Context, wanted: UpdateTournamentInput) -> FoundTournament:
    tournament_id = ids.required(ids.tournament_id(wanted.tournament_id), "tournament", "tournamentId")
    return await tournaments.update(context, tournament_id=tournament_id, change=wanted.change(), reason=wanted.reason)


def _guess_input(item: SaveGuessInput) -> GuessInput:
    """An id that is none of ours is treated as one that no match has."""
    return GuessInput(ids.match_id(item.match_id) or MatchId(new_id()), item.home, item.away)


async def _result(
    context: Context, item: SaveGuessInput, wanted: GuessInput, index: int, result: FoundGuess | DomainError
) -> SaveGuessResult:
    errors = user_errors(result, "guesses", str(index)) if isinstance(result, DomainError) else []
    found = await guesses.own(context, wanted.match_id) if isinstance(result, DomainError) else result
    return SaveGuessResult(match_id=item.match_id, guess=Guess.from_domain(found) if found else None, errors=errors)
