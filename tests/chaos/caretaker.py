"""The application of the consumer that tidies up at the end: the same queue, without any task."""

from __future__ import annotations

import os

from .plants import plant_from
from .target import chaos_queue

plant_from(os.environ)
queue = chaos_queue()
