"""Links teams that come under other keys, of another provider or as the same one calls them now: none is doubled."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from domain.ids import TeamId
from domain.ingestion.identity import rules, store
from domain.ingestion.match.store import read_matches_for_update
from domain.ingestion.model import Reading
from domain.ingestion.snapshot import TeamSnapshot

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


async def link_teams(
    connection: "AsyncConnection", reading: Reading, taken: Sequence[TeamSnapshot], known: Mapping[str, TeamId]
) -> dict[str, TeamId]:
    """The stored teams that new keys stand for.

    A key that is known from another tournament keeps its team; that one then plays here in the place of the one found.
    """
    snapshot = reading.snapshot
    told = [team.key for team in snapshot.teams]
    candidates = await store.unnamed_teams(connection, reading.tournament_id, snapshot.provider, told)
    if not candidates:
        return {}
    fixtures = await store.fixtures_of(connection, reading.tournament_id)
    present = {team for one in fixtures for team in (one.home, one.away) if team is not None}
    strangers = [team for team in taken if known.get(team.key) not in present]
    here = {key: team for key, team in known.items() if team in present}
    found = rules.link(strangers, candidates, here, snapshot.matches, fixtures)
    replaced = {before: known[key] for key, before in found.items() if key in known}
    if replaced:
        await read_matches_for_update(connection, reading.tournament_id)
        await store.replace_teams(connection, reading.tournament_id, replaced)
    return {key: team for key, team in found.items() if key not in known}
