"""The Celery application: `celery -A config worker -Q default,train` and `celery -A config beat`."""

import os

from celery import Celery

from embedded_services import configure_environment

configure_environment()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
