"""How a frame looks in a terminal: a pure function of the frame and the terminal's size.

Words carry the meaning and colour repeats it: blue runs, red failed, yellow is late. At 80 columns the percentiles
and the history are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from rich.text import Text

from limelight import events
from limelight.cli.text import age, compact, cut, duration, rate
from limelight.events import Event

from .timeline import Kind, bar
from .watch import HISTORY_CELLS, WATERFALL_SECONDS, Frame, QueueRow, TaskRow

WIDEST: Final = 120
WIDE: Final = 100
_NAME_WIDTH: Final = 16
_STATE_WIDTH: Final = 15
"""Room for "99 errors in 1m", so that the columns before it stand still."""
_LEAST_SPARKS: Final = 6
_LEAST_TASKS: Final = 3
_MOST_TASKS: Final = 10
_LEAST_EVENTS: Final = 2
_MOST_EVENTS: Final = 10
_FIXED_LINES: Final = 9
_GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class Glyphs:
    """What is drawn with: all that the terminal's encoding can say."""

    bars: dict[Kind, str]
    sparks: str
    none: str
    cut: str


UNICODE: Final = Glyphs(
    {Kind.WAITED: "░", Kind.RAN: "█", Kind.FAILED: "×", Kind.BACKED_OFF: "·"}, "▁▂▃▄▅▆▇█", "–", "…"
)
ASCII: Final = Glyphs(
    {Kind.WAITED: ":", Kind.RAN: "#", Kind.FAILED: "x", Kind.BACKED_OFF: "."}, "_.-=+*#@", "-", "~"
)
_WORDS: Final = {
    Kind.WAITED: "waiting",
    Kind.RAN: "running",
    Kind.FAILED: "failed",
    Kind.BACKED_OFF: "back-off",
}
_STYLES: Final = {
    Kind.WAITED: "dim",
    Kind.RAN: "blue",
    Kind.FAILED: "bright_red",
    Kind.BACKED_OFF: "dim",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What stays the same while the demo runs.

    Attributes:
        url: Where the exporter listens.
        footer: Names and where to find them.
        keys: Whether keys are read.
    """

    url: str
    footer: tuple[tuple[str, str], ...]
    keys: bool
    glyphs: Glyphs = UNICODE


def tasks_for(height: int, queues: int) -> int:
    """How many lines the waterfall has in a terminal of this height."""
    free = height - _FIXED_LINES - queues
    return min(_MOST_TASKS, max(_LEAST_TASKS, free // 2))


def draw(frame: Frame, around: Surroundings, *, width: int, height: int) -> Text:
    """The whole frame; no line is wider than `width`.

    Args:
        frame: What there is to show.
        around: What does not change.
        width: Columns of the terminal; more than 120 are not used.
        height: Its lines, one of which stays free for the cursor.
    """
    width = min(width, WIDEST)
    tasks = tasks_for(height, len(frame.queues))
    free = height - _FIXED_LINES - len(frame.queues) - tasks
    latest = min(_MOST_EVENTS, max(_LEAST_EVENTS, free))
    lines = [
        _header(frame, around, width),
        Text(f" {frame.verdict}"),
        Text(),
        *_table(frame.queues, width, around.glyphs),
        Text(),
        _legend(width, around.glyphs),
        *_waterfall(frame, width, tasks, around.glyphs),
        Text(),
        *_events(latest_of(frame, latest), width, latest, around.glyphs),
        *_footer(around.footer, width),
    ]
    for line in lines:
        line.truncate(width)
    return Text("\n", no_wrap=True, overflow="crop").join(lines)


def _header(frame: Frame, around: Surroundings, width: int) -> Text:
    line = Text(" Limelight demo", style="bold")
    line.append(
        f"     {around.url}     up {duration(round(frame.up_seconds))}".replace("0 ms", "0 s"), "none"
    )
    if around.keys:
        keys = Text("q quit  e cause error", style="dim")
        line.pad_right(max(4, width - line.cell_len - keys.cell_len))
        line.append_text(keys)
    return line


# -- Queues -------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Column:
    title: str
    cells: list[Text]
    is_text: bool = False

    @property
    def width(self) -> int:
        return max(len(self.title), *(cell.cell_len for cell in self.cells), 0)


def _table(rows: Sequence[QueueRow], width: int, glyphs: Glyphs) -> Iterator[Text]:
    columns = [
        _Column("QUEUE", [Text(cut(row.name, _NAME_WIDTH, glyphs.cut)) for row in rows], is_text=True),
        _Column("READY", [Text(str(row.ready), _late(row)) for row in rows]),
        _Column("OLDEST", [Text(_or(row.oldest, age, glyphs), _late(row)) for row in rows]),
        _Column("RUN", [Text(f"{row.running}/{row.workers}", _running(row)) for row in rows]),
        _Column("SCHED", [Text(str(row.scheduled)) for row in rows]),
        _Column("DEAD", [Text(str(row.dead), "bright_red" if row.dead else "") for row in rows]),
        _Column("IN/S", [Text(rate(row.came)) for row in rows]),
        _Column("OUT/S", [Text(rate(row.went)) for row in rows]),
    ]
    if width >= WIDE:
        columns.append(_Column("WAIT P95", [Text(_or(row.wait_p95, compact, glyphs)) for row in rows]))
        columns.append(_Column("RUN P95", [Text(_or(row.run_p95, compact, glyphs)) for row in rows]))
    state = _Column(
        "STATE", [Text(f"{row.state:<{_STATE_WIDTH}}", _state(row)) for row in rows], is_text=True
    )
    if width >= WIDE:
        left = width - sum(column.width + len(_GAP) for column in (*columns, state))
        columns.extend(_sparklines(rows, left, glyphs))
    columns.append(state)
    yield _joined(_aligned(Text(column.title, "dim"), column) for column in columns)
    for number in range(len(rows)):
        yield _joined(_aligned(column.cells[number], column) for column in columns)


def _aligned(cell: Text, column: _Column) -> Text:
    padded = cell.copy()
    padded.align("left" if column.is_text else "right", column.width)
    return padded


def _joined(cells: Iterator[Text]) -> Text:
    line = Text(_GAP).join(cells)
    line.rstrip()
    return line


def _sparklines(rows: Sequence[QueueRow], room: int, glyphs: Glyphs) -> Iterator[_Column]:
    cells = min(room, HISTORY_CELLS)
    if cells < _LEAST_SPARKS:
        return
    title = "OUT/S, 1 MIN" if cells == HISTORY_CELLS else "OUT/S"
    drawn = [Text(sparkline(row.history[-cells:], glyphs.sparks).rjust(cells), "blue") for row in rows]
    yield _Column(title, drawn, is_text=True)


def sparkline(values: Sequence[int], sparks: str) -> str:
    """Values as a line of blocks, from 0 to the greatest of them."""
    top = max(values, default=0) or 1
    return "".join(sparks[round(value / top * (len(sparks) - 1))] for value in values)


def _or(value: float | None, form: Callable[[float], str], glyphs: Glyphs) -> str:
    return glyphs.none if value is None else form(value)


def _late(row: QueueRow) -> str:
    return "yellow" if row.late else ""


def _running(row: QueueRow) -> str:
    return "blue" if row.running else ""


def _state(row: QueueRow) -> str:
    if row.late:
        return "yellow"
    return "bright_red" if row.failing else ("" if row.running else "dim")


# -- The last seconds ---------------------------------------------------------------------------------------
def _legend(width: int, glyphs: Glyphs) -> Text:
    line = Text(f"LAST {WATERFALL_SECONDS} s", "dim")
    words = Text(_GAP).join(
        Text.assemble((glyphs.bars[kind], _STYLES[kind]), (f" {word}", "dim"))
        for kind, word in _WORDS.items()
    )
    line.pad_right(width - line.cell_len - words.cell_len)
    line.append_text(words)
    return line


def _waterfall(frame: Frame, width: int, count: int, glyphs: Glyphs) -> Iterator[Text]:
    name = _name_width(row.task for row in frame.tasks)
    for row in frame.tasks[:count]:
        yield _task_line(row, frame.now, name, width, glyphs)
    for _ in range(count - len(frame.tasks)):
        yield Text()


def _task_line(row: TaskRow, now: float, name: int, width: int, glyphs: Glyphs) -> Text:
    line = Text(f"{cut(row.task, name, glyphs.cut):<{name}}{_GAP}{row.id[:8]:<8}{_GAP}")
    cells = bar(
        row.phases,
        since=now - WATERFALL_SECONDS,
        until=now,
        width=max(8, width - line.cell_len - 9),
    )
    for cell in cells:
        line.append(" " if cell is None else glyphs.bars[cell], "" if cell is None else _STYLES[cell])
    line.append(f"{row.seconds:.1f} s".rjust(9))
    return line


# -- Events -------------------------------------------------------------------------------------------------
def latest_of(frame: Frame, count: int) -> list[Event]:
    """The newest events; up to half of them tell of something else than success."""
    others = frame.notable[-max(count // 2, count - len(frame.finished)) :]
    successes = frame.finished[len(frame.finished) - min(len(frame.finished), count - len(others)) :]
    return sorted([*others, *successes], key=lambda event: event.timestamp)


def _events(latest: Sequence[Event], width: int, count: int, glyphs: Glyphs) -> Iterator[Text]:
    name = _name_width(event.task or "" for event in latest)
    for event in latest:
        yield event_line(event, name, width, glyphs)
    for _ in range(count - len(latest)):
        yield Text()


def event_line(event: Event, name: int, width: int, glyphs: Glyphs) -> Text:
    """Time, status, task, short id, duration and what else there is to say, the worker too where it fits."""
    at = datetime.fromtimestamp(event.timestamp).strftime("%H:%M:%S.%f")[:-3]
    line = Text.assemble((at, "dim"), _GAP, (f"{event.status:<10}", _status_style(event)), _GAP)
    room = max(0, name - max(0, len(event.status) - 10))
    task = cut(event.task or "", name, glyphs.cut)
    line.append(f"{task:<{room}}{_GAP}{(event.id or '')[:8]:<8}{_GAP}")
    took = "" if event.duration is None else compact(event.duration)
    line.append(f"{took:>6}{_GAP}")
    if width >= WIDE and event.worker:
        line.append(f"{cut(event.worker, 9, glyphs.cut):<9}{_GAP}", "dim")
    line.append(cut(_detail(event), max(0, width - line.cell_len), glyphs.cut))
    return line


def _detail(event: Event) -> str:
    if event.status == events.EVENT_CONSUMER_STARTED:
        return f"{event.queue}, {event.workers} workers: {', '.join(event.tasks)}"
    if event.id is None:
        return event.queue
    if event.error_type and event.error:
        return f"{event.error_type.rpartition('.')[2]}: {event.error_message or ''}"
    if event.status == events.EVENT_RETRYING:
        return f"again in {event.retry_delay or 0:g}s, {event.retries} left"
    if event.status == events.EVENT_DEAD:
        return f"gave up after {event.attempt} attempts"
    return f"attempt {event.attempt}/{event.max_attempts}" if event.max_attempts > 1 else ""


def _status_style(event: Event) -> str:
    if event.error or event.status == events.EVENT_DEAD:
        return "bright_red"
    return "blue" if event.status == events.EVENT_FINISHED else ""


def _name_width(names: Iterable[str]) -> int:
    return min(_NAME_WIDTH, max((len(name) for name in names), default=0))


def _footer(items: Sequence[tuple[str, str]], width: int) -> Iterator[Text]:
    """As many items on a line as fit."""
    line = Text()
    for name, where in items:
        item = Text.assemble((f"{name} ", "dim"), where)
        if line.cell_len and line.cell_len + 3 + item.cell_len > width:
            yield line
            line = Text()
        line.append("   " if line.cell_len else " ")
        line.append_text(item)
    yield line
