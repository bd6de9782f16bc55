"""`palpite worker`."""

from runtime.process import run_process


def worker() -> None:
    """Run the worker process: executions, the relay of the outbox, the projector."""
    run_process("worker", "runtime.worker:run")
