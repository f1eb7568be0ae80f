#!/bin/sh
# Brings the database up to date before the site starts; worker and beat wait until the site is healthy.
set -eu
if [ "$1" = gunicorn ]; then
  python manage.py migrate --noinput
fi
exec "$@"
