"""The state of tournaments' data: for platform admins."""

from domain.ids import TournamentId
from domain.ingestion.health import service as health
from domain.ingestion.health.model import HealthProblem, TournamentHealth
from resolvers.context import Context
from resolvers.permissions import allow, platform_admin, reading_admin


@allow(reading_admin)
async def of_tournament(context: Context, *, tournament_id: TournamentId) -> TournamentHealth | None:
    """The health of a tournament."""
    return await context.loaders.health.load(tournament_id)


@allow(platform_admin)
async def read_problem(context: Context, *, tournament_id: TournamentId, key: str) -> HealthProblem | None:
    """A problem that stands."""
    return await health.find(context.database, tournament_id, key)


@allow(platform_admin)
async def dismiss(context: Context, *, tournament_id: TournamentId, key: str, reason: str) -> HealthProblem:
    """Dismiss a problem that needs no act."""
    return await health.dismiss(
        context.database,
        tournament_id,
        key,
        actor_id=context.member_id,
        reason=reason,
        request_id=context.request.id,
    )
