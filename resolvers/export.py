"""Files for one member."""

from domain.errors import NotFound
from domain.execution import exports
from domain.execution.exports import Export
from domain.ids import ExecutionId
from domain.leaderboard.export.model import ExportFormat, Wanted
from domain.leaderboard.export.service import request_export
from domain.leaderboard.model import BoardKey, Moment
from resolvers.context import Context
from resolvers.permissions import allow, board_exporter, member


@allow(board_exporter)
async def export_leaderboard(
    context: Context, *, key: BoardKey, as_of: Moment | None, settled_only: bool, kind: ExportFormat
) -> Export:
    """Queue the writing of a board into a file; answers with the export, or with an equal one that is under way.

    Raises:
        NotFound: there is no such board, such as of a round of another tournament.
        InvalidInput: the board has not had that moment.
        RateLimited: the member asks for too many.
    """
    await context.services.limiter.hit("export", str(context.member_id))
    found = await context.services.boards.find(key, as_of=as_of)
    if found is None:
        raise NotFound("There is no such board.", field=("board",))
    wanted = Wanted(context.member_id, found, as_of, settled_only, kind)
    return await request_export(context.database, wanted, request_id=context.request.id)


@allow(member)
async def read(context: Context, *, export_id: ExecutionId) -> Export | None:
    """One of the viewer's own exports."""
    return await exports.read_export(context.database, export_id, context.member_id)
