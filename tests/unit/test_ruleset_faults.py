"""What a new ruleset may hold: each bound from both sides."""

from dataclasses import replace
from typing import Any

import pytest

from domain.scoring.model import GuessFact, NewRuleset, ScoreBasis
from domain.scoring.rules import ruleset_faults

RULESET = NewRuleset("mine", "Mine", ScoreBasis.AFTER_EXTRA_TIME, ((GuessFact.EXACT, 3),))
ALL = tuple((fact, 1) for fact in GuessFact)


@pytest.mark.parametrize(
    "change",
    [
        *({"code": code} for code in ("a", "a" * 40, "exact-bonus-2")),
        *({"label": label} for label in ("x", "x" * 60)),
        *({"points": points} for points in ((), ((GuessFact.EXACT, 0),), ((GuessFact.EXACT, 100),), ALL)),
    ],
    ids=str,
)
def test_what_is_within_the_bounds_is_taken(change: dict[str, Any]) -> None:
    assert ruleset_faults(replace(RULESET, **change)) == []


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        *(({"code": code}, [("code",)]) for code in ("", "a" * 41, "Mine", "my rules")),
        *(({"label": label}, [("label",)]) for label in ("", "x" * 61, "two\nlines")),
        *(({"points": ((GuessFact.EXACT, weight),)}, [("weights", "0", "points")]) for weight in (-1, 101, 1.0, True)),
        ({"points": (*ALL[:2], ALL[0])}, [("weights", "2", "fact")]),
        ({"points": (*ALL, ALL[0])}, [("weights",), ("weights", "5", "fact")]),
    ],
    ids=str,
)
def test_what_is_outside_names_its_field(change: dict[str, Any], fields: list[tuple[str, ...]]) -> None:
    assert [fault.field for fault in ruleset_faults(replace(RULESET, **change))] == fields
