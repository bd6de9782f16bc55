"""The gate of a provider, and the readings that it compares."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Gate:
    """How plausible and how stable a result must be. A provider whose data are final by nature has none."""

    shortest_play: timedelta = timedelta(minutes=85)
    """A match that is over sooner after its beginning is not believed."""
    grace: timedelta = timedelta(seconds=60)
    """Two readings that say the same must be this far apart."""


@dataclass(frozen=True, slots=True)
class HeldReading:
    """What a provider says of a result that is not believed yet."""

    content: str
    """Hash of the result: status, kind and parts."""
    first_read_at: datetime
    """When it was first said, without anything else being said since."""
