"""How long what was found out holds for those who ask, and who of them finds it out anew before its time is over."""

_RENEWED_AT = 0.75
"""Part of its time after which one is told to, so that those beside it need not all find out when it is over."""


class Term:
    """Of one thing that was found out."""

    __slots__ = ("renewed_at", "until")

    def __init__(self, began_at: float, seconds: float) -> None:
        self.until = began_at + seconds
        self.renewed_at = began_at + seconds * _RENEWED_AT
        """From when on the next one who asks finds it out anew: `until` once somebody was told to."""

    def is_to_renew(self, now: float) -> bool:
        """Whether the one who asks finds it out anew: one is told so in time, and all when it is over."""
        if now < self.renewed_at:
            return False
        self.renewed_at = self.until
        return True
