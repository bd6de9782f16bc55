"""SQL of what guesses are judged by: ruleset, settled result and match, in one statement for any number of them."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import ARRAY, and_, bindparam, case, column, exists, func, select

from domain.ids import LeagueId, MatchId, MemberId
from domain.ingestion.finality.rules import NO_EXTRA_TIME
from domain.league.tables import league_members, league_tournaments, leagues
from domain.match.model import Goals, MatchStatus, ResultKind, ResultState
from domain.match.tables import match_results, matches
from domain.scoring.model import Ruleset
from domain.scoring.rules import Judgement
from domain.scoring.store import to_ruleset
from domain.scoring.tables import rulesets
from domain.settlement.result.store import to_result
from domain.settlement.store import to_settlement
from domain.settlement.tables import settlements
from domain.tables import Uuid
from domain.tournament.tables import tournaments

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement, RowMapping, Select
    from sqlalchemy.ext.asyncio import AsyncConnection


async def read_judgements(
    connection: "AsyncConnection", viewer_id: MemberId | None, keys: Sequence[tuple[MatchId, LeagueId | None]]
) -> dict[tuple[MatchId, LeagueId | None], Judgement]:
    """Those of the matches and leagues that the viewer may ask for."""
    rows = await connection.execute(
        _judgements(),
        {"matches": [key[0] for key in keys], "leagues": [key[1] for key in keys], "viewer": viewer_id},
    )
    return {(row["match_id"], row["league_id"]): _to_judgement(row) for row in rows.mappings()}


def _judgements() -> "Select[Any]":
    asked = (
        func.unnest(bindparam("matches", type_=ARRAY(Uuid)), bindparam("leagues", type_=ARRAY(Uuid)))
        .table_valued(column("match_id", Uuid), column("league_id", Uuid))
        .render_derived("asked")
    )
    link = league_tournaments
    plays = and_(
        link.c.league_id == asked.c.league_id,
        link.c.tournament_id == matches.c.tournament_id,
        link.c.removed_at.is_(None),
        _viewer_is_in(asked.c.league_id),
    )
    ruleset_id = case((asked.c.league_id.is_(None), tournaments.c.ruleset_id), else_=link.c.ruleset_id)
    result = match_results
    is_settled = and_(settlements.c.match_id == matches.c.id, settlements.c.superseded_version.is_(None))
    is_its_result = and_(result.c.match_id == settlements.c.match_id, result.c.revision == settlements.c.revision)
    return select(
        asked.c.league_id,
        *_prefixed("ruleset", rulesets),
        *_prefixed("settlement", settlements),
        *_prefixed("result", result),
        *_prefixed("match", matches),
    ).select_from(
        asked.join(matches, matches.c.id == asked.c.match_id)
        .join(tournaments, tournaments.c.id == matches.c.tournament_id)
        .outerjoin(link, plays)
        .join(rulesets, rulesets.c.id == ruleset_id)
        .outerjoin(settlements, is_settled)
        .outerjoin(result, is_its_result)
    )


def _viewer_is_in(league_id: "ColumnElement[Any]") -> "ColumnElement[bool]":
    return exists().where(
        league_members.c.league_id == league_id,
        league_members.c.member_id == bindparam("viewer", type_=Uuid),
        league_members.c.left_at.is_(None),
        leagues.c.id == league_members.c.league_id,
        leagues.c.deleted_at.is_(None),
    )


def _prefixed(name: str, table: Any) -> "list[ColumnElement[Any]]":
    """All columns of a table, since several have the same names."""
    return [each.label(f"{name}_{each.name}") for each in table.c]


def _of(name: str, row: "RowMapping") -> dict[str, Any]:
    """The columns of one table again."""
    start = f"{name}_"
    return {label.removeprefix(start): value for label, value in row.items() if label.startswith(start)}


def _to_judgement(row: "RowMapping") -> Judgement:
    ruleset = to_ruleset(_of("ruleset", row))
    if row["settlement_id"] is None:
        return _of_match(ruleset, _of("match", row))
    settled = to_result(_of("result", row))
    settlement = to_settlement(_of("settlement", row))
    return Judgement(ruleset, settled.kind, settled.regulation, settled.after_extra_time, None, settlement)


def _of_match(ruleset: Ruleset, match: Mapping[str, Any]) -> Judgement:
    """What stands for now; a match without a result, however provisional, has no score."""
    regulation, after_extra_time, running = (_goals(match, part) for part in ("regulation", "extra_time", "goals"))
    kind = ResultKind(match["result_kind"])
    is_incomplete = match["hold_reason"] == NO_EXTRA_TIME
    if match["result_state"] == ResultState.NONE or is_incomplete:
        # What was played in extra time is not known: the score after 90 minutes does not stand in for it.
        return Judgement(ruleset, kind, None, None, None, None)
    is_running = match["status"] == MatchStatus.IN_PLAY
    return Judgement(ruleset, kind, regulation, after_extra_time, running if is_running else None, None)


def _goals(row: Mapping[str, Any], part: str) -> Goals | None:
    home = row[f"home_{part}"]
    return None if home is None else Goals(home, row[f"away_{part}"])
