"""Enqueue tasks and wait for their results. Run a consumer beside it: limelight consumer tasks:queue."""

from tasks import add, fetch

from limelight import TaskException

now, later = add(1, 2), add.schedule((3, 4), delay=1)
print("1 + 2 =", now.get(blocking=True, timeout=30))
print("3 + 4 =", later.get(blocking=True, timeout=30), "(a second later)")

for handle in [fetch(f"https://example.org/{page}") for page in range(3)]:
    try:
        print(handle.get(blocking=True, timeout=60))
    except TaskException as error:
        print("gave up:", error)
