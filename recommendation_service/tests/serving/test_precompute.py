"""Every user's list on disk: the service's own, in one piece, whatever stood there before."""

from __future__ import annotations

from collections.abc import Callable
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


@pytest.mark.parametrize(
    ("thresholds", "method_used"),
    [
        (Thresholds(), "als"),
        (Thresholds(cold_below=10, hot_from=10), "content"),
        (Thresholds(0, 0), "ensemble"),
    ],
)
@pytest.mark.parametrize("limit", [3, 40])
def test_it_is_what_the_service_answers_from_the_same_acts(
    release: Release,
    watcher: ReleaseWatcher,
    redis_client: redis.Redis,
    tmp_path: Path,
    thresholds: Thresholds,
    method_used: str,
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
        assert {row["method_used"] for row in mine} == {answer.method_used} == {method_used}
        for row, startup in zip(mine, answer.startups, strict=True):
            assert row["score"] == pytest.approx(startup.score, abs=1e-6)
            assert (row["source"], row["reason"]) == (startup.source, startup.reason)


def test_with_the_live_store_it_is_what_the_service_answers_now(
    release: Release, router: Router, act: Callable, tmp_path: Path, catalogue: LiveCatalogueStore
) -> None:
    """u05 is no more: under the ready mark it has no profile."""
    users = [user_id for user_id in release.user_mapping.ids if user_id != "u05"]
    for user_id in users:
        act(user_id, [f"s{n:02}" for n in range(int(user_id[1:]) % 7)], dislikes=["s38"])
    act("u03", ["s01", "s03"], opted_out=True)
    output = tmp_path / "lists.parquet"

    written = precompute(release, output, live=router.live, limit=5, batch_size=7)

    rows = pq.read_table(output).to_pylist()
    assert (written.users, written.notice) == (len(users), None)
    assert {row["user_id"] for row in rows} == set(users)
    assert {row["method_used"] for row in rows if row["user_id"] == "u03"} == {"popularity"}
    assert not {row["startup_id"] for row in rows} & {"s36", "s38"}
    for user_id in users:
        mine = [row["startup_id"] for row in rows if row["user_id"] == user_id]
        assert mine == [startup.id for startup in router.recommend(user_id, Steering(limit=5)).startups]


def test_what_the_lists_must_admit_to_stands_in_the_file(
    release: Release, redis_client: redis.Redis, tmp_path: Path
) -> None:
    output = tmp_path / "lists.parquet"
    without = precompute(release, output, limit=2)
    assert (
        without.notice
        == f"no live store was asked: acts, opt-outs and startups as of release {release.version}"
    )
    assert pq.read_metadata(output).metadata[b"notice"].decode() == without.notice
    live = LiveState(LiveProfileStore(redis_client), LiveCatalogueStore(redis_client))
    not_synced = precompute(release, output, live=live, limit=2)
    assert not_synced.notice is not None
    assert "live profiles not synced" in not_synced.notice
    assert "live catalogue not synced" in not_synced.notice
    assert pq.read_metadata(output).metadata[b"notice"].decode() == not_synced.notice


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
    models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("REDIS_URL", raising=False)
    output = tmp_path / "lists.parquet"
    assert main(["precompute", "--output", str(output), "--models-dir", str(models_dir), "--limit", "4"]) == 0
    told = capsys.readouterr()
    assert '"users": 60, "rows": 240' in told.out
    assert "no live store was asked" in told.err
    assert main(["precompute", "--output", str(output), "--models-dir", str(tmp_path / "nothing")]) == 1
    assert "Model loading failed" in capsys.readouterr().err
    nowhere = tmp_path / "no" / "folder.parquet"
    assert main(["precompute", "--output", str(nowhere), "--models-dir", str(models_dir)]) == 1
    assert "folder.parquet" in capsys.readouterr().err
