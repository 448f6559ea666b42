"""The live page: what is remembered (recorder), what is known of it now (facts), what is said and drawn (overview)."""

from .live import LivePage
from .recorder import Memory

__all__ = ["LivePage", "Memory"]
