"""Counters in Prometheus' text format."""

from __future__ import annotations

import re

from streams import metrics
from streams.metrics import METRICS, Counters


def test_every_metric_has_help_type_and_value() -> None:
    text = Counters().as_text({("products.created", 0): 3})
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
    text = counters.as_text({})
    assert "\nsortline_records_total 2500\n" in text
    assert "\nsortline_scoring_seconds_total 0.25\n" in text
    assert "\nsortline_slices_total 1\n" in text
    assert counters.value(metrics.REVIEW) == 0


def test_a_large_count_is_written_to_the_last_digit() -> None:
    counters = Counters()
    counters.add(metrics.RECORDS, 9_876_543_211)
    assert "\nsortline_records_total 9876543211\n" in counters.as_text({})


def test_lag_has_a_line_for_each_partition() -> None:
    text = Counters().as_text({("b", 1): 5, ("a", 0): 7})
    assert [line for line in text.splitlines() if line.startswith("sortline_lag_records")] == [
        'sortline_lag_records{topic="a",partition="0"} 7',
        'sortline_lag_records{topic="b",partition="1"} 5',
    ]


def test_names_follow_prometheus_rules() -> None:
    for metric in METRICS:
        assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert len({metric.name for metric in METRICS}) == len(METRICS)
