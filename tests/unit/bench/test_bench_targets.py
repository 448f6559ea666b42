"""Targets are held against what a run says, and nothing else."""

from queues import targets
from queues.contenders import HUEY, HUEY_ONE_THREAD, ONE_THREAD, THREADS, THREADS_UNTOLD, Contender
from queues.scenarios import drain, latency
from report.record import Record, Row

SINGLE = drain.setting(one_process=True, results=False)


def record_of(scenario: str, figure: str, setting: str, values: dict[Contender, float]) -> Record:
    record = Record(about={})
    for contender, value in values.items():
        row = Row(
            scenario=scenario,
            figure=figure,
            setting=setting,
            contender=contender.label,
            better="more" if scenario == "drain" else "less",
            peer=contender.is_peer,
        )
        record.add(0, value, row)
    return record


def verdicts(record: Record) -> dict[str, str]:
    return {line[0]: line[-1] for line in targets.sheet(record).lines}


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert set(verdicts(Record(about={})).values()) == {"not measured"}


def test_a_drain_is_held_against_the_best_peer_of_its_kind_and_not_against_our_own() -> None:
    first = targets.TARGETS[0]
    values = {THREADS: 5_000.0, THREADS_UNTOLD: 9_000.0, HUEY: 900.0, HUEY_ONE_THREAD: 1_000.0}
    record = record_of("drain", drain.RATE, SINGLE, values)
    assert first.measure(record) == 5.0
    assert verdicts(record)[first.text] == "met"


def test_events_may_cost_less_than_a_quarter() -> None:
    text = "cost of events: drain with against without, %"
    cheap = record_of("drain", drain.RATE, SINGLE, {THREADS: 76.0, THREADS_UNTOLD: 100.0})
    dear = record_of("drain", drain.RATE, SINGLE, {THREADS: 75.0, THREADS_UNTOLD: 100.0})
    assert verdicts(cheap)[text] == "met"
    assert verdicts(dear)[text] == "missed"


def test_latency_may_be_a_tenth_more_than_hueys() -> None:
    text = "idle: from call to start ÷ Huey's, p50, one worker each"
    for value, verdict in ((1.09, "met"), (1.11, "missed")):
        values = {ONE_THREAD: value, HUEY_ONE_THREAD: 1.0}
        record = record_of("latency", latency.P50, latency.ONE_WORKER, values)
        assert verdicts(record)[text] == verdict
