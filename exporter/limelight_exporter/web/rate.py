"""A token bucket, as the exporter-toolkit's ``rate_limit``."""

from __future__ import annotations


class TokenBucket:
    """Holds back requests that come faster than the rules allow."""

    def __init__(self) -> None:
        self._tokens, self._filled_at = 0.0, float("-inf")

    def admits(self, interval_seconds: float, burst: int, now: float) -> bool:
        """Take one token; False if there is none.

        Args:
            interval_seconds: A token comes this often; 0 for no limit.
            burst: As many may lie in the bucket.
            now: Monotonic seconds.
        """
        if not interval_seconds:
            return True
        self._tokens = min(float(burst), self._tokens + (now - self._filled_at) / interval_seconds)
        self._filled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
