#!/usr/bin/env bash
# Installs Privyseal for this machine, below a folder that root alone can write; as root.
#
#   scripts/install.sh [--prefix /opt/privyseal] [--wheelhouse DIR] [--offline]
#   scripts/install.sh --remove [--prefix /opt/privyseal]
#
# --wheelhouse DIR   take packages from this folder first; a wheel of privyseal in it spares the build
# --offline          take them from there alone
#
# Every package is pinned by hash, in the wheel of privyseal itself. With that in the wheelhouse this
# script works without a checkout. Exits 2 with one line when it cannot begin.
set -euo pipefail
self=$(realpath "$0")
cd "$(dirname "$0")/.."
umask 022

say() { printf 'install: %s\n' "$*"; }
refuse() {
  printf 'install: %s\n' "$*" >&2
  exit 2
}

prefix=/opt/privyseal
link=/usr/local/bin/privy
wheelhouse=
offline=
remove=
while [ $# -gt 0 ]; do
  case $1 in
    --prefix | --wheelhouse)
      [ $# -gt 1 ] || refuse "$1 wants a folder"
      if [ "$1" = --prefix ]; then prefix=$2; else wheelhouse=$2; fi
      shift
      ;;
    --offline) offline=1 ;;
    --remove) remove=1 ;;
    --help | -h)
      sed -n '2,/^set/s/^# \{0,1\}//p' "$self"
      exit 0
      ;;
    *) refuse "unknown option '$1': use --prefix, --wheelhouse, --offline, --remove or --help" ;;
  esac
  shift
done

[ "$(id -u)" = 0 ] || refuse 'this takes root: run it with sudo'
[[ $prefix =~ ^/[A-Za-z0-9_@+=:,./-]+$ ]] || refuse "the prefix '$prefix' cannot stand in a unit: use /opt/privyseal"
marker=$prefix/.installed-by-privyseal
if [ -e "$prefix" ] && ! [ -e "$marker" ] && [ -n "$(ls -A "$prefix")" ]; then
  refuse "$prefix holds something else: choose another --prefix"
fi
if { [ -e $link ] || [ -L $link ]; } && [ "$(readlink $link)" != "$prefix/bin/privy" ]; then
  refuse "$link is not ours: move it away"
fi

if [ -n "$remove" ]; then
  if compgen -G '/etc/privyseal/companions/*.json' >/dev/null; then
    refuse 'somebody still has a companion: run `privy provision --undo --user NAME` first'
  fi
  [ -e "$marker" ] || refuse "nothing is installed in $prefix"
  rm -f $link
  rm -rf "$prefix"
  say "removed $prefix and $link"
  exit 0
fi

python=/usr/bin/python3
[ -x $python ] || refuse 'there is no /usr/bin/python3: install Python 3.11 or newer'
$python -I -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  refuse "$($python -V) is too old: Privyseal needs Python 3.11 or newer"
$python -I -c 'import ensurepip, venv' 2>/dev/null ||
  refuse 'Python lacks its venv module: install the package python3-venv'
sources=()
if [ -n "$wheelhouse" ]; then
  [ -d "$wheelhouse" ] || refuse "there is no folder '$wheelhouse'"
  wheelhouse=$(realpath "$wheelhouse")
  sources+=(--find-links "$wheelhouse")
fi
if [ -n "$offline" ]; then
  [ -n "$wheelhouse" ] || refuse '--offline needs --wheelhouse'
  sources+=(--no-index)
fi

pip() {
  local where=$1
  shift
  "$where/bin/python" -I -m pip --quiet --disable-pip-version-check --no-input "$@"
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

own=$(compgen -G "${wheelhouse:-/nonexistent}/privyseal-*.whl" || true)
if [ -z "$own" ]; then
  [ -f pyproject.toml ] || refuse 'there is no wheel of privyseal in the wheelhouse, and this is no checkout'
  say 'building the wheel'
  $python -I -m venv "$work/build"
  pip "$work/build" install "${sources[@]}" --require-hashes --no-deps --only-binary :all: -r requirements/build.txt
  pip "$work/build" wheel --no-build-isolation --no-deps --no-index --wheel-dir "$work" .
  own=$(compgen -G "$work/privyseal-*.whl")
fi
[ "$(wc -l <<<"$own")" = 1 ] || refuse "$wheelhouse holds more than one wheel of privyseal"

say "installing into $prefix"
mkdir -p "$prefix"
touch "$marker"
$python -I -m venv --clear "$prefix"
touch "$marker"
pip "$prefix" install --no-index --no-deps --no-compile "$own"
pins=$(compgen -G "$prefix/lib/python3*/site-packages/privyseal/deploy/requirements.txt")
pip "$prefix" install "${sources[@]}" --require-hashes --no-deps --only-binary :all: --no-compile -r "$pins"
# What is not needed at run time is not on the import path.
pip "$prefix" uninstall --yes pip setuptools 2>/dev/null || true
cat >"$prefix/bin/privy" <<END
#!$prefix/bin/python3 -I
import sys
from privyseal.cli.main import main
sys.exit(main())
END
chmod 755 "$prefix/bin/privy"
"$prefix/bin/python3" -I -m compileall -q "$prefix/lib"
chown -R root:root "$prefix"
chmod -R go-w,a+rX "$prefix"
mkdir -p "$(dirname $link)"
ln -sfn "$prefix/bin/privy" $link
next='privy provision --user NAME'
if compgen -G '/etc/privyseal/companions/*.json' >/dev/null; then
  next="privy provision --user NAME for who has a companion, then systemctl restart 'privyseal-*.service'"
fi
say "installed $("$link" version | head -n 1); next: $next"
