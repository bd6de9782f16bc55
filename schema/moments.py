"""Earlier moments of boards: as clients name them, and as ids of boards hold them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import strawberry

from domain.errors import InvalidInput
from domain.ids import RoundId
from domain.leaderboard.model import AfterRound, AtTime, AtVersion, BoardHead, Moment
from schema import ids
from schema.ids import MalformedId, required
from schema.shared import given

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
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
        raise InvalidInput("Name one moment.", field=("asOf",))


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
    return () if head.is_streamed else (_text(head.as_of), SETTLED_ONLY if head.settled_only else "")


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
    return _moment(text) if text else None, bool(settled)


def _text(moment: Moment | None) -> str:
    match moment:
        case AtVersion(version):
            return f"v{version}"
        case AtTime(time):
            return f"t{(time - EPOCH) // MICROSECOND}"
        case AfterRound(round_id):
            return f"r{round_id.hex}"
    return ""


def _moment(text: str) -> Moment:
    kind, value = text[0], text[1:]
    if kind == "r":
        return AfterRound(RoundId(ids.uuid_part(value)))
    try:
        number = int(value)
        moment = AtTime(EPOCH + number * MICROSECOND) if kind == "t" else AtVersion(number)
    except (ValueError, OverflowError) as problem:
        raise MalformedId(text) from problem
    if _text(moment) != text:  # one object, one id
        raise MalformedId(text)
    return moment
