#!/usr/bin/env bash
# Makes .venv beside the project and installs it there; does nothing where that is done. Sourced by demo.sh and test.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras=${extras:-}

find_python() {
  for name in "${PYTHON:-}" python3 python3.13 python3.12 python3.11; do
    [ -n "$name" ] && command -v "$name" >/dev/null || continue
    "$name" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && { echo "$name"; return; }
  done
  echo "sciddm needs Python 3.11 to 3.13; none was found. Set PYTHON=/path/to/python3.x" >&2
  exit 2
}

[ -x .venv/bin/python ] || "$(find_python)" -m venv .venv
stamp=".venv/.installed${extras:+-$extras}"
if [ ! -e "$stamp" ] || [ pyproject.toml -nt "$stamp" ]; then
  echo "installing into .venv (a few minutes the first time) ..."
  constraints=constraints/py$(.venv/bin/python -c 'import sys; print("%d%d" % sys.version_info[:2])').txt
  [ -e "$constraints" ] && pin=(--constraint "$constraints") || pin=()
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "${pin[@]}" --editable ".${extras:+[$extras]}"
  touch "$stamp"
fi
