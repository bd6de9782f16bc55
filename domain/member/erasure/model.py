"""How an account is deleted."""

from enum import StrEnum


class ErasureMode(StrEnum):
    """What becomes of a deleted member's guesses and points."""

    KEEP_ANONYMOUS = "KEEP_ANONYMOUS"
    """They stay on boards, under the name of all former members."""
    REMOVE_FROM_BOARDS = "REMOVE_FROM_BOARDS"
    """They go, and boards of all moments are ranked without them."""


MEMBER, MODE = "memberId", "erasure"
"""Parameters of the execution that does what a deletion leaves to do."""
