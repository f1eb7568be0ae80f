"""The Celery application: a worker for each of the queues default and train, and a beat."""

import os

from celery import Celery
from celery.signals import setup_logging

from embedded_services import configure_environment

configure_environment()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("config")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()


@setup_logging.connect
def keep_djangos_logging(**_: object) -> None:
    """Celery sets up no logging of its own when somebody listens: LOGGING holds in the worker too."""
