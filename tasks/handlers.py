"""Which function does which operation, and what it is given from outside the domain."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from domain.clock import Clock
from domain.correction import work as corrections
from domain.errors import DomainError
from domain.execution.model import Operation
from domain.execution.ports import ObjectStore
from domain.execution.retention import service as retention
from domain.execution.run import Run
from domain.ingestion import service as ingestion
from domain.ingestion.ports import Provider
from domain.leaderboard import projector
from domain.leaderboard.audit import service as board_audit
from domain.leaderboard.export.service import export_leaderboard
from domain.leaderboard.ports import Projection
from domain.leaderboard.service import Boards
from domain.member.erasure.work import erase_member
from domain.settlement import service as settlement
from domain.tournament.model import Provider as ProviderName


@dataclass(frozen=True, slots=True)
class Ports:
    """The outside world, as handlers see it."""

    providers: Mapping[ProviderName, Provider]
    projection: Projection
    clock: Clock
    reports: ObjectStore


Handler = Callable[[Run, Ports], Awaitable[None]]

# The part of the domain that an operation belongs to, for the logs.
DOMAINS: Mapping[Operation, str] = {
    Operation.INGEST_TOURNAMENT: "ingestion",
    Operation.INGEST_ROUNDS: "ingestion",
    Operation.INGEST_TEAMS: "ingestion",
    Operation.INGEST_MATCHES: "ingestion",
    Operation.INGEST_ROUND_MATCHES: "ingestion",
    Operation.INGEST_MATCH: "ingestion",
    Operation.INGEST_STANDINGS: "ingestion",
    Operation.INGEST_KNOCKOUT_ROUNDS: "ingestion",
    Operation.SYNC_CURRENT_ROUND: "ingestion",
    Operation.POLL_OPEN_MATCHES: "ingestion",
    Operation.SETTLE_MATCH: "settlement",
    Operation.SETTLE_PENDING: "settlement",
    Operation.REBUILD_PROJECTION: "leaderboard",
    Operation.VERIFY_PROJECTION: "leaderboard",
    Operation.PRUNE_HISTORY: "execution",
    Operation.CORRECT_RESULT: "correction",
    Operation.REPLAY_SETTLEMENT: "correction",
    Operation.EXPORT_LEADERBOARD: "leaderboard",
    Operation.ERASE_MEMBER: "member",
}


class TargetMissing(DomainError):
    """The operation needs a target that the execution does not name."""

    code = "PREREQUISITE_MISSING"


async def _ingest_tournament(run: Run, ports: Ports) -> None:
    await ingestion.ingest_tournament(run, ports.providers, ports.clock)


async def _ingest_rounds(run: Run, ports: Ports) -> None:
    await ingestion.ingest_rounds(run, ports.providers, ports.clock)


async def _ingest_teams(run: Run, ports: Ports) -> None:
    await ingestion.ingest_teams(run, ports.providers, ports.clock)


async def _ingest_matches(run: Run, ports: Ports) -> None:
    await ingestion.ingest_matches(run, ports.providers, ports.clock)


async def _ingest_round_matches(run: Run, ports: Ports) -> None:
    round_id = run.execution.target.round_id
    if round_id is None:
        raise TargetMissing("Say which round to ingest the matches of.")
    await ingestion.ingest_round_matches(run, ports.providers, ports.clock, round_id)


async def _ingest_match(run: Run, ports: Ports) -> None:
    match_id = run.execution.target.match_id
    if match_id is None:
        raise TargetMissing("Say which match to ingest.")
    await ingestion.ingest_match(run, ports.providers, ports.clock, match_id)


async def _ingest_standings(run: Run, ports: Ports) -> None:
    await ingestion.ingest_standings(run, ports.providers, ports.clock)


async def _ingest_knockout_rounds(run: Run, ports: Ports) -> None:
    await ingestion.ingest_knockout_rounds(run, ports.providers, ports.clock)


async def _sync_current_round(run: Run, _: Ports) -> None:
    await ingestion.sync_current_round(run)


async def _poll_open_matches(run: Run, ports: Ports) -> None:
    await ingestion.poll_open_matches(run, ports.providers, ports.clock)


async def _settle_match(run: Run, _: Ports) -> None:
    match_id = run.execution.target.match_id
    if match_id is None:
        raise TargetMissing("Say which match to settle.")
    await settlement.settle_match(run, match_id)


async def _settle_pending(run: Run, _: Ports) -> None:
    await settlement.settle_pending(run)


async def _rebuild_projection(run: Run, ports: Ports) -> None:
    await projector.rebuild_projection(run, ports.projection)


async def _verify_projection(run: Run, ports: Ports) -> None:
    await board_audit.verify_projection(run, ports.projection)


async def _prune_history(run: Run, ports: Ports) -> None:
    await retention.prune_history(run, ports.reports)


async def _correct_result(run: Run, _: Ports) -> None:
    await corrections.correct_result(run)


async def _replay_settlement(run: Run, _: Ports) -> None:
    await corrections.replay_settlement(run)


async def _export_leaderboard(run: Run, ports: Ports) -> None:
    boards = Boards(run.database, ports.projection, ports.clock)
    await export_leaderboard(run, boards, ports.reports)


async def _erase_member(run: Run, ports: Ports) -> None:
    await erase_member(run, ports.reports)


HANDLERS: Mapping[Operation, Handler] = {
    Operation.INGEST_TOURNAMENT: _ingest_tournament,
    Operation.INGEST_ROUNDS: _ingest_rounds,
    Operation.INGEST_TEAMS: _ingest_teams,
    Operation.INGEST_MATCHES: _ingest_matches,
    Operation.INGEST_ROUND_MATCHES: _ingest_round_matches,
    Operation.INGEST_MATCH: _ingest_match,
    Operation.INGEST_STANDINGS: _ingest_standings,
    Operation.INGEST_KNOCKOUT_ROUNDS: _ingest_knockout_rounds,
    Operation.SYNC_CURRENT_ROUND: _sync_current_round,
    Operation.POLL_OPEN_MATCHES: _poll_open_matches,
    Operation.SETTLE_MATCH: _settle_match,
    Operation.SETTLE_PENDING: _settle_pending,
    Operation.CORRECT_RESULT: _correct_result,
    Operation.REPLAY_SETTLEMENT: _replay_settlement,
    Operation.REBUILD_PROJECTION: _rebuild_projection,
    Operation.VERIFY_PROJECTION: _verify_projection,
    Operation.PRUNE_HISTORY: _prune_history,
    Operation.EXPORT_LEADERBOARD: _export_leaderboard,
    Operation.ERASE_MEMBER: _erase_member,
}
