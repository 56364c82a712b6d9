"""The address that the query workers share.

Rules of this file:
1. Workers share a port by SO_REUSEPORT, which would also let a stranger's server in among them: so it is looked first
   whether somebody listens there.
2. Any free port is chosen once, for all workers, and held while they start and restart.
"""

import socket

from streammf.errors import ConfigurationError


def hold(host: str, port: int) -> socket.socket:
    """A socket bound to the address that never listens: its port is the workers'. Raises ConfigurationError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        held = socket.socket(family, kind, protocol)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(address)
    except OSError as error:
        raise ConfigurationError(
            f"cannot listen on {host}:{port} (serving.host, serving.port): {error.strerror or error}"
        ) from error
    return held
