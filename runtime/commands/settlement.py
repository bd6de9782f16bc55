"""`palpite settlement verify`."""

import sys
from collections.abc import Sequence

from domain.correction.proof.model import Difference, Verification
from domain.correction.proof.service import verify_all, verify_one
from domain.ids import TournamentId
from runtime.database import PostgresDatabase
from runtime.operator import Row, parse_id, say, show_rows, with_database

_COLUMNS = {
    "kind": "WHERE",
    "id": "ID",
    "basis": "BASIS",
    "what": "WHAT",
    "recorded": "RECORDED",
    "recomputed": "WORKED OUT ANEW",
}


def verify(*, tournament: str | None = None, json: bool = False) -> None:
    """Recompute everything that was settled by independent code, and compare.

    It reads one moment of each tournament, changes nothing and blocks nobody. Exit code 0: all is equal. 1: it is not,
    and the exact differences are listed; the admin's `replaySettlement` repairs them.

    Example: `palpite settlement verify --json`

    Parameters
    ----------
    tournament
        Only this one: its id, from a log line or the API.
    json
        Print JSON for scripts.
    """
    wanted = None if tournament is None else TournamentId(parse_id(tournament, "Tournament"))
    found = with_database(lambda database: _verify(database, wanted), named=f"tournament {wanted}")
    if json:
        show_rows([_summary(one) for one in found], {}, as_json=True, nothing="")
    else:
        _tell(found)
    if not all(one.is_equal for one in found):
        sys.exit(1)


async def _verify(database: PostgresDatabase, wanted: TournamentId | None) -> list[Verification]:
    return await verify_all(database) if wanted is None else [await verify_one(database, wanted)]


def _tell(found: Sequence[Verification]) -> None:
    if not found:
        say("Nothing has been settled yet.")
    for one in found:
        words = "equal" if one.is_equal else f"{len(one.differences)} differences"
        say(f"{one.label}: {one.matches} matches, {one.members} members, {words}. Digest {one.recomputed_digest}")
        if one.differences:
            show_rows([_row(difference) for difference in one.differences], _COLUMNS, as_json=False, nothing="")


def _summary(one: Verification) -> Row:
    return {
        "tournamentId": str(one.tournament_id),
        "tournament": one.label,
        "isEqual": one.is_equal,
        "matches": one.matches,
        "members": one.members,
        "recordedDigest": one.recorded_digest,
        "recomputedDigest": one.recomputed_digest,
        "differences": [_row(difference) for difference in one.differences],
    }


def _row(difference: Difference) -> Row:
    return {
        "kind": difference.kind.value,
        "id": str(difference.match_id or difference.member_id),
        "basis": None if difference.basis is None else difference.basis.value,
        "what": difference.what,
        "recorded": difference.recorded,
        "recomputed": difference.recomputed,
    }
