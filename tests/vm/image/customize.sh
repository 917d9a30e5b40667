#!/bin/bash
# Makes a plain Debian tree into the machine of the checks. mmdebstrap calls it with the tree's root.
set -euo pipefail
root=$1

echo vm >"$root/etc/hostname"
printf '127.0.0.1 localhost vm\n' >"$root/etc/hosts"
echo '/dev/vda / ext4 rw,noatime 0 0' >"$root/etc/fstab"
echo uninitialized >"$root/etc/machine-id"
echo 'LANG=C.UTF-8' >"$root/etc/default/locale"

# People: a password is the name, so that a check can type it.
echo root:root | chroot "$root" chpasswd
for name in alice bob carol; do
  chroot "$root" useradd --create-home --shell /bin/bash "$name"
  echo "$name:$name" | chroot "$root" chpasswd
done

# The agent, through which the checks are root here.
install -m 755 "$root/tmp/guest.py" "$root/usr/local/sbin/vm-guest"
rm "$root/tmp/guest.py"
cat >"$root/etc/systemd/system/vm-guest.service" <<'UNIT'
[Unit]
Description=Runs the commands of the checks as root
DefaultDependencies=no
Wants=dev-virtio\x2dports-checks.device
After=local-fs.target dev-virtio\x2dports-checks.device
Conflicts=shutdown.target
Before=shutdown.target

[Service]
ExecStart=/usr/bin/python3 -I /usr/local/sbin/vm-guest
Restart=always
KillMode=process

[Install]
WantedBy=multi-user.target
UNIT

# The screen stays the 80x25 text of a VGA card, and Alt+SysRq does everything.
printf 'blacklist bochs\nblacklist cirrus\n' >"$root/etc/modprobe.d/vm.conf"
echo 'kernel.sysrq = 1' >"$root/etc/sysctl.d/50-vm.conf"

# A root shell on the serial line, for a person who explores.
mkdir -p "$root/etc/systemd/system/serial-getty@ttyS0.service.d"
printf '[Service]\nExecStart=\nExecStart=-/sbin/agetty -a root --keep-baud 115200 %%I vt220\n' \
  >"$root/etc/systemd/system/serial-getty@ttyS0.service.d/vm.conf"

# D-Bus answers to the classic daemon; a check changes to dbus-broker.
chroot "$root" systemctl enable vm-guest.service
chroot "$root" systemctl disable dbus-broker.service
chroot "$root" systemctl enable dbus-daemon.service 2>/dev/null || true
chroot "$root" systemctl mask --quiet \
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer man-db.timer nfs-blkmap.service nfs-client.target proc-sys-fs-binfmt_misc.automount \
  remote-fs.target rpc-statd-notify.service rpcbind.service rpcbind.socket run-rpc_pipefs.mount \
  systemd-binfmt.service systemd-firstboot.service systemd-timesyncd.service

# Bytecode of everything, made here at full speed.
chroot "$root" python3 -m compileall -q /usr/lib/python3.11 >/dev/null || true
