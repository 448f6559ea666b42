"""The numbers from which on something is worth saying: one table for alerts, dashboards and the live page.

Durations are in seconds, shares between 0 and 1. A change here changes the generated rules and dashboards with it
(`make generate`).
"""

from __future__ import annotations

from typing import Final

FAILURE_BUDGET: Final = 0.01
"""Share of completions that may fail, for tasks that declare no objective of their own."""
FAILED_ATTEMPTS_SHARE: Final = 0.01
FEWEST_FAILED_ATTEMPTS: Final = 5
"""Below this number of failures in five minutes no share of them is worth a word."""
FEWEST_COMPLETIONS: Final = 20
"""Below this volume in its long window a burn rate says nothing."""

QUEUE_AGE_SECONDS: Final = 300
"""How old the oldest ready task may be, where no task of the queue declares how long it may wait."""
WAIT_SECONDS: Final = 30
"""A wait that dashboards draw a line at; the bound of a bucket."""
WAIT_OBJECTIVE: Final = 0.95
"""Share of waits below it."""
STALLED_SECONDS: Final = 600
"""How long a queue may hold ready tasks while nothing is finished, beyond its longest running task."""
NO_CONSUMERS_SECONDS: Final = 300
SATURATED_SHARE: Final = 0.9
RETRY_SHARE: Final = 0.3
FEWEST_RETRIED_ATTEMPTS: Final = 30
RUNNING_TOO_LONG_SECONDS: Final = 21_600
PAUSED_LONG_SECONDS: Final = 86_400
OVERDUE_SCHEDULE_SECONDS: Final = 120

PERIODIC_GRACE_SECONDS: Final = 120
"""How late a periodic task may succeed, where it declares no grace of its own."""
SCHEDULER_STALLED_SECONDS: Final = 120
CONSUMER_SILENT_SECONDS: Final = 30

EVENT_LAG_SECONDS: Final = 60
SPAN_LAG_SECONDS: Final = 300
SNAPSHOT_AGE_SECONDS: Final = 300
RETENTION_USED_SHARE: Final = 0.5
STREAM_EVENTS: Final = 500_000
STREAM_SECONDS: Final = 86_400
"""How many events a stream holds, and for how long, unless a `RedisEventEmitter` says otherwise."""
SCRAPE_SECONDS: Final = 3
CLOCK_SKEW_SECONDS: Final = 5

MOST_BAD_SHARE: Final = 0.9
"""From here on a task is down, whatever its objective: with a target of 0.9 no share is fourteen times its budget."""
LONGEST_RUN_FACTOR: Final = 2
"""A run may take so many times the longest of the last day before a backlog without progress is a stall."""
DEAD_LETTERS_KEPT_SECONDS: Final = 86_400
ERRORS_LASTING_SECONDS: Final = 900
"""Errors of a consumer itself that go on for so long are more than a bad moment."""
RUNNING_SHORT_OF_MEMORY_SHARE: Final = 0.8
OUT_OF_MEMORY_SHARE: Final = 0.95
