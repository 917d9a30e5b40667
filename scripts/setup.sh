#!/usr/bin/env bash
# Makes this checkout ready: Debian packages, .venv with the pinned packages, the project in it.
#
#   scripts/setup.sh run     what `make try` needs
#   scripts/setup.sh dev     what `make test` needs as well
#   scripts/setup.sh vm      what `make test-vm` needs besides
#
# Exits 2 with one line when something has to be installed first and this user may not do it.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*"; }
refuse() {
  printf 'setup: %s\n' "$*" >&2
  exit 2
}

level=${1:-dev}
case $level in
  run) wanted='dbus-daemon:dbus-daemon secret-tool:libsecret-tools setpriv:util-linux' ;;
  dev)
    wanted='dbus-daemon:dbus-daemon secret-tool:libsecret-tools setpriv:util-linux
      dbus-send:dbus-bin gdbus:libglib2.0-bin gnome-keyring-daemon:gnome-keyring
      git:git make:make ps:procps unshare:util-linux systemd-analyze:systemd
      gpg:gnupg pass:pass keyctl:keyutils slirp4netns:slirp4netns'
    ;;
  vm)
    wanted='make:make qemu-system-x86_64:qemu-system-x86 mmdebstrap:mmdebstrap mke2fs:e2fsprogs unshare:util-linux' ;;
  *) refuse "unknown level '$level': use run, dev or vm" ;;
esac

# Python itself

if ! command -v python3 >/dev/null; then
  refuse 'python3 is missing: install Python 3.11 or newer'
fi
if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  refuse "$(command -v python3) is $(python3 -V): Privyseal needs Python 3.11 or newer"
fi

# Debian packages: a command that is there counts, wherever it came from

missing=
for pair in $wanted; do
  command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair##*:}"
done
# Debian ships the venv module without the pip that it copies into an environment.
if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
  missing="$missing python$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv"
fi
missing=${missing# }

if [ -n "$missing" ]; then
  if ! command -v apt-get >/dev/null; then
    refuse "install what these Debian packages hold, then run this again: $missing"
  elif [ "$(id -u)" = 0 ]; then
    as_root=(env)
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=(sudo -n)
  else
    refuse "run this first, as root: apt-get install $missing"
  fi
  apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
      -o Acquire::Retries=3 -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" </dev/null
  }
  say "installing Debian packages: $missing"
  if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
    apt update >/dev/null
  fi
  # Old lists name versions that the mirror has dropped: refresh them once.
  # shellcheck disable=SC2086 # package names are words
  if ! apt install --no-install-recommends $missing >/dev/null 2>&1; then
    apt update >/dev/null
    # shellcheck disable=SC2086
    apt install --no-install-recommends $missing >/dev/null ||
      refuse "apt-get could not install: $missing"
  fi
fi

# Python packages: the stamp names everything they were made from

python=.venv/bin/python
fingerprint() {
  { pwd -P; python3 -VV; cat pyproject.toml requirements/*.txt scripts/setup.sh tests/gopass/go.*; } | sha256sum
}
now=$(fingerprint)
for done_level in dev "$level"; do
  stamp=.venv/.ready-$done_level
  if [ -x $python ] && [ "$(cat "$stamp" 2>/dev/null)" = "$now" ]; then
    exit 0
  fi
done

if ! $python -m pip --version >/dev/null 2>&1 || ! [ "$(cat .venv/.path 2>/dev/null)" = "$(pwd -P)" ]; then
  say 'making .venv'
  python3 -m venv --clear .venv
  pwd -P >.venv/.path
fi
rm -f .venv/.ready-*

pip() {
  $python -m pip --quiet --disable-pip-version-check --no-input "$@"
}
case $level in
  vm | dev) pinned='-r requirements/dev.txt' ;;
  run) pinned='-r requirements/run.txt -r requirements/build.txt' ;;
esac
say "installing the packages pinned in requirements ($level)"
# shellcheck disable=SC2086 # two options
pip install --require-hashes --no-deps $pinned
say 'installing privyseal from this checkout'
pip install --no-build-isolation --no-deps --editable .
# gopass for the tests of pass stores: Debian's is years behind, so it is built where Go is new enough

if [ "$level" = dev ] && ! command -v gopass >/dev/null; then
  say 'building gopass'
  if ! (cd tests/gopass && GOTOOLCHAIN=local GOFLAGS=-mod=readonly \
    go build -trimpath -o ../../.venv/bin/gopass github.com/gopasspw/gopass) 2>.venv/gopass.log; then
    say "gopass is not built, so its tests do not run: $(tail -n 1 .venv/gopass.log)"
  fi
fi
printf '%s\n' "$now" >".venv/.ready-$level"
