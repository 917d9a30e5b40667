#!/usr/bin/python3
"""Runs commands in the virtual machine as root: JSON lines over a virtio serial port.

    {"id": 1, "run": "shell text", "seconds": 60, "stdin": "text"}
        -> {"id": 1, "status": 0, "out": "...", "err": "..."}
    {"id": 2, "start": "shell text"}          -> {"id": 2, "process": 4711}
    {"id": 3, "poll": 4711}                   -> {"id": 3, "status": null or 0, "out": "...", "err": "..."}
    {"id": 4, "screen": 8}                    -> {"id": 4, "text": "..."}, the characters of VT 8
    {"id": 5, "read": "/path"}                -> {"id": 5, "text": "..."}

Only the standard library, because it is copied into the image by itself.
"""

import json
import os
import signal
import subprocess
import tempfile
import threading
import time

PORT = "/dev/virtio-ports/checks"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LANG": "C.UTF-8",
}
MOST_OUTPUT = 1_000_000
TIMED_OUT = 124


class Started:
    """A process that goes on while other commands run; its output lies in two files."""

    def __init__(self, command: str) -> None:
        with (
            tempfile.NamedTemporaryFile(prefix="vm-out-", delete=False) as out,
            tempfile.NamedTemporaryFile(prefix="vm-err-", delete=False) as err,
        ):
            self.files = (out.name, err.name)
            self.process = subprocess.Popen(
                ["/bin/bash", "-c", command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=ENVIRONMENT,
                start_new_session=True,
            )

    def state(self) -> dict[str, object]:
        status = self.process.poll()
        return {"status": status, "out": read(self.files[0]), "err": read(self.files[1])}


def run(command: str, seconds: float, stdin: str) -> dict[str, object]:
    process = subprocess.Popen(
        ["/bin/bash", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=ENVIRONMENT,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(stdin.encode(), timeout=seconds)
        status = process.returncode
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        out, err = process.communicate()
        status = TIMED_OUT
    return {
        "status": status,
        "out": out[:MOST_OUTPUT].decode(errors="replace"),
        "err": err[:MOST_OUTPUT].decode(errors="replace"),
    }


def screen(vt: int) -> str:
    """Return the characters on a virtual terminal, row after row (vcs(4)); blank if it has none."""
    try:
        with open(f"/dev/vcsu{vt}", "rb") as file:  # noqa: PTH123 - pathlib takes long to load here
            return file.read().decode("utf-32-le", errors="replace").replace("\0", " ")
    except OSError:
        return ""


def read(path: str) -> str:
    with open(path, "rb") as file:  # noqa: PTH123 - as above
        return file.read(MOST_OUTPUT).decode(errors="replace")


class Guest:
    """The port, and what was started through it."""

    def __init__(self) -> None:
        self.port = os.open(PORT, os.O_RDWR)
        self.writing = threading.Lock()
        self.started: dict[int, Started] = {}

    def send(self, message: dict[str, object]) -> None:
        data = (json.dumps(message) + "\n").encode()
        with self.writing:
            while data:
                data = data[os.write(self.port, data) :]

    def answer(self, question: dict[str, object]) -> None:
        try:
            answer = self.answered(question)
        except Exception as error:  # noqa: BLE001 - the other end has to hear of anything
            answer = {"status": 255, "out": "", "err": repr(error)}
        self.send({**answer, "id": question.get("id")})

    def answered(self, question: dict[str, object]) -> dict[str, object]:
        if "start" in question:
            started = Started(str(question["start"]))
            self.started[started.process.pid] = started
            return {"process": started.process.pid}
        if "poll" in question:
            return self.started[int(str(question["poll"]))].state()
        if "screen" in question:
            return {"text": screen(int(str(question["screen"])))}
        if "read" in question:
            return {"text": read(str(question["read"]))}
        return run(
            str(question["run"]), float(str(question["seconds"])), str(question.get("stdin", ""))
        )

    def serve(self) -> None:
        self.send({"hello": True})
        waiting = b""
        while True:
            data = os.read(self.port, 65536)
            if not data:  # nobody has the other end open
                time.sleep(0.1)
                continue
            *lines, waiting = (waiting + data).split(b"\n")
            for line in filter(None, lines):
                threading.Thread(target=self.answer, args=(json.loads(line),), daemon=True).start()


if __name__ == "__main__":
    Guest().serve()
