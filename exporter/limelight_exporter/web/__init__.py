"""The web side: who is served (rules, login, rate), what (app, desk, live_routes), and how (server, protocol, tls)."""

from .app import LONGEST_SCRAPE_SECONDS, WebApp, scrape_seconds
from .live_routes import LiveRoutes
from .rules import Rules, read_rules
from .rules_file import RulesFile
from .server import WebServer

__all__ = [
    "LONGEST_SCRAPE_SECONDS",
    "LiveRoutes",
    "Rules",
    "RulesFile",
    "WebApp",
    "WebServer",
    "read_rules",
    "scrape_seconds",
]
