"""Blocks the network for a Python process that has this folder on PYTHONPATH; this very machine
stays within reach.

The notebooks' kernels run under it in the tests: whatever asks for a name or an address elsewhere
gets an OSError that says so. It works on every platform, for whatever goes through Python's
`socket`; a compiled client of its own would slip through.
"""

import ipaddress
import socket

ADVICE = "this runs with the network blocked; a notebook needs no network, so use what ships with the packages"


class NetworkBlocked(OSError):
    """Raised in place of a connection or a name look-up that would leave this machine."""


def _is_here(host):
    """True for loopback addresses, this machine's own names and the empty host."""
    if isinstance(host, (bytes, bytearray)):
        host = bytes(host).decode("ascii", "replace")
    if host in (None, "", "localhost", socket.gethostname()):
        return True
    try:
        address = ipaddress.ip_address(str(host).split("%")[0])
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _refuse(what, host):
    raise NetworkBlocked(f"network blocked: {what} {host!r} was asked for; {ADVICE}.")


def _guard_method(name, position):
    """Lets a socket method through for local sockets and local addresses; the address is the
    argument at `position`.
    """
    plain = getattr(socket.socket, name)

    def guarded(self, *args):
        internet = self.family in (socket.AF_INET, socket.AF_INET6)
        address = args[position] if -len(args) <= position < len(args) else None
        if internet and isinstance(address, tuple) and not _is_here(address[0]):
            _refuse("a connection to", address[0])
        return plain(self, *args)

    guarded.__name__ = name
    setattr(socket.socket, name, guarded)


def _guard_lookup(name):
    """Lets a look-up through for local names and for numeric addresses of this machine."""
    plain = getattr(socket, name)

    def guarded(host=None, *args, **kwargs):
        asked = host[0] if isinstance(host, tuple) else host
        if not _is_here(asked):
            _refuse("the address of", asked)
        return plain(host, *args, **kwargs)

    guarded.__name__ = name
    setattr(socket, name, guarded)


for _name in ("connect", "connect_ex"):
    _guard_method(_name, 0)
_guard_method("sendto", -1)
if hasattr(socket.socket, "sendmsg"):
    _guard_method("sendmsg", 3)
for _name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr", "getnameinfo"):
    _guard_lookup(_name)
