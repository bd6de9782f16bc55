"""Writes of leagues: a part of the root."""

import strawberry

from domain.ids import LeagueId, LeagueMembershipId, TournamentId
from domain.league import model as domain
from resolvers import league as leagues
from resolvers.context import Context
from schema import ids
from schema.context import Info
from schema.ids import optional_id, required
from schema.league import League, LeagueInvite, LeagueMembership
from schema.league_inputs import (
    AddLeagueTournamentInput,
    ChangeLeagueRoleInput,
    CreateLeagueInput,
    CreateLeagueInviteInput,
    DeleteLeagueInput,
    JoinLeagueInput,
    LeagueInvitePayload,
    LeagueMembershipPayload,
    LeaguePayload,
    LeagueRemovedPayload,
    LeaveLeagueInput,
    RemoveLeagueMemberInput,
    RemoveLeagueMemberPayload,
    RemoveLeagueTournamentInput,
    RevokeLeagueInviteInput,
    TransferLeagueInput,
    UpdateLeagueInput,
    UpdateLeagueTournamentInput,
)
from schema.outcome import outcome
from schema.rights_first import mutation
from schema.shared import UserError, given


@strawberry.type
class LeagueMutations:
    @mutation(leagues.create, description="Create a league; the viewer becomes founder and league admin.")
    async def create_league(self, info: Info, input: CreateLeagueInput) -> LeaguePayload:
        created, errors = await outcome(
            lambda: leagues.create(
                info.context,
                name=input.name,
                description=given(input.description),
                tournament_ids=[
                    required(ids.tournament_id(text), "tournament", "tournamentIds", str(index))
                    for index, text in enumerate(input.tournament_ids)
                ],
            )
        )
        return _league(created, errors)

    @mutation(leagues.update, description="Change name or description. League admins.")
    async def update_league(self, info: Info, input: UpdateLeagueInput) -> LeaguePayload:
        updated, errors = await outcome(
            lambda: leagues.update(info.context, league_id=_league_id(input.league_id), change=input.change())
        )
        return _league(updated, errors)

    @mutation(leagues.delete, description="Delete a league for all its members. Founder only.")
    async def delete_league(self, info: Info, input: DeleteLeagueInput) -> LeagueRemovedPayload:
        deleted, errors = await outcome(lambda: leagues.delete(info.context, league_id=_league_id(input.league_id)))
        return LeagueRemovedPayload(removed_league_id=input.league_id if deleted else None, errors=errors)

    @mutation(leagues.create_invite, description="Make an invite code and link. League admins.")
    async def create_league_invite(self, info: Info, input: CreateLeagueInviteInput) -> LeagueInvitePayload:
        created, errors = await outcome(
            lambda: leagues.create_invite(
                info.context,
                league_id=_league_id(input.league_id),
                role=input.role,
                expires_at=given(input.expires_at),
                max_uses=given(input.max_uses),
            )
        )
        return _invite(info.context, created, errors)

    @mutation(leagues.revoke_invite, description="Make an invite code unusable. League admins.")
    async def revoke_league_invite(self, info: Info, input: RevokeLeagueInviteInput) -> LeagueInvitePayload:
        revoked, errors = await outcome(lambda: _revoke(info.context, input))
        return _invite(info.context, revoked, errors)

    @mutation(
        leagues.join,
        description=(
            "Join a league by invite code, and with it the tournaments that it plays. Joining twice is "
            "harmless and uses no seat."
        ),
    )
    async def join_league(self, info: Info, input: JoinLeagueInput) -> LeaguePayload:
        joined, errors = await outcome(lambda: leagues.join(info.context, code=input.code))
        return _league(joined, errors)

    @mutation(leagues.leave, description="Leave a league. The founder must transfer or delete it instead.")
    async def leave_league(self, info: Info, input: LeaveLeagueInput) -> LeagueRemovedPayload:
        left, errors = await outcome(lambda: leagues.leave(info.context, league_id=_league_id(input.league_id)))
        return LeagueRemovedPayload(removed_league_id=input.league_id if left else None, errors=errors)

    @mutation(
        leagues.remove_member,
        description="Remove a member from a league; open sockets on its boards end. League admins.",
    )
    async def remove_league_member(self, info: Info, input: RemoveLeagueMemberInput) -> RemoveLeagueMemberPayload:
        league, errors = await outcome(lambda: _remove_member(info.context, input))
        return RemoveLeagueMemberPayload(
            league=League.from_domain(league) if league else None,
            removed_membership_id=input.membership_id if league else None,
            errors=errors,
        )

    @mutation(
        leagues.change_role,
        description="Change a member's league role. League admins; the last admin cannot be demoted.",
    )
    async def change_league_role(self, info: Info, input: ChangeLeagueRoleInput) -> LeagueMembershipPayload:
        changed, errors = await outcome(lambda: _change_role(info.context, input))
        return LeagueMembershipPayload(
            membership=LeagueMembership.from_domain(changed) if changed else None, errors=errors
        )

    @mutation(
        leagues.transfer,
        description=("Hand the league to another of its members, who becomes founder and league admin. Founder only."),
    )
    async def transfer_league(self, info: Info, input: TransferLeagueInput) -> LeaguePayload:
        handed, errors = await outcome(
            lambda: leagues.transfer(
                info.context,
                league_id=_league_id(input.league_id),
                member_id=required(ids.member_id(input.member_id), "member", "memberId"),
            )
        )
        return _league(handed, errors)

    @mutation(
        leagues.add_tournament,
        description="Play a tournament in the league; all its members join the tournament. League admins.",
    )
    async def add_league_tournament(self, info: Info, input: AddLeagueTournamentInput) -> LeaguePayload:
        changed, errors = await outcome(
            lambda: leagues.add_tournament(
                info.context,
                league_id=_league_id(input.league_id),
                tournament_id=required(ids.tournament_id(input.tournament_id), "tournament", "tournamentId"),
                ruleset_id=optional_id(input.ruleset_id, ids.ruleset_id, "ruleset", "rulesetId"),
            )
        )
        return _league(changed, errors)

    @mutation(
        leagues.update_tournament,
        description="Change the status or the ruleset of a tournament in the league. League admins.",
    )
    async def update_league_tournament(self, info: Info, input: UpdateLeagueTournamentInput) -> LeaguePayload:
        updated, errors = await outcome(lambda: _update_link(info.context, input))
        return _league(updated, errors)

    @mutation(
        leagues.remove_tournament,
        description=(
            "Stop playing a tournament in the league. Adding it again brings its former ruleset back. League admins."
        ),
    )
    async def remove_league_tournament(self, info: Info, input: RemoveLeagueTournamentInput) -> LeaguePayload:
        changed, errors = await outcome(lambda: _remove_link(info.context, input))
        return _league(changed, errors)


async def _revoke(context: Context, wanted: RevokeLeagueInviteInput) -> domain.LeagueInvite:
    league_id, invite_id = required(ids.league_invite_id(wanted.invite_id), "invite", "inviteId")
    return await leagues.revoke_invite(context, league_id=league_id, invite_id=invite_id)


async def _remove_member(context: Context, wanted: RemoveLeagueMemberInput) -> domain.League:
    league_id, membership_id = _membership_id(wanted.membership_id)
    return await leagues.remove_member(context, league_id=league_id, membership_id=membership_id)


async def _change_role(context: Context, wanted: ChangeLeagueRoleInput) -> domain.LeagueMembership:
    league_id, membership_id = _membership_id(wanted.membership_id)
    return await leagues.change_role(context, league_id=league_id, membership_id=membership_id, role=wanted.role)


async def _update_link(context: Context, wanted: UpdateLeagueTournamentInput) -> domain.League:
    league_id, tournament_id = _link_id(wanted.league_tournament_id)
    return await leagues.update_tournament(
        context, league_id=league_id, tournament_id=tournament_id, change=wanted.change()
    )


async def _remove_link(context: Context, wanted: RemoveLeagueTournamentInput) -> domain.League:
    league_id, tournament_id = _link_id(wanted.league_tournament_id)
    return await leagues.remove_tournament(context, league_id=league_id, tournament_id=tournament_id)


def _league_id(text: str) -> LeagueId:
    return required(ids.league_id(text), "league", "leagueId")


def _membership_id(text: str) -> tuple[LeagueId, LeagueMembershipId]:
    return required(ids.league_membership_id(text), "membership", "membershipId")


def _link_id(text: str) -> tuple[LeagueId, TournamentId]:
    return required(ids.league_tournament_id(text), "tournament in a league", "leagueTournamentId")


def _league(found: domain.League | None, errors: list[UserError]) -> LeaguePayload:
    return LeaguePayload(league=League.from_domain(found) if found else None, errors=errors)


def _invite(context: Context, found: domain.LeagueInvite | None, errors: list[UserError]) -> LeagueInvitePayload:
    public_url = context.services.public_url
    return LeagueInvitePayload(invite=LeagueInvite.from_domain(found, public_url) if found else None, errors=errors)
