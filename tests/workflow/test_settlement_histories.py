"""Random histories of a season: readings, guesses, corrections, jobs in any order, crashes. They end as the rules say.

What must come of a history is worked out in plain Python (`tests.support.game_model`), and once more by the second
way of the product itself.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from redis.asyncio import Redis

from domain.correction.model import StalePreview
from domain.ids import MemberId
from domain.leaderboard.projector import project
from domain.match.model import Goals, MatchStatus, ResultKind
from integrations.object_store.folder import FolderStore
from runtime.database import PostgresDatabase
from tests.support.campaign import is_campaign, times
from tests.support.corrections import carry_out, make_admin, order, replay, result, spoil_member, try_out
from tests.support.crashes import Crash
from tests.support.game_model import VOID, VOIDED, Game, Said
from tests.support.history import DAY, HOUR, History
from tests.support.history_oracle import assert_right
from tests.support.settlement import database_now

pytestmark = pytest.mark.timeout(3600)

MEMBERS = 4
GOALS = st.builds(Goals, st.integers(0, 3), st.integers(0, 3))
GAME = st.integers(0, 2)
CRASH = st.tuples(st.integers(1, 24), st.sampled_from(Crash))
JOBS = st.lists(st.integers(0, 5), min_size=1, max_size=5)


class Stage:
    """One loop and one pool for all histories of a test."""

    def __init__(self, database_url: str, valkey_url: str, folder: Path) -> None:
        self._runner = asyncio.Runner()
        self.database = PostgresDatabase.create(database_url, application_name="palpite-test")
        self.valkey = Redis.from_url(valkey_url, decode_responses=False)
        self.reports = FolderStore(folder)
        self.admin: MemberId = self.do(make_admin(self.database))

    def do(self, work: Awaitable[Any]) -> Any:
        async def done() -> Any:
            return await work

        return self._runner.run(done())

    def close(self) -> None:
        self.do(self.valkey.aclose())
        self.do(self.database.close())
        self._runner.close()


class Histories(RuleBasedStateMachine):
    stage: Stage

    @initialize(guesses=st.lists(GOALS, min_size=2 * MEMBERS, max_size=2 * MEMBERS))
    def begin(self, guesses: list[Goals]) -> None:
        """Everyone has guessed everything twice."""
        self.readings = 0
        self.history = History(self.stage.database, self.stage.valkey, self.stage.reports)
        self.stage.do(self.history.begin(MEMBERS))
        for place, goals in enumerate(guesses):
            for number in range(3):
                self.guess(number, place % MEMBERS, goals)

    def game(self, number: int) -> Game:
        return self.history.games[number]

    def tell(self, number: int, **changes: Any) -> None:
        """A reading in which something else is told of a game."""
        self.readings += 1
        game = self.game(number)
        game.told = replace(game.told, **changes)
        self.stage.do(self.history.read())

    # ------------------------------------------------------------ guesses

    @rule(number=GAME, member=st.integers(0, MEMBERS - 1), goals=GOALS)
    def guess(self, number: int, member: int, goals: Goals) -> None:
        self.stage.do(self.history.save(self.game(number), self.history.members[member], goals))

    # ------------------------------------------------------------ results, as the provider tells them

    @rule(number=GAME, score=GOALS)
    def plays(self, number: int, score: Goals) -> None:
        self.tell(
            number,
            status=MatchStatus.IN_PLAY,
            kind=ResultKind.PLAYED,
            running=score,
            regulation=None,
            after_extra_time=None,
        )

    @rule(number=GAME, score=GOALS, more=st.none() | GOALS, crash=st.none() | CRASH, is_settled=st.booleans())
    def ends(
        self, number: int, score: Goals, more: Goals | None, crash: tuple[int, Crash] | None, is_settled: bool
    ) -> None:
        extra = None if more is None else Goals(score.home + more.home, score.away + more.away)
        self.tell(
            number,
            status=MatchStatus.ENDED,
            kind=ResultKind.PLAYED,
            running=None,
            regulation=score,
            after_extra_time=extra,
        )
        if is_settled:
            self.stage.do(self.history.deliver([0], crash=crash))

    @rule(number=GAME, score=GOALS)
    def is_awarded(self, number: int, score: Goals) -> None:
        self.tell(
            number,
            status=MatchStatus.ENDED,
            kind=ResultKind.AWARDED,
            running=None,
            regulation=score,
            after_extra_time=None,
        )

    @rule(number=GAME, status=st.sampled_from([*VOID, MatchStatus.POSTPONED, MatchStatus.NOT_STARTED]))
    def is_off_or_on(self, number: int, status: MatchStatus) -> None:
        kind = ResultKind.VOID if status in VOID else ResultKind.PLAYED
        self.tell(number, status=status, kind=kind, running=None, regulation=None, after_extra_time=None)

    @rule(number=st.integers(0, 50))
    def an_old_reading_comes(self, number: int) -> None:
        self.stage.do(self.history.read_late(number))

    # ------------------------------------------------------------ matches that change

    @rule(number=GAME, days=st.integers(0, 3))
    def kick_off_is_later(self, number: int, days: int) -> None:
        now = self.stage.do(database_now(self.stage.database))
        self.tell(number, kick_off=now + HOUR + days * DAY)

    @rule(number=GAME, place=st.integers(0, 11))
    def kick_off_was_earlier(self, number: int, place: int) -> None:
        """Just before one of the saves, or long ago."""
        at = sorted(at for _, at, _ in self.game(number).saves)
        now = self.stage.do(database_now(self.stage.database))
        self.tell(number, kick_off=at[place] if place < len(at) else now - place * HOUR)

    @rule(number=GAME, slug=st.sampled_from("12"))
    def moves(self, number: int, slug: str) -> None:
        self.tell(number, round_slug=slug)

    @rule(number=GAME)
    def changes_sides(self, number: int) -> None:
        game = self.game(number)
        game.is_told_turned = not game.is_told_turned
        told = game.told

        def other_way(goals: Goals | None) -> Goals | None:
            return None if goals is None else Goals(goals.away, goals.home)

        self.tell(
            number,
            home_team_key=told.away_team_key,
            away_team_key=told.home_team_key,
            home_label=told.away_label,
            away_label=told.home_label,
            running=other_way(told.running),
            regulation=other_way(told.regulation),
            after_extra_time=other_way(told.after_extra_time),
        )

    @rule(number=GAME, key=st.integers(0, 3))
    def is_listed_under_another_key(self, number: int, key: int) -> None:
        game = self.game(number)
        told_as_it_is = game.is_told_turned == game.is_turned and game.told.round_slug == game.round_slug
        if told_as_it_is and not game.was_replayed:
            self.tell(number, key=f"{self.history.tournament_id}/{number}/{key}")

    # ------------------------------------------------------------ admins

    @rule(number=GAME, score=GOALS, is_awarded=st.booleans())
    def is_corrected(self, number: int, score: Goals, is_awarded: bool) -> None:
        game = self.game(number)
        now = self.stage.do(database_now(self.stage.database))
        kind = ResultKind.PLAYED if game.is_locked(now) and not is_awarded else ResultKind.AWARDED
        self.stage.do(self.history.overrule(game, self.stage.admin, Said(kind, score)))

    @rule(number=GAME)
    def is_annulled(self, number: int) -> None:
        self.stage.do(self.history.overrule(self.game(number), self.stage.admin, VOIDED))

    @rule(number=GAME, score=GOALS)
    def a_stale_correction_is_refused(self, number: int, score: Goals) -> None:
        """Something was settled after the dry run."""
        game = self.game(number)
        assert game.id is not None
        wanted = result(self.stage.admin, game.id, score, kind=ResultKind.AWARDED)
        shown = self.stage.do(try_out(self.stage.database, wanted))
        accepted = self.stage.do(order(self.stage.database, wanted, shown.digest))
        self.stage.do(
            self.history.overrule(self.game((number + 1) % 3), self.stage.admin, Said(ResultKind.AWARDED, score))
        )
        with pytest.raises(StalePreview):
            self.stage.do(carry_out(self.stage.database, accepted.execution.id))

    @rule(member=st.integers(0, MEMBERS - 1))
    def what_was_tampered_with_is_repaired(self, member: int) -> None:
        history = self.history
        self.stage.do(spoil_member(history.database, history.tournament_id, history.members[member]))
        self.stage.do(replay(history.database, self.stage.admin, history.tournament_id))

    # ------------------------------------------------------------ workers

    @rule(numbers=JOBS)
    def jobs_come(self, numbers: list[int]) -> None:
        self.stage.do(self.history.deliver(numbers))

    @rule(numbers=JOBS, crash=CRASH)
    def jobs_come_and_workers_crash(self, numbers: list[int], crash: tuple[int, Crash]) -> None:
        self.stage.do(self.history.deliver(numbers, crash=crash))

    @rule()
    def the_board_is_projected(self) -> None:
        history = self.history
        assert self.stage.do(project(history.database, history.projection, history.tournament_id)) is not None

    @precondition(lambda self: self.readings >= 8)
    @rule()
    def everything_is_settled(self) -> None:
        """In the middle of a history now and then, for it costs more than all else, and at its end."""
        self.readings = 0
        self.stage.do(self.history.settle_all())
        self.stage.do(assert_right(self.history))

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.everything_is_settled()


@pytest.fixture
def stage(database_url: str, valkey_url: str, tmp_path: Path) -> Iterator[Stage]:
    made = Stage(database_url, valkey_url, tmp_path)
    yield made
    made.close()


def test_random_histories_end_as_the_rules_say(stage: Stage) -> None:
    class OnStage(Histories):
        pass

    OnStage.stage = stage
    run_state_machine_as_test(
        OnStage,
        settings=settings(
            max_examples=times(6, 200),
            stateful_step_count=times(20, 50),
            deadline=None,
            derandomize=not is_campaign(),
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )
