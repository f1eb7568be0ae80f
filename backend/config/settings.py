"""Django's settings; what differs between machines comes from the environment through `config.env`."""

import os
from pathlib import Path

from config.env import Settings
from config.secret_key import development_secret_key
from config.unfold import UNFOLD as UNFOLD
from recsys import paths

BASE_DIR = Path(__file__).resolve().parent.parent
ENV = Settings.from_env(os.environ)

SECRET_KEY = ENV.secret_key or development_secret_key(BASE_DIR / ".run" / "development_secret_key")
DEBUG = ENV.debug
ALLOWED_HOSTS = list(ENV.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(ENV.csrf_trusted_origins)

INSTALLED_APPS = [
    "unfold",  # before django.contrib.admin, whose templates it replaces
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "ninja",  # its static files: the API's docs page loads nothing from elsewhere
    "django_celery_beat",
    "accounts",
    "startups",
    "interactions",
    "recommendations",
    "dashboard",
]

MIDDLEWARE = [
    "config.request_id.RequestIdMiddleware",
    "config.health.HealthMiddleware",
    "config.api_errors.ApiErrorMiddleware",
    "config.outage.OutageMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# One connection a thread, kept and checked before use. Not psycopg's pool: a pool wants
# CONN_MAX_AGE = 0 and must never cross the fork of a Celery worker.
DATABASES = {"default": {**ENV.database, "CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "admin:login"
LOGIN_REDIRECT_URL = "admin:index"

LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True

STATIC_URL = "static/"
WHITENOISE_USE_FINDERS = True  # served from the installed packages: nobody has to run collectstatic

# The largest body the API reads: 1,000 events with their context fit many times over.
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024

REDIS_URL = ENV.redis_url
INFERENCE_URL = ENV.inference_url
INFERENCE_API_KEY = ENV.inference_api_key
COLD_BELOW, HOT_FROM = ENV.cold_below, ENV.hot_from
DATASET_DIR = paths.data_dir()
MODELS_DIR = paths.models_dir()
LOGS_DIR = paths.logs_dir()
EXPERIMENTS_DIR = paths.experiments_dir()

# A training is one task at a time on a queue of its own. Redis hands a task out again when it is
# not acknowledged within the visibility timeout, so that must exceed the longest training.
TRAINING_TIME_LIMIT_S = ENV.training_time_limit_s
TRAINING_MEMORY_LIMIT_MB = ENV.training_memory_limit_mb
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": TRAINING_TIME_LIMIT_S + 3600,
    "socket_connect_timeout": 2,
}
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1}  # a request that starts a training waits for it
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True  # a TrainingRun row holds what became of a training
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ROUTES = {"recommendations.tasks.retrain": {"queue": "train"}}
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TASK_ACKS_LATE = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TIMEZONE = "UTC"
CELERY_ENABLE_UTC = True
CELERY_BEAT_SCHEDULER = "config.beat:WholeSchedule"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "config.request_id.RequestIdFilter"}},
    "formatters": {
        "line": {
            "()": "config.request_id.UtcFormatter",
            "format": "%(asctime)s %(levelname)s %(name)s request=%(request_id)s %(message)s",
        },
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "filters": ["request_id"], "formatter": "line"}
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django": {"handlers": [], "level": "INFO"},
        # What a caller did wrong is told to the caller; its address may name a user.
        "django.request": {"level": "ERROR"},
        "httpx": {"level": "WARNING"},
    },
}

if ENV.is_production:
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_HSTS_SECONDS = 30 * 24 * 3600
