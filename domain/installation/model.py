"""Model of the server behind the installation."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ServerRun:
    """A moment in a run of the database's server, by positions in its log, which only rise."""

    started_at: datetime
    written: int
    """What stands before it is on disk: no crash takes it back."""
    checkpoint: int | None
    """The last one. There is one at each start, behind all that is on disk; None for a while in who took over."""

    def has_lost(self, seen: "ServerRun") -> bool:
        """Whether the server has begun anew without all that was written when it was seen earlier."""
        has_begun_anew = self.started_at != seen.started_at
        return has_begun_anew and self.checkpoint is not None and self.checkpoint < seen.written
