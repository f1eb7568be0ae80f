"""What is asked for when a training is started."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from recommendations.models import TrainingRun
from recommendations.plans import training_plan
from recsys.errors import ConfigError
from recsys.recommenders.table import RECOMMENDERS


class TrainingForm(forms.ModelForm):
    """A new run: what to train, and with which hyper-parameters."""

    kind = forms.ChoiceField(
        choices=[(name, name) for name in (TrainingRun.ALL, *RECOMMENDERS)],
        widget=UnfoldAdminSelectWidget,
        help_text="all: what training_config.yaml enables; or one, with popularity and content beside it.",
    )

    class Meta:
        model = TrainingRun
        fields = ("kind", "parameters")
        widgets = {"parameters": UnfoldAdminTextareaWidget(attrs={"rows": 3, "spellcheck": "false"})}
        help_texts = {"parameters": 'Hyper-parameters other than the defaults: {"als": {"factors": 64}}'}

    def clean_parameters(self) -> dict[str, Any]:
        """Refuse here what would fail the training."""
        parameters = self.cleaned_data["parameters"] or {}
        if not isinstance(parameters, dict):
            raise forms.ValidationError('Give an object, such as {"als": {"factors": 64}}.')
        try:
            training_plan(self.cleaned_data.get("kind", TrainingRun.ALL), parameters)
        except ConfigError as error:
            raise forms.ValidationError(str(error)) from error
        return parameters
