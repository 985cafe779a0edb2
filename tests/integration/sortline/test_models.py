from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import pyarrow.parquet as pq
import pytest

from models.bundle import read_manifest
from schemas.columns import DECISION
from schemas.registry import ConfluentRegistry
from schemas.topics import TopicNames
from sortline.demo.surroundings import WorkerProcess
from sortline.demo.watch import Watcher

pytestmark = pytest.mark.integration


class Printed(Protocol):
    @property
    def stdout(self) -> str: ...
    @property
    def stderr(self) -> str: ...


Run = Callable[..., Printed]


def test_training_from_the_topic_gives_the_model_of_the_same_rows_as_a_file(
    run: Run, topics: TopicNames, sample_file: Path, bundle: Path, tmp_path: Path
) -> None:
    run("produce", sample_file, "--catalog")
    printed = run("train", "--from-topic", "--no-tracking", "--to", tmp_path / "bundle")
    from_topic, from_file = read_manifest(tmp_path / "bundle"), read_manifest(bundle)
    assert from_topic.version == from_file.version
    assert from_topic.lineage["content_digest"] == from_file.lineage["content_digest"]
    assert str(from_topic.version) in printed.stdout
    assert (tmp_path / "bundle.snapshot.parquet").is_file()


def test_the_stream_decides_exactly_as_classify_does(
    run: Run,
    topics: TopicNames,
    bootstrap: str,
    registry: ConfluentRegistry,
    sample_file: Path,
    bundle: Path,
    tmp_path: Path,
) -> None:
    n = 400
    decisions = tmp_path / "decisions.parquet"
    printed = run("classify", "--model", bundle, "--from", sample_file, "--limit", n, "--to", decisions)
    assert f"{n} products classified" in printed.stdout
    offline = pq.read_table(decisions)
    assert offline.schema.names == DECISION.names

    worker = WorkerProcess(["--model", str(bundle)], log=tmp_path / "worker.log")
    try:
        worker.wait_until_ready()
        streamed: dict[str, dict[str, object]] = {}
        with Watcher(topics, bootstrap, registry) as watcher:
            run("produce", sample_file, "--limit", n)
            while len(streamed) < n and not watcher.quiet_for(30):
                worker.require_alive()
                for row in watcher.poll(0.1):
                    assert row.value is not None, row.problem
                    streamed[row.key] = {name: row.value[name] for name in DECISION.names}
    finally:
        exit_code = worker.stop()
    assert exit_code == 0, worker.log_tail()
    assert [streamed.get(str(row["product_id"])) for row in offline.to_pylist()] == offline.to_pylist()


def test_evaluate_tells_the_figures_as_text_and_as_json(run: Run, sample_file: Path, bundle: Path) -> None:
    text = run("evaluate", "--model", bundle, "--from", sample_file).stdout
    document = json.loads(run("evaluate", "--model", bundle, "--from", sample_file, "--json").stdout)
    assert document["n"] == 3_000
    assert document["version"] == read_manifest(bundle).version
    assert f"{document['accuracy']:.4f}" in text
    assert f"{document['coverage']:.4f}" in text
    assert len(document["classes"]) == 12


def test_training_leaves_a_report_beside_the_bundle_and_evaluate_writes_a_page(
    run: Run, sample_file: Path, bundle: Path, tmp_path: Path
) -> None:
    beside = bundle.with_name(f"{bundle.name}.report")
    assert {file.name for file in beside.iterdir()} == {"report.html", "report.json", "model-card.md"}
    version = read_manifest(bundle).version
    assert version in (beside / "model-card.md").read_text()

    page = tmp_path / "pages" / "page.html"
    run("evaluate", "--model", bundle, "--from", sample_file, "--report", page, "--compare", bundle)
    assert f"all 3,000 rows of {sample_file.name}" in page.read_text()
    assert "The F1 of no category changed" in page.read_text()


def test_the_settings_are_printed_and_a_misspelt_one_is_named_at_the_worker_s_start(
    run: Run, bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SORTLINE_GRUOP_ID", "mine")
    monkeypatch.setenv("SORTLINE_COMMIT_INTERVAL_SECONDS", "0.7")
    worker = WorkerProcess(["--model", str(tmp_path / "nothing-here")], log=tmp_path / "worker.log")
    assert worker.wait() == 2
    log = (tmp_path / "worker.log").read_text()
    assert "SORTLINE_GRUOP_ID is not a setting and was ignored; did you mean SORTLINE_GROUP_ID?" in log
    assert "commit_interval_seconds = 0.7" in log
    assert "nothing-here" in log
