"""What one stream of executions holds until it is taken: of each the newest, of all no more than a bound."""

from uuid import UUID

import pytest

from domain.errors import Forbidden, Unavailable
from domain.execution.model import Execution, ExecutionState
from domain.ids import ExecutionId
from live import executions as module
from live.executions import Follower
from tests.unit.test_execution_states import execution

A, B, C = (ExecutionId(UUID(int=number)) for number in range(3))


def one(execution_id: ExecutionId, version: int, state: ExecutionState = ExecutionState.IN_PROGRESS) -> Execution:
    return execution(id=execution_id, version=version, state=state)


def taken(follower: Follower) -> list[tuple[ExecutionId, int]]:
    return [(found.id, found.version) for found in follower.take()]


def test_the_newest_of_each_waits_in_the_order_of_their_first_changes() -> None:
    follower = Follower(None)
    for execution_id, version in ((A, 1), (B, 1), (A, 2)):
        follower.offer(one(execution_id, version))
    assert follower.wake.is_set()
    assert taken(follower) == [(A, 2), (B, 1)]
    assert not follower.wake.is_set()
    assert taken(follower) == []


def test_no_version_comes_twice_and_none_after_a_later_one() -> None:
    follower = Follower(None)
    follower.offer(one(A, 3))
    assert taken(follower) == [(A, 3)]
    for version in (3, 2):
        follower.offer(one(A, version))
    assert not follower.wake.is_set()
    assert taken(follower) == []
    follower.offer(one(A, 4))
    assert taken(follower) == [(A, 4)]


def test_what_was_passed_over_comes_when_it_has_moved() -> None:
    follower = Follower(None)
    follower.pass_over(one(A, 3, ExecutionState.COMPLETED))
    follower.offer(one(A, 3, ExecutionState.COMPLETED))
    assert taken(follower) == []
    follower.offer(one(A, 4))
    assert taken(follower) == [(A, 4)]


def test_only_what_is_named_is_followed_and_until_all_of_it_is_over() -> None:
    follower = Follower([A, B])
    follower.offer(one(C, 1))
    assert taken(follower) == []
    follower.offer(one(A, 1, ExecutionState.COMPLETED))
    assert (follower.is_over(), follower.unfinished) == (False, {B})
    follower.offer(one(B, 1))
    follower.offer(one(B, 2, ExecutionState.CANCELLED))
    assert follower.is_over()
    assert not Follower(None).is_over()


def test_one_that_nobody_takes_from_is_ended_rather_than_held_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_PENDING", 2)
    follower = Follower(None)
    for execution_id in (A, B, A, B):
        follower.offer(one(execution_id, 1))
    assert not follower.ended.is_set()
    follower.offer(one(C, 1))
    assert follower.ended.is_set()
    assert isinstance(follower.error, Unavailable)


def test_the_versions_of_those_that_moved_last_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_REMEMBERED", 2)
    follower = Follower(None)
    for execution_id, version in ((A, 1), (B, 1), (A, 2), (C, 1)):
        follower.offer(one(execution_id, version))
        follower.take()
    for execution_id, version in ((A, 2), (C, 1)):
        follower.offer(one(execution_id, version))
    assert taken(follower) == []
    follower.offer(one(B, 1))
    assert taken(follower) == [(B, 1)], "forgotten, for it has not moved for longest"


def test_who_has_ended_stays_awake() -> None:
    follower = Follower(None)
    follower.end(Forbidden("You may no longer see this."))
    follower.take()
    assert follower.wake.is_set()
