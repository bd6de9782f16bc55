"""What a file of a board is asked for with, and its kinds."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from domain.execution.exports import ENDING, OWNER
from domain.ids import LeagueId, MemberId, RoundId, TournamentId
from domain.leaderboard.model import BoardKey, Moment
from domain.leaderboard.past.moments import moment_text, read_moment


class ExportFormat(StrEnum):
    CSV = "CSV"
    JSON = "JSON"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A board at a moment, for a member, as a file."""

    member_id: MemberId
    key: BoardKey
    as_of: Moment | None
    settled_only: bool
    format: ExportFormat

    def params(self) -> dict[str, Any]:
        """As the parameters of an execution: equal for equal wishes."""
        return {
            OWNER: str(self.member_id),
            ENDING: self.format.lower(),
            "leagueId": _text(self.key.league_id),
            "tournamentId": _text(self.key.tournament_id),
            "roundId": _text(self.key.round_id),
            "asOf": moment_text(self.as_of),
            "settledOnly": self.settled_only,
        }

    @classmethod
    def of_params(cls, params: Mapping[str, Any]) -> Self:
        """Read what `params` wrote."""
        league_id, tournament_id, round_id = (
            UUID(params[name]) if params[name] else None for name in ("leagueId", "tournamentId", "roundId")
        )
        return cls(
            member_id=MemberId(UUID(params[OWNER])),
            key=BoardKey(
                LeagueId(league_id) if league_id else None,
                TournamentId(tournament_id) if tournament_id else None,
                RoundId(round_id) if round_id else None,
            ),
            as_of=read_moment(params["asOf"]),
            settled_only=params["settledOnly"],
            format=ExportFormat(params[ENDING].upper()),
        )


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
