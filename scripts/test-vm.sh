#!/usr/bin/env bash
# Boots Debian in a virtual machine and proves the deployment there; arguments go to `python -m tests.vm`.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh vm
if [ "$(id -u)" = 0 ]; then
  exec .venv/bin/python -m tests.vm "$@"
fi
exec sudo .venv/bin/python -m tests.vm "$@" # the image holds files of many users
