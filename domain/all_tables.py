"""Imports every subject's tables, so that `metadata` is whole: for migrations and tests."""

from domain.audit.tables import audit_log as audit_log
from domain.execution.tables import executions as executions
from domain.guess.tables import guesses as guesses
from domain.league.tables import leagues as leagues
from domain.match.tables import matches as matches
from domain.member.tables import members as members
from domain.outbox.tables import outbox as outbox
from domain.schedule.tables import schedules as schedules
from domain.scoring.tables import rulesets as rulesets
from domain.settlement.tables import settlements as settlements
from domain.tables import metadata as metadata
from domain.tournament.tables import tournaments as tournaments
