#!/usr/bin/env bash
# The test suite, in the same environment as the demo; with --all its slow studies too.
set -euo pipefail
extras=test
source "$(dirname "$0")/setup.sh"
.venv/bin/python -m ruff check .
exec .venv/bin/python -m pytest -n 2 --dist worksteal "$@"
