"""The signed-in member, and how one signs in and out."""

from enum import StrEnum
from typing import Annotated, Self

import strawberry

from domain.member import model as domain
from domain.member.model import PlatformRole
from resolvers import match as matches
from resolvers import member as resolvers
from schema import league as league_types
from schema import match as match_types
from schema.context import Info
from schema.describe import describe
from schema.ids import global_id
from schema.member import Member
from schema.references import LeagueConnectionRef, MatchConnectionRef
from schema.session_types import SessionConnection
from schema.shared import Node, UserError, given, refuse_removal

describe(PlatformRole, "Role on the platform.", MEMBER="Plays.", ADMIN="Plays, and runs the platform.")


@strawberry.type(description="The signed-in member's own view. All of it is viewer-dependent.")
class Viewer(Node):
    id: strawberry.ID = strawberry.field(description="Opaque id.")
    member: Member = strawberry.field(description="As others see the viewer.")
    email: str | None = strawberry.field(
        description="Sign-in address; null for accounts whose OpenID Connect provider gave none."
    )
    email_confirmed: bool = strawberry.field(description="Whether the address was confirmed.")
    has_password: bool = strawberry.field(description="Whether the account has a password.")
    platform_role: PlatformRole = strawberry.field(description="Role on the platform.")
    time_zone: str = strawberry.field(description="IANA zone that decides what `today` means.")

    @strawberry.field(description="Live sessions, latest seen first.")
    async def sessions(self, info: Info, first: int = 25, after: str | None = strawberry.UNSET) -> SessionConnection:
        page = await resolvers.own_sessions(info.context, first=first, after=given(after))
        return SessionConnection.from_page(page)

    @strawberry.field(description="Leagues that the viewer is in, by name.")
    async def leagues(self, info: Info, first: int = 25, after: str | None = strawberry.UNSET) -> LeagueConnectionRef:
        return league_types.LeagueConnection.from_page(
            await resolvers.own_leagues(info.context, first=first, after=given(after))
        )

    @strawberry.field(description="Matches of joined tournaments that kick off today, by kick-off.")
    async def matches_today(
        self,
        info: Info,
        first: int = 50,
        after: str | None = strawberry.UNSET,
        time_zone: Annotated[
            str | None, strawberry.argument(description="IANA zone in place of the profile's.")
        ] = strawberry.UNSET,
    ) -> MatchConnectionRef:
        page = await matches.today(info.context, time_zone=given(time_zone), first=first, after=given(after))
        return match_types.MatchConnection.from_page(page)

    @strawberry.field(description="Matches of joined tournaments that are open and lack the viewer's guess, by lock.")
    async def matches_to_guess(
        self, info: Info, first: int = 25, after: str | None = strawberry.UNSET
    ) -> MatchConnectionRef:
        return match_types.MatchConnection.from_page(
            await matches.to_guess(info.context, first=first, after=given(after))
        )

    @classmethod
    def from_domain(cls, account: domain.Account) -> Self:
        """Shape an account for its owner."""
        return cls(
            id=global_id("Viewer", account.id),
            member=Member(id=global_id("Member", account.id), nick_name=account.nick_name),
            email=account.email,
            email_confirmed=account.email_confirmed_at is not None,
            has_password=account.has_password,
            platform_role=account.platform_role,
            time_zone=account.time_zone,
        )


class SessionDelivery(StrEnum):
    """How a session is handed over."""

    COOKIE = "COOKIE"
    TOKEN = "TOKEN"  # noqa: S105 -- a name


describe(
    SessionDelivery,
    "How a session is handed over.",
    COOKIE="As a cookie, HttpOnly and Secure, for browsers.",
    TOKEN="As a bearer token in the payload, shown once, for `Authorization` headers and `connection_init`.",  # noqa: S106 -- a description
)


@strawberry.input(description="Input of `signUp`.")
class SignUpInput:
    email: str = strawberry.field(description="Sign-in address, never shown to others.")
    password: str = strawberry.field(description="At least 10 characters; known leaked ones are refused.")
    nick_name: str = strawberry.field(description="Name on boards, 2 to 30 characters.")
    time_zone: str = strawberry.field(default="UTC", description="IANA zone; default `UTC`.")
    delivery: SessionDelivery = strawberry.field(
        default=SessionDelivery.COOKIE, description="How to hand over the session."
    )


@strawberry.input(description="Input of `signIn`.")
class SignInInput:
    email: str = strawberry.field(description="Sign-in address.")
    password: str = strawberry.field(description="Password.")
    delivery: SessionDelivery = strawberry.field(
        default=SessionDelivery.COOKIE, description="How to hand over the session."
    )


@strawberry.type(description="A new session, or why there is none.")
class SessionPayload:
    viewer: Viewer | None = strawberry.field(description="The member now signed in; null when refused.")
    token: str | None = strawberry.field(description="Bearer token; only for delivery TOKEN.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")


@strawberry.type(description="Result of `signOut`.")
class SignOutPayload:
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")


@strawberry.input(description="Input of `updateProfile`; what is left out stays.")
class UpdateProfileInput:
    nick_name: str | None = strawberry.field(
        default=strawberry.UNSET, description="Name on boards, 2 to 30 characters."
    )
    time_zone: str | None = strawberry.field(default=strawberry.UNSET, description="IANA zone.")

    def check(self) -> None:
        """Both have a value always.

        Raises:
            Refused: one is to be removed.
        """
        refuse_removal(nickName=self.nick_name, timeZone=self.time_zone)


@strawberry.type(description="The viewer after a change.")
class ViewerPayload:
    viewer: Viewer | None = strawberry.field(description="Null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")


@strawberry.input(description="Input of `revokeSession`.")
class RevokeSessionInput:
    session_id: strawberry.ID = strawberry.field(description="One of the viewer's own.")


@strawberry.type(description="Result of `revokeSession`.")
class RevokeSessionPayload:
    revoked_session_id: strawberry.ID | None = strawberry.field(description="Id to drop from lists; null when refused.")
    errors: list[UserError] = strawberry.field(description="Refusals; empty on success.")
