#!/usr/bin/env bash
# Exports the acts, trains what recommendation_service/config/training_config.yaml enables, evaluates, publishes.
#
#   ./train_all_models.sh                          with the configured hyper-parameters
#   ./train_all_models.sh --set als.factors=64     what follows goes to `recsys train`
#
# A step that fails stops it; what was served before is still served then.
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

step() {
  local title=$1
  shift
  printf '==> %s\n' "$title"
  if ! "$@"; then
    printf 'Error: %s failed; the release served before is unchanged.\n' "$title" >&2
    exit 1
  fi
}

step "Exporting the acts" "$python" backend/manage.py generate_als_dataset
step "Training, evaluating and publishing" "$python" -m recsys.cli train "$@"
