"""Imports every subject's tables, so that `metadata` is whole: for migrations and tests."""

import domain.audit.tables
import domain.execution.dead_letter.tables
import domain.execution.status.tables
import domain.execution.tables
import domain.guess.tables
import domain.ingestion.breaker.tables
import domain.ingestion.finality.tables
import domain.ingestion.health.tables
import domain.ingestion.quarantine.tables
import domain.league.tables
import domain.match.tables
import domain.member.tables
import domain.outbox.tables
import domain.schedule.tables
import domain.scoring.tables
import domain.settlement.result.tables
import domain.settlement.tables
import domain.tournament.tables  # noqa: F401
from domain.tables import metadata

__all__ = ["metadata"]
