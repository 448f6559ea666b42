"""A panel as Grafana's JSON, by Grafana's own SDK: which options each way of drawing takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from string import ascii_uppercase
from typing import Final

from grafana_foundation_sdk.models import (
    common,
    dashboard,
    gauge,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)

from .panel import GREEN, ORANGE, RED, Column, Kind, Limit, Panel, Query, Style
from .promql import NONE

PROMETHEUS: Final = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

COLOURS: Final = {
    "success": GREEN,
    "dead": RED,
    "error": RED,
    "result_error": "dark-red",
    "timeout": "dark-orange",
    "expired": ORANGE,
    "lost": "purple",
    "interrupted": "light-purple",
    "retry": "yellow",
    "locked": "light-blue",
    "rate_limited": "super-light-blue",
    "canceled": "light-yellow",
    "revoked": "super-light-yellow",
    "ready": "blue",
    "scheduled": "light-blue",
    "running": GREEN,
    "busy": GREEN,
    "idle": "super-light-green",
    "waiting": "blue",
    "backing_off": "yellow",
    "parked": "purple",
    "enqueued": "blue",
    "completed": GREEN,
    "retried": "yellow",
    "redelivered": "purple",
    NONE: "transparent",
}
"""One colour for one word, on all boards."""


def draw(panel: Panel, number: int, place: dashboard.GridPos) -> dashboard.Panel:
    """A panel at its place.

    Args:
        panel: What to draw.
        number: Its id, unique within the dashboard.
        place: Where it lies.
    """
    return dashboard.Panel(
        type_val=panel.kind.value,
        id_val=number,
        title=panel.title,
        description=panel.description,
        datasource=PROMETHEUS,
        grid_pos=place,
        targets=list(_targets(panel)),
        options=_options(panel),
        field_config=dashboard.FieldConfigSource(
            defaults=_defaults(panel), overrides=list(_overrides(panel))
        ),
        transformations=list(_transformations(panel)) or None,
        links=[_link(title, url) for title, url in panel.links] or None,
    )


def ask(query: Query, name: str) -> prometheus.Dataquery:
    """A question over the whole range."""
    return prometheus.Dataquery(
        ref_id=name,
        datasource=PROMETHEUS,
        expr=query.expr,
        legend_format=query.legend or "__auto",
        exemplar=query.exemplars,
        range_val=True,
        editor_mode=prometheus.QueryEditorMode.CODE,
    )


def _targets(panel: Panel) -> Iterator[prometheus.Dataquery]:
    for name, query in zip(ascii_uppercase, panel.queries, strict=False):
        target = ask(query, name)
        if panel.kind is Kind.HEATMAP:
            target.format_val = prometheus.PromQueryFormat.HEATMAP
        yield target
    for name, column in zip(ascii_uppercase, panel.columns, strict=False):
        yield prometheus.Dataquery(
            ref_id=name,
            datasource=PROMETHEUS,
            expr=column.expr,
            instant=True,
            format_val=prometheus.PromQueryFormat.TABLE,
            editor_mode=prometheus.QueryEditorMode.CODE,
        )


def _options(panel: Panel) -> object:
    match panel.kind:
        case Kind.STAT:
            return stat.Options(
                reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"], values=False, fields=""),
                text_mode=common.BigValueTextMode.VALUE,
            )
        case Kind.GAUGE:
            return gauge.Options(
                reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"], values=False, fields="")
            )
        case Kind.HEATMAP:
            return _heatmap_options()
        case Kind.TIMELINE:
            return statetimeline.Options(
                legend=_legend(), tooltip=_tooltip(), show_value=common.VisibilityMode.NEVER
            )
        case Kind.TABLE:
            return table.Options(cell_height=common.TableCellHeight.SM)
        case Kind.SERIES:
            return timeseries.Options(legend=_legend(), tooltip=_tooltip())


def _legend() -> common.VizLegendOptions:
    return common.VizLegendOptions(
        display_mode=common.LegendDisplayMode.LIST,
        placement=common.LegendPlacement.BOTTOM,
        show_legend=True,
        calcs=[],
    )


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions(mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING)


def _heatmap_options() -> heatmap.Options:
    """Buckets come as they are counted; a cell without anything in it stays empty."""
    return heatmap.Options(
        calculate=False,
        cell_gap=1,
        color=heatmap.HeatmapColorOptions(
            mode=heatmap.HeatmapColorMode.SCHEME,
            scheme="Oranges",
            fill="dark-orange",
            exponent=0.5,
            steps=64,
            scale=heatmap.HeatmapColorScale.EXPONENTIAL,
            min_val=0,
        ),
        filter_values=heatmap.FilterValueRange(le=1e-9),
        y_axis=heatmap.YAxisConfig(unit="s", axis_placement=common.AxisPlacement.LEFT),
        cell_values=heatmap.CellValues(unit="short"),
        legend=heatmap.HeatmapLegend(show=True),
        tooltip=heatmap.HeatmapTooltip(mode=common.TooltipDisplayMode.SINGLE, show_color_scale=False),
        exemplars=heatmap.ExemplarConfig(color="rgba(255,0,255,0.7)"),
    )


def _defaults(panel: Panel) -> dashboard.FieldConfig:
    return dashboard.FieldConfig(
        unit=panel.unit,
        decimals=panel.decimals,
        min_val=panel.bottom if panel.kind in (Kind.SERIES, Kind.GAUGE) else None,
        max_val=panel.top,
        thresholds=_thresholds(panel.limits, panel.base),
        color=dashboard.FieldColor(mode=_colour_mode(panel.kind)),
        mappings=list(_mappings(panel)),
        no_value=panel.empty,
        custom=_custom(panel),
    )


def _colour_mode(kind: Kind) -> dashboard.FieldColorModeId:
    if kind is Kind.SERIES:
        return dashboard.FieldColorModeId.PALETTE_CLASSIC
    return dashboard.FieldColorModeId.THRESHOLDS


def _thresholds(limits: Sequence[Limit], base: str) -> dashboard.ThresholdsConfig:
    steps = [dashboard.Threshold(value=None, color=base)]
    steps += [dashboard.Threshold(value=limit.value, color=limit.colour) for limit in limits]
    return dashboard.ThresholdsConfig(mode=dashboard.ThresholdsMode.ABSOLUTE, steps=steps)


def _mappings(panel: Panel) -> Iterator[dashboard.ValueMapping]:
    starts = [start for start, _, _ in panel.words]
    for number, (start, text, colour) in enumerate(panel.words):
        # A range contains its end, so it stops just short of the next.
        end = starts[number + 1] - 1e-9 if number + 1 < len(starts) else None
        result = dashboard.ValueMappingResult(text=text, color=colour, index=number)
        options = dashboard.DashboardRangeMapOptions(from_val=start, to=end, result=result)
        yield dashboard.RangeMap(options=options)


def _custom(panel: Panel) -> object | None:
    match panel.kind:
        case Kind.SERIES:
            return _lines(panel)
        case Kind.TIMELINE:
            return statetimeline.FieldConfig(fill_opacity=80)
        case Kind.TABLE:
            return common.TableFieldOptions(
                align=common.FieldTextAlignment.AUTO, inspect=False, filterable=True
            )
        case _:
            return None


def _lines(panel: Panel) -> timeseries.FieldConfig:
    stacked = panel.style is not Style.LINES
    return timeseries.FieldConfig(
        draw_style=common.GraphDrawStyle.BARS if panel.style is Style.BARS else common.GraphDrawStyle.LINE,
        line_width=1,
        fill_opacity={Style.LINES: 5, Style.STACKED: 40, Style.BARS: 80}[panel.style],
        show_points=common.VisibilityMode.NEVER,
        stacking=common.StackingConfig(
            mode=common.StackingMode.NORMAL if stacked else common.StackingMode.NONE, group="A"
        ),
        thresholds_style=common.GraphThresholdsStyleConfig(
            mode=common.GraphThresholdsStyleMode.DASHED
            if panel.limits
            else common.GraphThresholdsStyleMode.OFF
        ),
        span_nulls=False,
    )


def _overrides(panel: Panel) -> Iterator[dashboard.DashboardFieldConfigSourceOverrides]:
    if panel.kind is Kind.SERIES:
        for word, colour in COLOURS.items():
            if any(word == query.legend or query.legend in BY_WORD for query in panel.queries):
                yield _override("byName", word, color={"mode": "fixed", "fixedColor": colour})
    for name, query in zip(ascii_uppercase, panel.queries, strict=False):
        yield from _query_overrides(name, query)
    for column in panel.columns:
        yield _column_override(column)
    for label, url in panel.label_links:
        yield _override("byName", label, links=[{"title": f"Open this {label}", "url": url}])


BY_WORD: Final = (
    "{{outcome}}",
    "{{state}}",
    "{{phase}}",
    "{{error_type}}",
    "{{event}}",
    "{{reason}}",
    "{{code}}",
)
"""Legends that are made of the words that have colours."""


def _query_overrides(name: str, query: Query) -> Iterator[dashboard.DashboardFieldConfigSourceOverrides]:
    if query.is_limit:
        yield _override(
            "byFrameRefID",
            name,
            color={"mode": "fixed", "fixedColor": RED},
            **{
                "custom.lineStyle": {"fill": "dash", "dash": [10, 10]},
                "custom.fillOpacity": 0,
                "custom.stacking": {"mode": "none", "group": "A"},
                "custom.drawStyle": "line",
            },
        )
    if query.unit:
        yield _override("byFrameRefID", name, unit=query.unit, **{"custom.axisPlacement": "right"})


def _column_override(column: Column) -> dashboard.DashboardFieldConfigSourceOverrides:
    properties: dict[str, object] = {"unit": column.unit}
    if column.limits:
        properties["thresholds"] = _thresholds(column.limits, column.base)
        properties["custom.cellOptions"] = {"type": "color-text"}
    if column.none:
        properties["noValue"] = column.none
    return _override("byName", column.title, **properties)


def _override(how: str, what: str, **properties: object) -> dashboard.DashboardFieldConfigSourceOverrides:
    return dashboard.DashboardFieldConfigSourceOverrides(
        matcher=dashboard.MatcherConfig(id_val=how, options=what),
        properties=[
            dashboard.DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()
        ],
    )


def _transformations(panel: Panel) -> Iterator[dashboard.DataTransformerConfig]:
    """The answers of a table's questions as one table: a line for each combination of labels."""
    if not panel.columns:
        return
    yield dashboard.DataTransformerConfig(id_val="merge", options={})
    names = {
        f"Value #{name}": column.title for name, column in zip(ascii_uppercase, panel.columns, strict=False)
    }
    if len(panel.columns) == 1:
        names["Value"] = panel.columns[0].title
    yield dashboard.DataTransformerConfig(
        id_val="organize", options={"excludeByName": {"Time": True}, "indexByName": {}, "renameByName": names}
    )


def _link(title: str, url: str) -> dashboard.DashboardLink:
    return dashboard.DashboardLink(
        title=title, type_val=dashboard.DashboardLinkType.LINK, icon="external link", url=url, tags=[]
    )
