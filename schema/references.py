"""Names for types that refer to each other in cycles; strawberry looks them up when the schema is built."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import strawberry

if TYPE_CHECKING:
    from schema.correction import CorrectionConnection
    from schema.execution import Execution
    from schema.guess import Guess, GuessConnection
    from schema.health import TournamentHealth
    from schema.leaderboard import Leaderboard
    from schema.league import League, LeagueConnection
    from schema.match import Match, MatchConnection, Settlement
    from schema.schedule import Schedule
    from schema.tournament import Round, Team, Tournament

TournamentRef: TypeAlias = Annotated["Tournament", strawberry.lazy("schema.tournament")]
RoundRef: TypeAlias = Annotated["Round", strawberry.lazy("schema.tournament")]
TeamRef: TypeAlias = Annotated["Team", strawberry.lazy("schema.tournament")]
MatchRef: TypeAlias = Annotated["Match", strawberry.lazy("schema.match")]
MatchConnectionRef: TypeAlias = Annotated["MatchConnection", strawberry.lazy("schema.match")]
SettlementRef: TypeAlias = Annotated["Settlement", strawberry.lazy("schema.match")]
GuessRef: TypeAlias = Annotated["Guess", strawberry.lazy("schema.guess")]
GuessConnectionRef: TypeAlias = Annotated["GuessConnection", strawberry.lazy("schema.guess")]
LeaderboardRef: TypeAlias = Annotated["Leaderboard", strawberry.lazy("schema.leaderboard")]
CorrectionConnectionRef: TypeAlias = Annotated["CorrectionConnection", strawberry.lazy("schema.correction")]
ExecutionRef: TypeAlias = Annotated["Execution", strawberry.lazy("schema.execution")]
ScheduleRef: TypeAlias = Annotated["Schedule", strawberry.lazy("schema.schedule")]
LeagueRef: TypeAlias = Annotated["League", strawberry.lazy("schema.league")]
LeagueConnectionRef: TypeAlias = Annotated["LeagueConnection", strawberry.lazy("schema.league")]
TournamentHealthRef: TypeAlias = Annotated["TournamentHealth", strawberry.lazy("schema.health")]
