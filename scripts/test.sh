#!/usr/bin/env bash
# The test suite, in the same environment as the demo; with --all its slow studies too.
set -euo pipefail
extras=test
source "$(dirname "$0")/setup.sh"
.venv/bin/python -m ruff check .
# A worker more than cores: some wait for processes that they started. Each takes up to 4 GB.
exec .venv/bin/python -m pytest -n 3 --dist worksteal "$@"
