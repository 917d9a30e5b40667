"""A message bus of our own with gnome-keyring on it: how that daemon runs behind the keeper.

Both are child processes whose lives end with `running`. Whoever is allowed into the folder can
talk to the bus, so it has mode 0700: that keeps out other users, not other programs of this one.
"""

import asyncio
import logging
import os
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from privyseal.errors import PrivysealError, UnreachableError, UnsupportedError
from privyseal.runtime.bus import DBUS, Connection

log = logging.getLogger(__name__)

SECRETS: Final = "org.freedesktop.secrets"

_START_SECONDS: Final = 10.0
_STOP_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 1.0
_MAX_SOCKET_PATH: Final = 107
"""unix(7): sun_path has 108 bytes, the last one is zero."""

# Not the session configuration: with its folders of services the bus would start a second
# gnome-keyring, on the user's own files, whenever ours has died, and a prompter on some screen.
_CONFIGURATION: Final = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="false"/>
    <allow receive_sender="*"/>
    <allow own="*"/>
  </policy>
  <limit name="max_incoming_bytes">67108864</limit>
  <limit name="max_message_size">33554432</limit>
</busconfig>
"""
