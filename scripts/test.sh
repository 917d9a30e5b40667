#!/usr/bin/env bash
# Checks, tests and coverage, and at the end the numbers in one place, whatever failed before.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/check.sh
python=.venv/bin/python
mkdir -p build
rm -f .coverage .coverage.*
SECONDS=0
failed=0
$python -m coverage run -m pytest "$@" || failed=$?
$python -m coverage combine --quiet
$python -m coverage report --skip-covered --sort=cover >build/coverage.txt || {
  tail -n 1 build/coverage.txt # says which floor was missed
  failed=1
}
echo "duration  $((SECONDS / 60)) min $((SECONDS % 60)) s"
echo "coverage  $($python -m coverage report --format=total --fail-under=0) % (by file: build/coverage.txt)"
$python -m tests.architecture.numbers
exit "$failed"
