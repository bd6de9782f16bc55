"""Use case: what the guesses of matches are judged by, for the explanation of points (`rules.explain`)."""

from collections.abc import Sequence
from typing import TypeAlias

from domain.database import Database
from domain.ids import LeagueId, MatchId, MemberId
from domain.scoring.explanation import store
from domain.scoring.rules import Judgement

Key: TypeAlias = tuple[MatchId, LeagueId | None]


async def judgements(database: Database, viewer_id: MemberId | None, keys: Sequence[Key]) -> dict[Key, Judgement]:
    """By match and league: under the ruleset of the league, or of the tournament where none is named.

    Left out are leagues that do not play the match's tournament, or that the viewer is not in.
    """
    async with database.read() as connection:
        return await store.read_judgements(connection, viewer_id, keys)
