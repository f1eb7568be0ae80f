#!/usr/bin/env bash
# Exports the acts, trains what recommendation_service/config/training_config.yaml enables, evaluates, publishes.
#
#   ./train_all_models.sh                          with the configured hyper-parameters
#   ./train_all_models.sh --set als.factors=64     what follows goes to `manage.py train`
#
# It is a run in the admin, as those of the schedule are; one runs at a time. When it fails, what was served
# before is still served.
set -euo pipefail
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
cd "$REPOSITORY"

case ${1:-} in
  -h | --help)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

python="$REPOSITORY/.venv/bin/python"
[ -x "$python" ] || python=$(command -v python || command -v python3)

if ! "$python" backend/manage.py train "$@"; then
  printf 'Error: the training failed; the release served before is unchanged.\n' >&2
  exit 1
fi
