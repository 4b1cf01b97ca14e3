"""Where the explorer is served and how long: an address on 127.0.0.1, until it is interrupted."""

from __future__ import annotations

import errno
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from regional_primitives.decompose.decomposition import Decomposition
from regional_primitives.errors import InputError
from regional_primitives.generators.generator import Generator
from regional_primitives.runtime.arguments import AnyPath, whole
from regional_primitives.runtime.progress import Progress

_ADDRESS = "127.0.0.1"
_GRACE_SECONDS = 3


@contextmanager
def serving(
    run: Decomposition | AnyPath,
    generator: Generator | None = None,
    port: int = 0,
    progress: Progress | bool | None = False,
    others: Sequence[Decomposition | AnyPath] = (),
) -> Iterator[str]:
    """Serve from a thread within this context; yields the page's address, raises as `explore`."""
    from regional_primitives.show.extras import REPORT, require_extra

    require_extra((*REPORT, "fastapi", "uvicorn", "pydantic", "skimage"), "the explorer", "explore")
    import uvicorn

    from regional_primitives.explore.explorer import Explorer
    from regional_primitives.explore.guard import Connection
    from regional_primitives.explore.server import application

    with _listening(port) as door:
        port = door.getsockname()[1]
        explorer = Explorer.of(run, generator, progress, others)
        config = uvicorn.Config(
            application(explorer, frozenset({f"{_ADDRESS}:{port}", f"localhost:{port}"})),
            http=Connection,
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [door]}, daemon=True)
        thread.start()
        try:
            yield f"http://{_ADDRESS}:{port}/"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
            explorer.close()


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    port = whole("a port, where 0 is any free one,", port, 0, 65535)
    with socket.socket() as door:
        if sys.platform != "win32":
            door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind((_ADDRESS, port))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            why = "is taken" if taken else f"cannot be used: {error.strerror or error}"
            raise InputError(f"port {port} {why}; choose another, or 0 for any free one") from error
        door.listen(64)  # whoever comes before the server is up waits for it
        yield door
