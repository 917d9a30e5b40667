"""The configuration of a system bus for tests: the stock policy of dbus-daemon, and what a test adds."""

from collections.abc import Iterable
from pathlib import Path

# What stands in the stock system.conf of dbus-daemon, without its user and folders.
_STOCK = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus"
           send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.DBus"
           send_interface="org.freedesktop.DBus.Properties"/>
  </policy>
{added}
</busconfig>
"""


def system_configuration(socket: Path, policies: Iterable[Path], *, added: str = "") -> str:
    """Return the configuration of a bus that listens at `socket`.

    Args:
        socket: Where it listens.
        policies: Files that it includes, such as the one that is deployed.
        added: Elements of its own, before those files.
    """
    included = "\n".join(f"  <include>{policy}</include>" for policy in policies)
    return _STOCK.format(socket=socket, added=f"{added}\n{included}")
