"""Bounds of leagues and invites, codes, and what members may do."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from domain.ids import LeagueId, MemberId, TournamentId
from domain.league.model import League, LeaguePermission, LeagueRole, LeagueTournamentStatus
from domain.league.rules import (
    CODE_LETTERS,
    LeagueLimits,
    invite_faults,
    league_faults,
    link_status,
    new_code,
    permissions,
    same_code,
)
from domain.tournament.model import TournamentStatus

FOUNDER = MemberId(UUID(int=1))
OTHER = MemberId(UUID(int=2))
LIMITS = LeagueLimits(tournaments=2)


def league(role: LeagueRole) -> League:
    return League(LeagueId(UUID(int=3)), "Friends", None, FOUNDER, 0, datetime(2026, 11, 24, tzinfo=UTC), role)


RUNS = [
    LeaguePermission.EDIT,
    LeaguePermission.INVITE,
    LeaguePermission.MANAGE_MEMBERS,
    LeaguePermission.MANAGE_TOURNAMENTS,
]


@pytest.mark.parametrize(
    ("role", "viewer", "expected"),
    [
        (LeagueRole.ADMIN, FOUNDER, [*RUNS, LeaguePermission.TRANSFER, LeaguePermission.DELETE]),
        (LeagueRole.ADMIN, OTHER, [*RUNS, LeaguePermission.LEAVE]),
        (LeagueRole.MEMBER, OTHER, [LeaguePermission.LEAVE]),
        (LeagueRole.VIEWER, OTHER, [LeaguePermission.LEAVE]),
    ],
)
def test_permissions_by_role(role: LeagueRole, viewer: MemberId, expected: list[LeaguePermission]) -> None:
    assert permissions(league(role), viewer) == expected


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (TournamentStatus.UPCOMING, LeagueTournamentStatus.UPCOMING),
        (TournamentStatus.ACTIVE, LeagueTournamentStatus.ACTIVE),
        (TournamentStatus.COMPLETED, LeagueTournamentStatus.COMPLETED),
        (TournamentStatus.CANCELLED, LeagueTournamentStatus.ACTIVE),
    ],
)
def test_a_tournament_begins_in_a_league_as_it_stands(
    status: TournamentStatus, expected: LeagueTournamentStatus
) -> None:
    assert link_status(status) is expected


@pytest.mark.parametrize(
    ("name", "description", "tournaments", "faults"),
    [
        ("abc", None, 0, []),
        ("ü" * 60, "d" * 500, 2, []),
        ("Família 👨\u200d👩\u200d👧", "two\nlines", 1, []),
        ("ab", None, 0, [("INVALID_INPUT", "name")]),
        (
            "x" * 61,
            "d" * 501,
            3,
            [("INVALID_INPUT", "name"), ("INVALID_INPUT", "description"), ("LIMIT_REACHED", "tournamentIds")],
        ),
        ("two\nlines", None, 0, [("INVALID_INPUT", "name")]),
        ("turned \u202e", None, 0, [("INVALID_INPUT", "name")]),
        ("abc", "nothing\x00", 0, [("INVALID_INPUT", "description")]),
    ],
)
def test_bounds_of_a_league(
    name: str, description: str | None, tournaments: int, faults: list[tuple[str, str]]
) -> None:
    ids = [TournamentId(UUID(int=n)) for n in range(tournaments)]
    found = league_faults(name, description, ids, LIMITS)
    assert [(fault.code, fault.field) for fault in found] == [(code, (field,)) for code, field in faults]


@pytest.mark.parametrize(
    ("role", "max_uses", "expired", "fields"),
    [
        (LeagueRole.MEMBER, None, False, []),
        (LeagueRole.VIEWER, 1, False, []),
        (LeagueRole.MEMBER, 1000, False, []),
        (LeagueRole.ADMIN, 0, True, ["role", "expiresAt", "maxUses"]),
        (LeagueRole.MEMBER, 1001, False, ["maxUses"]),
    ],
)
def test_bounds_of_an_invite(role: LeagueRole, max_uses: int | None, expired: bool, fields: list[str]) -> None:
    assert [fault.field for fault in invite_faults(role, max_uses, expired=expired)] == [(field,) for field in fields]


def test_codes_are_long_and_leave_out_what_is_misread() -> None:
    codes = {new_code() for _ in range(200)}
    assert len(codes) == 200
    assert {len(code) for code in codes} == {12}
    assert set("".join(codes)) <= set(CODE_LETTERS)
    assert not set(CODE_LETTERS) & set("ILO01")
    assert new_code(lambda letters: letters[0]) == "AAAAAAAAAAAA"


def test_a_code_may_be_typed_in_any_case() -> None:
    assert same_code("  abcDEF234567\n") == "ABCDEF234567"
