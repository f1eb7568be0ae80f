"""The answering service: recommendations over HTTP from the served release and the live state.

`inference_api.wsgi:app` is the application, `create_app` makes one from settings.
"""

from inference_api.app import create_app
from inference_api.settings import Settings

__all__ = ["Settings", "create_app"]
