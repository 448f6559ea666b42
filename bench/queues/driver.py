"""A contender's producer: answers the bench's calls, one line of JSON each, in the contender's environment.

`python -m queues.driver huey` reads ``["fill", {"count": 100}]`` and answers ``{"answer": null}``, or
``{"not_there": "…"}``, or ``{"fault": "…"}``.
"""

import importlib
import json
import os
import sys
import traceback
from typing import Any

from queues.adapter import Adapter, NotThere


def adapter(name: str) -> Adapter:
    """The adapter of a contender."""
    made: Adapter = importlib.import_module(f"queues.peers.{name}").Contender()
    return made


def answer(contender: Adapter, line: str) -> dict[str, Any]:
    """What comes of one call."""
    method, arguments = json.loads(line)
    try:
        return {"answer": getattr(contender, method)(**arguments)}
    except NotThere as error:
        return {"not_there": str(error) or f"no {method}"}
    except Exception:
        return {"fault": traceback.format_exc()}


def main() -> None:
    """Answer until the input ends. What libraries print goes to stderr, never between the answers."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    contender = adapter(sys.argv[1])
    contender.open()
    print(json.dumps({"answer": None}), file=answers)  # ready
    for line in sys.stdin:
        print(json.dumps(answer(contender, line)), file=answers)


if __name__ == "__main__":
    main()
