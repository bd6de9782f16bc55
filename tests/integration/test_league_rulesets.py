"""Leagues of one tournament under rulesets and score bases of their own: one settlement, a board for each.

The match is the final of 2022: 2-2 after 90 minutes, 3-3 after extra time.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import func, select

from domain.clock import utc_now
from domain.guess import service as guesses
from domain.guess.model import GuessInput
from domain.ids import LeagueId, MatchId, MemberId
from domain.ingestion.finality.rules import NO_REGULATION
from domain.ingestion.snapshot import TournamentSnapshot
from domain.leaderboard.board import OpenBoard
from domain.leaderboard.model import AtVersion, BoardKey, BoardSource
from domain.leaderboard.service import Boards
from domain.league import service as leagues
from domain.league.link import service as links
from domain.league.model import LinkChange
from domain.match.model import Goals, MatchStatus
from domain.scoring import service as rulesets
from domain.scoring.model import GuessFact, NewRuleset, Ruleset, ScoreBasis
from domain.settlement.tables import settlements
from domain.tournament.model import TournamentMode
from tests.support.api import running_api
from tests.support.api_world import begin_session
from tests.support.boards import projected, walk
from tests.support.football import (
    MadeTournament,
    make_league,
    make_member,
    make_members,
    make_tournament,
    pass_lock,
    put_guess,
)
from tests.support.graphql_client import id_of
from tests.support.ingester import OPEN, Ingester, changed, match_of
from tests.support.openfootball import a_match, map_matches
from tests.support.settlement import accept, assert_balanced, is_right, settle_queued

if TYPE_CHECKING:
    from redis.asyncio import Redis

    from runtime.database import PostgresDatabase

HOME = "Arsenal FC"
SEEN = """
query ($match: ID!, $league: ID!) {
  match(id: $match) {
    result { holdReason }
    viewerGuess { own: points { points } inLeague: points(leagueId: $league) { points } }
    tournament { leaderboard { settledMatches freshness { pendingMatches stalenessMs } } }
  }
  league(id: $league) { leaderboard { settledMatches freshness { pendingMatches stalenessMs } } }
}
"""
AFTER_90, AFTER_120 = Goals(2, 2), Goals(3, 3)
GUESSES = (Goals(2, 2), Goals(3, 3), Goals(1, 1), Goals(3, 2), Goals(2, 3), Goals(0, 1), None)
# Which score each league counts, and its weights: outcome, difference, home, away, exact.
LEAGUES = {
    "kicktipp": (ScoreBasis.AFTER_EXTRA_TIME, (2, 1, 0, 0, 1)),
    "kicktipp-90": (ScoreBasis.REGULATION, (2, 1, 0, 0, 1)),
    "exact-bonus": (ScoreBasis.AFTER_EXTRA_TIME, (3, 0, 0, 0, 2)),
    "goals-90": (ScoreBasis.REGULATION, (0, 0, 7, 5, 0)),
}


@dataclass(frozen=True, slots=True)
class Cup:
    """A tournament of two matches, of which the first is guessed; everyone is in every league."""

    made: MadeTournament
    members: list[MemberId]
    leagues: Mapping[str, LeagueId]

    @property
    def final(self) -> BoardKey:
        return BoardKey(tournament_id=self.made.id)


@pytest.fixture
async def cup(database: "PostgresDatabase") -> Cup:
    made = await make_tournament(database, matches=2, mode=TournamentMode.KNOCKOUT)
    members = await make_members(database, len(GUESSES), joins=[made])
    founded = {}
    for name in LEAGUES:
        league = await make_league(database, name, members[0], members=members[1:], plays=[made])
        change = LinkChange(ruleset_id=(await _ruleset(database, name)).id)
        await links.update(database, members[0], league, made.id, change, "test")
        founded[name] = league
    for member_id, guess in zip(members, GUESSES, strict=True):
        if guess is not None:
            await put_guess(database, made, made.matches[0], member_id, *guess)
    await pass_lock(database, made.matches[0])
    return Cup(made, members, founded)


async def _ruleset(database: "PostgresDatabase", code: str) -> Ruleset:
    """A preset, or one that is added."""
    for found in await rulesets.page_of_latest(database, first=100):
        if found.code == code:
            return found
    basis, weights = LEAGUES[code]
    new = NewRuleset(code, code, basis, tuple(zip(GuessFact, weights, strict=True)))
    return await rulesets.create(database, new, actor_id=None, reason="A league wants it.", request_id="test")


def expected(cup: Cup, name: str, *, known: Mapping[ScoreBasis, Goals]) -> dict[MemberId, int]:
    """Points worked out by hand: what is not known, pays nobody."""
    basis, weights = LEAGUES[name]
    paid = dict.fromkeys(cup.members, 0)
    for member_id, guess in zip(cup.members, GUESSES, strict=True):
        if guess is not None and basis in known:
            right = is_right(guess, known[basis])
            paid[member_id] = sum(weight for weight, fact in zip(weights, right, strict=True) if fact)
    return paid


async def points(board: OpenBoard) -> dict[MemberId, int]:
    return {row.member_id: row.points for row in await walk(board, 3)}


async def opened(boards: Boards, key: BoardKey, as_of: AtVersion | None = None) -> OpenBoard:
    board = await boards.open(key, as_of=as_of)
    assert board is not None
    return board


async def assert_boards(
    database: "PostgresDatabase", valkey: "Redis", cup: Cup, known: Mapping[ScoreBasis, Goals]
) -> None:
    """Every league's board, total and by tournament, from both sources, now and as of its last version."""
    in_valkey, in_database = await projected(database, valkey, cup.made.id), Boards(database, None, utc_now)
    for name, league in cup.leagues.items():
        paid, basis = expected(cup, name, known=known), LEAGUES[name][0]
        for key in (BoardKey(league), BoardKey(league, cup.made.id), BoardKey(league, cup.made.id, cup.made.rounds[0])):
            for boards in (in_valkey, in_database):
                board = await opened(boards, key)
                assert await points(board) == paid, (name, key)
                head = board.head
                assert (head.settled_matches, head.matches) == (int(basis in known), 2)
                assert head.pending_matches == int(basis not in known)
                followed = await boards.follow(key)
                assert followed is not None
                later = [followed.head.staleness_ms, (await opened(boards, key)).head.staleness_ms]
                if basis in known:
                    assert [head.staleness_ms, *later] == [0, 0, 0]
                else:  # the settlement that it has not got grows older, whatever is kept of the board
                    assert 0 < head.staleness_ms < later[0] <= later[1]
                guessed = await board.guessed_matches(cup.members)
                assert guessed == {
                    member_id: int(basis in known and guess is not None)
                    for member_id, guess in zip(cup.members, GUESSES, strict=True)
                }
        assert (await opened(in_valkey, BoardKey(league))).head.source is BoardSource.PROJECTION
        now = (await opened(in_database, BoardKey(league, cup.made.id))).head.settled_version
        assert now is not None
        past = await opened(in_database, BoardKey(league, cup.made.id), as_of=AtVersion(now))
        assert await points(past) == paid
        assert (past.head.settled_matches, past.head.matches) == (int(basis in known), 2)
        assert (past.head.staleness_ms > 0) == (basis not in known)
        before = await opened(in_database, BoardKey(league, cup.made.id), as_of=AtVersion(0))
        assert before.head.staleness_ms == 0


async def test_each_league_counts_under_its_own_ruleset_and_basis_of_one_settlement(
    database: "PostgresDatabase", valkey: "Redis", cup: Cup
) -> None:
    await accept(database, cup.made.matches[0], *AFTER_90, after_extra_time=AFTER_120)
    await settle_queued(database)

    known = {ScoreBasis.REGULATION: AFTER_90, ScoreBasis.AFTER_EXTRA_TIME: AFTER_120}
    await assert_boards(database, valkey, cup, known)
    by_rules = {name: tuple(expected(cup, name, known=known).values()) for name in LEAGUES}
    assert by_rules == {
        # Guesses: 2-2, 3-3, 1-1, 3-2, 2-3, 0-1, none.
        "kicktipp": (2, 4, 2, 0, 0, 0, 0),
        "kicktipp-90": (4, 2, 2, 0, 0, 0, 0),
        "exact-bonus": (3, 5, 3, 0, 0, 0, 0),
        "goals-90": (12, 0, 0, 5, 7, 0, 0),
    }
    own = await opened(Boards(database, None, utc_now), cup.final)
    assert list((await points(own)).values()) == [3, 3, 3, 0, 0, 0, 0]
    assert await _settlements(database) == 1
    await assert_balanced(database, cup.made.id)


async def test_without_the_score_after_90_minutes_only_the_boards_that_count_it_wait(
    database: "PostgresDatabase", valkey: "Redis", cup: Cup
) -> None:
    await accept(database, cup.made.matches[0], None, None, after_extra_time=AFTER_120)
    await settle_queued(database)
    await assert_boards(database, valkey, cup, {ScoreBasis.AFTER_EXTRA_TIME: AFTER_120})
    own = (await opened(Boards(database, None, utc_now), cup.final)).head
    assert (own.settled_matches, own.pending_matches) == (1, 0)

    await accept(database, cup.made.matches[0], *AFTER_90, after_extra_time=AFTER_120)
    await settle_queued(database)

    both = {ScoreBasis.REGULATION: AFTER_90, ScoreBasis.AFTER_EXTRA_TIME: AFTER_120}
    await assert_boards(database, valkey, cup, both)
    # As it stood before the part came: still without it.
    for name, league in cup.leagues.items():
        past = await opened(Boards(database, None, utc_now), BoardKey(league, cup.made.id), as_of=AtVersion(1))
        is_counted = LEAGUES[name][0] is ScoreBasis.AFTER_EXTRA_TIME
        assert past.head.settled_matches == int(is_counted)
        known = {ScoreBasis.AFTER_EXTRA_TIME: AFTER_120}
        assert await points(past) == expected(cup, name, known=known)
        guessed = await past.guessed_matches(cup.members[:1])
        assert guessed == {cup.members[0]: int(is_counted)}
    await assert_balanced(database, cup.made.id)


async def test_a_match_without_extra_time_counts_alike_for_both(
    database: "PostgresDatabase", valkey: "Redis", cup: Cup
) -> None:
    await accept(database, cup.made.matches[0], 2, 3)
    await settle_queued(database)

    await assert_boards(database, valkey, cup, dict.fromkeys(ScoreBasis, Goals(2, 3)))


async def test_in_a_regular_season_a_board_of_90_minutes_waits_for_nothing(database: "PostgresDatabase") -> None:
    made = await make_tournament(database, matches=1)
    (ana,) = await make_members(database, 1, joins=[made])
    league = await make_league(database, "goals-90", ana, plays=[made])
    change = LinkChange(ruleset_id=(await _ruleset(database, "goals-90")).id)
    await links.update(database, ana, league, made.id, change, "test")
    await put_guess(database, made, made.matches[0], ana, 2, 0)
    await pass_lock(database, made.matches[0])
    await accept(database, made.matches[0], 2, 1)
    await settle_queued(database)

    board = await opened(Boards(database, None, utc_now), BoardKey(league))

    assert (board.head.settled_matches, board.head.pending_matches) == (1, 0)
    assert await points(board) == {ana: 7}


async def test_members_see_why_boards_of_90_minutes_wait(database_url: str, valkey_url: str, tmp_path: Path) -> None:
    async with running_api(database_url, valkey_url, tmp_path) as api:
        ingester = Ingester(api.database)
        tournament_id = await ingester.whole(_coming())
        member = await make_member(api.database, "Ana")
        league = (await leagues.create(api.database, member, "Office", None, [tournament_id], "test")).id
        change = LinkChange(ruleset_id=(await _ruleset(api.database, "kicktipp-90")).id)
        await links.update(api.database, member, league, tournament_id, change, "test")
        match_id = MatchId((await match_of(api.database, HOME)).id)
        await guesses.save(api.database, member, GuessInput(match_id, *AFTER_90), "test")
        client = api.client(await begin_session(api, member))
        ended = changed(
            _coming(), HOME, kick_off=datetime.now(UTC), status=MatchStatus.ENDED, after_extra_time=AFTER_120
        )

        async def seen() -> tuple[Any, ...]:
            variables = {"match": id_of("Match", match_id), "league": id_of("League", league)}
            data = (await client.run(SEEN, variables)).data
            points = [data["match"]["viewerGuess"][name] for name in ("own", "inLeague")]
            boards = [data["league"]["leaderboard"], data["match"]["tournament"]["leaderboard"]]
            counts = [(board["settledMatches"], board["freshness"]["pendingMatches"]) for board in boards]
            assert [board["freshness"]["stalenessMs"] > 0 for board in boards] == [count == (0, 1) for count in counts]
            return data["match"]["result"]["holdReason"], counts, [each and each["points"] for each in points]

        ingester.tell(ended)
        await ingester.matches(tournament_id)
        await settle_queued(api.database)
        assert await seen() == (NO_REGULATION, [(0, 1), (1, 0)], [3, None])

        ingester.tell(changed(ended, HOME, regulation=AFTER_90))
        await ingester.matches(tournament_id)
        await settle_queued(api.database)
        assert await seen() == (None, [(1, 0), (1, 0)], [3, 4])


def _coming() -> TournamentSnapshot:
    """A cup of two matches, tomorrow."""
    snapshot = replace(map_matches(a_match(**OPEN)).snapshot, mode=TournamentMode.KNOCKOUT)
    for home in (HOME, "Liverpool FC"):
        tomorrow = datetime.now(UTC) + timedelta(days=1)
        snapshot = changed(snapshot, home, kick_off=tomorrow, status=MatchStatus.NOT_STARTED, regulation=None)
    return snapshot


async def _settlements(database: "PostgresDatabase") -> int:
    async with database.read() as connection:
        return (await connection.execute(select(func.count()).select_from(settlements))).scalar_one()
