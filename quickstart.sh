#!/usr/bin/env bash
# From nothing to answers: installs, starts the servers, seeds a demo, trains, serves until Ctrl-C.
#
#   ./quickstart.sh                    serve until Ctrl-C
#   ./quickstart.sh --exit             show that it all works, stop, exit 0
#   ./quickstart.sh --torch-index URL  where pip finds a CPU build of torch, for the extras that need torch
#
# Run again it reuses what is there. With DATABASE_URL and REDIS_URL set it uses those servers
# instead of its own. Needs Python 3.11 or newer; neither root nor Docker.
set -euo pipefail
REPOSITORY=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
cd "$REPOSITORY"
# shellcheck source=scripts/environment.sh
source scripts/environment.sh

usage() { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; }

pip_options=()
quickstart_options=()
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --exit) quickstart_options+=(--exit) ;;
    --torch-index)
      [ $# -ge 2 ] || { usage >&2; exit 2; }
      pip_options+=(--extra-index-url "$2")
      shift
      ;;
    --torch-index=*) pip_options+=(--extra-index-url "${1#*=}") ;;
    *)
      printf 'Unknown option: %s\n\n' "$1" >&2
      usage >&2
      exit 2
      ;;
  esac
  shift
done

prepare_environment "$EXTRAS_TO_RUN" "${pip_options[@]}"
exec "$VENV_PYTHON" scripts/quickstart.py "${quickstart_options[@]}"
