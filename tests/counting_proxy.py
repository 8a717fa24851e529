"""A proxy that forwards to another proxy, and counts connections."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class CountingProxy:
    """asked  the hosts of requested connections"""

    def __init__(self, behind: str) -> None:
        self.asked: list[str] = []
        self._connections: set[int] = set()
        address = urlsplit(behind)
        self._behind = (address.hostname, address.port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def open(self) -> int:
        """How many connections are."""
        return len(self._connections)

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                theirs, _ = self._server.accept()
                threading.Thread(target=self._hand_on, args=(theirs,), daemon=True).start()

    def _hand_on(self, theirs: socket.socket) -> None:
        number = threading.get_ident()
        self._connections.add(number)
        try:
            with theirs, socket.create_connection(self._behind) as ours:
                first = theirs.recv(65536)
                if first:
                    self.asked.append(first.split()[1].decode().removesuffix(":443"))
                ours.sendall(first)
                back = threading.Thread(target=_pump, args=(ours, theirs), daemon=True)
                back.start()
                _pump(theirs, ours)
                back.join()
        finally:
            self._connections.discard(number)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
