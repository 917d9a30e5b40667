"""The files of an installation, for machines of different kinds."""

from pathlib import Path

from privyseal.cli.deployment import Places, wanted


def _places(root: Path) -> Places:
    return Places(
        config=root / "config",
        data=root / "data",
        shared_data=(root / "share",),
        shared_config=(root / "xdg",),
        system_units=(root / "units",),
    )


def _demotion(root: Path, start: str) -> str:
    (root / "units").mkdir(exist_ok=True)
    (root / "units" / "gnome-keyring-daemon.service").write_text(f"[Service]\nExecStart={start}\n")
    drop_in = "config/systemd/user/gnome-keyring-daemon.service.d/50-privyseal.conf"
    return wanted(_places(root))[root / drop_in].content.decode().splitlines()[-1]


def test_a_machine_without_gnome_keyring_gets_nothing_about_it(tmp_path: Path) -> None:
    assert not [path for path in wanted(_places(tmp_path)) if "gnome" in path.name]


def test_gnome_keyring_keeps_its_other_components(tmp_path: Path) -> None:
    start = '/usr/bin/gnome-keyring-daemon --foreground --components="pkcs11,secrets,ssh" --control-directory=%t/keyring'
    assert _demotion(tmp_path, start) == (
        "ExecStart=/usr/bin/gnome-keyring-daemon --foreground --control-directory=%t/keyring"
        " --components=pkcs11,ssh"
    )


def test_the_portal_is_led_to_the_agent_and_gnome_keyring_is_not_started(tmp_path: Path) -> None:
    shared = tmp_path / "share" / "dbus-1" / "services"
    shared.mkdir(parents=True)
    for name in ("org.gnome.keyring", "org.freedesktop.impl.portal.Secret"):
        (shared / f"{name}.service").write_text("Exec=/usr/bin/gnome-keyring-daemon --start\n")
    files = {path.name: entry.content.decode() for path, entry in wanted(_places(tmp_path)).items()}
    portal = files["org.freedesktop.impl.portal.Secret.service"]
    assert portal.splitlines()[2:] == ["Exec=/bin/false", "SystemdService=privyseal-agent.service"]
    assert files["org.gnome.keyring.service"].splitlines()[2:] == ["Exec=/bin/false"]


def test_gnome_keyring_never_starts_with_all_components(tmp_path: Path) -> None:
    assert _demotion(tmp_path, "/usr/bin/gkd").endswith("/usr/bin/gkd --components=pkcs11")
    assert _demotion(tmp_path, "/usr/bin/gkd --components=secrets").endswith("--components=pkcs11")


def test_words_for_the_keeper_are_quoted_for_systemd(tmp_path: Path) -> None:
    files = wanted(_places(tmp_path), ("--store", 'a "b" $HOME %h\\'))
    unit = files[tmp_path / "config/systemd/user/privyseal-keeper.service"].content.decode()
    assert '--store "a \\"b\\" $$HOME %%h\\\\"' in unit


def test_the_keeper_of_a_session_leaves_the_network_to_the_broker_its_child(
    tmp_path: Path,
) -> None:
    files = wanted(_places(tmp_path))
    unit = files[tmp_path / "config/systemd/user/privyseal-keeper.service"].content.decode()
    [families] = [line for line in unit.splitlines() if line.startswith("RestrictAddressFamilies=")]
    assert {"AF_INET", "AF_INET6"} <= {*families.partition("=")[2].split()}
