"""Who is measured: each contender is one way to run one queue."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

OURS: Final = "limelight"
LIMIT: Final = "redis_py"
"""No queue, but what any of them stands on."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One consumer of one queue.

    Attributes:
        peer: The adapter's name, and the environment's.
        kind: What it runs tasks in.
        workers: How many tasks it runs at once.
        events: Whether it tells of what happens; None where it has no events.
        main: Whether it stands for its queue where only one of each is measured.
        share: Part of the usual number of tasks, for slow ones.
        drained: Whether it takes part in drains; what looks for work so seldom that nothing else would be
            measured does so only in a tuned form.
    """

    peer: str
    kind: str
    workers: int
    events: bool | None = None
    main: bool = False
    share: float = 1.0
    drained: bool = True

    @property
    def ours(self) -> bool:
        """Whether it is Limelight."""
        return self.peer == OURS

    @property
    def limit(self) -> bool:
        """Whether it is no queue at all."""
        return self.peer == LIMIT

    @property
    def is_peer(self) -> bool:
        """Whether it is somebody else's queue."""
        return not self.ours and not self.limit

    @property
    def single_process(self) -> bool:
        """Whether all tasks run in one process."""
        return self.kind not in {"process", "prefork"} or self.workers == 1

    @property
    def label(self) -> str:
        """Its name in tables."""
        one, many = _NOUNS.get(self.kind, (self.kind, self.kind))
        how = f"{self.workers} {one if self.workers == 1 else many}" if one != many else one
        told = {None: "", True: ", events on", False: ", events off"}[self.events]
        return f"{self.peer}, {how}{told}"


_NOUNS: Final = {
    "thread": ("thread", "threads"),
    "process": ("process", "processes"),
    "async": ("coroutine", "coroutines"),
    "tuned": ("tuned coroutine", "tuned coroutines"),
    "prefork": ("child", "children"),
}

THREADS: Final = Contender(OURS, "thread", 8, events=True, main=True)
ONE_THREAD: Final = Contender(OURS, "thread", 1, events=True)
THREADS_UNTOLD: Final = Contender(OURS, "thread", 8, events=False)
PROCESSES: Final = Contender(OURS, "process", 8, events=True)
HUEY: Final = Contender("huey", "thread", 8, main=True, share=0.5)
HUEY_ONE_THREAD: Final = Contender("huey", "thread", 1, share=0.5)
HUEY_PROCESSES: Final = Contender("huey", "process", 8)

ALL: Final = (
    THREADS,
    ONE_THREAD,
    THREADS_UNTOLD,
    Contender(OURS, "async", 8, events=True),
    PROCESSES,
    HUEY,
    HUEY_ONE_THREAD,
    HUEY_PROCESSES,
    Contender("taskiq", "async", 8, main=True, share=0.5),
    Contender("taskiq", "async", 100, share=0.5),
    Contender("docket", "async", 8, main=True, drained=False),
    Contender("docket", "tuned", 8, share=0.5),
    Contender("dramatiq", "thread", 8, main=True, share=0.5),
    Contender("saq", "async", 8, main=True, share=0.4),
    Contender("arq", "async", 8, main=True, drained=False),
    Contender("arq", "tuned", 8, share=0.4),
    Contender("rq", "SimpleWorker", 1, main=True, share=0.1),
    Contender("celery", "solo", 1, events=False, share=0.15),
    Contender("celery", "threads", 8, events=False, share=0.15),
    Contender("celery", "threads", 8, events=True, share=0.15),
    Contender("celery", "prefork", 8, events=False, main=True, share=0.15),
    Contender("celery", "prefork", 8, events=True, share=0.15),
    Contender(LIMIT, "XADD of 545 bytes (limit)", 1, main=True, drained=False),
)

PEERS: Final = tuple(dict.fromkeys(one.peer for one in ALL if one.is_peer))


def chosen(peers: Iterable[str]) -> Sequence[Contender]:
    """Ours, the limit, and those of the peers named."""
    wanted = {OURS, LIMIT, *peers}
    return [one for one in ALL if one.peer in wanted]
