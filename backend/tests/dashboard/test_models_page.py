"""The models page: what releases measured, two beside each other, and serving another one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from dashboard.model_figures import RECOMMENDERS as ORDER
from dashboard.model_figures import Above, Interval, in_order
from dashboard.release_comparison import _verdict
from recommendations.models import ReleaseChange, TrainingRun
from recsys.artifacts.layout import served_version
from recsys.artifacts.promote import promote
from recsys.datasets.synthetic.world import build_dataset, make_world
from recsys.recommenders.table import RECOMMENDERS
from recsys.training.pipeline import TrainingPlan, train_and_publish

NOW_S = datetime(2026, 11, 1, tzinfo=UTC).timestamp()


@pytest.fixture(scope="session")
def two_releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A models folder with two releases of the demo world, the older first."""
    folder = tmp_path_factory.mktemp("releases")
    dataset = build_dataset(make_world(80, 60, seed=3, now_s=NOW_S))
    counts = {"users": dataset.n_users, "interactions": dataset.user_items.nnz}
    dataset = replace(dataset, manifest={**dataset.manifest, "counts": counts})
    versions = []
    for factors in (4, 8):
        plan = TrainingPlan.default(
            recommenders=("popularity", "als"), overrides={"als": {"factors": factors, "iterations": 2}}
        )
        versions.append(train_and_publish(dataset, folder / "models", plan, logs_dir=folder / "logs").version)
    # Two of the same second are in the order of their hashes.
    if sorted(versions) != versions:
        promote(folder / "models", versions[0])
    return folder / "models", sorted(versions)


@pytest.fixture
def releases(two_releases: tuple[Path, list[str]], tmp_path: Path, settings: Settings) -> list[str]:
    """The two releases in a folder of this test's own; the newer is served."""
    settings.MODELS_DIR = tmp_path / "models"
    shutil.copytree(two_releases[0], settings.MODELS_DIR, symlinks=True)
    return two_releases[1]


@pytest.fixture
def models_dir(releases: list[str], settings: Settings) -> Path:
    return settings.MODELS_DIR


def manifest_of(models_dir: Path, version: str) -> dict:
    return json.loads((models_dir / "releases" / version / "manifest.json").read_text())


def test_without_any_release_the_page_says_what_makes_one(
    viewer: Client, settings: Settings, tmp_path: Path
) -> None:
    settings.MODELS_DIR = tmp_path

    html = viewer.get(reverse("dashboard:models")).content.decode()

    assert "No release is served" in html
    assert "the first training makes the first release" in html
    assert "No release has been measured yet" in html


def test_every_release_has_a_row_with_its_figures_and_the_best_marked(
    viewer: Client, releases: list[str], models_dir: Path
) -> None:
    response = viewer.get(reverse("dashboard:models"))

    rows = response.context["rows"]
    assert [row.release.version for row in rows] == releases[::-1]
    assert [row.release.is_served for row in rows] == [True, False]
    assert response.context["columns"] == ["popularity", "als"]
    ndcg = {}
    for row in rows:
        manifest = manifest_of(models_dir, row.release.version)
        for cell in row.cells:
            stored = manifest["recommenders"][cell.name]["metrics"]["metrics"]["ndcg@10"]
            assert cell.measured.ndcg == Interval(stored["mean"], stored["low"], stored["high"])
            assert f"{stored['low']:.4f} to&nbsp;{stored['high']:.4f}" in response.content.decode()
        ndcg[row.release.version] = manifest["recommenders"]["als"]["metrics"]["metrics"]["ndcg@10"]["mean"]
    best = {row.release.version for row in rows if row.cells[1].is_best}
    assert best == {max(ndcg, key=ndcg.__getitem__)}
    assert "★ best of 2 measured alike" in response.content.decode()


def test_a_higher_figure_of_another_protocol_gets_no_star(
    viewer: Client, releases: list[str], models_dir: Path
) -> None:
    older, newer = releases
    path = models_dir / "releases" / older / "manifest.json"
    manifest = json.loads(path.read_text())
    for entry in manifest["recommenders"].values():
        entry["metrics"]["protocol"] = "1% of the positive cells at random (seed 0); all items ranked; k=10"
        entry["metrics"]["metrics"]["ndcg@10"] = {"mean": 0.9, "low": 0.8, "high": 1.0}
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))

    response = viewer.get(reverse("dashboard:models"))

    stars = {row.release.version for row in response.context["rows"] for cell in row.cells if cell.is_best}
    assert stars == {newer}
    assert "★ the newest; not comparable: 1 by another protocol" in response.content.decode()


def test_the_served_release_is_shown_by_tier_and_another_when_asked_for(
    viewer: Client, releases: list[str], models_dir: Path
) -> None:
    address = reverse("dashboard:models")

    for query, version in (({}, releases[1]), ({"release": releases[0]}, releases[0])):
        response = viewer.get(address, query)
        stored = manifest_of(models_dir, version)["recommenders"]["als"]["metrics"]
        assert response.context["detail"].version == version
        chart = response.context["by_tier"]
        assert [series.name for series in chart.series] == ["popularity", "als"]
        tiers = [tier for tier, facts in stored["by_tier"].items()]
        expected = [stored["by_tier"][tier]["metrics"].get("ndcg@10", {}).get("mean") for tier in tiers]
        assert chart.series[1].values == pytest.approx(expected, abs=1e-6, nan_ok=True)
        assert f"{stored['metrics']['mrr@10']['mean']:.4f}" in response.content.decode()
        (baseline,) = [one for name, _, one in response.context["figures"] if name == "popularity"]
        assert baseline.protocol in response.content.decode()


def test_how_far_each_lies_above_popularity_is_shown_with_its_interval(
    viewer: Client, releases: list[str], models_dir: Path
) -> None:
    response = viewer.get(reverse("dashboard:models"))

    stored = manifest_of(models_dir, releases[1])["recommenders"]["als"]["metrics"]
    expected = stored["improvement_over_popularity_percent"]["ndcg@10"]
    above = {name: one.above_popularity for name, _, one in response.context["figures"]}
    assert above["popularity"] is None
    assert above["als"].interval == Interval(expected["mean"], expected["low"], expected["high"])
    html = response.content.decode()
    assert "ndcg above popularity" in html
    assert f"{expected['mean']:+.1f} %" in html
    assert f"{expected['low']:+.1f} to {expected['high']:+.1f}" in html


@pytest.mark.parametrize(
    ("low", "high", "verdict"), [(0.1, 9.0, "better"), (-9.0, -0.1, "worse"), (-1.0, 9.0, ""), (0.0, 1.0, "")]
)
def test_above_popularity_is_called_so_only_where_the_interval_lies_on_one_side(
    low: float, high: float, verdict: str
) -> None:
    assert Above(Interval((low + high) / 2, low, high)).verdict == verdict


def test_a_release_of_before_it_was_measured_has_no_such_column(
    viewer: Client, releases: list[str], models_dir: Path
) -> None:
    path = models_dir / "releases" / releases[1] / "manifest.json"
    manifest = json.loads(path.read_text())
    for entry in manifest["recommenders"].values():
        entry["metrics"].pop("improvement_over_popularity_percent", None)
    path.chmod(0o644)
    path.write_text(json.dumps(manifest))

    response = viewer.get(reverse("dashboard:models"))

    assert [name for name, _, _ in response.context["figures"]] == ["popularity", "als"]
    assert "ndcg above popularity" not in response.content.decode()


def test_every_recommender_has_its_place_on_a_page() -> None:
    assert in_order(sorted(RECOMMENDERS)) == list(ORDER)
    assert set(ORDER) == set(RECOMMENDERS)
    assert in_order(["ours", "als", "popularity"]) == ["popularity", "als", "ours"]


def test_the_chart_over_time_also_knows_releases_that_are_no_longer_kept(
    viewer: Client, releases: list[str], models_dir: Path
) -> None:
    metrics = {
        name: entry["metrics"] for name, entry in manifest_of(models_dir, releases[0])["recommenders"].items()
    }
    gone = {"release": "20260101T000000Z-0000", "metrics": metrics}
    TrainingRun.objects.create(status="succeeded", finished_at="2026-01-01T00:01:00Z", **gone)
    TrainingRun.objects.create(status="failed", finished_at="2026-01-02T00:01:00Z", metrics=metrics)

    chart = viewer.get(reverse("dashboard:models")).context["over_time"]

    assert len(chart.labels) == 3
    assert chart.labels[0] == "2026-01-01 00:01"
    assert chart.series[0].name == "popularity"
    assert chart.series[1].low[0] == pytest.approx(metrics["als"]["metrics"]["ndcg@10"]["low"], abs=1e-6)


def test_a_release_that_cannot_be_read_is_a_row_that_says_why(
    operator: Client, releases: list[str], models_dir: Path
) -> None:
    manifest = models_dir / "releases" / releases[0] / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_text("{")

    response = operator.get(reverse("dashboard:models"))

    (row,) = [row for row in response.context["rows"] if row.release.version == releases[0]]
    assert row.release.fault
    html = response.content.decode()
    assert "manifest.json cannot be read" in html
    assert f'id="promote-{releases[0]}"' not in html
    assert len(response.context["over_time"].labels) == 1


def test_a_served_release_whose_folder_is_gone_is_told(
    operator: Client, releases: list[str], models_dir: Path
) -> None:
    folder = models_dir / "releases" / releases[1]
    folder.rename(models_dir / "taken-away")

    response = operator.get(reverse("dashboard:models"))

    assert response.status_code == 200
    assert "It cannot be read" in response.content.decode()


def test_metrics_of_another_shape_are_not_measured_and_break_nothing(
    viewer: Client, releases: list[str]
) -> None:
    for metrics in ({"als": {"ndcg": 0.1}}, {"als": None}, {"als": {"k": 10, "metrics": {"ndcg@10": 3}}}):
        TrainingRun.objects.create(
            status="succeeded",
            release="20250101T000000Z-aaaa",
            metrics=metrics,
            finished_at=datetime.now(UTC),
        )

    assert len(viewer.get(reverse("dashboard:models")).context["over_time"].labels) == 2


def test_two_releases_stand_beside_each_other_with_what_differs_marked(
    viewer: Client, releases: list[str]
) -> None:
    response = viewer.get(reverse("dashboard:models"), {"first": releases[0], "second": releases[1]})

    parts = {
        part.title: {row.name: row for row in (*part.rows, *part.same)}
        for part in response.context["comparisons"]
    }
    factors = parts["Recipe of als"]["factors"]
    assert ({factors.first, factors.second}, factors.differs) == ({"4", "8"}, True)
    assert not parts["Recipe of als"]["alpha"].differs
    assert not parts["Learned from"]["counts users"].differs
    assert "als, ndcg@10" in parts["Measured"]
    assert not parts["Measured"]["popularity, mrr@10"].differs
    assert "als, peak memory in MiB" in parts["Cost of the training"]


@pytest.mark.parametrize(
    ("second", "verdict"), [((0.5, 0.41, 0.6), "better"), ((0.5, 0.4, 0.6), ""), ((0.1, 0.05, 0.19), "worse")]
)
def test_better_and_worse_are_said_only_where_the_intervals_are_apart(
    second: tuple[float, float, float], verdict: str
) -> None:
    assert _verdict(Interval(0.3, 0.2, 0.4), Interval(*second)) == verdict


def test_an_operator_rolls_back_and_serves_again_and_both_are_written_down(
    operator: Client, releases: list[str], models_dir: Path
) -> None:
    older, newer = releases

    response = operator.post(reverse("dashboard:models_roll_back"), {"served": newer}, follow=True)
    assert served_version(models_dir) == older
    assert f"Release {older} is served instead of {newer}" in response.content.decode()

    response = operator.post(reverse("dashboard:models_promote"), {"version": newer}, follow=True)
    assert served_version(models_dir) == newer
    changes = list(ReleaseChange.objects.values_list("action", "version", "previous_version", "by__username"))
    assert changes == [("promoted", newer, older, "operator"), ("rolled_back", older, newer, "operator")]
    assert "Rolled Back" in response.content.decode()


def test_pressed_twice_roll_back_goes_back_once(
    operator: Client, releases: list[str], models_dir: Path
) -> None:
    for _ in range(2):
        response = operator.post(reverse("dashboard:models_roll_back"), {"served": releases[1]}, follow=True)

    assert served_version(models_dir) == releases[0]
    assert "look again, then decide" in response.content.decode()
    assert ReleaseChange.objects.count() == 1


def test_what_cannot_be_served_is_told_and_the_served_one_stays(
    operator: Client, releases: list[str], models_dir: Path
) -> None:
    (factors,) = (models_dir / "releases" / releases[0]).glob("als_v1_item_factors.npy")
    factors.chmod(0o644)
    factors.write_bytes(factors.read_bytes()[:-1] + b"\x00")

    for version, message in ((releases[0], "is damaged"), ("../..", "no release"), ("", "no release")):
        response = operator.post(reverse("dashboard:models_promote"), {"version": version}, follow=True)
        assert message in response.content.decode()
        assert served_version(models_dir) == releases[1]
    assert not ReleaseChange.objects.exists()


@pytest.mark.parametrize("name", ["models_promote", "models_roll_back"])
def test_viewers_see_no_button_and_are_refused(
    viewer: Client, releases: list[str], models_dir: Path, name: str
) -> None:
    address = reverse(f"dashboard:{name}")

    assert viewer.post(address, {"version": releases[0], "served": releases[1]}).status_code == 403

    assert served_version(models_dir) == releases[1]
    assert address not in viewer.get(reverse("dashboard:models")).content.decode()


def test_serving_another_release_wants_a_post_and_the_csrf_token(
    operator: Client, releases: list[str], models_dir: Path
) -> None:
    strict = Client(enforce_csrf_checks=True)
    strict.cookies = operator.cookies

    for name in ("models_promote", "models_roll_back"):
        assert operator.get(reverse(f"dashboard:{name}")).status_code == 405
        assert strict.post(reverse(f"dashboard:{name}"), {"version": releases[0]}).status_code == 403
    assert served_version(models_dir) == releases[1]
