"""What there is to learn from, and what an act of each type is worth."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from dashboard.data_charts import data_charts, data_stats
from dashboard.data_summary import stored_summary
from dashboard.pages import check_permission, page
from dashboard.weights_form import CHANGE, WeightsForm, present_weights, save_weights, weights_form
from dashboard.weights_preview import Preview, preview_weights

SAVED = (
    "The weights are saved. The live profiles are being brought up to date; the models follow with the "
    "next training."
)


def data(request: HttpRequest) -> HttpResponse:
    """Density, long tail, how much is known of whom; and the weights, which a POST tries out or saves."""
    if request.method != "POST":
        return _shown(request, weights_form())
    if request.POST.get("do") == "save":
        check_permission(request, CHANGE)
    form = weights_form(request.POST)
    if not form.is_valid():
        return _shown(request, form)
    if request.POST.get("do") == "save":
        return _saved(request, form)
    return _shown(request, form, preview_weights(present_weights().by_type(), form.weights))


def _saved(request: HttpRequest, form: WeightsForm) -> HttpResponse:
    refused = save_weights(request, form)
    if refused:
        messages.warning(request, refused)
    else:
        messages.success(request, SAVED)
    return redirect("dashboard:data")


def _shown(request: HttpRequest, form: WeightsForm, preview: Preview | None = None) -> HttpResponse:
    summary = stored_summary()
    row, facts = summary or (None, None)
    context = {
        "summary": row,
        "stats": data_stats(facts) if facts else [],
        "charts": data_charts(facts, timezone.now().date()),
        "form": form,
        "preview": preview,
        "may_change": request.user.has_perm(CHANGE),
    }
    return page(request, "dashboard/data.html", context, "Data")
