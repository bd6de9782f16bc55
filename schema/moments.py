"""Earlier moments of boards: as clients name them, and as ids of boards hold them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import strawberry

from domain.errors import InvalidInput
from domain.leaderboard.model import AfterRound, AtTime, AtVersion, BoardHead, Moment
from domain.leaderboard.past.moments import moment_text, read_moment
from schema import ids
from schema.ids import MalformedId, required
from schema.shared import given

SETTLED_ONLY = "s"


@strawberry.input(one_of=True, description="An earlier moment.")
class BoardMomentInput:
    settled_version: int | None = strawberry.field(
        default=strawberry.UNSET, description="A tournament version, 0 to the present; not for a league's total."
    )
    time: datetime | None = strawberry.field(default=strawberry.UNSET, description="As it stood at this instant.")
    after_round_id: strawberry.ID | None = strawberry.field(
        default=strawberry.UNSET,
        description=(
            "As it stood when the round after this one became the current round, or now for the latest; what "
            "settled later counts later."
        ),
    )

    def moment(self) -> Moment:
        """The moment that it names.

        Raises:
            InvalidInput: it names none.
            NotFound: the round's id is not one.
        """
        if (version := given(self.settled_version)) is not None:
            return AtVersion(version)
        if (time := given(self.time)) is not None:
            return AtTime(time)
        if (round_id := given(self.after_round_id)) is not None:
            return AfterRound(required(ids.round_id(round_id), "round", "asOf", "afterRoundId"))
        raise InvalidInput("Set exactly one of the fields of `asOf`.", field=("asOf",))


AsOf = Annotated[
    BoardMomentInput | None, strawberry.argument(description="As it stood at an earlier moment; default now.")
]
SettledOnly = Annotated[bool, strawberry.argument(description="Leave provisional points out, for order and rank too.")]


def moment_of(as_of: BoardMomentInput | None) -> Moment | None:
    """The moment that an argument names; None for now."""
    found = given(as_of)
    return found.moment() if found is not None else None


def moment_parts(head: BoardHead) -> tuple[str, ...]:
    """What the ids of a board and its rows say of its moment; nothing for the present board."""
    return () if head.is_streamed else (moment_text(head.as_of), SETTLED_ONLY if head.settled_only else "")


def read_moment_parts(parts: Sequence[str]) -> tuple[Moment | None, bool]:
    """The moment in an id, and whether only what is settled counts.

    Raises:
        MalformedId: it is none.
    """
    if not parts:
        return None, False
    text, settled = parts
    if settled not in ("", SETTLED_ONLY) or not (text or settled):
        raise MalformedId(settled)
    try:
        return read_moment(text), bool(settled)
    except ValueError as problem:
        raise MalformedId(text) from problem
