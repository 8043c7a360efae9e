#!/usr/bin/env bash
# The whole test suite, in the same environment as the demo.
set -euo pipefail
extras=test
source "$(dirname "$0")/setup.sh"
.venv/bin/python -m ruff check .
exec .venv/bin/python -m pytest -n 2 --dist worksteal "$@"
