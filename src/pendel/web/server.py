"""The HTTP server in a thread of its own, so that the loop keeps the main one."""

import socket
import threading

import uvicorn
from starlette.applications import Starlette

from pendel.api.service import Service
from pendel.errors import InputError, Problem

NEXT_PORTS = 20
START_TIMEOUT_S = 20.0
BACKLOG = 512
ENDING_S = 2
CONCURRENCY_MAX = 1_000


def bind(host: str, port: int, next_ports: int = 0) -> socket.socket:
    """A listening socket on port or, where that is taken, on one of the next_ports after it.

    Raises InputError naming host and port.
    """
    last: OSError | None = None
    for candidate in range(port, port + next_ports + 1):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, candidate))
            listener.listen(BACKLOG)
            return listener
        except (OSError, OverflowError) as error:
            listener.close()
            last = error if isinstance(error, OSError) else OSError(str(error))
    text = f"cannot listen on {host}:{port}: {last}"
    raise InputError([Problem("http", 0, "port", text, "a free port")])


class HttpServer:
    """uvicorn on a socket that is already bound; `address` is what people type."""

    def __init__(self, app: Starlette, service: Service, listener: socket.socket) -> None:
        self._service = service
        self._listener = listener
        name = listener.getsockname()
        host = f"[{name[0]}]" if ":" in name[0] else name[0]
        self.port = int(name[1])
        self.address = f"http://{host}:{self.port}/"
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=ENDING_S,
            limit_concurrency=CONCURRENCY_MAX,
            lifespan="off",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Serve from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End open streams, finish what is being answered, close."""
        self._service.ending.set()
        self._server.should_exit = True
        self._thread.join(ENDING_S + START_TIMEOUT_S)
        self._listener.close()

    @property
    def alive(self) -> bool:
        """Whether it serves."""
        return self._thread.is_alive() and self._server.started

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])
