"""The settings of the live page: refused at the door, with what would be right."""

from __future__ import annotations

import pytest

from limelight.errors import ConfigurationError
from limelight_exporter.config import from_environment, settings
from limelight_exporter.url_template import filled


def test_there_is_a_page_unless_somebody_says_no() -> None:
    assert settings().page
    assert not settings(no_page=True).page
    assert not from_environment({"LIMELIGHT_NO_WEB_PAGE": "yes"}).page
    assert from_environment({"LIMELIGHT_NO_WEB_PAGE": "0"}).page
    assert settings(no_page=False).page


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"no_page": "maybe"}, "--no-web.page (LIMELIGHT_NO_WEB_PAGE): 'maybe': take 1 for yes or 0 for no"),
        ({"page_tracebacks": "sometimes"}, "take one of auto, on, off"),
        ({"page_max_clients": "0"}, "take a number from 1 to 200"),
        ({"page_max_clients": "many"}, "take a number from 1 to 200"),
        ({"trace_url": "jaeger/{trace_id}"}, "begins with http:// or https://"),
        ({"trace_url": "javascript:alert(1)//{trace_id}"}, "begins with http:// or https://"),
        ({"trace_url": "https://ann:secret@jaeger/{trace_id}"}, "without a password"),
        ({"trace_url": "https://jaeger/{queue}"}, "{queue} is not known: there is {trace_id}"),
        ({"dashboard_url": "https://grafana/{queue}{"}, "no other brace"),
        ({"dashboard_url": "https://grafana/a b"}, "space"),
        ({"dashboard_url": "https://gra fana"}, "space"),
        ({"trace_url": "https://jaeger:99999999/"}, "begins with http:// or https://"),
    ],
)
def test_what_cannot_be_used_is_refused(given: dict[str, str], told: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        settings(**given)
    assert told in str(refused.value)
    assert "secret" not in str(refused.value)


def test_names_stay_one_part_of_an_address() -> None:
    template = "https://grafana.example/d/x?var-queue={queue}&var-task={task}"
    assert settings(dashboard_url=template).dashboard_url == template
    assert filled(template, queue="mail", task='a/b?c=d&e#"{queue}') == (
        "https://grafana.example/d/x?var-queue=mail&var-task=a%2Fb%3Fc%3Dd%26e%23%22%7Bqueue%7D"
    )
