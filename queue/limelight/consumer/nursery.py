"""Imported by the process that worker processes are forked from, before the application.

It has no work of its own to stop, and must outlive a SIGTERM or SIGHUP that is sent to the whole group (systemd
does that): otherwise the parent could replace no child while it drains.
"""

import signal

signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.signal(signal.SIGHUP, signal.SIG_IGN)
