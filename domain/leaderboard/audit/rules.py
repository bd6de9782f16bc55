"""From what was read to what is wrong, in words. Pure."""

from collections.abc import Iterable, Sequence

from domain.leaderboard.audit.model import Breach, Invariant
from domain.settlement.rules import LedgerLine


def ledger_breaches(lines: Iterable[LedgerLine]) -> list[Breach]:
    """Bases of which members and scorelines do not add up to the same."""
    return [
        Breach(
            Invariant.LEDGER,
            f"{line.basis}: members have {tuple(line.of_members)}, settlements paid {tuple(line.of_scorelines)}",
        )
        for line in lines
        if not line.is_balanced
    ]


def score_breaches(unfolded: Iterable[tuple[str, int, str]]) -> list[Breach]:
    """Bases of which members have other facts than their guesses earned."""
    return [
        Breach(
            Invariant.SCORES,
            f"{basis}: {members} member{'s have' if members > 1 else ' has'} other facts than the guesses earned, "
            f"such as {one}",
        )
        for basis, members, one in unfolded
    ]


def version_breaches(settled_version: int, number: int, highest: int) -> list[Breach]:
    """Gaps in the versions of a tournament's scores."""
    if settled_version == number == highest:
        return []
    text = f"the settled version is {settled_version}, but {number} are recorded, the highest is {highest}"
    return [Breach(Invariant.VERSIONS, text)]


def active_breaches(found: Iterable[tuple[str, int]]) -> list[Breach]:
    """Matches that are paid not once."""
    return [
        Breach(Invariant.ACTIVE, f"match {match}: {number} settlements pay, where one must") for match, number in found
    ]


def delays(late: Sequence[tuple[str, str]], stuck: Sequence[tuple[str, str, str]]) -> list[Breach]:
    """What should have moved by itself."""
    unsettled = [
        Breach(Invariant.SETTLED_IN_TIME, f"match {match} of {label} has ended, and is not settled")
        for match, label in late
    ]
    return unsettled + [
        Breach(Invariant.EXECUTIONS_MOVE, f"execution {execution} ({operation}) is {state}, and nobody works on it")
        for execution, operation, state in stuck
    ]
