#!/usr/bin/env bash
# A job of SLURM that trains, or an array of jobs that share a sweep: each trains the combination of its number, counted from 0.
#
#   sbatch scripts/launch/slurm.sh --config configs/pde.py:base --workdir runs/darcy
#   sbatch --array=0-5 scripts/launch/slurm.sh --config configs/pde.py:base --workdir runs/sweep \
#       --sweep seed=0,1,2 --sweep training.learning_rate=1e-3,2e-3
#
# Options of sbatch on the command line go before those below. What a job did not finish goes on by the same line.
#SBATCH --job-name=sciddm
#SBATCH --output=%x-%A-%a.log
#SBATCH --cpus-per-task=4
#SBATCH --mem=16G
#SBATCH --time=02:00:00
# SIGTERM before the time is over: a checkpoint is saved, which the next job finds.
#SBATCH --signal=B:TERM@120
set -euo pipefail
cd "${SLURM_SUBMIT_DIR:-.}"
if [ -e .venv/bin/activate ]; then source .venv/bin/activate; fi
exec sciddm train --quiet "$@"
