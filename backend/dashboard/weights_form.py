"""Changing the signal weights: checked, logged, and refused when somebody else changed them meanwhile."""

from __future__ import annotations

from django import forms
from django.contrib import admin
from django.db import transaction
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminDecimalFieldWidget

from interactions.models import SignalWeights
from interactions.tasks import queue_sync
from recsys.datasets.weights import SIGNALS

CHANGE = "interactions.change_signalweights"


class WeightsForm(forms.ModelForm):
    """The weight of each signal, and the version of the row that the person saw."""

    version_seen = forms.IntegerField(widget=forms.HiddenInput)

    class Meta:
        model = SignalWeights
        fields = SIGNALS
        widgets = {name: UnfoldAdminDecimalFieldWidget(attrs={"step": "any"}) for name in SIGNALS}

    @property
    def weights(self) -> dict[str, float]:
        """As they are in the form, once it is valid."""
        return {name: self.cleaned_data[name] for name in SIGNALS}


def present_weights() -> SignalWeights:
    """The row, or what holds without it."""
    return SignalWeights.objects.first() or SignalWeights()


def weights_form(data: object = None) -> WeightsForm:
    """A form that starts from the present weights."""
    row = present_weights()
    return WeightsForm(data, instance=row, initial={"version_seen": row.version})


@transaction.atomic
def save_weights(request: HttpRequest, form: WeightsForm) -> str | None:
    """Save a valid form and log who changed what; returns why not, when it is refused."""
    SignalWeights.objects.get_or_create(pk=SignalWeights.SINGLETON_ID)
    row = SignalWeights.objects.select_for_update().get()
    if row.version != form.cleaned_data["version_seen"]:
        return "Somebody changed the weights meanwhile; look at the present ones and change them again."
    changes = {
        name: (getattr(row, name), weight)
        for name, weight in form.weights.items()
        if getattr(row, name) != weight
    }
    if not changes:
        return "These are the present weights; nothing was saved."
    for name, (_, weight) in changes.items():
        setattr(row, name, weight)
    row.save()
    told = ", ".join(f"{name} {before:g} -> {after:g}" for name, (before, after) in changes.items())
    admin.site.get_model_admin(SignalWeights).log_change(request, row, f"Changed {told}.")
    queue_sync()
    return None
