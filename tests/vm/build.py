"""Builds the disk of the virtual machine: Debian, people, Privyseal as `scripts/install.sh` installs it.

Two layers, each made only when what goes into it changed: a folder with a Debian system and the
wheels that Privyseal needs, and a disk with this checkout installed into that. No loop device is
needed: mke2fs copies a folder into a file system (mke2fs(8), -d).
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.vm.place import BUILD, CHECKOUT, SOURCES

SUITE: Final = "bookworm"
DISK_SIZE: Final = "3G"
PACKAGES: Final = SOURCES / "image" / "packages.txt"
CUSTOMIZE: Final = SOURCES / "image" / "customize.sh"
GUEST: Final = SOURCES / "guest.py"
PINNED: Final = CHECKOUT / "requirements" / "run.txt"
INSTALL: Final = CHECKOUT / "scripts" / "install.sh"
# Debian's package of that name is another program; scripts/setup.sh builds this where Go is.
GOPASS: Final = Path(sys.executable).parent / "gopass"
# What Debian 12 on x86-64 accepts: glibc 2.36, CPython 3.11 (PEP 425, PEP 600).
TAGS: Final = (
    "--python-version=3.11",
    "--implementation=cp",
    "--abi=cp311",
    "--abi=abi3",
    "--abi=none",
    "--platform=manylinux_2_34_x86_64",
    "--platform=manylinux_2_28_x86_64",
    "--platform=manylinux_2_17_x86_64",
    "--platform=manylinux2014_x86_64",
)
_MODULES: Final = "virtio_pci virtio_blk ext4"


class Image(NamedTuple):
    """What a machine boots from."""

    kernel: Path
    initrd: Path
    disk: Path


class BuildError(Exception):
    """A command that makes the image failed."""


def build() -> Image:
    """Return the disk with this checkout, and the kernel for it.

    Raises:
        BuildError: A command failed; its output is in build/vm/build.log.
    """
    BUILD.mkdir(parents=True, exist_ok=True)
    system = _system()
    wheel = _wheel()
    disk = BUILD / "disk.ext4"
    stamp = BUILD / "disk.stamp"
    inputs = [wheel, INSTALL, system / "stamp", *([GOPASS] if GOPASS.exists() else [])]
    _once(stamp, _hash(inputs), lambda: _disk(system, wheel, disk))
    return Image(system / "vmlinuz", system / "initrd.img", disk)


def _system() -> Path:
    """Return the folder with the Debian system, its kernel and the wheels, made where necessary."""
    system = BUILD / "system"
    inputs = [PACKAGES, CUSTOMIZE, GUEST, PINNED, Path(__file__)]
    _once(system / "stamp", _hash(inputs), lambda: _debian(system))
    return system


def _debian(system: Path) -> None:
    shutil.rmtree(system, ignore_errors=True)
    debs, root, archive = BUILD / "debs", system / "root", system / "root.tar"
    for folder in (debs, root):
        folder.mkdir(parents=True, exist_ok=True)
    settings = (
        'mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/tmp"; '
        'printf "MODULES=list\\nCOMPRESS=zstd\\n" >"$1/etc/initramfs-tools/conf.d/vm"; '
        f'printf "%s\\n" {_MODULES} >"$1/etc/initramfs-tools/modules"'
    )
    _run(
        "Debian",
        [
            "mmdebstrap",
            "--variant=minbase",
            "--mode=root",
            '--aptopt=Acquire::Languages "none"',
            '--aptopt=APT::Install-Recommends "false"',
            *(
                f"--dpkgopt=path-exclude=/usr/share/{part}/*"
                for part in ("man", "doc", "locale", "info")
            ),
            "--dpkgopt=path-include=/usr/share/locale/locale.alias",
            "--skip=essential/unlink",
            "--skip=download/empty",
            '--setup-hook=mkdir -p "$1"/var/cache/apt/archives',
            f'--setup-hook=cp -l {debs}/*.deb "$1"/var/cache/apt/archives/ 2>/dev/null || true',
            f"--essential-hook={settings}",
            f'--customize-hook=cp -n "$1"/var/cache/apt/archives/*.deb {debs}/ || true',
            '--customize-hook=rm -f "$1"/var/cache/apt/archives/*.deb',
            f"--customize-hook=copy-in {GUEST} /tmp",
            f'--customize-hook={CUSTOMIZE} "$1"',
            f"--include={','.join(PACKAGES.read_text().split())}",
            SUITE,
            str(archive),
        ],
        seconds=1200,
    )
    _run(
        "unpacking",
        ["tar", "-C", str(root), "--xattrs", "--xattrs-include=*", "-xpf", str(archive)],
    )
    archive.unlink()
    for name in ("vmlinuz", "initrd.img"):
        (newest,) = root.glob(f"boot/{name}-*")
        shutil.copy(newest, system / name)
    wheels = root / "opt" / "wheels"
    wheels.mkdir()
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    _run(
        "wheels",
        [
            *pip,
            "download",
            "--require-hashes",
            "--no-deps",
            "--only-binary=:all:",
            *TAGS,
            "--dest",
            str(wheels),
            "-r",
            str(PINNED),
        ],
    )


def _wheel() -> Path:
    """Return the wheel of this checkout."""
    folder = BUILD / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input"]
    # A wheel is a zip: with this set, the same sources make the same bytes.
    always = {**os.environ, "SOURCE_DATE_EPOCH": "1700000000"}
    _run(
        "wheel",
        [
            *pip,
            "wheel",
            "--no-deps",
            "--no-build-isolation",
            "--wheel-dir",
            str(folder),
            str(CHECKOUT),
        ],
        env=always,
    )
    (wheel,) = folder.glob("*.whl")
    return wheel


def _disk(system: Path, wheel: Path, disk: Path) -> None:
    root = system / "root"
    wheels = root / "opt" / "wheels"
    for old in (*wheels.glob("privyseal-*.whl"), root / "usr/local/bin/privy"):
        old.unlink(missing_ok=True)
    shutil.rmtree(root / "opt" / "privyseal", ignore_errors=True)
    shutil.copy(wheel, wheels)
    gopass = root / "usr/local/bin/gopass"
    gopass.unlink(missing_ok=True)
    if GOPASS.exists():
        shutil.copy(GOPASS, gopass)
    source = root / "opt" / "source"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(CHECKOUT / "requirements", source / "requirements")
    (source / "scripts").mkdir()
    shutil.copy(INSTALL, source / "scripts")
    # In its own process namespace, where whatever it leaves behind dies with it.
    _run(
        "installing Privyseal",
        [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            f"--root={root}",
            "--mount-proc",
            "/opt/source/scripts/install.sh",
            "--wheelhouse",
            "/opt/wheels",
            "--offline",
        ],
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8"},
    )
    disk.unlink(missing_ok=True)
    _run(
        "file system",
        [
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            "-L",
            "vm",
            "-E",
            "lazy_itable_init=1,nodiscard",
            "-d",
            str(root),
            str(disk),
            DISK_SIZE,
        ],
    )


def _once(stamp: Path, fingerprint: str, make: Callable[[], None]) -> None:
    """Call `make` unless it was done before from the same inputs."""
    if stamp.exists() and stamp.read_text() == fingerprint:
        return
    stamp.unlink(missing_ok=True)
    make()
    stamp.write_text(fingerprint)


def _hash(files: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def _run(
    what: str, command: Sequence[str], *, seconds: float = 300, env: dict[str, str] | None = None
) -> None:
    start = time.monotonic()
    log = BUILD / "build.log"
    with log.open("ab") as output:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                check=False,
                timeout=seconds,
                env=env,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BuildError(f"{what}: {error}") from error
    if done.returncode:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise BuildError(f"{what}: {command[0]} ended with {done.returncode}\n{tail}")
    print(f"image    {what:24} {time.monotonic() - start:6.1f} s", flush=True)
