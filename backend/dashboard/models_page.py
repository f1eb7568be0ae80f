"""The releases, how good they are, and serving another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_GET, require_POST

from dashboard.model_figures import (
    METRICS,
    measured_of,
    measured_runs,
    ndcg_by_tier,
    ndcg_over_time,
    points_over_time,
    release_rows,
)
from dashboard.pages import OPERATE, page
from dashboard.release_comparison import compare
from dashboard.tuning_results import tuning_context
from recommendations.models import ReleaseChange
from recommendations.releases import kept_releases, promote, roll_back
from recsys.artifacts.promote import KeptRelease
from recsys.errors import RecsysError

CHANGES_SHOWN = 20


@require_GET
def models(request: HttpRequest) -> HttpResponse:
    """Every kept release; one of them in detail; two beside each other."""
    kept = kept_releases()
    readable = [release for release in kept if release.fault is None]
    served = next((release for release in kept if release.is_served), None)
    columns, rows = release_rows(kept)
    context = {
        "served": served,
        "older": _older_than(served, kept),
        "columns": columns,
        "rows": rows,
        "readable": readable,
        "over_time": ndcg_over_time(points_over_time(kept, measured_runs())),
        "changes": ReleaseChange.objects.select_related("by", "run")[:CHANGES_SHOWN],
        "may_operate": request.user.has_perm(OPERATE),
        **_detail(_chosen(request.GET.get("release"), readable) or served),
        **_comparison(request, readable),
        **tuning_context(),
    }
    return page(request, "dashboard/models.html", context, "Models")


@require_POST
def models_promote(request: HttpRequest) -> HttpResponse:
    """Serve a kept release."""
    return _change(request, lambda: promote(request.POST.get("version", ""), by=request.user))


@require_POST
def models_roll_back(request: HttpRequest) -> HttpResponse:
    """Serve the release before the one that the person saw served."""
    return _change(request, lambda: roll_back(by=request.user, served=request.POST.get("served", "")))


def _change(request: HttpRequest, change: Callable[[], ReleaseChange]) -> HttpResponse:
    try:
        done = change()
    except RecsysError as error:
        messages.error(request, str(error))
    else:
        instead = f" instead of {done.previous_version}" if done.previous_version else ""
        messages.success(
            request, f"Release {done.version} is served{instead}; every worker follows within two seconds."
        )
    return redirect("dashboard:models")


def _older_than(served: KeptRelease | None, kept: Sequence[KeptRelease]) -> KeptRelease | None:
    """What rolling back would serve."""
    return next((release for release in kept if served and release.version < served.version), None)


def _chosen(version: str | None, readable: Sequence[KeptRelease]) -> KeptRelease | None:
    return next((release for release in readable if release.version == version), None)


def _detail(release: KeptRelease | None) -> dict[str, Any]:
    """Every figure of one release."""
    if release is None or release.manifest is None:
        return {}
    measured = measured_of(release)
    entries = release.manifest["recommenders"]
    return {
        "detail": release,
        "metrics": METRICS,
        "figures": [
            (name, [one.figures.get(metric) for metric in METRICS], one) for name, one in measured.items()
        ],
        "says_improvement": any(one.above_popularity for one in measured.values()),
        "not_measured": [name for name in entries if name not in measured],
        "by_tier": ndcg_by_tier(release.version, measured),
        "warnings": release.manifest.get("facts", {}).get("warnings", []),
    }


def _comparison(request: HttpRequest, readable: Sequence[KeptRelease]) -> dict[str, Any]:
    first, second = (_chosen(request.GET.get(name), readable) for name in ("first", "second"))
    if first is None or second is None:
        return {}
    return {"first": first, "second": second, "comparisons": compare(first, second)}
