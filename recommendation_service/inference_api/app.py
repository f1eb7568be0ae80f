"""The application, put together from its settings."""

from __future__ import annotations

import logging
from typing import Any

from apiflask import APIFlask
from flask import Response, abort, request
from flask.json.provider import DefaultJSONProvider
from flask_swagger_ui import get_swaggerui_blueprint  # type: ignore[import-untyped]

from inference_api.auth import SECURITY_SCHEMES, install_auth
from inference_api.errors import install_error_handlers
from inference_api.metrics import ReleaseMetrics, install_metrics
from inference_api.question_views import questions
from inference_api.request_id import install_request_id
from inference_api.schemas import Error
from inference_api.settings import Settings
from inference_api.views import health, lists, operations
from recsys import __version__
from recsys.serving.live_catalogue import LiveCatalogueStore
from recsys.serving.live_profile import LiveProfileStore
from recsys.serving.live_state import LiveState
from recsys.serving.questions import Questions
from recsys.serving.redis_client import READ_TIMEOUT_S, connect
from recsys.serving.release_watcher import ReleaseWatcher
from recsys.serving.router import Router

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 1024 * 1024  # a thousand ids of 64 characters, whatever their script and escapes


def create_app(settings: Settings) -> APIFlask:
    """An application that answers from what is published in `settings.models_dir`.

    It starts without a release too, and takes the first one published.

    Raises:
        ConfigError: a setting cannot be used.
    """
    app = APIFlask(
        __name__,
        title="Recommendations",
        version=__version__,
        docs_path=None,
        static_folder=None,  # type: ignore[arg-type]  # Flask takes None: there are no static files
    )
    app.json = JSON(app)
    app.config.update(
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,  # while a body is read: one may come without its length
        DESCRIPTION="Which startups next, for this person? Errors have one shape: error, message, detail.",
        HTTP_ERROR_SCHEMA=Error.model_json_schema(),
        VALIDATION_ERROR_SCHEMA=Error.model_json_schema(),
        SECURITY_SCHEMES=SECURITY_SCHEMES,
        AUTO_SERVERS=False,  # the address a proxy shows is not known here
    )
    install_metrics(app)
    install_request_id(app)
    _install_body_limit(app)
    install_auth(app, settings.api_keys)
    install_error_handlers(app)
    _install_serving(app, settings)
    for blueprint in (lists, questions, health, operations):
        app.register_blueprint(blueprint)
    _install_docs(app)
    if not settings.api_keys:
        logger.warning("no INFERENCE_API_KEY is set: requests from this machine are answered without a key")
    return app


class JSON(DefaultJSONProvider):
    """Answers keep the order of their fields; a body that cannot be read is one, however it fails."""

    sort_keys = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read JSON.

        Raises:
            ValueError: it is not JSON, or nested deeper than can be read.
        """
        try:
            return super().loads(s, **kwargs)
        except RecursionError as error:
            raise ValueError("nested too deep") from error


def _install_serving(app: APIFlask, settings: Settings) -> None:
    client = connect(settings.redis_url, timeout_s=READ_TIMEOUT_S)
    profiles = LiveProfileStore(client)
    live = LiveState(profiles, LiveCatalogueStore(client))
    told = ReleaseMetrics()
    watcher = ReleaseWatcher(
        settings.models_dir, warm=live.warm, on_loaded=told.on_loaded, on_failure=told.on_failure
    )
    watcher.check()
    watcher.start()
    app.extensions["release_watcher"] = watcher
    app.extensions["redis"] = client
    app.extensions["live_profiles"] = profiles
    router = Router(
        watcher, live, settings.thresholds, seen=settings.seen, new_startups=settings.new_startups
    )
    app.extensions["router"] = router
    app.extensions["questions"] = Questions(router)


def _install_body_limit(app: APIFlask) -> None:
    @app.before_request
    def refuse_large_body() -> None:
        if (request.content_length or 0) > MAX_BODY_BYTES:
            abort(413)


def _install_docs(app: APIFlask) -> None:
    """Swagger UI from installed files; it asks nobody else for anything."""
    docs = get_swaggerui_blueprint(
        "/docs",
        "/openapi.json",
        config={
            "app_name": app.title,
            "layout": "BaseLayout",
            "validatorUrl": None,
            "oauth2RedirectUrl": None,
        },
        blueprint_name="docs",
    )
    docs.after_request(_allow_own_files_only)
    app.register_blueprint(docs)


def _allow_own_files_only(response: Response) -> Response:
    """Let the browser enforce it: nothing is loaded from elsewhere."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; "
        "script-src 'self' 'unsafe-inline'"
    )
    return response
