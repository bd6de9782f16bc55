"""Use cases of ingestion: each reads one snapshot of a provider and applies one part of it, whole or not at all.

A second reading of the same snapshot writes no row of rounds, teams, matches or standings.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from domain.clock import Clock
from domain.execution.run import Run, Step
from domain.ids import RoundId, TeamId, TournamentId, new_id
from domain.ingestion import rules, store
from domain.ingestion.errors import ConcurrentlyCreated, PrerequisiteMissing
from domain.ingestion.matches import apply_matches, count, sync_round
from domain.ingestion.model import Reading
from domain.ingestion.ports import Provider
from domain.ingestion.snapshot import TournamentSnapshot
from domain.tournament.model import Provider as ProviderName
from domain.tournament.store import raise_versions

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

Providers: TypeAlias = Mapping[ProviderName, Provider]


async def ingest_tournament(run: Run, providers: Providers, clock: Clock) -> None:
    """Create or update the tournament of a source; `params` are those of the contract's IngestTournamentInput."""
    params = run.execution.params
    name = ProviderName(params["provider"])
    async with run.step("Read the provider") as step:
        snapshot = await _provider(providers, name).read(
            params["competition"], params["season"], now=clock(), time_zone=params.get("timeZone")
        )
        _reject(step, snapshot)
    async with run.step("Tournament", total=1) as step, run.begin() as connection:
        tournament_id = await _apply_tournament(connection, step, snapshot, params)
        await store.name_target(connection, run.execution.id, tournament_id)


async def ingest_rounds(run: Run, providers: Providers, clock: Clock) -> None:
    await _for_each(run, providers, clock, "Rounds", _apply_rounds)


async def ingest_teams(run: Run, providers: Providers, clock: Clock) -> None:
    await _for_each(run, providers, clock, "Teams", _apply_teams)


async def ingest_matches(run: Run, providers: Providers, clock: Clock) -> None:
    await _for_each(run, providers, clock, "Matches", apply_matches)


async def ingest_standings(run: Run, providers: Providers, clock: Clock) -> None:
    await _for_each(run, providers, clock, "Team table", _apply_standings)


async def sync_current_round(run: Run) -> None:
    for tournament_id in await _targets(run):
        async with run.step("Current round", total=1) as step, run.begin() as connection:
            moved = await sync_round(connection, tournament_id)
            step.updated, step.unchanged = (1, 0) if moved else (0, 1)


# ---------------------------------------------------------------- the frame


async def _for_each(run: Run, providers: Providers, clock: Clock, what: str, apply: Any) -> None:
    targets = await _targets(run)
    for tournament_id in targets:
        reading = await _read(run, providers, clock, tournament_id)
        name = what if len(targets) == 1 else f"{what} of {reading.snapshot.label}"
        async with run.step(name) as step, run.begin() as connection:
            _reject(step, reading.snapshot)
            await apply(connection, step, reading)
            if not (step.created or step.updated or step.note):
                step.note = "Nothing changed."


async def _targets(run: Run) -> list[TournamentId]:
    if (named := run.execution.target.tournament_id) is not None:
        return [named]
    async with run.database.read() as connection:
        return await store.active_tournaments(connection)


async def _read(run: Run, providers: Providers, clock: Clock, tournament_id: TournamentId) -> Reading:
    async with run.database.read() as connection:
        row = await store.read_tournament(connection, tournament_id)
    provider = _provider(providers, ProviderName(row["provider"]))
    read_at = clock()
    snapshot = await provider.read(row["competition"], row["provider_season"], now=read_at, time_zone=row["time_zone"])
    return Reading(tournament_id, snapshot, read_at, run.execution.request_id)


def _provider(providers: Providers, name: ProviderName) -> Provider:
    if name not in providers:
        raise PrerequisiteMissing(f"The provider {name} is not set up here.")
    return providers[name]


def _reject(step: Step, snapshot: TournamentSnapshot) -> None:
    for rejection in snapshot.rejections:
        place = rejection.file if rejection.index is None else f"{rejection.file}, item {rejection.index}"
        step.reject(f"{place}: {rejection.reason}")


# ---------------------------------------------------------------- tournament


async def _apply_tournament(
    connection: "AsyncConnection", step: Step, snapshot: TournamentSnapshot, params: dict[str, Any]
) -> TournamentId:
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


async def _apply_rounds(connection: "AsyncConnection", step: Step, reading: Reading) -> None:
    stored = await store.read_rounds(connection, reading.tournament_id)
    new = [(RoundId(new_id()), found) for found in reading.snapshot.rounds if found.slug not in stored]
    changed = [
        (RoundId(stored[found.slug]["id"]), found)
        for found in reading.snapshot.rounds
        if found.slug in stored and {**stored[found.slug], **store.round_values(found)} != stored[found.slug]
    ]
    await store.update_rounds(connection, changed)
    await store.insert_rounds(connection, reading.tournament_id, new)
    count(step, len(reading.snapshot.rounds), len(new), len(changed))
    if new or changed:
        await raise_versions(connection, reading.tournament_id, board=True, matches=True)


async def _apply_teams(connection: "AsyncConnection", step: Step, reading: Reading) -> None:
    snapshot = reading.snapshot
    keys = [team.key for team in snapshot.teams]
    known = await store.read_references(connection, snapshot.provider, "TEAM", keys)
    stored = await store.read_teams(connection, known.values())
    new = [(TeamId(new_id()), team) for team in snapshot.teams if team.key not in known]
    changed = [
        (TeamId(known[team.key]), team)
        for team in snapshot.teams
        if team.key in known and _differs(stored[TeamId(known[team.key])], store.team_values(team))
    ]
    await store.insert_teams(connection, new)
    await store.insert_references(connection, snapshot.provider, "TEAM", [(team.key, key) for key, team in new])
    await store.update_teams(connection, changed)
    count(step, len(keys), len(new), len(changed))
    if changed:
        await raise_versions(connection, reading.tournament_id, matches=True)


def _differs(stored: dict[str, Any], values: dict[str, Any]) -> bool:
    return any(stored[column] != value for column, value in values.items())


# ---------------------------------------------------------------- standings


async def _apply_standings(connection: "AsyncConnection", step: Step, reading: Reading) -> None:
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
