"""Commands of platform admins: which operation to run, on what, and why."""

from typing import Any

import strawberry

from domain.errors import InvalidInput
from domain.execution import model as domain
from domain.execution.model import Operation
from domain.ids import ExecutionId
from domain.tournament.model import Provider, StandingsMode, TournamentMode
from schema import ids
from schema.describe import describe
from schema.ids import optional_id, required
from schema.shared import given

SCOPED_OPERATIONS = {
    "ingest_rounds": Operation.INGEST_ROUNDS,
    "ingest_teams": Operation.INGEST_TEAMS,
    "ingest_matches": Operation.INGEST_MATCHES,
    "ingest_standings": Operation.INGEST_STANDINGS,
    "ingest_knockout_rounds": Operation.INGEST_KNOCKOUT_ROUNDS,
    "sync_current_round": Operation.SYNC_CURRENT_ROUND,
    "poll_open_matches": Operation.POLL_OPEN_MATCHES,
    "settle_pending": Operation.SETTLE_PENDING,
    "rebuild_projection": Operation.REBUILD_PROJECTION,
    "verify_projection": Operation.VERIFY_PROJECTION,
}
MATCH_OPERATIONS = {
    "ingest_match": Operation.INGEST_MATCH,
    "settle_match": Operation.SETTLE_MATCH,
}


describe(
    Operation,
    "What can be run.",
    INGEST_TOURNAMENT="Create or update a tournament from its provider.",
    INGEST_ROUNDS="Create or update the rounds of a tournament.",
    INGEST_TEAMS="Create or update the teams of a tournament, with badges.",
    INGEST_MATCHES="Create or update all matches of a tournament.",
    INGEST_ROUND_MATCHES="Create or update the matches of one round.",
    INGEST_MATCH="Update one match.",
    INGEST_STANDINGS="Replace the team table of a tournament.",
    INGEST_KNOCKOUT_ROUNDS="Find knockout rounds that appeared, with their teams and matches.",
    SYNC_CURRENT_ROUND="Set the current round.",
    POLL_OPEN_MATCHES="Poll matches that should be in play or have just ended.",
    SETTLE_MATCH="Settle the latest accepted result of one match.",
    SETTLE_PENDING="Settle every match that has ended and is not settled.",
    REBUILD_PROJECTION="Rebuild projections from the database.",
    VERIFY_PROJECTION="Compare projections with the database; report and repair what drifted.",
    PRUNE_HISTORY="Remove what is past its retention.",
    CORRECT_RESULT="`correctResult`.",
    REPLAY_SETTLEMENT="`replaySettlement`.",
    EXPORT_LEADERBOARD="`exportLeaderboard`.",
    ERASE_MEMBER="What `deleteAccount` leaves to do.",
)


@strawberry.input(description="One tournament, or all active ones.")
class TournamentScopeInput:
    tournament_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Default: all active ones."
    )

    def target(self, operation: str) -> domain.Target:
        """What it is about."""
        path = ("operation", operation, "tournamentId")
        return domain.Target(tournament_id=optional_id(self.tournament_id, ids.tournament_id, "tournament", *path))


@strawberry.input(description="What to prune: all that is past its retention.")
class PruneHistoryInput:
    dry_run: bool = strawberry.field(default=False, description="Only count it.")

    def params(self) -> dict[str, Any]:
        """The parameters of the operation: what is left out is the same as false, so that equal commands are."""
        return {"dryRun": True} if self.dry_run else {}


@strawberry.input(description="Where a tournament's data come from.")
class TournamentSourceInput:
    provider: Provider = strawberry.field(description="The provider.")
    competition: str = strawberry.field(
        description="The competition at the provider: `17` at SofaScore, `en.1` at openfootball."
    )
    season: str = strawberry.field(
        description="The season at the provider: `96668` at SofaScore, `2024-25` at openfootball."
    )


@strawberry.input(description="Which tournament to create or update; found by its source.")
class IngestTournamentInput:
    source: TournamentSourceInput = strawberry.field(description="Where its data come from.")
    label: str | None = strawberry.field(default=strawberry.UNSET, description="Name to show; default the provider's.")
    mode: TournamentMode | None = strawberry.field(
        default=strawberry.UNSET, description="How it is played; default found out from the data."
    )
    standings_mode: StandingsMode | None = strawberry.field(
        default=strawberry.UNSET, description="How its team table is cut; default found out from the data."
    )
    time_zone: str | None = strawberry.field(
        default=strawberry.UNSET,
        description=("IANA zone of kick-offs that the provider gives without one; default the competition's country."),
    )
    ruleset_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Ruleset of its board; default `default`. Only on creation."
    )

    def params(self) -> dict[str, Any]:
        """The parameters of the operation; what was left out is not there."""
        ruleset_id = optional_id(
            self.ruleset_id, ids.ruleset_id, "ruleset", "operation", "ingestTournament", "rulesetId"
        )
        values = {
            "provider": self.source.provider.value,
            "competition": self.source.competition,
            "season": self.source.season,
            "label": given(self.label),
            "mode": given(self.mode),
            "standingsMode": given(self.standings_mode),
            "timeZone": given(self.time_zone),
            "rulesetId": str(ruleset_id) if ruleset_id else None,
        }
        return {name: value for name, value in values.items() if value is not None}


@strawberry.input(
    one_of=True,
    description=("One operation with its target: name exactly one. The same shape for running now and for schedules."),
)
class OperationInput:
    ingest_tournament: IngestTournamentInput | None = strawberry.field(
        default=strawberry.UNSET, description="Create or update a tournament from its provider."
    )
    ingest_rounds: TournamentScopeInput | None = strawberry.field(
        default=strawberry.UNSET, description="Create or update the rounds."
    )
    ingest_teams: TournamentScopeInput | None = strawberry.field(
        default=strawberry.UNSET, description="Create or update the teams, with badges."
    )
    ingest_matches: TournamentScopeInput | None = strawberry.field(
        default=strawberry.UNSET, description="Create or update all matches."
    )
    ingest_round_matches: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET, description="Create or update the matches of this round."
    )
    ingest_match: strawberry.ID | None = strawberry.field(default=strawberry.UNSET, description="Update this match.")
    ingest_standings: TournamentScopeInput | None = strawberry.field(
        default=strawberry.UNSET, description="Replace the team tables."
    )
    ingest_knockout_rounds: TournamentScopeInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="Find knockout rounds that appeared, with their teams and matches.",
    )
    sync_current_round: TournamentScopeInput | None = strawberry.field(
        default=strawberry.UNSET, description="Set the current round."
    )
    poll_open_matches: TournamentScopeInput | None = strawberry.field(
        default=strawberry.UNSET, description="Poll matches that should be in play or have just ended."
    )
    settle_match: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="Settle the latest accepted result of this match; harmless when it is settled.",
    )
    settle_pending: TournamentScopeInput | None = strawberry.field(
        default=strawberry.UNSET, description="Settle every match that has ended and is not settled."
    )
    rebuild_projection: TournamentScopeInput | None = strawberry.field(
        default=strawberry.UNSET, description="Rebuild projections from the database."
    )
    verify_projection: TournamentScopeInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="Compare projections with the database; report and repair what drifted.",
    )
    prune_history: PruneHistoryInput | None = strawberry.field(
        default=strawberry.UNSET, description="Remove what is past its retention."
    )

    def command(self) -> domain.Command:
        """The command that it names.

        Raises:
            NotFound: an id in it is not one.
        """
        if tournament := given(self.ingest_tournament):
            return domain.Command(Operation.INGEST_TOURNAMENT, domain.Target(), tournament.params())
        if history := given(self.prune_history):
            return domain.Command(Operation.PRUNE_HISTORY, domain.Target(), history.params())
        if round_ := given(self.ingest_round_matches):
            round_id = required(ids.round_id(round_), "round", "operation", "ingestRoundMatches")
            return domain.Command(Operation.INGEST_ROUND_MATCHES, domain.Target(round_id=round_id), {})
        for name, operation in MATCH_OPERATIONS.items():
            if match := given(getattr(self, name)):
                match_id = required(ids.match_id(match), "match", "operation", camel_case(name))
                return domain.Command(operation, domain.Target(match_id=match_id), {})
        for name, operation in SCOPED_OPERATIONS.items():
            if scope := given(getattr(self, name)):
                return domain.Command(operation, scope.target(camel_case(name)), {})
        raise InvalidInput("Set exactly one operation.", field=("operation",))


@strawberry.input(description="Input of `runOperation`.")
class RunOperationInput:
    operation: OperationInput = strawberry.field(description="What to run on what.")
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")


@strawberry.input(description="Input of `retryExecution`.")
class RetryExecutionInput:
    execution_id: strawberry.ID = strawberry.field(description="A failed or cancelled one.")
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")


@strawberry.input(description="Input of `cancelExecution`.")
class CancelExecutionInput:
    execution_id: strawberry.ID = strawberry.field(description="A queued one or one in progress.")
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")


def required_execution(text: str) -> ExecutionId:
    """The id in an input.

    Raises:
        NotFound: it is none of an execution.
    """
    return required(ids.execution_id(text), "execution", "executionId")


def camel_case(name: str) -> str:
    """A field's name as clients write it."""
    first, *others = name.split("_")
    return first + "".join(word.title() for word in others)
