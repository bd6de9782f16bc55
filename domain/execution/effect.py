"""What an execution would change or has changed in scores, and how that is kept with the execution. Pure."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from domain.ids import MemberId

MOST_CHANGES = 20
"""Changes that are kept with the execution; the report has all."""


@dataclass(frozen=True, slots=True)
class ScoreChange:
    """What changes for one member, under the tournament's own ruleset and on its board."""

    member_id: MemberId
    points_before: int
    points_after: int
    rank_before: int
    rank_after: int


@dataclass(frozen=True, slots=True)
class Effect:
    """A change of scores, planned or made."""

    digest: str
    """Stands for the inputs and all of the change: what is applied must still have it."""
    equals_recorded: bool
    matches: int
    members_changed: int
    points_moved: int
    settled_version: int
    """Of the tournament, before the change."""
    changes: tuple[ScoreChange, ...]
    """The largest ones, at most `MOST_CHANGES`."""


def to_json(effect: Effect) -> dict[str, Any]:
    """The effect as JSON values."""
    changes = [asdict(change) | {"member_id": str(change.member_id)} for change in effect.changes]
    return asdict(effect) | {"changes": changes}


def from_json(values: Mapping[str, Any]) -> Effect:
    """The effect that `to_json` has written."""
    changes = (
        ScoreChange(**change | {"member_id": MemberId(UUID(change["member_id"]))}) for change in values["changes"]
    )
    return Effect(**{**values, "changes": tuple(changes)})
