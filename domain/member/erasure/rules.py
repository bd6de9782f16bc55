"""What keeps a member from deleting the account."""

from collections.abc import Iterable

from domain.errors import Fault
from domain.member.model import Account
from domain.member.rules import LastAdmin


def faults(
    account: Account, *, confirm_nick_name: str, is_last_admin: bool, leagues_with_others: Iterable[str]
) -> list[Fault]:
    """All that is in the way; `leagues_with_others`: names of leagues that the member runs and others are in."""
    found = []
    if confirm_nick_name.strip() != account.nick_name:
        found.append(Fault("INVALID_INPUT", "This is not your nick name.", ("confirmNickName",)))
    if is_last_admin:
        found.append(Fault(LastAdmin.code, "You are the last platform admin; promote another member first."))
    for name in leagues_with_others:
        message = f"You are the founder of the league {name}: transfer it to another member, or delete it."
        found.append(Fault(LastAdmin.code, message))
    return found
