"""Applies the parts of a reading other than its matches: the tournament itself, rounds, teams, the team table."""

from collections.abc import Collection
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from domain.execution.run import Step
from domain.ids import RoundId, TeamId, TournamentId, new_id
from domain.ingestion import rules, store
from domain.ingestion.errors import ConcurrentlyCreated, PrerequisiteMissing
from domain.ingestion.identity.service import link_teams
from domain.ingestion.identity.store import named_by_others, raise_matches
from domain.ingestion.matches import count
from domain.ingestion.model import Reading
from domain.ingestion.snapshot import TournamentSnapshot
from domain.tournament.store import raise_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

# ---------------------------------------------------------------- tournament


async def apply_tournament(
    connection: "AsyncConnection", step: Step, snapshot: TournamentSnapshot, params: dict[str, Any]
) -> TournamentId:
    """Create the tournament of a source, or change what the provider or `params` tell anew of it."""
    header = {
        "label": params.get("label") or snapshot.label,
        "season": snapshot.season_label,
        "mode": params.get("mode") or snapshot.mode.value,
        "standings_mode": params.get("standingsMode") or snapshot.standings_mode.value,
        "time_zone": params.get("timeZone"),
    }
    found = await store.find_tournament(connection, snapshot.provider, snapshot.competition, snapshot.season)
    if found is None:
        return await _create_tournament(connection, step, snapshot, params, header)
    tournament_id = TournamentId(found["id"])
    # What was chosen on creation stays unless this command chooses anew.
    kept = {"label": "label", "mode": "mode", "standings_mode": "standingsMode", "time_zone": "timeZone"}
    header = {column: value for column, value in header.items() if kept.get(column) is None or params.get(kept[column])}
    changed = {column: value for column, value in header.items() if found[column] != value}
    if "mode" in changed and await store.has_members(connection, tournament_id):
        step.reject("mode: stays as it is, because members have joined")
        del changed["mode"]
    if changed:
        await store.update_tournament(connection, tournament_id, changed)
    step.updated, step.unchanged = (1, 0) if changed else (0, 1)
    return tournament_id


async def _create_tournament(
    connection: "AsyncConnection",
    step: Step,
    snapshot: TournamentSnapshot,
    params: dict[str, Any],
    header: dict[str, Any],
) -> TournamentId:
    now = await store.database_now(connection)
    values = {
        "id": new_id(),
        "provider": snapshot.provider.value,
        "competition": snapshot.competition,
        "provider_season": snapshot.season,
        "status": rules.status_of_matches(snapshot.matches, now).value,
        "ruleset_id": params.get("rulesetId") or await store.default_ruleset(connection),
        **header,
    }
    if not await store.insert_tournament(connection, values):
        raise ConcurrentlyCreated("another execution has just created this tournament")
    step.created = 1
    return TournamentId(values["id"])


# ---------------------------------------------------------------- rounds and teams


async def apply_rounds(
    connection: "AsyncConnection", step: Step, reading: Reading, only: Collection[str] | None = None
) -> None:
    """Apply the rounds; `only`: of those that are new here, the ones with these slugs.

    Rounds that are not listed any more, such as those of another provider, make room for the ones that are: new ones
    have begun when those did whose places they take, for earlier boards and movement go by that.
    """
    stored = await store.read_rounds(connection, reading.tournament_id)
    taken = [found for found in reading.snapshot.rounds if only is None or found.slug in only or found.slug in stored]
    new = [(RoundId(new_id()), found) for found in taken if found.slug not in stored]
    changed = [
        (RoundId(stored[found.slug]["id"]), found)
        for found in taken
        if found.slug in stored and {**stored[found.slug], **store.round_values(found)} != stored[found.slug]
    ]
    await store.update_rounds(connection, changed)
    listed = {found.slug: found.position for found in reading.snapshot.rounds}
    left = sorted((row for slug, row in stored.items() if slug not in listed), key=itemgetter("position"))
    places = {found.position for _, found in (*new, *changed)}
    in_the_way = {row["position"]: row for row in left if row["position"] in places}
    if in_the_way:
        behind = max(*listed.values(), *(row["position"] for row in stored.values()))
        moved = left if only is None else list(in_the_way.values())
        await store.put_behind(connection, [row["id"] for row in moved], behind)
    await store.insert_rounds(connection, reading.tournament_id, new, in_the_way)
    count(step, len(taken), len(new), len(changed))
    if new or changed:
        await raise_versions(connection, reading.tournament_id, board=True, matches=True)


async def apply_teams(
    connection: "AsyncConnection", step: Step, reading: Reading, only: Collection[str] | None = None
) -> None:
    """Apply the teams, or `only` those with these keys. One that several providers name keeps the name it has."""
    snapshot = reading.snapshot
    taken = [team for team in snapshot.teams if only is None or team.key in only]
    keys = [team.key for team in taken]
    references = await store.read_references(connection, snapshot.provider, "TEAM", keys)
    known = {key: TeamId(found) for key, found in references.items()}
    linked = await link_teams(connection, reading, taken, known)
    stored = await store.read_teams(connection, known.values())
    shared = await named_by_others(connection, snapshot.provider, known.values())
    new = [(TeamId(new_id()), team) for team in taken if team.key not in known and team.key not in linked]
    changed = [
        (known[team.key], team)
        for team in taken
        if team.key in known
        and known[team.key] not in shared
        and _differs(stored[known[team.key]], store.team_values(team))
    ]
    await store.insert_teams(connection, new)
    named = [*linked.items(), *((team.key, key) for key, team in new)]
    await store.insert_references(connection, snapshot.provider, "TEAM", named)
    await store.update_teams(connection, changed)
    count(step, len(keys), len(new), len(changed) + len(linked))
    if linked:
        step.note = f"Known here by other names: {len(linked)}."
    if changed or linked:
        shown = await raise_matches(connection, [team_id for team_id, _ in changed])
        for tournament_id in sorted(shown | {reading.tournament_id}):
            await raise_versions(connection, tournament_id, matches=True)


def _differs(stored: dict[str, Any], values: dict[str, Any]) -> bool:
    return any(stored[column] != value for column, value in values.items())


# ---------------------------------------------------------------- standings


async def apply_standings(connection: "AsyncConnection", step: Step, reading: Reading) -> None:
    """Replace the team table. Raises PrerequisiteMissing for teams that are unknown here."""
    snapshot = reading.snapshot
    keys = {row.team_key for group in snapshot.standings for row in group.rows}
    teams = {
        key: TeamId(found)
        for key, found in (await store.read_references(connection, snapshot.provider, "TEAM", keys)).items()
    }
    if missing := keys - teams.keys():
        raise PrerequisiteMissing(f"Ingest the teams first: {rules.some(missing)} unknown.")
    stored = await store.read_standings(connection, reading.tournament_id)
    wanted = store.standing_rows(snapshot.standings, teams)
    places = {row[:2] for row in stored}
    created = sum(row[:2] not in places for row in wanted)
    updated = len(wanted - stored) - created
    count(step, len(wanted), created, updated)
    if wanted != stored:
        await store.replace_standings(connection, reading.tournament_id, wanted)
    await store.update_tournament(
        connection, reading.tournament_id, {"standings_at": await store.database_now(connection)}
    )
