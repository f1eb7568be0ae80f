"""The application for a WSGI server: `gunicorn inference_api.wsgi:app`, port 5001 by gunicorn.conf.py.

Settings come from the environment; without REDIS_URL the project's own Valkey is started,
but in production that refuses to start.
"""

from __future__ import annotations

import logging.config
import os
import sys

from apiflask import APIFlask

from inference_api.app import create_app
from inference_api.settings import Settings
from recsys.errors import RecsysError

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "inference_api.request_id.RequestIdFilter"}},
    "formatters": {
        "line": {"format": "%(asctime)s %(levelname)s %(name)s request_id=%(request_id)s %(message)s"}
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["request_id"]}
    },
    "root": {"level": "INFO", "handlers": ["stderr"]},
}
# gunicorn starts a failed worker again and again, but stops for this status ("App failed to load").
CANNOT_START = 4


def make_app() -> APIFlask:
    """The application of this process; exits with one line on stderr when it cannot work."""
    logging.config.dictConfig(LOGGING)
    try:
        if not os.environ.get("REDIS_URL", "").strip():
            from embedded_services import configure_environment

            configure_environment(names=("valkey",))
        return create_app(Settings.from_env(os.environ))
    except RecsysError as error:
        sys.stderr.write(f"inference_api cannot start: {error}\n")
        sys.exit(CANNOT_START)


app = make_app()
