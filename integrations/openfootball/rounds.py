"""What the free text of a round means: which part of the tournament, under which slug, in which order."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from domain.ingestion.snapshot import RoundSnapshot
from domain.tournament.model import RoundKind

# Stages in which everybody plays on; a numbered round of any other stage is knockout.
SEASON_STAGES = frozenset({"league", "league phase", "league stage", "group", "groups", "group phase", "group stage"})
GROUP_STAGES = frozenset({"group", "groups", "group phase", "group stage"})
# `Finals, Round of 16` is the round of 16.
KNOCKOUT_STAGES = frozenset({"finals", "knockout", "knockouts", "knockout phase", "knockout stage"})

_NUMBERED = re.compile(r"(?:(?P<stage>.+?)\s*,\s*)?(?:(?P<word>matchday|round)\s+)?(?P<number>\d{1,3})", re.IGNORECASE)
_STAGED = re.compile(r"(?P<stage>[^,]+?)\s*,\s*(?P<name>.+)")
_ROUND_OF = re.compile(r"roundof(?P<teams>\d{1,3})")

# Spellings found in the files, letters and digits only, to slug, name to show, and order among rounds of one day.
_NAMED = {
    "quarterfinal": ("quarter-finals", "Quarter-finals", 201),
    "quarterfinals": ("quarter-finals", "Quarter-finals", 201),
    "semifinal": ("semi-finals", "Semi-finals", 202),
    "semifinals": ("semi-finals", "Semi-finals", 202),
    "matchforthirdplace": ("match-for-third-place", "Match for third place", 203),
    "thirdplaceplayoff": ("match-for-third-place", "Match for third place", 203),
    "thirdplacematch": ("match-for-third-place", "Match for third place", 203),
    "final": ("final", "Final", 204),
}


@dataclass(frozen=True, slots=True)
class RoundName:
    slug: str
    label: str
    kind: RoundKind
    order: int
    """Orders rounds whose matches fall on the same days."""
    in_group_stage: bool = False

    @property
    def number(self) -> int | None:
        """Of league and group rounds."""
        return self.order if self.kind is RoundKind.SEASON else None


def season_round(number: int, *, in_group_stage: bool = False) -> RoundName:
    return RoundName(str(number), f"Matchday {number}", RoundKind.SEASON, number, in_group_stage)


def read_round(text: str) -> RoundName:
    """The round that a match says it belongs to. Raises ValueError, for people."""
    text = " ".join(text.split())
    numbered = _NUMBERED.fullmatch(text)
    if numbered:
        return _numbered(text, numbered["stage"], numbered["word"], int(numbered["number"]))
    staged = _STAGED.fullmatch(text)
    if staged and staged["stage"].lower() in KNOCKOUT_STAGES:
        text = staged["name"]
    return _named(text)


def _numbered(text: str, stage: str | None, word: str | None, number: int) -> RoundName:
    if stage is None and (word or "matchday").lower() == "matchday":
        return season_round(number)
    if stage is not None and stage.lower() in SEASON_STAGES:
        return season_round(number, in_group_stage=stage.lower() in GROUP_STAGES)
    return RoundName(f"{_slug(stage or 'round')}-{number}", text, RoundKind.KNOCKOUT, number)


def _named(text: str) -> RoundName:
    letters = "".join(character for character in text.lower() if character.isalnum())
    round_of = _ROUND_OF.fullmatch(letters)
    if round_of:
        teams = int(round_of["teams"])
        return RoundName(f"round-of-{teams}", f"Round of {teams}", RoundKind.KNOCKOUT, max(200 - teams, 100))
    if letters in _NAMED:
        slug, label, order = _NAMED[letters]
        return RoundName(slug, label, RoundKind.KNOCKOUT, order)
    return RoundName(_slug(text), text, RoundKind.KNOCKOUT, 0)


def _slug(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text.lower())
    letters = "".join(character for character in plain if not unicodedata.combining(character))
    slug = "-".join(re.findall(r"\w+", letters))
    if not slug:
        raise ValueError(f"round `{text}` has no letters or digits")
    return slug


def order_rounds(played: Iterable[tuple[RoundName, datetime | None]]) -> tuple[RoundSnapshot, ...]:
    """All rounds in the order of play, from the rounds of the matches and their kick-offs.

    League and group rounds stay together and go by number, because a moved match must not move its round; knockout
    rounds stand before or after them by the median of their kick-offs.
    """
    names: dict[str, RoundName] = {}
    kick_offs: dict[str, list[datetime]] = {}
    for name, kick_off in played:
        names.setdefault(name.slug, name)
        kick_offs.setdefault(name.slug, []).extend([kick_off] if kick_off else [])
    medians = {slug: sorted(known)[len(known) // 2] for slug, known in kick_offs.items() if known}
    season_start = min((medians[n.slug] for n in names.values() if n.number and n.slug in medians), default=None)
    appearance = {slug: place for place, slug in enumerate(names)}

    def key(name: RoundName) -> tuple[bool, float, bool, int, int]:
        in_season = name.number is not None
        start = season_start if in_season else medians.get(name.slug)
        return (start is None, start.timestamp() if start else 0, not in_season, name.order, appearance[name.slug])

    return tuple(
        RoundSnapshot(slug=name.slug, label=name.label, kind=name.kind, position=position)
        for position, name in enumerate(sorted(names.values(), key=key), start=1)
    )
