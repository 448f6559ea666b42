"""OpenTelemetry's SDK raises over variables as it is imported: not before it is needed, and not as a traceback."""

from __future__ import annotations

import os
import subprocess
import sys

WITHOUT = "import sys, limelight_exporter.exporter; sys.exit('opentelemetry.sdk.trace' in sys.modules)"
ASKED = "from limelight_exporter.metrics_push import push_settings; import os; push_settings('http://c', os.environ)"


def ran(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_who_sends_nothing_does_not_import_the_sdk_of_traces() -> None:
    assert ran(WITHOUT, OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="many").returncode == 0


def test_a_variable_that_the_sdk_refuses_is_a_fault_of_the_configuration() -> None:
    said = ran(ASKED, OTEL_METRICS_EXPORTER="otlp", OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT="many").stderr
    last = said.strip().splitlines()[-1]
    assert last.startswith("limelight.errors.ConfigurationError: OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT"), said
