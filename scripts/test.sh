#!/usr/bin/env bash
# Checks, tests and coverage, and at the end the numbers in one place.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/check.sh
python=.venv/bin/python
SECONDS=0
mkdir -p build
rm -f .coverage .coverage.*
$python -m coverage run -m pytest "$@"
$python -m coverage combine --quiet
status=0
total=$($python -m coverage report --format=total --fail-under=0)
$python -m coverage report --skip-covered --sort=cover >build/coverage.txt || status=$?
[ $status = 0 ] || cat build/coverage.txt
echo "duration  $((SECONDS / 60)) min $((SECONDS % 60)) s"
echo "coverage  $total % (floor in pyproject.toml; by file: build/coverage.txt)"
$python -m tests.architecture.numbers
exit $status
