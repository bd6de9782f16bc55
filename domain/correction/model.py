"""Corrections: the public log of results that changed after they had been settled, and refusals of what is stale."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from domain.errors import DomainError
from domain.ids import MatchId
from domain.settlement.model import Settlement
from domain.settlement.rules import AcceptedResult


class CorrectionSource(StrEnum):
    PROVIDER = "PROVIDER"
    ADMIN = "ADMIN"


class StalePreview(DomainError):
    """What a dry run showed is not what would happen now, or there was no dry run."""

    code = "STALE_PREVIEW"


@dataclass(frozen=True, slots=True)
class Correction:
    """One entry of the log: the revision `after` came in place of a settled one."""

    match_id: MatchId
    before: AcceptedResult
    after: AcceptedResult
    source: CorrectionSource
    reason: str
    corrected_at: datetime
    settlement: Settlement | None
    """None until it is paid."""
