"""Who plays in the demo: always the same people, so that a second start finds them. Pure."""

from dataclasses import dataclass
from itertools import islice, product

MEMBERS = 200
FEWEST, MOST = 10, 236
PASSWORD = "palpite-demo"  # noqa: S105 -- of demo accounts, printed on the terminal
DOMAIN = "demo.palpite.example"
LEAGUES = ("Office", "Family", "Sunday Five-a-side", "Old School", "Neighbours")
PLAYER, ADMIN = "ana", "admin"

_FIRST = (
    *("Bea", "Caio", "Davi", "Elisa", "Fabio", "Gabi", "Hugo", "Ines", "Joana", "Kaua", "Lara", "Mateus", "Nina"),
    *("Otto", "Paula", "Rafa", "Sofia", "Tiago", "Ursula", "Vitor", "Wanda", "Xavi", "Yara", "Ze", "Amir", "Birgit"),
    *("Chidi", "Dana", "Emeka", "Freya", "Goran", "Hana", "Ivo", "Jun", "Kofi", "Lena", "Milo", "Noor", "Oskar"),
)
_LAST = ["Alves", "Brandt", "Costa", "Diaz", "Eto", "Fonseca"]


@dataclass(frozen=True, slots=True)
class Person:
    nick_name: str
    email: str
    league: int
    """Place of the person's league in LEAGUES."""


def people(number: int) -> list[Person]:
    """So many; the player and the admin first: both are in the first league, the others spread over all."""
    names = [PLAYER, ADMIN, *(f"{first} {last}" for last, first in product(_LAST, _FIRST))]
    return [
        Person(name, f"{name.lower().replace(' ', '.')}@{DOMAIN}", 0 if place < 2 else place % len(LEAGUES))
        for place, name in enumerate(islice(names, number))
    ]
