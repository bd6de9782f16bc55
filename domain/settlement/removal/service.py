"""Taking a member off the boards of a tournament. It is a version of its scores, with a digest of its own."""

from hashlib import sha256
from typing import TYPE_CHECKING

from domain.ids import MemberId, TournamentId
from domain.settlement.model import ScoreVersionKind
from domain.settlement.removal import store
from domain.settlement.rules import effect_digest
from domain.settlement.store import insert_version, lock_tournament, raise_settled_version
from domain.tournament.store import joined, raise_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def remove_member(connection: "AsyncConnection", tournament_id: TournamentId, member_id: MemberId) -> bool:
    """Remove all that a member has in a tournament, as if the member had never joined; whether there was anything.

    Proofs count without the member's guesses from then on, and so does every board, of whatever moment. For members
    whose account is erased, in a transaction that holds no lock of the game yet.
    """
    await lock_tournament(connection, tournament_id)
    if not await joined(connection, member_id, [tournament_id]):
        return False
    proofs = await store.discount(connection, tournament_id, member_id)
    digests = {proof.id: effect_digest(proof.match_id, proof.revision, proof.lines) for proof in proofs}
    await store.write_digests(connection, digests)
    await store.delete_rows(connection, tournament_id, member_id)
    version = await raise_settled_version(connection, tournament_id)
    digest = sha256("\n".join(digests.values()).encode()).hexdigest()
    await insert_version(connection, tournament_id, version, ScoreVersionKind.MEMBER_REMOVED, digest)
    await store.count_removal(connection, tournament_id)
    await raise_versions(connection, tournament_id, board=True)
    return True
