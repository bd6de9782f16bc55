"""Matches that change under their guesses: swapped, moved, found again, played anew, begun earlier or later."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from operator import add
from typing import Any

import pytest
from sqlalchemy import func, select, update

from domain.audit.tables import audit_log
from domain.clock import utc_now
from domain.correction.proof.service import verify_one
from domain.errors import DomainError
from domain.execution.model import Operation, Target
from domain.guess import service as guess_service
from domain.guess.model import Guess, GuessInput
from domain.guess.tables import guess_revisions, guesses
from domain.ids import MatchId, MemberId, TournamentId
from domain.ingestion.service import ingest_teams
from domain.ingestion.snapshot import MatchSnapshot, TournamentSnapshot
from domain.leaderboard.fold import store as fold
from domain.leaderboard.model import AtVersion, BoardKey
from domain.leaderboard.ranked.store import members_of_tournament, read_ids
from domain.leaderboard.service import Boards
from domain.match.model import Goals, KickOffPrecision, MatchStatus, ResultKind
from domain.match.tables import match_results, matches
from domain.scoring.model import ScoreBasis
from domain.settlement.tables import member_scores, score_versions
from domain.tournament.tables import provider_refs, tournaments
from runtime.database import PostgresDatabase
from tests.support.corrections import correct, make_admin, result
from tests.support.football import join, make_members
from tests.support.ingester import Ingester, changed, counts_of, match_of, round_of, two_rounds, without
from tests.support.openfootball import a_match, map_matches
from tests.support.settlement import assert_balanced, database_now, expected_facts, settle_queued

HOME, AWAY = "Arsenal FC", "Everton FC"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ENDED: dict[str, Any] = {"status": MatchStatus.ENDED, "regulation": Goals(2, 1)}


class Season(Ingester):
    """A season whose first match, Arsenal - Everton, kicks off in three hours; nothing is played."""

    def __init__(self, database: PostgresDatabase) -> None:
        super().__init__(database)
        self.tournament_id: TournamentId
        self.match_id: MatchId
        self.told: TournamentSnapshot
        self.kick_off: datetime

    async def begin(self, members: int) -> list[MemberId]:
        self.now = await database_now(self.database)
        self.kick_off = self.now + 3 * HOUR
        open_now: dict[str, Any] = {"status": MatchStatus.NOT_STARTED, "regulation": None, "kick_off": self.kick_off}
        season = two_rounds()
        self.told = replace(season, matches=tuple(replace(match, **open_now) for match in season.matches))
        self.tournament_id = await self.whole(self.told)
        self.match_id = MatchId((await match_of(self.database, HOME)).id)
        found = await make_members(self.database, members)
        await join(self.database, self.tournament_id, found)
        return found

    async def read(self, home: str = HOME, **changes: Any) -> Any:
        """A reading in which something else is told of a team's home match, and the match as it is then."""
        return await self.read_all(changed(self.told, home, **changes))

    async def read_all(self, told: TournamentSnapshot) -> Any:
        self.told = told
        self.tell(told)
        return await self.matches(self.tournament_id)

    async def save(self, member: MemberId, home: int, away: int, match_id: MatchId | None = None) -> Guess:
        given = GuessInput(match_id or self.match_id, home, away)
        return await guess_service.save(self.database, member, given, "test")

    async def own(self, member: MemberId) -> Guess:
        return (await guess_service.read_own(self.database, member, [self.match_id]))[self.match_id]

    async def settle(self) -> None:
        """Settle what waits, and check every point a second way."""
        await settle_queued(self.database)
        await assert_balanced(self.database, self.tournament_id)

    async def facts(self) -> dict[MemberId, tuple[int, ...]]:
        """Facts of all members; those that are kept are those that the fold counts."""
        score = member_scores
        kept = select(score.c.member_id, *(score.c[name] for name in _FACTS))
        counted = fold.facts(members_of_tournament(self.tournament_id), self.tournament_id, ScoreBasis.AFTER_EXTRA_TIME)
        async with self.database.read() as connection:
            found = {MemberId(row[0]): tuple(row[1:]) for row in await connection.execute(kept)}
            assert {MemberId(row[0]): tuple(row[1:]) for row in await connection.exec_driver_sql(counted)} == found
        return found


_FACTS = ("outcome", "goal_difference", "home_goals", "away_goals", "exact")


async def acts(database: PostgresDatabase) -> list[tuple[str, Any]]:
    """What the system did, by the audit log."""
    async with database.read() as connection:
        rows = await connection.execute(select(audit_log).order_by(audit_log.c.id))
        return [(row.action, row.after) for row in rows if row.actor_kind == "SYSTEM"]


async def kinds(database: PostgresDatabase) -> list[str]:
    async with database.read() as connection:
        rows = await connection.execute(select(score_versions.c.kind).order_by(score_versions.c.version))
        return list(rows.scalars())


def turned(match: MatchSnapshot, **changes: Any) -> MatchSnapshot:
    """The match with its teams on the other sides."""
    return replace(
        match,
        home_team_key=match.away_team_key,
        away_team_key=match.home_team_key,
        home_label=match.away_label,
        away_label=match.home_label,
        **changes,
    )


def with_turned(told: TournamentSnapshot, **changes: Any) -> TournamentSnapshot:
    items = [turned(match, **changes) if match.home_label == HOME else match for match in told.matches]
    return replace(told, matches=tuple(items))


# ---------------------------------------------------------------- home and away


@pytest.mark.parametrize("key", [None, "another key"])
async def test_guesses_follow_their_teams_when_home_and_away_are_swapped(
    database: PostgresDatabase, key: str | None
) -> None:
    season = Season(database)
    ana, bea = await season.begin(2)
    await season.save(ana, 2, 1)
    await season.save(bea, 1, 1)
    run = await season.read_all(with_turned(season.told, **({"key": key} if key else {})))

    assert counts_of(run) == (0, 1, 2, 0)
    assert (await match_of(database, AWAY)).id == season.match_id
    assert (await season.own(ana)).goals == Goals(1, 2)
    assert (await season.own(bea)).goals == Goals(1, 1)
    assert await acts(database) == [("swapGuesses", {"swapped": 2})]
    assert "Home and away swapped: Arsenal FC - Everton FC." in (run.progress().steps[0].note or "")
    # Said once more it is nothing new, and swapped back all is as it was.
    assert counts_of(await season.read_all(season.told)) == (0, 0, 3, 0)
    back = [turned(match) if match.home_label == AWAY else match for match in season.told.matches]
    await season.read_all(replace(season.told, matches=tuple(back)))
    assert (await season.own(ana)).goals == Goals(2, 1)


@pytest.mark.parametrize("told", [Goals(1, 2), Goals(3, 0)])
async def test_a_swap_of_a_settled_match_is_settled_anew(database: PostgresDatabase, told: Goals) -> None:
    season = Season(database)
    members = await season.begin(5)
    for member, goals in zip(members, [(2, 1), (1, 2), (2, 0), (0, 1), (1, 1)], strict=True):
        await season.save(member, *goals)
    await season.read(**ENDED)
    await season.settle()
    before = await season.facts()
    assert before[members[0]] == (1, 1, 1, 1, 1)

    await season.read_all(with_turned(season.told, status=MatchStatus.ENDED, regulation=told))
    await season.settle()

    after = await season.facts()
    assert after == await expected_facts(database, {season.match_id: told}, members)
    if told == Goals(1, 2):
        # The same game, told from the other side: only who guessed which side's goals has changed its name.
        assert after == {key: (f[0], f[1], f[3], f[2], f[4]) for key, f in before.items()}
    assert await kinds(database) == ["SETTLED", "REPLAYED" if told == Goals(1, 2) else "CORRECTED"]
    assert (await verify_one(database, season.tournament_id)).is_equal


async def test_what_an_admin_has_set_is_swapped_with_the_teams(database: PostgresDatabase) -> None:
    season = Season(database)
    (ana,) = await season.begin(1)
    await season.save(ana, 5, 0)
    await season.read(**ENDED)
    await season.settle()
    await correct(database, result(await make_admin(database), season.match_id, Goals(5, 0)))

    await season.read_all(with_turned(season.told, regulation=Goals(1, 2)))
    await season.settle()

    found = await match_of(database, AWAY)
    assert (found.home_regulation, found.away_regulation, found.home_goals, found.away_goals) == (0, 5, 0, 5)
    assert await season.facts() == {ana: (1, 1, 1, 1, 1)}
    async with database.read() as connection:
        latest = select(match_results).order_by(match_results.c.revision.desc()).limit(1)
        row = (await connection.execute(latest)).one()
    assert (row.source, row.cause, row.home_regulation, row.away_regulation) == ("OVERRIDE", "REPLAY", 0, 5)


@pytest.mark.parametrize("change", ["swapped", "turned around", "began earlier", "both"])
async def test_earlier_boards_count_guesses_as_they_were_judged_then(database: PostgresDatabase, change: str) -> None:
    season = Season(database)
    members = await season.begin(4)
    ana, _, clara, _ = members
    for member, goals in zip(members[:3], [(2, 1), (1, 2), (1, 1)], strict=True):
        await season.save(member, *goals)
    await season.save(ana, 2, 1, MatchId((await match_of(database, "Liverpool FC")).id))
    await season.read("Liverpool FC", **ENDED)
    await season.settle()
    between = await database_now(database)
    await season.save(clara, 2, 1)
    await season.read(**ENDED)
    await season.settle()
    before = [await _as_of(season, version) for version in (0, 1, 2)]
    assert before[2][ana] == (2, 2, 2, 2, 2, 2)
    assert before[2][clara] == (1, 1, 1, 1, 1, 1)

    if change in ("began earlier", "both"):
        await season.read(kick_off=between)
    if change == "both":
        await season.settle()
    if change != "began earlier":
        told = Goals(2, 1) if change == "turned around" else Goals(1, 2)
        await season.read_all(with_turned(season.told, regulation=told))
    await season.settle()

    assert [await _as_of(season, version) for version in (0, 1, 2)] == before
    latest, _, _ = await _versions(season)
    present = _without_guessed(await _as_of(season, latest))
    assert present == await season.facts()
    assert (present == _without_guessed(before[2])) is (change == "swapped")
    assert await _over_time(season, [0, 1, 2, latest]) == [*map(_without_guessed, before), present]


async def _as_of(season: Season, version: int) -> dict[MemberId, tuple[int, ...]]:
    """Facts of all members at a version, and how many settled matches they had guessed then."""
    tournament_id, basis = season.tournament_id, ScoreBasis.AFTER_EXTRA_TIME
    counted = fold.facts(members_of_tournament(tournament_id), tournament_id, basis, version=version)
    async with season.database.read() as connection:
        facts = {MemberId(row[0]): tuple(row[1:]) for row in await connection.exec_driver_sql(counted)}
    boards = Boards(season.database, None, utc_now)
    board = await boards.open(BoardKey(tournament_id=tournament_id), as_of=AtVersion(version))
    assert board is not None
    guessed = await board.guessed_matches(list(facts))
    return {member: (*counts, guessed[member]) for member, counts in facts.items()}


def _without_guessed(found: dict[MemberId, tuple[int, ...]]) -> dict[MemberId, tuple[int, ...]]:
    return {member: counts[:5] for member, counts in found.items()}


async def _over_time(season: Season, versions: Sequence[int]) -> list[dict[MemberId, tuple[int, ...]]]:
    """Facts of all members at each version, from the fold that histories are made of."""
    members = members_of_tournament(season.tournament_id)
    paid = fold.facts_over_time(members, season.tournament_id, ScoreBasis.AFTER_EXTRA_TIME, versions)
    async with season.database.read() as connection:
        ranked = await read_ids(connection, members)
        rows = (await connection.exec_driver_sql(paid)).all()
    found: list[dict[MemberId, tuple[int, ...]]] = []
    for place in range(len(versions)):
        sums = dict.fromkeys(map(MemberId, ranked), (0,) * len(_FACTS))
        for row in rows:
            if row.first_place <= place < row.end_place:
                sums[row.member_id] = tuple(map(add, sums[row.member_id], row[4:]))
        found.append(sums)
    return found


# ---------------------------------------------------------------- names of teams


async def test_a_match_changes_with_the_names_of_its_teams(database: PostgresDatabase) -> None:
    """In every tournament that they play in; who follows matches asks for those whose versions have risen."""
    season = Season(database)
    await season.begin(1)
    other = await season.whole(map_matches(a_match(score={}), season="1999-00").snapshot)
    before, counters = (
        await _match_versions(season),
        [await _counter(season, one) for one in (season.tournament_id, other)],
    )

    renamed = [replace(team, name="The Gunners") if team.name == HOME else team for team in season.told.teams]
    season.tell(replace(season.told, teams=tuple(renamed)))
    await season.run(Operation.INGEST_TEAMS, ingest_teams, Target(season.tournament_id))

    after = await _match_versions(season)
    risen = {key for key, version in after.items() if version > before[key]}
    assert risen == {(season.tournament_id, HOME), (other, HOME)}
    assert [await _counter(season, one) for one in (season.tournament_id, other)] == [one + 1 for one in counters]


async def _match_versions(season: Season) -> dict[tuple[TournamentId, str], int]:
    """By tournament and home team, as it was called first."""
    async with season.database.read() as connection:
        rows = await connection.execute(select(matches.c.tournament_id, matches.c.home_label, matches.c.version))
        return {(TournamentId(row[0]), row[1]): row[2] for row in rows}


async def _counter(season: Season, tournament_id: TournamentId) -> int:
    async with season.database.read() as connection:
        counter = select(tournaments.c.match_version).where(tournaments.c.id == tournament_id)
        return int((await connection.execute(counter)).scalar_one())


# ---------------------------------------------------------------- rounds


async def test_a_settled_match_that_moves_counts_in_its_new_round(database: PostgresDatabase) -> None:
    season = Season(database)
    (ana,) = await season.begin(1)
    await season.save(ana, 2, 1)
    await season.read(**ENDED)
    await season.settle()
    first, second = [await round_of(database, season.tournament_id, slug) for slug in "12"]
    assert await _round_facts(season, first) == (1, 1, 1, 1, 1)
    before = await _versions(season)

    await season.read(round_slug="2", key="moved")

    assert (await match_of(database, HOME)).id == season.match_id
    assert await _round_facts(season, first) == (0, 0, 0, 0, 0)
    assert await _round_facts(season, second) == (1, 1, 1, 1, 1)
    after = await _versions(season)
    assert (after[0] - before[0], after[1] > before[1], after[2] > before[2]) == (1, True, True)
    assert await kinds(database) == ["SETTLED", "ROUND_MOVED"]
    assert (await season.own(ana)).goals == Goals(2, 1)
    await season.settle()
    assert await season.facts() == {ana: (1, 1, 1, 1, 1)}
    # A match that nobody was paid for moves no score.
    await season.read("Liverpool FC", round_slug="2")
    assert await kinds(database) == ["SETTLED", "ROUND_MOVED"]


async def _round_facts(season: Season, round_id: Any) -> tuple[int, ...]:
    members = members_of_tournament(season.tournament_id)
    basis = ScoreBasis.AFTER_EXTRA_TIME
    async with season.database.read() as connection:
        facts = fold.facts(members, season.tournament_id, basis, round_id=round_id)
        (row,) = await connection.exec_driver_sql(facts)
        return tuple(row[1:])


async def _versions(season: Season) -> tuple[int, int, int]:
    columns = (tournaments.c.settled_version, tournaments.c.board_version, tournaments.c.match_version)
    async with season.database.read() as connection:
        row = (await connection.execute(select(*columns))).one()
    return row[0], row[1], row[2]


# ---------------------------------------------------------------- found again, doubted, missed


async def test_a_match_that_is_deleted_and_listed_again_keeps_its_guesses(database: PostgresDatabase) -> None:
    season = Season(database)
    (ana,) = await season.begin(1)
    await season.save(ana, 2, 1)
    run = await season.read(key="recreated")
    assert counts_of(run) == (0, 0, 3, 0)
    assert run.progress().steps[0].note == "Found again under another key: Arsenal FC - Everton FC."
    await season.read(**ENDED)
    await season.settle()
    assert await season.facts() == {ana: (1, 1, 1, 1, 1)}
    assert await _count(database, matches) == 3


async def test_a_postponed_match_that_is_listed_with_a_new_date_beside_is_one_match(database: PostgresDatabase) -> None:
    season = Season(database)
    (ana,) = await season.begin(1)
    await season.save(ana, 2, 1)
    await season.read(status=MatchStatus.POSTPONED)
    (old,) = [match for match in season.told.matches if match.home_label == HOME]
    new = replace(old, key="new date", status=MatchStatus.NOT_STARTED, kick_off=season.kick_off + 30 * DAY)
    both = replace(season.told, matches=(*season.told.matches, new))
    for _ in range(2):
        await season.read_all(both)
        found = await match_of(database, HOME)
        assert (found.id, found.status, found.lock_at) == (season.match_id, "NOT_STARTED", new.kick_off)
    assert (await season.own(ana)).goals == Goals(2, 1)


async def test_what_may_be_two_matches_is_told_and_nothing_is_written(database: PostgresDatabase) -> None:
    season = Season(database)
    await season.begin(1)
    (old,) = [match for match in season.told.matches if match.home_label == HOME]
    rest = without(season.told, HOME)
    twice = [replace(old, key=key, stadium=key) for key in ("one", "two")]
    before = await match_of(database, HOME)
    run = await season.read_all(replace(rest, matches=(*rest.matches, *twice)))

    assert counts_of(run) == (0, 0, 2, 2)
    assert run.progress().steps[0].note == "\n".join(
        ["Nothing changed."]
        + [
            f"{key}: may be more than one of the matches that are stored; nothing of it was taken"
            for key in ("one", "two")
        ]
    )
    assert await match_of(database, HOME) == before
    assert await _count(database, matches) == 3
    # Listed once, it is clear again.
    await season.read_all(replace(rest, matches=(*rest.matches, twice[0])))
    assert (await match_of(database, HOME)).stadium == "one"


async def test_a_match_that_a_whole_feed_does_not_list_is_set_aside_and_told(database: PostgresDatabase) -> None:
    season = Season(database)
    (ana,) = await season.begin(1)
    await season.save(ana, 2, 1)
    whole = season.told
    run = await season.read_all(without(whole, HOME))
    assert run.progress().steps[0].note == "No longer listed, and set aside: Arsenal FC - Everton FC."
    assert (await match_of(database, HOME)).missing_since is not None
    assert (await season.own(ana)).goals == Goals(2, 1)
    await season.read_all(whole)
    assert (await match_of(database, HOME)).missing_since is None


async def test_a_match_that_is_listed_and_cannot_be_taken_is_not_missing(database: PostgresDatabase) -> None:
    ingester = Ingester(database)
    good = map_matches(a_match()).snapshot
    tournament_id = await ingester.whole(good)
    bad = map_matches(a_match(status="eaten by the dog")).snapshot
    assert len(bad.matches) == 1
    ingester.tell(bad)
    run = await ingester.matches(tournament_id)
    found = await match_of(database, HOME)
    assert (found.missing_since, found.result_state, run.progress().counts.failed) == (None, "FINAL", 1)


# ---------------------------------------------------------------- void, and played anew


async def test_a_match_played_again_in_full_is_a_match_of_its_own(database: PostgresDatabase) -> None:
    season = Season(database)
    (ana,) = await season.begin(1)
    await season.save(ana, 2, 1)
    began = (await database_now(database)) + timedelta(milliseconds=1)
    await season.read(status=MatchStatus.IN_PLAY, running=Goals(1, 0), kick_off=began)
    await season.read(status=MatchStatus.ABANDONED, kind=ResultKind.VOID, running=None)
    await season.settle()
    replay: dict[str, Any] = {
        "status": MatchStatus.NOT_STARTED,
        "kind": ResultKind.PLAYED,
        "kick_off": season.kick_off + 5 * DAY,
    }
    run = await season.read(**replay)

    assert counts_of(run) == (1, 0, 2, 0)
    async with database.read() as connection:
        both = (await connection.execute(select(matches).where(matches.c.home_label == HOME))).all()
        refs = await connection.execute(
            select(provider_refs.c.entity_id).where(provider_refs.c.external_id.endswith("/Arsenal FC/Everton FC"))
        )
        named = refs.scalar_one()
    (old,), (new,) = [[row for row in both if (row.id == season.match_id) is is_old] for is_old in (True, False)]
    assert (old.result_state, old.missing_since, new.result_state, new.lock_at, named) == (
        "VOID",
        None,
        "NONE",
        replay["kick_off"],
        new.id,
    )
    assert (await season.save(ana, 0, 0, MatchId(new.id))).goals == Goals(0, 0)
    with pytest.raises(DomainError) as refused:
        await season.save(ana, 3, 3)
    assert refused.value.code == "MATCH_NOT_GUESSABLE"
    for _ in range(2):
        assert counts_of(await season.read_all(season.told)) == (0, 0, 3, 0)
    async with database.begin() as connection:
        assert (await connection.execute(select(func.count()).select_from(guesses))).scalar_one() == 2


async def test_a_match_called_off_before_its_lock_may_come_back_as_it_was(database: PostgresDatabase) -> None:
    season = Season(database)
    (ana,) = await season.begin(1)
    await season.save(ana, 2, 1)
    await season.read(status=MatchStatus.CANCELLED, kind=ResultKind.VOID)
    await season.settle()
    await season.read(status=MatchStatus.NOT_STARTED, kind=ResultKind.PLAYED)
    assert (await match_of(database, HOME)).id == season.match_id
    assert (await season.save(ana, 3, 1)).goals == Goals(3, 1)
    await season.read(status=MatchStatus.ENDED, regulation=Goals(3, 1))
    await season.settle()
    assert await season.facts() == {ana: (1, 1, 1, 1, 1)}
    assert await _count(database, matches) == 3


async def test_a_settled_match_that_is_annulled_pays_nobody_any_more(database: PostgresDatabase) -> None:
    season = Season(database)
    (ana,) = await season.begin(1)
    await season.save(ana, 2, 1)
    await season.read(**ENDED)
    await season.settle()
    await season.read(status=MatchStatus.ABANDONED, kind=ResultKind.VOID, regulation=None)
    await season.settle()
    assert await season.facts() == {ana: (0, 0, 0, 0, 0)}
    assert await kinds(database) == ["SETTLED", "VOIDED"]
    await season.read(status=MatchStatus.ENDED, kind=ResultKind.AWARDED, regulation=Goals(3, 0))
    await season.settle()
    assert await season.facts() == {ana: (1, 0, 0, 0, 0)}


# ---------------------------------------------------------------- kick-offs


async def _spread_saves(season: Season, members: Sequence[MemberId]) -> datetime:
    """Each member saves 2-1 and then 9-9; the instant between the two."""
    for member in members:
        await season.save(member, 2, 1)
    between = await database_now(season.database)
    for member in members:
        await season.save(member, 9, 9)
    return between


async def test_a_kick_off_that_was_earlier_than_known_undoes_later_saves(database: PostgresDatabase) -> None:
    season = Season(database)
    ana, bea, late = await season.begin(3)
    between = await _spread_saves(season, [ana, bea])
    await season.save(late, 2, 1)
    await season.read(status=MatchStatus.IN_PLAY, running=Goals(0, 0))
    await season.read(**ENDED, running=None)
    await season.settle()
    assert await season.facts() == {ana: (0,) * 5, bea: (0,) * 5, late: (1,) * 5}
    passed = (await match_of(database, HOME)).lock_at

    await season.read(kick_off=between)

    assert (await match_of(database, HOME)).lock_at == between < passed
    for member in (ana, bea):
        guess = await season.own(member)
        assert (guess.goals, guess.late_goals, guess.revision) == (Goals(2, 1), Goals(9, 9), 1)
    missed = await season.own(late)
    assert (missed.goals, missed.late_goals) == (None, Goals(2, 1))
    assert await acts(database) == [("restoreGuesses", {"restored": 2, "removed": 1})]
    await season.settle()
    assert await season.facts() == {ana: (1,) * 5, bea: (1,) * 5, late: (0,) * 5}
    assert await kinds(database) == ["SETTLED", "REPLAYED"]
    assert (await verify_one(database, season.tournament_id)).is_equal
    # Later again: a lock that has passed stays, and what was undone stays undone.
    await season.read(kick_off=season.kick_off + DAY)
    assert (await match_of(database, HOME)).lock_at == between
    assert (await season.own(ana)).goals == Goals(2, 1)
    async with database.read() as connection:
        assert (await connection.execute(select(func.count()).select_from(guess_revisions))).scalar_one() == 5


async def test_a_kick_off_that_moves_later_never_reopens_a_passed_lock(database: PostgresDatabase) -> None:
    season = Season(database)
    (ana,) = await season.begin(1)
    await season.save(ana, 2, 1)
    now = await database_now(database)
    await season.read(kick_off=now)
    for later in ({"kick_off": now + 5 * DAY}, {"status": MatchStatus.POSTPONED}, {"kick_off": now + 9 * DAY}):
        await season.read(**later)
        assert (await match_of(database, HOME)).lock_at == now
    await season.read(status=MatchStatus.NOT_STARTED)
    with pytest.raises(DomainError) as refused:
        await season.save(ana, 0, 0)
    assert refused.value.code == "MATCH_LOCKED"
    with pytest.raises(Exception, match="has passed and cannot move"):
        async with database.begin() as connection:
            await connection.execute(
                update(matches).where(matches.c.id == season.match_id).values(lock_at=now + timedelta(microseconds=1))
            )


async def test_before_the_lock_it_moves_with_the_kick_off_both_ways(database: PostgresDatabase) -> None:
    season = Season(database)
    (ana,) = await season.begin(1)
    await season.save(ana, 2, 1)
    for kick_off in (season.kick_off + DAY, season.kick_off - HOUR):
        await season.read(kick_off=kick_off)
        assert (await match_of(database, HOME)).lock_at == kick_off
    assert (await season.own(ana)).goals == Goals(2, 1)
    assert await acts(database) == []


async def test_with_only_a_date_a_match_is_not_locked_and_paused_on_its_day(database: PostgresDatabase) -> None:
    season = Season(database)
    (ana,) = await season.begin(1)
    only_date = {"kick_off_precision": KickOffPrecision.DATE}
    await season.read(**only_date, kick_off=season.now + DAY)
    assert (await match_of(database, HOME)).lock_at is None
    await season.save(ana, 2, 1)
    await season.read(**only_date, kick_off=season.now - HOUR)
    assert (await match_of(database, HOME)).lock_at is None
    with pytest.raises(DomainError) as refused:
        await season.save(ana, 3, 1)
    assert refused.value.code == "MATCH_PAUSED"
    # Its time is known: open until then.
    exact = {"kick_off_precision": KickOffPrecision.EXACT}
    await season.read(**exact, kick_off=season.kick_off)
    assert (await season.save(ana, 4, 1)).goals == Goals(4, 1)
    # Seen in play without a time: locked from the first sight, and by the kick-off once that is told.
    unknown = {"kick_off_precision": KickOffPrecision.UNKNOWN}
    between = await database_now(database)
    await season.save(ana, 9, 9)
    await season.read(**unknown, status=MatchStatus.IN_PLAY, running=Goals(0, 0))
    seen = (await match_of(database, HOME)).lock_at
    assert between < seen <= await database_now(database)
    await season.read(**exact, kick_off=between)
    assert (await match_of(database, HOME)).lock_at == between
    assert (await season.own(ana)).goals == Goals(4, 1)


async def test_many_kick_offs_at_one_midnight_do_not_lock(database: PostgresDatabase) -> None:
    season = Season(database)
    await season.begin(1)
    midnight = season.now.replace(hour=0, minute=0, second=0, microsecond=0) + 200 * DAY
    items = tuple(
        replace(match, kick_off=midnight, round_slug="2", status=MatchStatus.NOT_STARTED, regulation=None)
        for match in season.told.matches
    )
    await season.read_all(replace(season.told, time_zone="UTC", matches=items))
    async with database.read() as connection:
        rows = await connection.execute(select(matches.c.kick_off_precision, matches.c.lock_at))
        assert [tuple(row) for row in rows] == [("DATE", None)] * 3


async def _count(database: PostgresDatabase, table: Any) -> int:
    async with database.read() as connection:
        count: int = (await connection.execute(select(func.count()).select_from(table))).scalar_one()
    return count
