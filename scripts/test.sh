#!/usr/bin/env bash
# The test suite, in the same environment as the demo; with --all its slow studies too.
set -euo pipefail
extras=test
source "$(dirname "$0")/setup.sh"
.venv/bin/python -m ruff check .
# Each worker takes up to 4 GB. A third one on two cores costs more (10:21 and 9:37 from an empty cache) than it gains where others wait.
exec .venv/bin/python -m pytest -n 2 --dist worksteal "$@"
