"""``python -m alerting``: write the rule files and their tests; ``--help`` says what a site may set."""

from __future__ import annotations

import argparse
from pathlib import Path

from .cases.document import test_files
from .document import files
from .settings import Settings

HERE = Path(__file__).parents[1]


def content(settings: Settings) -> dict[str, str]:
    """Path below the folder → text."""
    return files(settings) | {f"tests/{name}": text for name, text in test_files(settings).items()}


def main() -> None:
    """Write all files."""
    usual = Settings()
    parser = argparse.ArgumentParser(prog="python -m alerting", description=__doc__)
    parser.add_argument(
        "--grafana", default=usual.grafana, help=f"where the dashboards are ({usual.grafana})"
    )
    parser.add_argument(
        "--runbooks", default=usual.runbooks, help=f"where the runbooks are ({usual.runbooks})"
    )
    parser.add_argument(
        "--jobs", default=usual.jobs, help=f"regular expression of the scrape jobs ({usual.jobs})"
    )
    parser.add_argument("--into", type=Path, default=HERE, help="folder that they are written to")
    options = parser.parse_args()
    settings = Settings(
        grafana=options.grafana.rstrip("/"), runbooks=options.runbooks.rstrip("/"), jobs=options.jobs
    )
    (options.into / "tests").mkdir(parents=True, exist_ok=True)
    for name, text in content(settings).items():
        (options.into / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
