# shellcheck shell=bash
# Sourced by the scripts at the top of the tree, with REPOSITORY set: the virtual environment in .venv
# and how the scripts talk. Plain lines when nobody watches, a running clock on a terminal.

VENV="$REPOSITORY/.venv"
VENV_PYTHON="$VENV/bin/python"
EXTRAS_TO_RUN="backend,serve,train,embedded"
EXTRAS_TO_DEVELOP="$EXTRAS_TO_RUN,dev"
EXTRAS_TO_TEST_ALL="$EXTRAS_TO_DEVELOP,spark"

say() { printf '==> %s\n' "$*"; }

fail() {
  printf 'Error: %s\n' "$*" >&2
  exit 1
}

# run_step TITLE LOG COMMAND...: run a quiet command, show the seconds, show its log if it fails.
run_step() {
  local title=$1 log=$2 started=$SECONDS pid elapsed
  shift 2
  "$@" >"$log" 2>&1 &
  pid=$!
  # shellcheck disable=SC2064 # this very process is meant
  trap "kill $pid 2>/dev/null || true" EXIT
  while kill -0 "$pid" 2>/dev/null; do
    sleep 1
    elapsed=$((SECONDS - started))
    if [ -t 1 ]; then
      printf '\r==> %s ... %d s' "$title" "$elapsed"
    elif [ $((elapsed % 10)) -eq 0 ]; then
      printf '==> %s ... %d s\n' "$title" "$elapsed"
    fi
  done
  trap - EXIT
  [ ! -t 1 ] || printf '\r\033[K'
  if ! wait "$pid"; then
    tail -n 20 "$log" >&2
    fail "$title failed; the whole log is $log"
  fi
  say "$title: done in $((SECONDS - started)) s"
}

is_new_enough() {
  "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# The first Python >= 3.11; $PYTHON, when set, is the only candidate.
find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    if is_new_enough "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  fail "Python 3.11 or newer is needed (found: $(python3 --version 2>&1 || echo none));" \
    "install it, or name one: PYTHON=/path/to/python3.11 $0"
}

# What the installation depends on; another value means: install again.
installation_fingerprint() {
  { cat "$REPOSITORY/pyproject.toml" "$REPOSITORY/constraints.txt" && "$VENV_PYTHON" --version; } | cksum
}

# prepare_environment EXTRAS [PIP OPTION...]: have .venv with these extras of the project in this folder.
prepare_environment() {
  local extras=$1 stamp
  shift
  stamp="$VENV/.installed-$extras"
  make_venv
  if [ "$(cat "$stamp" 2>/dev/null)" = "$(installation_fingerprint)" ]; then
    return
  fi
  run_step "Installing packages into .venv (the first time takes a minute or more)" "$VENV/install.log" \
    "$VENV_PYTHON" -m pip install --disable-pip-version-check --no-input "$@" \
    -c "$REPOSITORY/constraints.txt" -e ".[$extras]"
  "$VENV_PYTHON" -c 'import implicit.cpu.als' 2>>"$VENV/install.log" ||
    fail "implicit cannot be loaded: $(tail -n 1 "$VENV/install.log")" \
      "(libgomp is missing? on Debian: apt-get install libgomp1)"
  # What was installed holds every shorter list that it begins with.
  local held
  for held in "$EXTRAS_TO_RUN" "$EXTRAS_TO_DEVELOP" "$EXTRAS_TO_TEST_ALL"; do
    case $extras, in
      "$held",*) installation_fingerprint >"$VENV/.installed-$held" ;;
    esac
  done
}

make_venv() {
  local python
  # A virtual environment that was moved, or whose Python is gone, is made anew.
  if [ "$(cat "$VENV/.location" 2>/dev/null)" = "$VENV" ] && is_new_enough "$VENV_PYTHON"; then
    return
  fi
  python=$(find_python)
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "$python cannot make virtual environments; on Debian: apt-get install python3-venv"
  say "Making the virtual environment .venv with $("$python" --version)"
  "$python" -m venv --clear "$VENV"
  printf '%s' "$VENV" >"$VENV/.location"
}
