"""The examples run as they stand."""

import signal
import subprocess
import sys
from pathlib import Path

import redis
from processes import Limelight, environment
from servers import wait_until

EXAMPLES = Path(__file__).parents[2] / "examples"


def test_the_examples_run_as_they_stand(redis_url: str) -> None:
    env = {"LIMELIGHT_REDIS_URL": redis_url}
    listener = subprocess.Popen(
        [sys.executable, "listen.py"], cwd=EXAMPLES, env=environment(env), text=True, stdout=subprocess.PIPE
    )
    with redis.Redis.from_url(redis_url) as client:
        channel = "limelight:{examples}:channel:0"
        wait_until(lambda: dict(client.pubsub_numsub(channel))[channel.encode()] == 1)
    with Limelight("consumer", "tasks:queue", "-w", "4", cwd=EXAMPLES, env=env) as consumer:
        produced = subprocess.run(
            [sys.executable, "produce.py"],
            cwd=EXAMPLES,
            env=environment(env),
            text=True,
            capture_output=True,
            timeout=90,
            check=False,
        )
        consumer.stop()
    listener.send_signal(signal.SIGINT)
    heard, _ = listener.communicate(timeout=10)
    assert produced.returncode == 0, produced.stderr
    lines = produced.stdout.splitlines()
    assert lines[:2] == ["1 + 2 = 3", "3 + 4 = 7 (a second later)"]
    assert all(line.startswith(("fetched https://example.org/", "gave up: ")) for line in lines[2:])
    assert len(lines) == 5
    assert "  result: 3" in heard.splitlines()
    assert "scheduled add" in heard
