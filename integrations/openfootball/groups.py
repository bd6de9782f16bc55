"""Groups of a group stage: as the matches name them, completed from the groups file and from who plays whom."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from domain.match.model import KickOffPrecision
from integrations.openfootball.parse import RawGroup, RawMatch, RawTeam
from integrations.openfootball.rounds import RoundName, season_round

SMALLEST_GROUP = 3


@dataclass(frozen=True, slots=True)
class Draft:
    """A match that knows its round, teams and kick-off; its score was not looked at yet."""

    raw: RawMatch
    round: RoundName
    kick_off: datetime | None
    precision: KickOffPrecision
    group: str | None

    @property
    def teams(self) -> tuple[str, str]:
        return self.raw.team1.name, self.raw.team2.name


def complete_groups(drafts: Sequence[Draft], listed: Iterable[RawGroup]) -> list[Draft]:
    """Gives matches of a group stage their group where the file does not.

    The names of the matches win: the groups file may call a team differently, so one known team of the two is enough.
    """
    group_of = {_name(team): group.name for group in listed for team in group.teams}
    found = [_listed(draft, group_of) for draft in drafts]
    stage = [draft for draft in found if draft.round.in_group_stage]
    if any(draft.group for draft in stage):
        return found
    derived = _components(draft.teams for draft in stage)
    return [replace(d, group=derived.get(d.teams[0])) if d.round.in_group_stage else d for d in found]


def _name(team: str | RawTeam) -> str:
    return team if isinstance(team, str) else team.name


def _listed(draft: Draft, group_of: Mapping[str, str]) -> Draft:
    if draft.group or draft.round.number is None:
        return draft
    groups = {group_of[name] for name in draft.teams if name in group_of}
    return replace(draft, group=groups.pop()) if len(groups) == 1 else draft


def _components(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Group of each team, when the fixtures fall apart into groups of one size; else nobody's.

    Letters are not known, so the groups are numbered, by their first team in the alphabet.
    """
    members: dict[str, set[str]] = {}
    for home, away in pairs:
        joined = members.get(home, {home}) | members.get(away, {away})
        members.update(dict.fromkeys(joined, joined))
    groups = sorted({tuple(sorted(group)) for group in members.values()})
    sizes = {len(group) for group in groups}
    if len(groups) < 2 or len(sizes) != 1 or min(sizes) < SMALLEST_GROUP:
        return {}
    return {team: f"Group {number}" for number, group in enumerate(groups, start=1) for team in group}


def number_group_rounds(drafts: Sequence[Draft]) -> list[Draft]:
    """World Cup files number calendar days: there a round of the group stage is each team's 1st, 2nd, 3rd match."""
    grouped = [draft for draft in drafts if draft.group and draft.round.number is not None]
    if not _are_calendar_days(grouped):
        return list(drafts)
    numbers = _ordinals(grouped)
    return [_renumbered(draft, numbers) for draft in drafts]


def _renumbered(draft: Draft, numbers: Mapping[tuple[str, str], int]) -> Draft:
    if draft.group is None or draft.round.number is None:
        return draft
    return replace(draft, round=season_round(numbers[draft.teams], in_group_stage=True))


def _are_calendar_days(grouped: Sequence[Draft]) -> bool:
    """There are more than the matches that a team has, and most are one day: where groups are odd a team rests too."""
    matches_of = Counter(team for pair in {draft.teams for draft in grouped} for team in pair)
    days_of: dict[int, set[str | None]] = defaultdict(set)
    for draft in grouped:
        days_of[draft.round.number or 0].add(draft.raw.date)
    of_one_day = sum(len(days) == 1 for days in days_of.values())
    return max(days_of, default=0) > max(matches_of.values(), default=0) and 2 * of_one_day > len(days_of)


def _ordinals(grouped: Sequence[Draft]) -> dict[tuple[str, str], int]:
    """Number of each pairing. A pairing that is listed twice counts once: the second listing is refused later."""
    numbers: dict[tuple[str, str], int] = {}
    played: Counter[str] = Counter()
    for draft in sorted(grouped, key=_order_of_play):
        if draft.teams not in numbers:
            played.update(draft.teams)
            numbers[draft.teams] = max(played[team] for team in draft.teams)
    return numbers


def _order_of_play(draft: Draft) -> tuple[bool, float, int]:
    kick_off = draft.kick_off
    return kick_off is None, kick_off.timestamp() if kick_off else 0, draft.raw.index
