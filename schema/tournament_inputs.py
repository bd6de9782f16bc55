"""What the mutation of tournaments by platform admins takes."""

import strawberry

from domain.tournament.model import TournamentChange, TournamentSource, TournamentStatus
from schema import ids
from schema.commands import TournamentSourceInput
from schema.shared import given, refuse_removal


@strawberry.input(description="Input of `updateTournament`; what is left out stays.")
class UpdateTournamentInput:
    tournament_id: strawberry.ID = strawberry.field(description="Which.")
    label: str | None = strawberry.field(default=strawberry.UNSET, description="Name to show.")
    status: TournamentStatus | None = strawberry.field(default=strawberry.UNSET, description="New status.")
    source: TournamentSourceInput | None = strawberry.field(
        default=strawberry.UNSET,
        description="Read its data from elsewhere from now on; matches are linked by round and teams.",
    )
    ruleset_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="New default ruleset; refused with RULESET_FROZEN once a match has locked.",
    )
    reason: str = strawberry.field(description="Why, for the audit log; 3 to 500 characters.")

    def change(self) -> TournamentChange:
        """What is to change.

        Raises:
            Refused: what must be there is to be removed.
            NotFound: an id in it is not one.
        """
        refuse_removal(label=self.label, status=self.status, source=self.source, rulesetId=self.ruleset_id)
        source = given(self.source)
        return TournamentChange(
            label=given(self.label),
            status=given(self.status),
            source=TournamentSource(source.provider, source.competition, source.season) if source else None,
            ruleset_id=ids.optional_id(self.ruleset_id, ids.ruleset_id, "ruleset", "rulesetId"),
        )
