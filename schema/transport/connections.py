"""How many connections that stay open a member has in this process: websockets and event streams together."""

from collections import Counter

from domain.ids import MemberId


class Connections:
    """One per process."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: Counter[MemberId] = Counter()

    def admit(self, member_id: MemberId) -> bool:
        """Count one more, unless that is one too many; who is admitted is released later."""
        if self._open[member_id] >= self.most:
            return False
        self._open[member_id] += 1
        return True

    def release(self, member_id: MemberId) -> None:
        """One is closed."""
        self._open[member_id] -= 1
        if self._open[member_id] <= 0:
            del self._open[member_id]
