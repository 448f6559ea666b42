"""What the tasks, the stage and the judge must agree on."""

from typing import Final

QUEUE_NAME: Final = "counted"
HOPELESS_RETRIES: Final = 2
