#!/usr/bin/env bash
# Every check that reads the code without running it; stops at the first that fails.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH"

step() {
  local output
  if output=$("$@" 2>&1); then
    printf 'ok      %s\n' "$*"
  else
    printf 'FAILED  %s\n%s\n' "$*" "$output"
    exit 1
  fi
}
step ruff format --check .
step ruff check .
step mypy
step lint-imports
step deptry src
step vulture
step codespell
