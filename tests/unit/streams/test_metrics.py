"""Counters in Prometheus' text format."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from models.serving.served import ModelStamp
from streams import metrics
from streams.metrics import METRICS, Counters

if TYPE_CHECKING:
    from tests.unit.streams.conftest import Workbench

MODEL = ModelStamp("text", "3f9a1c27be04", 3)


def test_every_metric_has_help_type_and_value() -> None:
    text = Counters().as_text({("products.created", 0): 3}, MODEL)
    for metric in METRICS:
        assert f"# HELP {metric.name} " in text
        assert f"# TYPE {metric.name} {metric.kind}\n" in text
        assert re.search(rf"^{metric.name}(\{{.*\}})? [0-9.e+-]+$", text, re.MULTILINE)


def test_counters_add_up() -> None:
    counters = Counters()
    counters.add(metrics.RECORDS, 2_000)
    counters.add(metrics.RECORDS, 500)
    counters.add(metrics.SCORING_SECONDS, 0.25)
    counters.add(metrics.SLICES)
    text = counters.as_text({}, MODEL)
    assert "\nsortline_records_total 2500\n" in text
    assert "\nsortline_scoring_seconds_total 0.25\n" in text
    assert "\nsortline_slices_total 1\n" in text
    assert counters.value(metrics.REVIEW) == 0


def test_a_large_count_is_written_to_the_last_digit() -> None:
    counters = Counters()
    counters.add(metrics.RECORDS, 9_876_543_211)
    assert "\nsortline_records_total 9876543211\n" in counters.as_text({}, MODEL)


def test_lag_has_a_line_for_each_partition() -> None:
    text = Counters().as_text({("b", 1): 5, ("a", 0): 7}, MODEL)
    assert [line for line in text.splitlines() if line.startswith("sortline_lag_records")] == [
        'sortline_lag_records{topic="a",partition="0"} 7',
        'sortline_lag_records{topic="b",partition="1"} 5',
    ]


def test_names_follow_prometheus_rules() -> None:
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert len({metric.name for metric in METRICS}) == len(METRICS)


def test_cpu_time_is_told_by_stage_and_what_is_left_is_the_framework() -> None:
    counters = Counters()
    counters.add_stages({"decode": 2_000_000, "trees": 1_000_000})
    counters.add_stages({"trees": 4_000_000})
    text = counters.as_text({}, MODEL, consume_seconds=0.25, produce_seconds=0.5)
    assert 'sortline_stage_cpu_seconds_total{stage="decode"} 0.002000\n' in text
    assert 'sortline_stage_cpu_seconds_total{stage="trees"} 0.005000\n' in text
    assert 'sortline_stage_cpu_seconds_total{stage="consume"} 0.250000\n' in text
    assert 'sortline_stage_cpu_seconds_total{stage="produce"} 0.500000\n' in text
    stages = counters.stage_seconds()
    assert sum(stages.values()) == pytest.approx(time.process_time(), abs=0.05)


def test_the_stages_of_a_group_of_records_are_those_of_its_work(workbench: Workbench) -> None:
    outputs = workbench.processor.process(workbench.products(["lamp", "desk"]))
    assert {"decode", "validate", "encode", "lay out"} <= outputs.stage_ns.keys()
    assert all(taken >= 0 for taken in outputs.stage_ns.values())


def test_the_model_that_is_served_is_told_in_labels() -> None:
    assert (
        'sortline_model_info{name="text",version="3f9a1c27be04",registered_version="3"} 1\n'
        in Counters().as_text({}, MODEL)
    )
    odd = ModelStamp('a "name"\\', "1")
    assert (
        'sortline_model_info{name="a \\"name\\"\\\\",version="1",registered_version=""} 1\n'
        in Counters().as_text({}, odd)
    )
