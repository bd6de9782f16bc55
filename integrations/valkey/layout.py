"""What the keys of a board hold.

Those of a tournament share a hash tag (the braces are literal), so no command and no script crosses two tags:

    tournament:{id}:master_scores  sorted set: member id (16 bytes), minus the packed score; ZRANGE is the total order
    tournament:{id}:order          string: member ids in that order, 16 bytes each, so that a page is a piece of it
    tournament:{id}:distinct       string: the distinct packed scores, and how many members are better (`groups.py`)
    tournament:{id}:facts          string: the members' facts in that order, five 16-bit numbers each, a block a basis
    tournament:{id}:stamp          string: which state of the database all of these hold, and a digest of these four

While points are provisional, beside them:

    tournament:{id}:live_order     string: member id and settled packed score in the order of that board, 24 bytes each
    tournament:{id}:live_places    string: the place there of the member at each place of `order`, 4 bytes each
    tournament:{id}:live_distinct  string, as `distinct`
    tournament:{id}:live_facts     string, as `facts`, in the order of `order`
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import numpy as np

from domain.ids import TournamentId
from domain.leaderboard.arrays import ID_SIZE, order_of_ids
from domain.leaderboard.score_table import ScoreTable, Stamp
from domain.scoring.model import Facts, ScoreBasis
from integrations.valkey import groups

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from domain.leaderboard.ranking import Ranking

STRINGS = ("order", "distinct", "facts", "live_order", "live_places", "live_distinct", "live_facts")
PARTS = ("master_scores", *STRINGS)
LIVE_ENTRY = np.dtype([("id", "V16"), ("settled", "<i8")])

SETTLED = ("master_scores", "order", "distinct", "facts")
"""The parts without provisional points."""

_WORDS = 8
_FACTS = len(Facts._fields)
_FACT = np.dtype("<u2")
_PLACE = np.dtype("<u4")
_FACTS_SIZE = _FACTS * _FACT.itemsize


def key(tournament_id: TournamentId, name: str) -> str:
    return f"tournament:{{{tournament_id}}}:{name}"


def settled_strings(table: ScoreTable, ranking: "Ranking") -> dict[str, bytes]:
    """Strings of a board without provisional points. Takes as long as a sort."""
    settled = ranking.settled
    return {
        "order": settled.ids.tobytes(),
        "distinct": groups.encode(settled),
        "facts": _to_bytes(table.facts, settled.order),
    }


def live_strings(table: ScoreTable, ranking: "Ranking") -> dict[str, bytes]:
    """Those with provisional points; empty when there are none."""
    if table.live is None:
        return dict.fromkeys(("live_order", "live_places", "live_distinct", "live_facts"), b"")
    settled = ranking.settled
    return {
        "live_order": _live_order(settled, ranking),
        "live_places": ranking.places_by_id[settled.order].astype(_PLACE).tobytes(),
        "live_distinct": groups.encode(ranking),
        "live_facts": _to_bytes(table.live, settled.order),
    }


def settled_sizes(table: ScoreTable, ranking: "Ranking") -> dict[str, int]:
    """How long the parts of a board without provisional points are: members, or bytes."""
    members = len(table)
    return {
        "master_scores": members,
        "order": ID_SIZE * members,
        "distinct": groups.size_of(len(ranking.settled.distinct)),
        "facts": _FACTS_SIZE * members * len(table.facts),
    }


def digest_of(strings: Mapping[str, bytes], bases: Mapping[ScoreBasis, Any]) -> str:
    """Of the settled part; the sorted set follows from the strings."""
    digest = blake2b(",".join(bases).encode(), digest_size=16)
    for name in SETTLED:
        value = strings.get(name, b"")
        digest.update(len(value).to_bytes(8))
        digest.update(value)
    return digest.hexdigest()


def stamp_to_bytes(stamp: Stamp, bases: Mapping[ScoreBasis, Any], digest: str) -> bytes:
    """Words, so that a script can compare them: epoch and board version come first, the digest last."""
    words = (
        stamp.epoch,
        stamp.board_version,
        stamp.settled_version,
        stamp.computed_at.isoformat(),
        stamp.members,
        stamp.live,
        ",".join(bases),
        digest,
    )
    return " ".join(map(str, words)).encode()


def to_stamp(value: Any) -> Stamp | None:
    """None for one that is missing, or none of ours."""
    found = _words(value)
    if found is None:
        return None
    epoch, board_version, settled_version, computed_at, members, live, _, digest = found
    try:
        computed = datetime.fromisoformat(computed_at)
        return Stamp(epoch, int(settled_version), int(board_version), computed, int(members), int(live), digest)
    except ValueError:
        return None


def to_table(stamp: Stamp, stamped: bytes, order: Any, facts: Any, live_facts: Any) -> ScoreTable | None:
    """All facts, members by id. None when a part is not as long as it must be. Takes as long as a sort."""
    words = _words(stamped)
    if words is None or _size(order) != ID_SIZE * stamp.members:
        return None
    try:
        bases = [ScoreBasis(name) for name in words[-2].split(",")]
    except ValueError:
        return None
    if _size(facts) != _FACTS_SIZE * stamp.members * len(bases):
        return None
    ids = np.frombuffer(order or b"", dtype=f"S{ID_SIZE}")
    places = order_of_ids(ids)
    settled = ScoreTable(stamp, ids[places], _to_facts(facts, bases, places), places=places)
    return to_later_table(stamp, settled, live_facts)


def to_later_table(stamp: Stamp, earlier: ScoreTable, live_facts: Any) -> ScoreTable | None:
    """All facts at a stamp that has the settled part of a table from here. None when these are not of its length."""
    bases = list(earlier.facts)
    if earlier.places is None or _size(live_facts) != (_FACTS_SIZE * len(earlier) * len(bases) if stamp.live else 0):
        return None
    live = _to_facts(live_facts, bases, earlier.places) if stamp.live else None
    return replace(earlier, stamp=stamp, live=live, joined=None)


def _words(value: Any) -> list[str] | None:
    if not isinstance(value, bytes):
        return None
    words = value.decode(errors="replace").split(" ")
    return words if len(words) == _WORDS else None


def _size(value: Any) -> int | None:
    """Of a string; an empty one is not stored. None for another type."""
    return len(value or b"") if value is None or isinstance(value, bytes) else None


def _live_order(settled: "Ranking", live: "Ranking") -> bytes:
    by_id = np.empty(len(settled), dtype=np.int64)
    by_id[settled.order] = settled.packed
    entries = np.empty(len(live), dtype=LIVE_ENTRY)
    entries["id"] = np.ascontiguousarray(live.ids).view("V16")
    entries["settled"] = by_id[live.order]
    return entries.tobytes()


def _to_bytes(facts: "Mapping[ScoreBasis, NDArray[Any]]", order: "NDArray[np.intp]") -> bytes:
    return b"".join(part.astype(_FACT).take(order, axis=0).tobytes() for part in facts.values())


def _to_facts(
    value: bytes | None, bases: list[ScoreBasis], by_id: "NDArray[np.intp]"
) -> dict[ScoreBasis, "NDArray[np.uint16]"]:
    blocks = np.frombuffer(value or b"", dtype=_FACT).reshape(len(bases), len(by_id), _FACTS)
    return {basis: block.take(by_id, axis=0) for basis, block in zip(bases, blocks, strict=True)}
