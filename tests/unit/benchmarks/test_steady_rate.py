import numpy as np
import pytest

from benchmarks.harness.steady_rate import LatencyRun, latency_run

MS = 1_000_000
SENT = np.arange(100) * MS


def latencies(received: object, skipped: int = 0) -> LatencyRun:
    return latency_run(
        "floor", rate=1000.0, due=SENT, sent=SENT, received=np.asarray(received, np.int64), skipped=skipped
    )


def test_latency_is_from_the_stamp_to_the_result_to_the_microsecond() -> None:
    found = latencies(SENT + 2 * MS + 345_000)
    assert found.milliseconds["p50"] == pytest.approx(2.345)
    assert found.sent_rate == pytest.approx(1000.0)
    assert found.kept_up


def test_the_warm_up_is_left_out() -> None:
    received = SENT + np.where(np.arange(100) < 20, 900 * MS, 3 * MS)
    found = latencies(received, skipped=20)
    assert found.events == 80
    assert found.milliseconds["max"] == pytest.approx(3.0)


def test_an_event_without_a_result_counts_as_missing_and_is_no_latency() -> None:
    received = SENT + MS
    received[50] = 0
    found = latencies(received)
    assert (found.events, found.missing, found.kept_up) == (100, 1, False)
    assert found.milliseconds["max"] == pytest.approx(1.0)


def test_a_way_whose_last_result_comes_late_did_not_keep_up() -> None:
    assert not latencies(SENT + np.arange(100) * 30 * MS).kept_up


def test_a_producer_that_was_late_tells_so() -> None:
    found = latency_run("floor", rate=1000.0, due=SENT, sent=SENT + 4 * MS, received=SENT + 5 * MS, skipped=0)
    assert found.late_ms == pytest.approx(4.0)
    assert found.milliseconds["p50"] == pytest.approx(1.0)


def test_a_run_without_any_result_has_no_figures() -> None:
    with pytest.raises(SystemExit, match="no event"):
        latencies(np.zeros(100))
