"""The page at ``/``: what this is, how it is, where to go on."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Final

CONTENT_TYPE: Final = "text/html; charset=utf-8"
POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def landing(facts: Iterable[tuple[str, str]]) -> bytes:
    """The page; names and values may hold anything."""
    rows = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in facts)
    return _PAGE.replace("{rows}", rows).encode()


_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Limelight exporter</title>
<style>
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --paper: #fff; --link: #0550ae }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa4af; --paper: #0d1117; --link: #79b8ff } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem;
  color: var(--ink); background: var(--paper) }
a { color: var(--link) }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .25rem 1.5rem }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .25rem 1.5rem }
dt { color: var(--soft) } dd { margin: 0; overflow-wrap: anywhere }
</style>
</head>
<body>
<header>
<h1>Limelight exporter</h1>
<p>Turns the events of task queues into Prometheus metrics and OpenTelemetry traces.</p>
</header>
<nav aria-label="Pages"><ul>
<li><a href="/metrics">Metrics</a></li>
<li><a href="/-/healthy">Health</a></li>
<li><a href="/-/ready">Readiness</a></li>
</ul></nav>
<main>
<h2>State</h2>
<dl>{rows}</dl>
</main>
</body>
</html>
"""
