"""Ctrl-C and SIGTERM: the first asks the loop to settle what runs, the second ends it at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, Protocol, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class AskStop(Protocol):
    """`Controller.ask_stop`."""

    def __call__(self, reason: str, *, at_once: bool = False, finish: bool = False) -> None:
        """Ask the loop to end."""
        ...


class Interruption:
    """Installs signal handlers while it is entered; does nothing outside the main thread.

    Before the loop turns, an interruption is a `KeyboardInterrupt`; while it turns, a question.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._ask: AskStop | None = None
        self._count = 0
        self._closing = False
        self._previous: dict[int, Any] = {}

    def tell(self, ask: AskStop) -> None:
        """From now on, ask the loop."""
        self._ask = ask

    @property
    def asked(self) -> bool:
        """Whether a person has asked to stop."""
        return self._count > 0

    def ending(self) -> None:
        """The loop has ended: closing is not interrupted again, except by persistence."""
        self._closing = True
        self._count = 0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - protocol
        self._count += 1
        if self._closing:
            if self._count > 2:
                raise KeyboardInterrupt
            return
        if self._ask is None or self._count > 1:
            raise KeyboardInterrupt
        name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
        self._ask(f"stopped by {name}")
        # Not here: the signal may have come in the middle of a write to the same terminal.
        message = f"{name}: letting running work settle; once more to stop at once"
        threading.Thread(target=self._say, args=(message,), daemon=True).start()
