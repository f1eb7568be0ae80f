"""The dashboard's addresses, among the admin's."""

from django.contrib import admin
from django.urls import path

from dashboard.data_page import data
from dashboard.explorer import (
    explorer,
    explorer_act,
    explorer_explain,
    explorer_startup,
    explorer_take_back,
    explorer_user,
)
from dashboard.models_page import models, models_promote, models_roll_back
from dashboard.overview_page import front_page, health, overview
from dashboard.pages import OPERATE, for_staff
from dashboard.runs_page import cancel, retrain, run, run_state, runs

app_name = "dashboard"

urlpatterns = [
    path("", admin.site.admin_view(front_page), name="front"),
    path("overview/", for_staff(overview), name="overview"),
    path("overview/health/", for_staff(health), name="health"),
    path("data/", for_staff(data), name="data"),
    path("models/", for_staff(models), name="models"),
    path("models/promote/", for_staff(models_promote, OPERATE), name="models_promote"),
    path("models/roll-back/", for_staff(models_roll_back, OPERATE), name="models_roll_back"),
    path("runs/", for_staff(runs), name="runs"),
    path("runs/retrain/", for_staff(retrain, OPERATE), name="retrain"),
    path("runs/<int:pk>/", for_staff(run), name="run"),
    path("runs/<int:pk>/state/", for_staff(run_state), name="run_state"),
    path("runs/<int:pk>/cancel/", for_staff(cancel, OPERATE), name="run_cancel"),
    path("explorer/", for_staff(explorer), name="explorer"),
    path("explorer/users/<uuid:pk>/", for_staff(explorer_user), name="explorer_user"),
    path("explorer/users/<uuid:pk>/act/", for_staff(explorer_act, OPERATE), name="explorer_act"),
    path(
        "explorer/users/<uuid:pk>/take-back/",
        for_staff(explorer_take_back, OPERATE),
        name="explorer_take_back",
    ),
    path(
        "explorer/users/<uuid:pk>/why/<uuid:startup>/", for_staff(explorer_explain), name="explorer_explain"
    ),
    path("explorer/startups/<uuid:pk>/", for_staff(explorer_startup), name="explorer_startup"),
]
