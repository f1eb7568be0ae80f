"""The project's configuration; `celery -A config` finds the application in `config.celery`."""
