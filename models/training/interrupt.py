"""Ctrl-C during training, or a polite request to end: a block of steps ends first."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

POLITE = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interrupt_later(wanted: bool) -> Iterator[threading.Event]:
    """Set the event at the first Ctrl-C, SIGTERM or SIGHUP, so that a block ends first; a second
    one does what it did before."""
    event = threading.Event()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield event
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in POLITE}
    if before[signal.SIGINT] is signal.SIG_IGN:  # somebody else answers for this process
        yield event
        return

    def note(signum: int, frame: Any) -> None:
        event.set()
        signal.signal(signum, before[signum])

    for number, handler in before.items():
        if handler is not signal.SIG_IGN:  # as of a run under nohup
            signal.signal(number, note)
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
