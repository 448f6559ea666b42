"""What tasks note while they run: none is lost, whatever runs them."""

import os
import subprocess
import sys
from pathlib import Path

import queues
from queues.notes import FOLDER_VARIABLE, Reader

CODE = """
import os, threading, time
from queues.notes import note_begin, note_span
note_begin()
threads = [threading.Thread(target=lambda: [note_begin() for _ in range(500)]) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
if not os.fork():
    [note_begin() for _ in range(10)]
    note_span(7, 0.0)
    os._exit(0)
os.wait()
"""


def noted_in(folder: Path) -> None:
    bench = str(Path(next(iter(queues.__path__))).parent)
    environment = {**os.environ, FOLDER_VARIABLE: str(folder), "PYTHONPATH": bench}
    subprocess.run([sys.executable, "-c", CODE], env=environment, check=True)


def test_tasks_of_many_threads_and_of_forks_are_all_counted(tmp_path: Path) -> None:
    noted_in(tmp_path)
    reader = Reader(tmp_path)
    assert reader.count() == 1 + 8 * 500 + 10
    assert reader.times() == sorted(reader.times())


def test_a_span_tells_when_it_began_and_ended_which_task_it_was_and_who_ran_it(tmp_path: Path) -> None:
    noted_in(tmp_path)
    ((began, ended, index, worker),) = Reader(tmp_path, "spans").records()
    assert 0 < began <= ended
    assert index == 7
    assert worker > 0
