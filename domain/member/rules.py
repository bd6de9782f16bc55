"""Rules of accounts: what a name, an address, a password and a time zone must be."""

import re
import unicodedata
from zoneinfo import ZoneInfo

from domain.errors import DomainError, Fault

SHORTEST_NICK_NAME = 2
LONGEST_NICK_NAME = 30
LONGEST_EMAIL = 254
SHORTEST_PASSWORD = 10
LONGEST_PASSWORD = 1000
LONGEST_USER_AGENT = 300

# Plausible, not proven: a mail sent to it proves an address.
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@.]+(\.[^\s@.]+)+")

# Controls, lone surrogates, line and paragraph separators: invisible, or not to be stored at all.
_HIDDEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
# Marks that turn the direction of what stands after them, also beyond the name itself.
_TURNING = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))

# The most common leaked passwords of the length that is accepted at all, in lower case.
_LEAKED = frozenset(
    # One word a line would be a page.
    """
    1234567890 0123456789 1q2w3e4r5t 1q2w3e4r5t6y qwertyuiop qwerty12345 qwerty123456 1qaz2wsx3edc zaq12wsxcde3
    12345678910 123456789a a123456789 a1234567890 123123123123 1234512345 1111111111 0000000000 9876543210 0987654321
    1122334455 123456789q q123456789 asdfghjkl1 asdfghjkl; zxcvbnm123 password10 password12 password123 password1234
    password12345 passw0rd123 p@ssword123 p@ssw0rd123 mypassword iloveyou123 iloveyou12 ilovefootball football123
    football1234 liverpool1 liverpool123 barcelona1 manchester manchester1 manchesterunited realmadrid1 welcome123
    welcome1234 letmein123 administrator admin12345 admin123456 changeme123 superman123 abcdefghij abcdefghijk
    abcd123456 abc1234567 qwertyuiop123 1q2w3e4r5t6y7u8i unknown123 sunshine123 princess123 palpite123 palpitepalpite
    """.split()  # noqa: SIM905
)


class LastAdmin(DomainError):
    """Somebody must run the platform."""

    code = "LAST_ADMIN"


class InvalidCredentials(DomainError):
    """Told alike for an unknown address and for a wrong password."""

    code = "INVALID_CREDENTIALS"


def is_plain(text: str, *, lines: bool = False) -> bool:
    """Whether a text shows all that it holds: no controls, no turned direction; line breaks only with `lines`."""
    return not any(
        (unicodedata.category(character) in _HIDDEN or character in _TURNING) and not (lines and character in "\n\r\t")
        for character in text
    )


def sign_up_faults(*, email: str, password: str, nick_name: str, time_zone: str) -> list[Fault]:
    """All that is wrong with a new account, whose address and name are stripped already."""
    faults = email_faults(email)
    faults += password_faults(password, email=email, nick_name=nick_name)
    faults += nick_name_faults(nick_name)
    faults += time_zone_faults(time_zone)
    return faults


def email_faults(email: str) -> list[Fault]:
    if len(email) > LONGEST_EMAIL:
        return [_fault("email", f"An e-mail address has at most {LONGEST_EMAIL} characters.")]
    if _EMAIL.fullmatch(email) is None or not is_plain(email):
        return [_fault("email", "This is not a valid e-mail address.")]
    return []


def password_faults(password: str, *, email: str, nick_name: str) -> list[Fault]:
    if not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        return [_fault("password", f"A password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters.")]
    if not is_plain(password):
        return [_fault("password", "A password must not have control characters.")]
    folded = password.lower()
    if folded in _LEAKED or len(set(folded)) == 1:
        return [_fault("password", "This password is known from leaks: choose another.")]
    if folded in (email.lower(), email.lower().partition("@")[0], nick_name.lower()):
        return [_fault("password", "The password must differ from your e-mail address and your nick name.")]
    return []


def nick_name_faults(nick_name: str) -> list[Fault]:
    if not SHORTEST_NICK_NAME <= len(nick_name) <= LONGEST_NICK_NAME:
        return [_fault("nickName", f"A nick name has {SHORTEST_NICK_NAME} to {LONGEST_NICK_NAME} characters.")]
    if not is_plain(nick_name):
        return [_fault("nickName", "A nick name must not have control characters.")]
    return []


def time_zone_faults(time_zone: str) -> list[Fault]:
    return (
        []
        if is_time_zone(time_zone)
        else [_fault("timeZone", "This is not an IANA time zone such as `Europe/Lisbon`.")]
    )


def is_time_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    # Unknown, malformed, a folder of zones, or a path out of the zones' folder.
    except (KeyError, ValueError, OSError):
        return False
    return True


def shown_user_agent(user_agent: str | None) -> str | None:
    """A client's name of itself, as it may be stored and shown."""
    if user_agent is None:
        return None
    return "".join(filter(str.isprintable, user_agent)).strip()[:LONGEST_USER_AGENT] or None


def email_in_use() -> Fault:
    return Fault("EMAIL_IN_USE", "Another account has this e-mail address.", ("email",))


def _fault(field: str, message: str) -> Fault:
    return Fault("INVALID_INPUT", message, (field,))
