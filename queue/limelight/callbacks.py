"""What a queue lets its users hang their own functions on: hooks, which take part in runs, and signals, which tell."""

from __future__ import annotations

from collections.abc import Callable

from .hooks import OfWorker, PostExecute, PreExecute, QueueHooks
from .signals import Handler, Signals, checked_signals


class Callbacks:
    """The part of a queue that registers the user's functions.

    Attributes:
        hooks: What is called around runs, and at the start and end of workers.
        signals: Who wants to hear what happens.
    """

    def __init__(self) -> None:
        self.hooks = QueueHooks()
        self.signals = Signals()

    def pre_execute(self, name: str | None = None) -> Callable[[PreExecute], PreExecute]:
        """Decorates a function that is called with each task before it runs; `CancelExecution` cancels the run.

        Whatever else it raises is logged and stops nothing. Of two hooks with one name (by default the function's)
        the second takes the first one's place; that holds for all four kinds.
        """
        return self.hooks.pre_execute.register(name)

    def post_execute(self, name: str | None = None) -> Callable[[PostExecute], PostExecute]:
        """Decorates a function that is called after each run with its task, its value, and its exception or None.

        The run is not settled yet, and its result not stored: a worker that dies here runs the task again.
        """
        return self.hooks.post_execute.register(name)

    def on_startup(self, name: str | None = None) -> Callable[[OfWorker], OfWorker]:
        """Decorates a function that each worker calls once before its first task."""
        return self.hooks.on_startup.register(name)

    def on_shutdown(self, name: str | None = None) -> Callable[[OfWorker], OfWorker]:
        """Decorates a function that each worker calls once after its last task."""
        return self.hooks.on_shutdown.register(name)

    def unregister_pre_execute(self, name: str | PreExecute) -> bool:
        """Forget a hook, by its name or as the function; False if there was none. Likewise the next three."""
        return self.hooks.pre_execute.unregister(name)

    def unregister_post_execute(self, name: str | PostExecute) -> bool:
        """Forget a hook after runs."""
        return self.hooks.post_execute.unregister(name)

    def unregister_on_startup(self, name: str | OfWorker) -> bool:
        """Forget a hook at the start of workers."""
        return self.hooks.on_startup.unregister(name)

    def unregister_on_shutdown(self, name: str | OfWorker) -> bool:
        """Forget a hook at the end of workers."""
        return self.hooks.on_shutdown.unregister(name)

    def signal(self, *signals: str) -> Callable[[Handler], Handler]:
        """Decorates a handler of these signals (``SIGNAL_…`` of `limelight.signals`), or of all if none is named.

        It is called as ``handler(signal, task)``, for `SIGNAL_ERROR` as ``handler(signal, task, exception)``, in the
        process where it happens. What it raises is logged and stops nothing.
        """
        wanted = checked_signals(signals)

        def connect(handler: Handler) -> Handler:
            self.signals.connect(handler, *wanted)
            return handler

        return connect

    def disconnect_signal(self, receiver: Handler, *signals: str) -> None:
        """Call a handler no more for these signals, or for none at all if none is named."""
        self.signals.disconnect(receiver, *signals)
