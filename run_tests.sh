#!/usr/bin/env bash
# Checks everything: lint, types, import directions, migrations, tests.
#
#   ./run_tests.sh                     all but the slow tests and those in a browser
#   ./run_tests.sh --all               these too, with Debian's chromium and Java (skipped without)
#   ./run_tests.sh backend/tests -k api    what follows goes to pytest
#
# Uses throw-away servers of its own; nothing is left running.
set -euo pipefail
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
cd "$REPOSITORY"
# shellcheck source=scripts/environment.sh
source scripts/environment.sh

case ${1:-} in
  -h | --help)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 0
    ;;
  --all)
    shift
    selection=()
    extras=$EXTRAS_TO_TEST_ALL
    ;;
  *)
    selection=(-m "not slow and not browser")
    extras=$EXTRAS_TO_DEVELOP
    ;;
esac

prepare_environment "$extras"
export PATH="$VENV/bin:$PATH"

say "Lint and format"
python -m ruff check .
python -m ruff format --check .
say "Types"
python -m mypy
say "Import directions"
lint-imports
say "Migrations"
python -m embedded_services run -- python backend/manage.py makemigrations --check --dry-run
say "Tests"
exec python -m pytest --numprocesses auto --dist loadfile "${selection[@]}" "$@"
