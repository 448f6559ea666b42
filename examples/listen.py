"""Print what happens on the queue until Ctrl-C."""

import contextlib

from tasks import queue

from limelight.consumer import EVENT_FINISHED

with contextlib.suppress(KeyboardInterrupt):
    for event in queue.storage:
        print(event["status"], event["task"], event["id"])
        if event["status"] == EVENT_FINISHED:
            print("  result:", queue.result(event["id"]))
