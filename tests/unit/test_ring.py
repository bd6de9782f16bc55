"""What a topic remembers of its last versions."""

from itertools import pairwise
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from live import ring as module
from live.ring import Missed, Ring

A, B, C = (UUID(int=number) for number in range(3))


def rows(*ids: UUID) -> frozenset[UUID]:
    return frozenset(ids)


def test_what_changed_back_and_forth_is_said_once() -> None:
    ring = Ring(64, 120)
    ring.begin(1)
    ring.add(2, Missed(rows(A), rows(B), entered=rows(A)))
    ring.add(4, Missed(rows(B), rows(A), entered=rows(B)))
    assert ring.since(1) == Missed(rows(B), rows())  # who stood there then never saw A
    assert ring.since(2) == Missed(rows(B), rows(A))
    assert ring.since(4) == Missed(rows(), rows())
    assert ring.since(3) is None
    assert ring.since(5) is None


def test_it_holds_so_many_deltas_and_versions_that_show_nothing_do_not_count() -> None:
    ring = Ring(2, 120)
    ring.begin(1)
    ring.add(2, Missed(rows(A), rows()))
    for version in (3, 4, 5):
        ring.pass_over(version)
    ring.add(6, Missed(rows(B), rows()))
    assert ring.since(1) == Missed(rows(A, B), rows())
    ring.add(7, Missed(rows(C), rows()))
    assert ring.since(1) is None
    assert ring.since(2) == ring.since(5) == Missed(rows(B, C), rows())


def test_it_holds_deltas_of_so_many_seconds_however_long_a_version_stood(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(module, "monotonic", lambda: now)
    ring = Ring(64, 120)
    ring.begin(1)
    now += 600
    ring.add(2, Missed(rows(A), rows()))
    assert ring.since(1) == Missed(rows(A), rows())
    now += 100
    ring.add(3, Missed(rows(), rows(A)))
    now += 19
    assert ring.since(1) == Missed(rows(), rows(A))
    now += 2
    assert ring.since(1) is None
    assert ring.since(2) == Missed(rows(), rows(A))
    now += 600
    assert ring.since(2) is None
    assert ring.since(3) == Missed(rows(), rows())


def test_who_sees_the_latest_is_known_by_version() -> None:
    ring = Ring(64, 120)
    ring.begin(1)
    ring.pass_over(2)
    assert [ring.shows_the_latest(version) for version in range(4)] == [False, True, True, False]
    ring.add(5, Missed(rows(A), rows()))
    ring.pass_over(6)
    assert [ring.shows_the_latest(version) for version in range(1, 8)] == [
        False,
        False,
        False,
        False,
        True,
        True,
        False,
    ]


@given(st.lists(st.dictionaries(st.sampled_from([A, B, C]), st.integers(0, 3)), min_size=2, max_size=12))
def test_any_window_is_reached_from_any_earlier_one(windows: list[dict[UUID, int]]) -> None:
    ring = Ring(64, 120)
    ring.begin(0)
    for version, (before, after) in enumerate(pairwise(windows), 1):
        changed = rows(*(key for key in after if before.get(key) != after[key]))
        ring.add(version, Missed(changed, rows(*(before.keys() - after.keys())), rows(*(after.keys() - before.keys()))))
    for version, known in enumerate(windows):
        missed = ring.since(version)
        assert missed is not None
        assert missed.removed <= known.keys()
        reached = {key: value for key, value in known.items() if key not in missed.removed}
        reached |= {key: windows[-1][key] for key in missed.changed}
        assert reached == windows[-1]
