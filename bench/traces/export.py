"""From a real stream to a collector: spans per second of one core, in CPU time, for this machine is shared.

Everything between is measured: reading the stream, decoding events, building, encoding and sending spans, saving the
cursor. And what an exporter's memory grows by while the collector is away and the stream is full.

  python bench/traces/export.py
"""

import logging
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import redis

from limelight import RedisQueue, events
from limelight.consumer import Consumer
from limelight.embedded import EmbeddedRedis
from limelight.events import Event
from limelight.packed_event import as_json
from limelight.storage.links import Links
from limelight_exporter.ops import SpanRecord
from limelight_exporter.otlp import sink_from
from limelight_exporter.ports import Delivery, SpanSink
from limelight_exporter.tally import OwnTally
from limelight_exporter.trace_pipeline import NotTaken, QueueTraces

sys.path.insert(0, str(Path(__file__).parents[1]))


TASKS = 500
COPIES = 40
FAILING = 10
"""One task in so many fails, with a traceback."""
ATTEMPTS_IN_VAIN = 200


def measure() -> dict[str, float]:
    """One round, over real events of real tasks, repeated on a stream."""
    with EmbeddedRedis() as server, receiver() as endpoint:
        queue = RedisQueue("bench", url=server.url)
        fill(queue)
        return {
            "spans per CPU s": rate(queue, endpoint),
            "memory that a collector away for long costs, MB": memory(queue),
        }


def sink_to(endpoint: str, tally: OwnTally) -> SpanSink:
    """The exporter's own."""
    sink = sink_from(endpoint, {}, tally)
    assert sink is not None
    return sink


def rate(queue: RedisQueue, endpoint: str) -> float:
    """Spans per second of CPU, the kernel's part included."""
    tally, counted = OwnTally(), Counted()
    counted.sink = sink_to(endpoint, tally)
    traces = QueueTraces(Links(queue.storage.address), queue.name, "measured", counted, tally)
    began = time.process_time()
    while traces.step():
        pass
    seconds = time.process_time() - began
    counted.close()
    return counted.spans / seconds


class Counted:
    """A sink that counts what passes."""

    sink: SpanSink

    def __init__(self) -> None:
        self.spans = 0

    def export(self, spans: Sequence[SpanRecord]) -> Delivery:
        """Pass it on."""
        self.spans += len(spans)
        return self.sink.export(spans)

    def close(self) -> None:
        """End it."""
        self.sink.close()


def memory(queue: RedisQueue) -> float:
    """What the resident memory grows by over many attempts in vain, MB."""
    tally = OwnTally()
    sink = sink_to("http://127.0.0.1:9", tally)  # nobody listens there
    traces = QueueTraces(Links(queue.storage.address), queue.name, "in-vain", sink, tally)
    attempt(traces, 10)
    before = resident()
    attempt(traces, ATTEMPTS_IN_VAIN)
    sink.close()
    return (resident() - before) / 1e6


def attempt(traces: QueueTraces, times: int) -> None:
    """Try to export, in vain."""
    for _ in range(times):
        try:
            traces.step()
        except NotTaken:
            continue
        raise AssertionError("somebody took it")


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


@contextmanager
def receiver() -> Iterator[str]:
    """A collector in a process of its own; its base URL."""
    words = [sys.executable, str(Path(__file__).parent / "receiver.py")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def fill(queue: RedisQueue) -> None:
    """Run tasks, then repeat their events on the stream with running numbers."""
    logging.getLogger("limelight").setLevel(logging.CRITICAL)  # some of them fail, as they should

    def work(number: int) -> None:
        if number % FAILING == 0:
            raise ValueError(f"no {number}")

    task = queue.task(name="work", retries=0)(work)
    for number in range(TASKS):
        task(number)
    client, ended = queue.storage.address.client(), 0
    consumer = Consumer(queue, workers=4)
    consumer.start()
    while ended < TASKS:
        time.sleep(0.05)
        told = [
            events.decode(as_json(queue.name, fields))
            for _, fields in client.xrange(queue.keys["events"]) or ()
            if fields
        ]
        ended = sum(event.end is not None for event in told)
    consumer.stop()
    repeat(client, queue, [event for event in told if event.id is not None])


def repeat(client: redis.Redis, queue: RedisQueue, told: Sequence[Event]) -> None:
    """The same events over and over, so that the stream is long."""
    seq = int(client.hget(queue.keys["meta"], "seq") or 0)
    pipeline = client.pipeline(transaction=False)
    for _ in range(COPIES):
        for event in told:
            seq += 1
            raw = msgspec.json.encode(msgspec.structs.replace(event, seq=seq))
            pipeline.xadd(queue.keys["events"], {"e": raw})
        pipeline.execute()
    client.hset(queue.keys["meta"], "seq", seq)


if __name__ == "__main__":
    for name, value in measure().items():
        sys.stdout.write(f"{name:<55}{value:>12,.2f}\n")
