"""Use cases of boards as files: ask for one, and the execution that writes it."""

import io

from domain.database import Database
from domain.errors import DomainError, InvalidInput, NotFound
from domain.execution.exports import Export, export_of, file_key
from domain.execution.model import Command, ExecutionTrigger, Operation, Target
from domain.execution.ports import ObjectStore
from domain.execution.run import Run, Step
from domain.execution.service import accept
from domain.ids import MemberId
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.export.model import Wanted
from domain.leaderboard.export.rules import CONTENT_TYPES, ExportedRow, writer_of
from domain.leaderboard.model import RankedRow
from domain.leaderboard.ranking import Ranking
from domain.leaderboard.service import Boards
from domain.league import service as leagues
from domain.member import store as member_store
from domain.member.service import read_members

PAGE = 1_000


class BoardGone(DomainError):
    """The board is no more, or the member may not see it any more."""

    code = "PREREQUISITE_MISSING"


async def request_export(database: Database, wanted: Wanted, *, request_id: str) -> Export:
    """Queue the writing of a file; the answer is an equal one that is under way, if any.

    The board exists, has had the moment, and the member may see it.
    Raises Unauthenticated when the account has been deleted meanwhile: nobody would remove the file with it.
    """
    command = Command(
        Operation.EXPORT_LEADERBOARD, Target(wanted.key.tournament_id, wanted.key.round_id), wanted.params()
    )
    async with database.begin() as connection:
        await member_store.lock_member(connection, wanted.member_id)
        accepted = await accept(
            connection, command, trigger=ExecutionTrigger.MEMBER, request_id=request_id, actor_id=wanted.member_id
        )
    return export_of(accepted.execution)


async def export_leaderboard(run: Run, boards: Boards, files: ObjectStore) -> None:
    """Write one state of a board, page by page, then keep the file."""
    wanted = Wanted.of_params(run.execution.params)
    async with run.step("Write rows") as step:
        is_whole = False
        while not is_whole:
            board = await _open(boards, wanted)
            content = await _written(run, board, wanted, step)
            await _require_right(run.database, wanted)
            is_whole = not await board.has_lost_members()
    async with run.step("Keep the file"):
        key = file_key(run.execution.id, run.execution.fence, wanted.format.lower())
        await files.put(key, content, content_type=CONTENT_TYPES[wanted.format])


async def _open(boards: Boards, wanted: Wanted) -> OpenBoard:
    """The board, which there was when it was asked for."""
    try:
        board = await boards.open(wanted.key, as_of=wanted.as_of, settled_only=wanted.settled_only)
    except (NotFound, InvalidInput) as gone:
        raise BoardGone(gone.message) from gone
    if board is None:
        raise BoardGone("The board does not exist any more.")
    return board


async def _require_right(database: Database, wanted: Wanted) -> None:
    """It may have ended since the file was asked for, or while it was written."""
    league_id = wanted.key.league_id
    if league_id is not None and league_id not in await leagues.roles(database, wanted.member_id, [league_id]):
        raise BoardGone("The member is no longer in the league.")


async def _written(run: Run, board: OpenBoard, wanted: Wanted, step: Step) -> bytes:
    ranking = await board.ranking()
    step.total, step.created = len(ranking), 0
    writer, content = writer_of(wanted.format), io.BytesIO()
    content.write(writer.begin().encode())
    for start in range(0, len(ranking), PAGE):
        run.obey()
        rows = await _shown(run.database, board, ranking, start)
        content.write(writer.rows(rows).encode())
        step.created += len(rows)
    content.write(writer.end().encode())
    return content.getvalue()


async def _shown(database: Database, board: OpenBoard, ranking: Ranking, start: int) -> list[ExportedRow]:
    rows: list[RankedRow] = ranking.rows(start, start + PAGE)
    ids: list[MemberId] = [row.member_id for row in rows]
    known = await read_members(database, ids)
    guessed, movement = await board.guessed_matches(ids), await board.movement(rows)
    return [
        ExportedRow(row, known[row.member_id].nick_name, guessed[row.member_id], movement[row.member_id])
        for row in rows
    ]
