"""A wire to a TCP server that can be cut: connections are carried, or refused and torn, as told.

with Relay(server_port) as wire:
    ... talk to wire.port ...
    wire.cut()          # whoever is connected is torn off, whoever comes is turned away
    wire.mend()
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

from tests.peers.ports import LOOPBACK

_PIECE = 1 << 16


class Relay:
    """Carries bytes both ways between `port` and the server on loopback. One thread for each direction."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port = self._listening.getsockname()[1]
        self._lock = threading.Lock()
        self._carried: list[socket.socket] = []
        self._whole = True
        threading.Thread(target=self._accept, name="relay", daemon=True).start()

    def cut(self) -> None:
        """Nothing passes any more, in the middle of a request or of its answer."""
        with self._lock:
            self._whole = False
            torn, self._carried = self._carried, []
        for each in torn:
            _tear(each)

    def mend(self) -> None:
        """Connections are carried again."""
        with self._lock:
            self._whole = True

    def close(self) -> None:
        """Cut it for good."""
        self.cut()
        self._listening.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._carry(client)

    def _carry(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection((LOOPBACK, self._server), timeout=10)
        except OSError:
            return _tear(client)
        server.settimeout(None)
        with self._lock:
            if self._whole:
                self._carried += [client, server]
                for one, other in ((client, server), (server, client)):
                    threading.Thread(target=_pump, args=(one, other), name="relay", daemon=True).start()
                return None
        _tear(client)
        return _tear(server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(_PIECE):
            target.sendall(data)
    _tear(source)
    _tear(target)


def _tear(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
