"""Earlier moments of boards as short texts: one spelling each, for ids and stored parameters."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.ids import RoundId
from domain.leaderboard.model import AfterRound, AtTime, AtVersion, Moment

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def moment_text(moment: Moment | None) -> str:
    """The text of a moment; empty for now."""
    match moment:
        case AtVersion(version):
            return f"v{version}"
        case AtTime(time):
            return f"t{(time - EPOCH) // MICROSECOND}"
        case AfterRound(round_id):
            return f"r{round_id.hex}"
    return ""


def read_moment(text: str) -> Moment | None:
    """The moment of a text; None when it is empty.

    Raises:
        ValueError: it is the text of none.
    """
    if not text:
        return None
    kind, value = text[0], text[1:]
    moment: Moment
    try:
        if kind == "r":
            moment = AfterRound(RoundId(UUID(value)))
        else:
            moment = AtTime(EPOCH + int(value) * MICROSECOND) if kind == "t" else AtVersion(int(value))
    except OverflowError as problem:
        raise ValueError(text) from problem
    if moment_text(moment) != text:  # one object, one text
        raise ValueError(text)
    return moment
