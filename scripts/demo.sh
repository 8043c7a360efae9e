#!/usr/bin/env bash
# Darcy fields on a fresh machine: data, training, samples, inverse problems, a table and pictures. About 6 minutes on 2 cores.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
exec .venv/bin/sciddm demo "$@"
