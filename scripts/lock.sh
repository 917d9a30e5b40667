#!/usr/bin/env bash
# Writes requirements/*.txt anew: newest versions that pyproject.toml allows, with hashes, without addresses.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v uv >/dev/null || {
  echo 'lock: uv is missing: install it to make lock files' >&2
  exit 2
}
compile() {
  uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
    --no-emit-index-url --no-header --no-annotate "$@"
}
compile --extra aws pyproject.toml -o requirements/run.txt
compile --group build -o requirements/build.txt
compile --extra aws pyproject.toml --group dev -o requirements/dev.txt
