"""Ask the witness about a process, `SOCKET PID OP`, or send it what is no question, `SOCKET`."""

import json
import os
import socket
import sys

with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as witness:
    witness.connect(sys.argv[1])
    try:
        if sys.argv[2:]:
            question = json.dumps({"id": 1, "op": sys.argv[3]}).encode()
            socket.send_fds(witness, [question], [os.pidfd_open(int(sys.argv[2]))])
        else:
            witness.send(b"\xff")
        answer = witness.recv(1024 * 1024)
    except OSError:
        answer = b""
    sys.stdout.write(answer.decode())
