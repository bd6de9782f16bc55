"""In which time zone a file tells its times: one for each file, by competition, never by the ground of a match."""

import re
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from domain.match.model import KickOffPrecision

# Countries that keep one time; the others (us, au, ru, ...) have to be named by an override.
COUNTRIES = {
    "ar": "America/Argentina/Buenos_Aires",
    "at": "Europe/Vienna",
    "be": "Europe/Brussels",
    "bg": "Europe/Sofia",
    "br": "America/Sao_Paulo",
    "ch": "Europe/Zurich",
    "cn": "Asia/Shanghai",
    "co": "America/Bogota",
    "cz": "Europe/Prague",
    "de": "Europe/Berlin",
    "dk": "Europe/Copenhagen",
    "en": "Europe/London",
    "es": "Europe/Madrid",
    "fi": "Europe/Helsinki",
    "fr": "Europe/Paris",
    "gr": "Europe/Athens",
    "hr": "Europe/Zagreb",
    "hu": "Europe/Budapest",
    "ie": "Europe/Dublin",
    "it": "Europe/Rome",
    "jp": "Asia/Tokyo",
    "mx": "America/Mexico_City",
    "nl": "Europe/Amsterdam",
    "no": "Europe/Oslo",
    "pe": "America/Lima",
    "pl": "Europe/Warsaw",
    "pt": "Europe/Lisbon",
    "ro": "Europe/Bucharest",
    "rs": "Europe/Belgrade",
    "sco": "Europe/London",
    "se": "Europe/Stockholm",
    "si": "Europe/Ljubljana",
    "sk": "Europe/Bratislava",
    "tr": "Europe/Istanbul",
    "ua": "Europe/Kyiv",
    "uy": "America/Montevideo",
    "wal": "Europe/London",
}

CENTRAL_EUROPE = "Europe/Paris"
# The sign is reversed in names of this kind: this is UTC-3, the whole year.
UTC_MINUS_3 = "Etc/GMT+3"

COMPETITIONS = {"copa": UTC_MINUS_3, "euro": CENTRAL_EUROPE, "uefa": CENTRAL_EUROPE}

# Every World Cup has a host of its own. Those that are missing here tell an offset with each time.
WORLD_CUPS = {"2018": "Europe/Moscow", "2022": "Asia/Qatar"}

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIME = re.compile(r"(?P<hour>\d{1,2}):(?P<minute>\d{2})(?:\s*(?P<offset>UTC\S*))?")
_OFFSET = re.compile(r"UTC(?:(?P<sign>[+-])(?P<hours>\d{1,2})(?::?(?P<minutes>\d{2}))?)?")


def zone_of(competition: str, season: str) -> ZoneInfo | None:
    """The zone of a competition's file; None when it is not known. Guessing would shift locks, so nobody guesses."""
    family = competition.partition(".")[0]
    zones = WORLD_CUPS if family == "worldcup" else COMPETITIONS | COUNTRIES
    name = zones.get(season if family == "worldcup" else family)
    return ZoneInfo(name) if name else None


def read_kick_off(
    day: str | None, clock: str | None, offset: str | None, zone: tzinfo | None
) -> tuple[datetime | None, KickOffPrecision]:
    """One instant in UTC. Without a time it is the beginning of the day; without a date there is none.

    An offset beside the time goes before the file's zone. Raises ValueError, for people.
    """
    if day is None:
        return None, KickOffPrecision.UNKNOWN
    local_day = _read_day(day)
    if clock is None:
        return _to_utc(datetime.combine(local_day, time(), tzinfo=zone or UTC)), KickOffPrecision.DATE
    local_time, own_zone = _read_time(clock, offset)
    zone = own_zone or zone
    if zone is None:
        raise ValueError("the time zone of this competition is not known, and the time has no offset")
    return _to_utc(datetime.combine(local_day, local_time, tzinfo=zone)), KickOffPrecision.EXACT


def _read_day(text: str) -> date:
    if not _DATE.fullmatch(text):
        raise ValueError(f"date `{text}` is not YYYY-MM-DD")
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"date `{text}` is not in the calendar") from error


def _read_time(text: str, offset: str | None) -> tuple[time, tzinfo | None]:
    found = _TIME.fullmatch(text.strip())
    if not found:
        raise ValueError(f"time `{text}` is not HH:MM or HH:MM UTC+N")
    try:
        clock = time(int(found["hour"]), int(found["minute"]))
    except ValueError as error:
        raise ValueError(f"time `{text}` is not on the clock") from error
    return clock, _read_offset(found["offset"] or offset)


def _read_offset(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    found = _OFFSET.fullmatch(text.strip())
    if not found:
        raise ValueError(f"offset `{text}` is not UTC+N")
    offset = timedelta(hours=int(found["hours"] or 0), minutes=int(found["minutes"] or 0))
    if offset > timedelta(hours=14):
        raise ValueError(f"offset `{text}` is nowhere on earth")
    return timezone(-offset if found["sign"] == "-" else offset)


def _to_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{moment:%Y-%m-%d} is out of range") from error
