"""What every part of the contract uses: nodes, pages, refusals, goals."""

from enum import StrEnum
from typing import Any, Self, TypeVar

import strawberry

from domain.errors import Fault, Refused
from domain.match import model as domain
from resolvers.pages import Page
from schema.describe import describe

T = TypeVar("T")


@strawberry.interface(description="An object that can be fetched again by id and merged by id.")
class Node:
    id: strawberry.ID = strawberry.field(description="Opaque, stable, unique over all types.")


@strawberry.type(description="Where a page stands in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether another page follows.")
    has_previous_page: bool = strawberry.field(description="Whether something precedes this page.")
    start_cursor: str | None = strawberry.field(description="Cursor of the first edge; null on an empty page.")
    end_cursor: str | None = strawberry.field(
        description=("Cursor of the last edge: pass it as `after` for the next page; null on an empty page.")
    )

    @classmethod
    def from_page(cls, page: Page[Any]) -> Self:
        """Shape where a page stands."""
        return cls(
            has_next_page=page.has_next,
            has_previous_page=page.has_previous,
            start_cursor=page.cursors[0] if page.cursors else None,
            end_cursor=page.cursors[-1] if page.cursors else None,
        )


class ErrorCode(StrEnum):
    """Why something was refused. The same codes stand in `extensions.code` of top-level errors."""

    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    INVALID_INPUT = "INVALID_INPUT"
    RATE_LIMITED = "RATE_LIMITED"
    TOO_COMPLEX = "TOO_COMPLEX"
    UNAVAILABLE = "UNAVAILABLE"
    INTERNAL = "INTERNAL"
    INVALID_CREDENTIALS = "INVALID_CREDENTIALS"
    EMAIL_IN_USE = "EMAIL_IN_USE"
    NOT_JOINED = "NOT_JOINED"
    MATCH_LOCKED = "MATCH_LOCKED"
    MATCH_PAUSED = "MATCH_PAUSED"
    MATCH_NOT_GUESSABLE = "MATCH_NOT_GUESSABLE"
    INVITE_INVALID = "INVITE_INVALID"
    LIMIT_REACHED = "LIMIT_REACHED"
    LAST_ADMIN = "LAST_ADMIN"
    RULESET_FROZEN = "RULESET_FROZEN"
    WRONG_STATE = "WRONG_STATE"
    STALE_PREVIEW = "STALE_PREVIEW"


describe(
    ErrorCode,
    "Why something was refused. The same codes stand in `extensions.code` of top-level errors.",
    UNAUTHENTICATED="Nobody is signed in, or the session has ended.",
    FORBIDDEN="Signed in, but not allowed.",
    NOT_FOUND="No such object, or not visible to the viewer.",
    INVALID_INPUT="A value is out of bounds or malformed; `field` says which.",
    RATE_LIMITED="Too many attempts; `retryAfterSeconds` (in `extensions` of top-level errors) says when to come back.",
    TOO_COMPLEX="The query is too deep or too costly.",
    UNAVAILABLE="A part that this needs is down for now; nothing was changed.",
    INTERNAL="Unexpected; the message carries the request id and nothing else.",
    INVALID_CREDENTIALS="E-mail or password is wrong, or the OpenID Connect provider's answer was not accepted.",
    EMAIL_IN_USE="Another account has this e-mail.",
    NOT_JOINED="The viewer has not joined the match's tournament.",
    MATCH_LOCKED="The lock has passed.",
    MATCH_PAUSED="The match has no date for now.",
    MATCH_NOT_GUESSABLE="The match cannot be guessed: its teams are unknown, or it is cancelled or abandoned.",
    INVITE_INVALID="The invite code is unknown, expired, revoked or used up.",
    LIMIT_REACHED=(
        "A limit is reached: members or tournaments of a league, matches of its total, or the viewer's number of "
        "leagues."
    ),
    LAST_ADMIN="The last admin, or the founder, cannot go or be demoted.",
    RULESET_FROZEN="The first match in the ruleset's scope has locked.",
    WRONG_STATE="The execution is not in a state that allows this.",
    STALE_PREVIEW="The dry run's digest is missing or no longer true; run it again.",
)


@strawberry.type(description="A refusal that the user can understand and act on.")
class UserError:
    code: ErrorCode = strawberry.field(description="Stable, for code.")
    message: str = strawberry.field(description="For people; may change wording.")
    field: list[str] | None = strawberry.field(
        description=("Path into `input`, such as `guesses`, `3`, `home`; null when no single field is at fault.")
    )
    retry_after_seconds: int | None = strawberry.field(description="When to come back, with RATE_LIMITED; else null.")


@strawberry.type(description="A pair of goals.")
class Goals:
    home: int = strawberry.field(description="Of the home team.")
    away: int = strawberry.field(description="Of the away team.")

    @classmethod
    def from_domain(cls, goals: domain.Goals) -> Self:
        """Shape a pair of goals."""
        return cls(home=goals.home, away=goals.away)


def goals(pair: domain.Goals | None) -> Goals | None:
    """Shape a pair of goals that may be unknown."""
    return Goals.from_domain(pair) if pair is not None else None


def refuse_removal(**values: object) -> None:
    """Fields of an update that may be left out, by name, but must not be null: they have a value always.

    Raises:
        Refused: some are null.
    """
    problem = "It cannot be null; leave it out to keep it."
    removed = [Fault("INVALID_INPUT", problem, (name,)) for name, value in values.items() if value is None]
    if removed:
        raise Refused(removed)


def there(found: T | None) -> T:
    """An object that a foreign key names."""
    if found is None:
        raise LookupError("a row that a foreign key names was not found")
    return found


def given(value: T | None) -> T | None:
    """An argument that may have been left out."""
    return value if value is not strawberry.UNSET else None
