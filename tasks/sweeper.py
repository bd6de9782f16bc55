"""The sweeper: takes executions from workers that are lost, and sends again what no worker took up."""

import logging

import structlog

from domain.clock import Clock
from domain.database import Database
from domain.execution.lease import service as leases
from domain.execution.model import ExecutionState
from domain.execution.ports import ObjectStore

_log = structlog.get_logger(__name__)


async def sweep_once(database: Database, reports: ObjectStore, clock: Clock, *, resend_after: float) -> bool:
    """One pass; False, for there is no hurry. `resend_after` is in seconds."""
    for execution in await leases.take_from_lost_workers(database, reports, clock):
        _log.log(
            logging.ERROR if execution.state is ExecutionState.FAILED else logging.WARNING,
            "worker_lost",
            domain="execution",
            operation=execution.operation.value,
            executionId=str(execution.id),
            requestId=execution.request_id,
            state=execution.state.value,
            attempt=execution.attempt,
            hasReport=execution.report_key is not None,
        )
    if count := await leases.send_forgotten(database, after_seconds=resend_after):
        _log.warning("jobs_sent_again", domain="execution", count=count)
    return False
