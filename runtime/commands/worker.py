"""`palpite worker`."""

from runtime.process import run_process


def worker() -> None:
    """Run the worker process: executions, and the projector of boards."""
    run_process("worker", "runtime.worker:run")
