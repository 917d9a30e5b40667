"""The port that waits for one visit, under visitors that crowd it."""

import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from threading import Event
from urllib.parse import SplitResult, urlsplit

from privyseal.aws.loopback import Loopback, Verdict
from privyseal.runtime.clock import SystemClock

ROOM = 32


def test_one_who_made_room_for_another_while_talking_ends_no_wait() -> None:
    held, go_on = Event(), Event()

    def judge(target: SplitResult, link: socket.socket) -> Verdict:
        del link
        if target.path == "/hold":
            held.set()
            assert go_on.wait(10)
            return Verdict(404, "nothing")
        return Verdict(200, "it is you", "done")

    with Loopback() as loopback, ThreadPoolExecutor(1) as pool, ExitStack() as doors:
        future = pool.submit(loopback.wait, judge, clock=SystemClock(), seconds=20)
        host = urlsplit(loopback.url).netloc.encode()

        def enter() -> socket.socket:
            where = urlsplit(loopback.url)
            visitor = socket.create_connection((where.hostname, where.port), timeout=10)
            return doors.enter_context(visitor)

        talker, *_, holder = [enter() for _ in range(ROOM)]
        holder.sendall(b"GET /hold HTTP/1.1\r\nHost: %s\r\n\r\n" % host)
        assert held.wait(10)
        # While nobody is heard: one takes the place of the holder, the next that of the talker, who
        # has more to say than is read at once.
        newcomers = enter(), enter()
        talker.sendall(b"GET /talk HTTP/1.1\r\nX: " + b"x" * 9000)
        go_on.set()
        newcomers[1].sendall(b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % host)

        assert future.result(10) == "done"
