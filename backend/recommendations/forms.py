"""What is asked for when a training is started."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.forms.fields import InvalidJSONInput
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextareaWidget

from recommendations.models import TrainingRun
from recommendations.plans import training_plan
from recsys.errors import ConfigError
from recsys.recommenders.table import RECOMMENDERS


class HyperParametersField(forms.JSONField):
    """JSON that can be stored and shown again: not too deep, no endless number, no half of a character."""

    def to_python(self, value: Any) -> Any:
        """Refuse whatever Python cannot read or the database cannot keep."""
        try:
            converted = super().to_python(value)
            json.dumps(converted, ensure_ascii=False).encode()
        except (ValueError, RecursionError) as error:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid") from error
        return converted

    def bound_data(self, data: Any, initial: Any) -> Any:
        """What was typed, letter by letter, when it is none."""
        try:
            self.to_python(data)
        except forms.ValidationError:
            return InvalidJSONInput(data)
        return super().bound_data(data, initial)


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
        field_classes = {"parameters": HyperParametersField}
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
