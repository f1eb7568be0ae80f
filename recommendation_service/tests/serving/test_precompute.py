"""Every user's list on disk: the service's own, in one piece, whatever stood there before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import redis

from recsys.artifacts.release import Release
from recsys.cli import main
from recsys.errors import ArtifactError, ConfigError, InvalidRequestError, UnavailableError
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveProfileStore
from recsys.serving.live_state import LiveState
from recsys.serving.precompute import precompute
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.router import Router, Rules, Thresholds
from recsys.serving.steering import Steering
from recsys.types import ProgressReport


@pytest.fixture
def release(watcher: ReleaseWatcher) -> Release:
    assert watcher.release is not None
    return watcher.release


@pytest.mark.parametrize("thresholds", [Thresholds(), Thresholds(cold_below=9, hot_from=9), Thresholds(0, 0)])
@pytest.mark.parametrize("limit", [3, 40])
def test_it_is_what_the_service_answers_from_the_same_acts(
    release: Release,
    watcher: ReleaseWatcher,
    redis_client: redis.Redis,
    tmp_path: Path,
    thresholds: Thresholds,
    limit: int,
) -> None:
    """Without profiles and catalogue in Redis the service answers from the release too."""
    live = LiveState(LiveProfileStore(redis_client), LiveCatalogueStore(redis_client))
    router, output = Router(watcher, live, thresholds), tmp_path / "lists.parquet"
    written = precompute(
        release, output, limit=limit, batch_size=7, with_reasons=True, rules=Rules(thresholds)
    )
    rows = pq.read_table(output).to_pylist()
    assert (written.users, written.rows) == (len(release.user_mapping), len(rows))
    for user_id in release.user_mapping.ids:
        answer = router.recommend(user_id, Steering(limit=limit))
        mine = [row for row in rows if row["user_id"] == user_id]
        assert [row["startup_id"] for row in mine] == [startup.id for startup in answer.startups]
        assert [row["rank"] for row in mine] == list(range(1, len(mine) + 1))
        assert {row["method_used"] for row in mine} == {answer.method_used}
        for row, startup in zip(mine, answer.startups, strict=True):
            assert row["score"] == pytest.approx(startup.score, abs=1e-6)
            assert (row["source"], row["reason"]) == (startup.source, startup.reason)


def test_a_batch_is_a_row_group_and_progress_is_told(release: Release, tmp_path: Path) -> None:
    output = tmp_path / "lists.parquet"
    reports: list[ProgressReport] = []
    precompute(release, output, limit=2, batch_size=25, progress=reports.append)
    file = pq.ParquetFile(output)
    assert file.num_row_groups == 3
    assert file.schema_arrow.names == ["user_id", "rank", "startup_id", "score", "source", "method_used"]
    assert [report.fraction for report in reports] == [25 / 60, 50 / 60, 1.0]


def test_a_file_appears_whole_or_not_at_all(release: Release, tmp_path: Path) -> None:
    output = tmp_path / "lists.parquet"
    output.write_bytes(b"what was there before")

    def stop(report: ProgressReport) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        precompute(release, output, batch_size=10, progress=stop)
    assert output.read_bytes() == b"what was there before"
    assert [path.name for path in tmp_path.glob("*lists*")] == ["lists.parquet"]
    precompute(release, output)
    assert pq.read_table(output).num_rows == 600


def test_what_cannot_be_written_is_refused_with_its_mend(release: Release, tmp_path: Path) -> None:
    output = tmp_path / "lists.parquet"
    with pytest.raises(InvalidRequestError, match="1 to 100"):
        precompute(release, output, limit=0)
    with pytest.raises(ConfigError, match="at least 1 user"):
        precompute(release, output, batch_size=0)
    with pytest.raises(ArtifactError, match="what its users did"):
        precompute(replace(release, user_items=None), output)
    with pytest.raises(UnavailableError, match="train all models"):
        precompute(replace(release, recommenders={}), output)
    assert not list(tmp_path.glob("*lists*"))


def test_the_command_prints_one_json_line(
    models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "lists.parquet"
    assert main(["precompute", "--output", str(output), "--models-dir", str(models_dir), "--limit", "4"]) == 0
    assert '"users": 60, "rows": 240' in capsys.readouterr().out
    assert main(["precompute", "--output", str(output), "--models-dir", str(tmp_path / "nothing")]) == 1
    assert "Model loading failed" in capsys.readouterr().err
    nowhere = tmp_path / "no" / "folder.parquet"
    assert main(["precompute", "--output", str(nowhere), "--models-dir", str(models_dir)]) == 1
    assert "folder.parquet" in capsys.readouterr().err
