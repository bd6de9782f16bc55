"""What the mutations of leagues take and answer."""

from datetime import datetime

import strawberry

from domain.league.model import LeagueChange, LeagueRole, LeagueTournamentStatus, LinkChange
from schema import ids
from schema.ids import optional_id
from schema.league import League, LeagueInvite, LeagueMembership
from schema.shared import UserError, given, refuse_removal


@strawberry.input(description="Input of `createLeague`.")
class CreateLeagueInput:
    name: str = strawberry.field(description="3 to 60 characters; need not be unique.")
    description: str | None = strawberry.field(default=strawberry.UNSET, description="At most 500 characters.")
    tournament_ids: list[strawberry.ID] = strawberry.field(
        default_factory=list, description="Tournaments to begin with, under their default rulesets; at most 20."
    )


@strawberry.input(description="Input of `createLeagueInvite`.")
class CreateLeagueInviteInput:
    league_id: strawberry.ID = strawberry.field(description="Which league.")
    role: LeagueRole = strawberry.field(
        default=LeagueRole.MEMBER, description="Role of those who join by it; ADMIN is refused."
    )
    expires_at: datetime | None = strawberry.field(
        default=strawberry.UNSET, description="Until when; default without limit."
    )
    max_uses: int | None = strawberry.field(
        default=strawberry.UNSET, description="How many may join by it, 1 to 1000; default without limit."
    )


@strawberry.input(description="Input of `joinLeague`.")
class JoinLeagueInput:
    code: str = strawberry.field(description="Invite code; upper and lower case are the same.")


@strawberry.input(description="Input of `updateLeagueTournament`; what is left out stays.")
class UpdateLeagueTournamentInput:
    league_tournament_id: strawberry.ID = strawberry.field(description="Which.")
    status: LeagueTournamentStatus | None = strawberry.field(default=strawberry.UNSET, description="New status.")
    ruleset_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description="New ruleset; refused with RULESET_FROZEN once a match of the tournament has locked.",
    )

    def change(self) -> LinkChange:
        """What is to change.

        Raises:
            Refused: what must be there is to be removed.
            NotFound: an id in it is not one.
        """
        refuse_removal(status=self.status, rulesetId=self.ruleset_id)
        return LinkChange(
            status=given(self.status), ruleset_id=optional_id(self.ruleset_id, ids.ruleset_id, "ruleset", "rulesetId")
        )


@strawberry.input(description="Input of `updateLeague`; what is left out stays.")
class UpdateLeagueInput:
    league_id: strawberry.ID = strawberry.field(description="Which.")
    name: str | None = strawberry.field(default=strawberry.UNSET, description="3 to 60 characters.")
    description: str | None = strawberry.field(
        default=strawberry.UNSET, description="At most 500 characters; null removes it."
    )

    def change(self) -> LeagueChange:
        """What is to change: a name that is to be removed is too short, an empty description is none."""
        return LeagueChange(
            name=None if self.name is strawberry.UNSET else self.name or "",
            description=None if self.description is strawberry.UNSET else self.description or "",
        )


@strawberry.input(description="Input of `deleteLeague`.")
class DeleteLeagueInput:
    league_id: strawberry.ID = strawberry.field(description="Which.")


@strawberry.input(description="Input of `revokeLeagueInvite`.")
class RevokeLeagueInviteInput:
    invite_id: strawberry.ID = strawberry.field(description="Which.")


@strawberry.input(description="Input of `leaveLeague`.")
class LeaveLeagueInput:
    league_id: strawberry.ID = strawberry.field(description="Which.")


@strawberry.input(description="Input of `removeLeagueMember`.")
class RemoveLeagueMemberInput:
    membership_id: strawberry.ID = strawberry.field(description="Which membership.")


@strawberry.input(description="Input of `changeLeagueRole`.")
class ChangeLeagueRoleInput:
    membership_id: strawberry.ID = strawberry.field(description="Which membership.")
    role: LeagueRole = strawberry.field(description="New role.")


@strawberry.input(description="Input of `transferLeague`.")
class TransferLeagueInput:
    league_id: strawberry.ID = strawberry.field(description="Which league.")
    member_id: strawberry.ID = strawberry.field(description="One of its members.")


@strawberry.input(description="Input of `addLeagueTournament`.")
class AddLeagueTournamentInput:
    league_id: strawberry.ID = strawberry.field(description="Which league.")
    tournament_id: strawberry.ID = strawberry.field(description="Which tournament.")
    ruleset_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description=(
            "Default: the tournament's ruleset, and the only one once a match of it has locked (else RULESET_FROZEN). "
            "Ignored when the league played the tournament before."
        ),
    )


@strawberry.input(description="Input of `removeLeagueTournament`.")
class RemoveLeagueTournamentInput:
    league_tournament_id: strawberry.ID = strawberry.field(description="Which.")


@strawberry.type(description="A league after a change.")
class LeaguePayload:
    league: League | None = strawberry.field(description="Null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")


@strawberry.type(description="Result of `createLeagueInvite` and `revokeLeagueInvite`.")
class LeagueInvitePayload:
    invite: LeagueInvite | None = strawberry.field(description="Null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")


@strawberry.type(description="Result of a mutation after which the viewer no longer sees the league.")
class LeagueRemovedPayload:
    removed_league_id: strawberry.ID | None = strawberry.field(description="Id to drop from lists; null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")


@strawberry.type(description="Result of `removeLeagueMember`.")
class RemoveLeagueMemberPayload:
    league: League | None = strawberry.field(description="The league after it; null when refused.")
    removed_membership_id: strawberry.ID | None = strawberry.field(
        description="Id to drop from lists; null when refused."
    )
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")


@strawberry.type(description="Result of `changeLeagueRole`.")
class LeagueMembershipPayload:
    membership: LeagueMembership | None = strawberry.field(description="Null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")
