"""Rules of the audit log: what counts as a reason."""

from domain.errors import Fault, InvalidInput

REASON_LENGTH = range(3, 501)
_PROBLEM = "Give a reason of 3 to 500 characters; the audit log keeps it."
_FIELD = ("reason",)


def checked_reason(reason: str) -> str:
    """The reason of an act without blanks around it.

    Raises:
        InvalidInput: it is shorter than 3 characters or longer than 500, or holds a zero character.
    """
    words = reason.strip()
    if not _is_reason(words):
        raise InvalidInput(_PROBLEM, field=_FIELD)
    return words


def reason_faults(reason: str) -> list[Fault]:
    """The same, to be told together with the other faults of an input."""
    return [] if _is_reason(reason.strip()) else [Fault("INVALID_INPUT", _PROBLEM, _FIELD)]


def _is_reason(words: str) -> bool:
    return len(words) in REASON_LENGTH and "\0" not in words
