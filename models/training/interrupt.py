"""Ctrl-C during training: a block of steps ends first."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def interrupt_later(wanted: bool) -> Iterator[threading.Event]:
    """Set the event at the first Ctrl-C, so that a block ends first; the second one interrupts."""
    event = threading.Event()
    if not wanted or threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:  # somebody else answers Ctrl-C for this process
        yield event
        return

    def note(signum: int, frame: Any) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
