"""The WSGI application: `gunicorn config.wsgi:application` in this folder."""

import os

from embedded_services import configure_environment

configure_environment()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.wsgi import get_wsgi_application  # noqa: E402  (settings read the environment made above)

application = get_wsgi_application()
