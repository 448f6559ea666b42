"""A board as a whole dashboard file: its layout, what can be chosen at its top, its links and its annotations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard

from limelight_exporter import catalog, thresholds

from .drawing import PROMETHEUS, ask, draw
from .panel import WIDTH, Board, Panel, Query, Row
from .promql import JOBS, QUEUES, increase, series, total

TAG: Final = "limelight"
SCHEMA_VERSION: Final = 39
"""Of the format: what Grafana 10.4 wrote. Newer servers migrate it as they load it; older ones cannot."""

RUNBOOKS_URL: Final = "http://localhost:8000/runbooks"
"""Where the runbooks of the alerts are served, as the alerts' own links have it."""

SEARCH_TRACES: Final = (
    "/explore?schemaVersion=1&panes="
    "%7B%22traces%22:%7B%22datasource%22:%22${traces}%22,"
    "%22queries%22:%5B%7B%22refId%22:%22A%22,%22queryType%22:%22search%22,"
    "%22datasource%22:%7B%22type%22:%22jaeger%22,%22uid%22:%22${traces}%22%7D%7D%5D,"
    "%22range%22:%7B%22from%22:%22${__from}%22,%22to%22:%22${__to}%22%7D%7D%7D"
)

_NOVELTIES: Final = frozenset(
    {
        *("auto", "auto_count", "auto_min", "allowCustomValue"),  # of variables
        *("percentChangeColorMode", "selectionMode", "perPage", "hideZeros", "footer"),  # of panels
    }
)
"""Options that the SDK writes with their default, and some server between 10.4 and 13.2 does not know."""

_ALL: Final = dashboard.VariableOption(selected=True, text="All", value="$__all")


def rendered(board: Board) -> str:
    """The file of a board: the same text for the same board."""
    whole = dashboard.Dashboard(
        uid=board.uid,
        title=f"Limelight / {board.title}",
        description=board.description,
        tags=[TAG],
        editable=False,
        graph_tooltip=dashboard.DashboardCursorSync.CROSSHAIR,
        time=dashboard.DashboardDashboardTime(from_val="now-1h", to="now"),
        refresh="30s",
        schema_version=SCHEMA_VERSION,
        panels=list(_laid_out(board.rows)),
        templating=dashboard.DashboardDashboardTemplating(list_val=list(_variables(board))),
        annotations=dashboard.AnnotationContainer(list_val=list(_annotations())),
        links=list(_links()),
    )
    text = json.dumps(whole, cls=JSONEncoder)
    plain = json.loads(text, object_hook=_without_novelties)
    return json.dumps(plain, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _without_novelties(part: dict[str, Any]) -> dict[str, Any]:
    """Leave out what not all servers know; of `placement` only a legend's is as old as they are."""
    left_out = _NOVELTIES if "displayMode" in part else _NOVELTIES | {"placement"}
    return {key: value for key, value in part.items() if key not in left_out}


def _laid_out(rows: Sequence[Row]) -> Iterator[dashboard.Panel | dashboard.RowPanel]:
    top, number = 0, 1
    for row in rows:
        heading = None
        if row.title:
            heading = dashboard.RowPanel(
                id_val=number,
                title=row.title,
                collapsed=row.collapsed,
                grid_pos=dashboard.GridPos(x=0, y=top, w=WIDTH, h=1),
                panels=[],
            )
            yield heading
            top, number = top + 1, number + 1
        drawn, bottom = [], top
        for panel, place in _places(row.panels, top):
            drawn.append(draw(panel, number, place))
            number, bottom = number + 1, max(bottom, place.y + place.h)
        if heading is not None and row.collapsed:
            heading.panels = drawn
        else:
            yield from drawn
            top = bottom


def _places(panels: Sequence[Panel], top: int) -> Iterator[tuple[Panel, dashboard.GridPos]]:
    """From left to right; what does not fit begins a line below the highest of this one."""
    left = height = 0
    for panel in panels:
        if left + panel.width > WIDTH:
            left, top, height = 0, top + height, 0
        yield panel, dashboard.GridPos(x=left, y=top, w=panel.width, h=panel.height)
        left, height = left + panel.width, max(height, panel.height)


def _variables(board: Board) -> Iterator[dashboard.VariableModel]:
    yield dashboard.VariableModel(
        type_val=dashboard.VariableType.DATASOURCE, name="datasource", label="Data source", query="prometheus"
    )
    yield dashboard.VariableModel(
        type_val=dashboard.VariableType.DATASOURCE,
        name="traces",
        label="Traces",
        query="jaeger",
        hide=dashboard.VariableHide.HIDE_VARIABLE,
    )
    yield dashboard.VariableModel(
        type_val=dashboard.VariableType.CONSTANT,
        name="runbooks",
        query=RUNBOOKS_URL,
        hide=dashboard.VariableHide.HIDE_VARIABLE,
        skip_url_sync=True,
    )
    yield _asked("job", f"label_values({catalog.BUILD_INFO}, job)", "The job by which exporters are scraped.")
    known = {
        "queue": _asked("queue", _QUEUES_KNOWN, "Queues that an exporter watches."),
        "task": _asked("task", _TASKS_KNOWN, "Tasks of these queues."),
        "slo_wait": _chosen(
            "slo_wait",
            "Wait limit (s)",
            [f"{bound:g}" for bound in catalog.BUCKETS if bound >= 1],
            f"{thresholds.WAIT_SECONDS:g}",
            "A line on the waits, and what counts as within it; bounds of the histogram's buckets.",
        ),
        "queue_age": _chosen(
            "queue_age",
            "Age limit (s)",
            ["30", "60", "300", "900", "3600"],
            f"{thresholds.QUEUE_AGE_SECONDS:g}",
            "A line on the age of the oldest ready task.",
        ),
        "failure_budget": _chosen(
            "failure_budget",
            "Failure budget",
            ["0.001", "0.01", "0.05", "0.1"],
            f"{thresholds.FAILURE_BUDGET:g}",
            "A line on the share of failed tasks, for tasks that declare no objective.",
        ),
    }
    yield from (known[name] for name in board.variables)


_QUEUES_KNOWN: Final = (
    f'label_values({{__name__=~"{catalog.QUEUE_CURRENT}|{catalog.SUBSCRIBED}", {JOBS}}}, queue)'
)
_TASKS_KNOWN: Final = f"label_values({series(catalog.COMPLETED, QUEUES)}, task)"


def _asked(name: str, query: str, description: str) -> dashboard.VariableModel:
    """A variable whose values Prometheus knows; all of them at first."""
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.QUERY,
        name=name,
        label=name,
        description=description,
        datasource=PROMETHEUS,
        query=query,
        current=_ALL,
        multi=True,
        include_all=True,
        all_value=".+",
        refresh=dashboard.VariableRefresh.ON_TIME_RANGE_CHANGED,
        sort=dashboard.VariableSort.ALPHABETICAL_ASC,
    )


def _chosen(
    name: str, label: str, values: list[str], first: str, description: str
) -> dashboard.VariableModel:
    """A variable with a list of values of its own."""
    if first not in values:
        raise ValueError(f"{name} begins with {first}, which is none of its values {values}")
    return dashboard.VariableModel(
        type_val=dashboard.VariableType.CUSTOM,
        name=name,
        label=label,
        description=description,
        query=",".join(values),
        current=dashboard.VariableOption(selected=True, text=first, value=first),
        options=[
            dashboard.VariableOption(selected=value == first, text=value, value=value) for value in values
        ],
    )


def _links() -> Iterator[dashboard.DashboardLink]:
    yield dashboard.DashboardLink(
        title="Limelight",
        type_val=dashboard.DashboardLinkType.DASHBOARDS,
        icon="external link",
        tooltip="The other dashboards, with the same choice and range",
        tags=[TAG],
        as_dropdown=True,
        include_vars=True,
        keep_time=True,
    )
    yield _link("Traces", "Search traces in Jaeger, in the same range", SEARCH_TRACES)
    yield _link("Runbooks", "What to do about each alert", "${runbooks}/")


def _link(title: str, tooltip: str, url: str) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(
        title=title,
        type_val=dashboard.DashboardLinkType.LINK,
        icon="external link",
        tooltip=tooltip,
        url=url,
        tags=[],
        target_blank=True,
    )


def _annotations() -> Iterator[dashboard.AnnotationQuery]:
    info = series(catalog.CONSUMER_INFO, QUEUES)
    known = f"group by (queue, consumer, version) ({info})"
    before = f"group by (queue, consumer, version) ({info} offset 1m)"
    errors = total(increase(catalog.CONSUMER_ERRORS), "queue", "event")
    yield _annotation(
        "Consumer starts", "blue", f"{known} unless {before}", "{{consumer}} {{version}}", "queue,consumer"
    )
    yield _annotation("Error events", "orange", f"{errors} > 0", "{{event}}", "queue,event")
    alerts = 'ALERTS{alertname=~"Limelight.+",alertstate="firing"}'
    yield _annotation("Firing alerts", "red", alerts, "{{alertname}}", "queue,task,severity")


def _annotation(name: str, colour: str, expr: str, title: str, tags: str) -> dashboard.AnnotationQuery:
    return dashboard.AnnotationQuery(
        name=name,
        datasource=PROMETHEUS,
        enable=True,
        icon_color=colour,
        expr=expr,
        title_format=title,
        tag_keys=tags,
        step="60s",
        target=ask(Query(expr), "Anno"),
    )
