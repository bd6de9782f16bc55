"""docs/settlement.md against the code: the final of 2022 is played through the database, and each table compared."""

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import pytest

from domain.clock import utc_now
from domain.ids import LeagueId, MatchId, MemberId
from domain.leaderboard.model import BoardKey, RankedRow
from domain.leaderboard.service import Boards
from domain.league.link import service as links
from domain.league.model import LinkChange
from domain.match.model import Goals, ResultKind
from domain.scoring import service as rulesets
from domain.scoring.explanation.service import judgements
from domain.scoring.model import GuessFact, NewRuleset, Ruleset, ScoreBasis
from domain.scoring.rules import GuessPoints, explain
from domain.settlement.rules import AcceptedResult, effect_digest, score
from domain.settlement.service import read_settlements
from domain.tournament.model import TournamentMode
from tests.support.boards import walk
from tests.support.football import MadeTournament, make_league, make_member, make_tournament, pass_lock, put_guess
from tests.support.settlement import accept, settle_queued

if TYPE_CHECKING:
    from runtime.database import PostgresDatabase

PAGE = (Path(__file__).parents[2] / "docs" / "settlement.md").read_text()
AFTER_90, AFTER_120 = Goals(2, 2), Goals(3, 3)
GUESSES = {
    "Ana": Goals(3, 3),
    "Bruno": Goals(2, 2),
    "Clara": Goals(1, 1),
    "Davi": Goals(3, 2),
    "Eva": Goals(4, 2),
    "Fabio": None,
}
PRESETS = ("default", "kicktipp", "exact-bonus")
COUNTED = {ScoreBasis.AFTER_EXTRA_TIME: "3-3", ScoreBasis.REGULATION: "2-2"}
EXAMPLE_ID = MatchId(UUID("00000000-0000-7000-8000-000000002022"))


@dataclass(frozen=True, slots=True)
class Played:
    """The final, settled, with a league under each preset and basis, all of the same six members."""

    database: "PostgresDatabase"
    made: MadeTournament
    members: dict[str, MemberId]
    leagues: dict[str, LeagueId]
    """By the head of their column."""

    async def rows(self, league: str) -> dict[MemberId, RankedRow]:
        board = await Boards(self.database, None, utc_now).open(BoardKey(self.leagues[league], self.made.id))
        assert board is not None
        return {row.member_id: row for row in await walk(board, 10)}

    async def explained(self, who: str, league: str) -> GuessPoints | None:
        key = (self.made.matches[0], self.leagues[league])
        judged = (await judgements(self.database, self.members[who], [key]))[key]
        return explain(judged, GUESSES[who])


@pytest.fixture
async def played(database: "PostgresDatabase") -> Played:
    made = await make_tournament(database, matches=1, mode=TournamentMode.KNOCKOUT)
    members = {name: await make_member(database, name, joins=[made]) for name in GUESSES}
    first, *others = members.values()
    founded = {}
    for basis, counted in COUNTED.items():
        for preset in PRESETS:
            league = await make_league(database, f"{preset} {counted}", first, members=others, plays=[made])
            change = LinkChange(ruleset_id=(await _under(database, preset, basis)).id)
            await links.update(database, first, league, made.id, change, "test")
            founded[f"`{preset}` {counted}"] = league
    for name, guess in GUESSES.items():
        if guess is not None:
            await put_guess(database, made, made.matches[0], members[name], *guess)
    await pass_lock(database, made.matches[0])
    await accept(database, made.matches[0], *AFTER_90, after_extra_time=AFTER_120)
    await settle_queued(database)
    return Played(database, made, members, founded)


async def _under(database: "PostgresDatabase", preset: str, basis: ScoreBasis) -> Ruleset:
    """A preset as it is installed, or with its weights on the other basis."""
    (found,) = [each for each in await rulesets.page_of_latest(database, first=10) if each.code == preset]
    if found.basis is basis:
        return found
    new = NewRuleset(f"{preset}-90", preset, basis, tuple(zip(GuessFact, found.weights, strict=True)))
    return await rulesets.create(database, new, actor_id=None, reason="For the page.", request_id="test")


def _block(name: str) -> str:
    found = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end of {name} -->", PAGE, re.DOTALL)
    assert found, name
    return found[1]


def _table(name: str) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table on the page."""
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in _block(name).splitlines()]
    return head, rows


async def test_the_facts_on_the_page(played: Played) -> None:
    _, rows = _table("facts")
    expected = []
    for basis, counted in COUNTED.items():
        for name, guess in GUESSES.items():
            explained = await played.explained(name, f"`kicktipp` {counted}")
            if guess is None:
                assert explained is None
                continue
            assert explained is not None
            assert explained.ruleset.basis is basis
            right = ["yes" if line.correct else "no" for line in explained.lines]
            expected.append([name, _shown(guess), _shown(explained.counted_goals), *right])

    assert rows == expected


async def test_the_presets_on_the_page(database: "PostgresDatabase") -> None:
    offered = {each.code: each.weights for each in await rulesets.page_of_latest(database, first=10)}

    assert _table("presets")[1] == [[f"`{code}`", *map(str, offered[code])] for code in PRESETS]
    assert sorted(offered) == sorted(PRESETS)


async def test_the_points_on_the_page(played: Played) -> None:
    head, rows = _table("points")
    assert head == ["who", "guess", *played.leagues]
    boards = {column: await played.rows(column) for column in played.leagues}
    expected = []
    for name, member_id in played.members.items():
        paid = [boards[column][member_id].points for column in played.leagues]
        explained = [await played.explained(name, column) for column in played.leagues]
        assert paid == [each.points if each else 0 for each in explained]
        expected.append([name, _shown(GUESSES[name]), *map(str, paid)])

    assert rows == expected


async def test_the_lines_on_the_page(played: Played) -> None:
    late = await played.explained("Bruno", "`kicktipp` 3-3")
    early = await played.explained("Bruno", "`kicktipp` 2-2")
    assert late is not None
    assert early is not None
    names = _table("facts")[0][3:]
    expected = [
        [name, str(one.weight), str(one.points), str(other.points)]
        for name, one, other in zip(names, late.lines, early.lines, strict=True)
    ]

    assert _table("lines")[1] == [*expected, ["points", "", str(late.points), str(early.points)]]


async def test_the_places_on_the_page(played: Played) -> None:
    head, rows = _table("places")
    boards = [await played.rows(column) for column in head[1:]]

    assert rows == [
        [name, *(str(board[member_id].rank) for board in boards)] for name, member_id in played.members.items()
    ]


async def test_the_digest_on_the_page(played: Played) -> None:
    lines, digest = re.fullmatch(r"```text\n(.*)\n```\n\n`(\w+)`", _block("digest"), re.DOTALL).groups()  # type: ignore[union-attr]
    counts = {guess: 1 for guess in GUESSES.values() if guess is not None}

    def digest_of(match_id: MatchId) -> str:
        result = AcceptedResult(
            match_id, 1, ResultKind.PLAYED, "CONFIRMED", AFTER_90, AFTER_120, Goals(4, 2), utc_now()
        )
        return effect_digest(match_id, 1, score(result, list(ScoreBasis), counts)[0])

    assert sha256(lines.encode()).hexdigest() == digest == digest_of(EXAMPLE_ID)
    (settlement,) = (await read_settlements(played.database, played.made.matches)).values()
    assert settlement.effect_digest == digest_of(played.made.matches[0])


def _shown(goals: Goals | None) -> str:
    return "none" if goals is None else f"{goals.home}-{goals.away}"
