"""A shop whose tasks are in traces: its web process enqueues, its workers run; each has an SDK of its own.

Run as a program it is the web process: it enqueues within a span of its own, and prints the task's id. All append their
own spans to the file that TRUTH_FILE names, one JSON object per line.
"""

import asyncio
import json
import os

from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

from limelight import RedisQueue, current_task


class ToFile(SpanExporter):
    """Notes each span that has ended."""

    def export(self, spans):  # type: ignore[no-untyped-def]
        """Append them."""
        with open(os.environ["TRUTH_FILE"], "a") as file:  # noqa: PTH123
            for span in spans:
                file.write(json.dumps(noted(span)) + "\n")
        return SpanExportResult.SUCCESS


def noted(span: ReadableSpan) -> dict[str, str]:
    """Name and ids of a span."""
    context, parent = span.get_span_context(), span.parent
    assert context
    return {
        "name": span.name,
        "trace_id": f"{context.trace_id:032x}",
        "span_id": f"{context.span_id:016x}",
        "parent_span_id": f"{parent.span_id:016x}" if parent else "",
    }


provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ToFile()))
tracer = provider.get_tracer("shop")
queue = RedisQueue("shop")


@queue.task(retries=1)
def checkout(order_id: int) -> str:
    """Fail at first; then enqueue the receipt, within a span of its own."""
    task = current_task()
    assert task is not None
    with tracer.start_as_current_span(f"pay {order_id}"):
        if task.retries:
            raise ConnectionError("the bank does not answer")
        return send_receipt(order_id).id


@queue.task()
async def send_receipt(order_id: int) -> None:
    """Wait, within a span of its own."""
    with tracer.start_as_current_span("render"):
        await asyncio.sleep(0.001)
    trace.get_current_span().set_attribute("shop.order_id", order_id)


if __name__ == "__main__":
    with tracer.start_as_current_span("POST /checkout"):
        print(checkout(7).id, flush=True)
