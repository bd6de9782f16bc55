"""Rules of tournaments that need no database."""

from dataclasses import replace
from typing import Any

from domain.errors import Fault
from domain.ids import TournamentId
from domain.member.rules import is_plain
from domain.tournament.model import Tournament, TournamentChange, TournamentSource, TournamentStatus

UPDATE_TOURNAMENT = "updateTournament"
"""What the audit log calls a change of one."""
LONGEST_LABEL = 100
LONGEST_NAME = 100
"""Of a competition or season at a provider."""
LIST_ORDER = (
    TournamentStatus.ACTIVE,
    TournamentStatus.UPCOMING,
    TournamentStatus.COMPLETED,
    TournamentStatus.CANCELLED,
)
"""Lists of tournaments go by status, in this order, then by label."""
LISTED = LIST_ORDER[:-1]
"""In lists unless statuses are asked for."""


def list_position(tournament: Tournament) -> tuple[int, str, TournamentId]:
    """Where a tournament stands in lists."""
    return LIST_ORDER.index(tournament.status), tournament.label, tournament.id


def change_faults(change: TournamentChange) -> list[Fault]:
    """All that is wrong with a change, whatever it is to change."""
    faults = []
    if change.label is not None and not _is_name(change.label.strip(), LONGEST_LABEL):
        faults.append(_fault(f"A label has 1 to {LONGEST_LABEL} characters, on one line.", "label"))
    if change.source is not None:
        named = {"competition": change.source.competition, "season": change.source.season}
        faults += [
            _fault(f"This needs 1 to {LONGEST_NAME} characters, on one line.", "source", name)
            for name, value in named.items()
            if not _is_name(value, LONGEST_NAME)
        ]
    return faults


def changed_tournament(tournament: Tournament, change: TournamentChange) -> Tournament:
    """A tournament after a change."""
    source = change.source or source_of(tournament)
    return replace(
        tournament,
        label=tournament.label if change.label is None else change.label.strip(),
        status=change.status or tournament.status,
        provider=source.provider,
        competition=source.competition,
        provider_season=source.season,
        ruleset_id=change.ruleset_id or tournament.ruleset_id,
    )


def source_of(tournament: Tournament) -> TournamentSource:
    return TournamentSource(tournament.provider, tournament.competition, tournament.provider_season)


def differences(before: Tournament, after: Tournament) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a change has changed, as the audit log has it: before and after."""
    shown_before, shown_after = _shown(before), _shown(after)
    names = [name for name, value in shown_after.items() if shown_before[name] != value]
    return {name: shown_before[name] for name in names}, {name: shown_after[name] for name in names}


def _shown(tournament: Tournament) -> dict[str, Any]:
    source = source_of(tournament)
    return {
        "label": tournament.label,
        "status": tournament.status.value,
        "source": {
            "provider": source.provider.value,
            "competition": source.competition,
            "season": source.season,
        },
        "rulesetId": str(tournament.ruleset_id),
    }


def _is_name(text: str, longest: int) -> bool:
    return 1 <= len(text) <= longest and is_plain(text)


def _fault(message: str, *field: str) -> Fault:
    return Fault("INVALID_INPUT", message, field)
