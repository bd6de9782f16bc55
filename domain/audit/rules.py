"""Rules of the audit log: whoever changes something for others says why."""

from domain.errors import Fault

SHORTEST_REASON = 3
LONGEST_REASON = 500


def reason_faults(reason: str) -> list[Fault]:
    """What is wrong with a reason, which is stripped already."""
    if SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        return []
    message = f"Say why in {SHORTEST_REASON} to {LONGEST_REASON} characters; it is kept in the audit log."
    return [Fault("INVALID_INPUT", message, ("reason",))]
