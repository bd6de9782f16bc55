"""What names, addresses, passwords and time zones must be."""

import pytest

from domain.member.rules import is_time_zone, shown_user_agent, sign_up_faults

GOOD = {
    "email": "ana@example.org",
    "password": "a fine passphrase",
    "nick_name": "Ana",
    "time_zone": "America/Sao_Paulo",
}


def fields_at_fault(**change: str) -> list[str]:
    faults = sign_up_faults(**{**GOOD, **change})
    assert {fault.code for fault in faults} <= {"INVALID_INPUT"}
    return [fault.field[0] for fault in faults if fault.field is not None]


def test_a_good_account_has_no_fault() -> None:
    assert fields_at_fault() == []


def test_all_faults_come_together() -> None:
    found = fields_at_fault(email="nobody", password="short", nick_name="x", time_zone="Mars/Olympus")
    assert found == ["email", "password", "nickName", "timeZone"]


@pytest.mark.parametrize(
    "email", ["a@b.co", "x" * 64 + "@example.org", "ana+palpite@sub.example.org", "josé@exämple.org"]
)
def test_plausible_addresses(email: str) -> None:
    assert fields_at_fault(email=email) == []


@pytest.mark.parametrize(
    "email",
    [
        "",
        "ana",
        "ana@",
        "@example.org",
        "ana@example",
        "ana@.org",
        "ana@example.",
        "a b@example.org",
        "a@b@example.org",
        "ana@ex\x00ample.org",
        "x" * 65 + "@example.org",
        "a@" + "b" * 250 + ".org",
    ],
)
def test_other_addresses(email: str) -> None:
    assert fields_at_fault(email=email) == ["email"]


@pytest.mark.parametrize(
    "password",
    [
        "123456789",
        "Password123",
        "QWERTYUIOP",
        "aaaaaaaaaaaa",
        "ANA@example.org",
        "x" * 1001,
        "with\x00control",
        "\ud800" * 10,
    ],
)
def test_refused_passwords(password: str) -> None:
    assert fields_at_fault(password=password) == ["password"]


def test_a_password_is_no_copy_of_the_names() -> None:
    assert fields_at_fault(nick_name="Ana Beatriz", password="ana beatriz") == ["password"]
    assert fields_at_fault(email="anabeatriz@example.org", password="AnaBeatriz") == ["password"]


@pytest.mark.parametrize("password", ["x" * 9 + "y", "päßwörter sind gut", "x" * 999 + "y"])
def test_accepted_passwords(password: str) -> None:
    assert fields_at_fault(password=password) == []


@pytest.mark.parametrize(
    ("nick_name", "fine"), [("Jo", True), ("J", False), ("J" * 30, True), ("J" * 31, False), ("a\tb", False)]
)
def test_nick_names(nick_name: str, fine: bool) -> None:
    assert fields_at_fault(nick_name=nick_name) == ([] if fine else ["nickName"])


@pytest.mark.parametrize(
    "name", ["", "Europe", "/etc/passwd", "../zone.tab", "Mars/Olympus", "Europe/Berlin\x00", "x" * 5000]
)
def test_no_time_zones(name: str) -> None:
    assert not is_time_zone(name)


@pytest.mark.parametrize("name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires"])
def test_time_zones(name: str) -> None:
    assert is_time_zone(name)


def test_a_user_agent_is_cut_and_cleaned() -> None:
    assert shown_user_agent(None) is None
    assert shown_user_agent("\x00\n") is None
    assert shown_user_agent("Browser\x00 1" + "x" * 500) == "Browser 1" + "x" * 291
