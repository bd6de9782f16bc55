"""Owns what a process does when it is told to stop."""

import asyncio
import signal


def stop_on_signals() -> asyncio.Event:
    """An event that is set by SIGTERM and SIGINT; call it inside the event loop."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
