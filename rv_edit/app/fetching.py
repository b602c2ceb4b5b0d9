"""Pictures by address: fetched only where that is allowed, and never from a private address.

A name is resolved once, all its addresses are checked, and the connection goes to the very address that was checked:
a name that points elsewhere a moment later gains nothing. Redirects are followed by hand, each checked like the first.
No proxy is used, nothing is sent but the request for the picture.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from contextlib import suppress
from urllib.parse import urljoin, urlsplit

from rv_edit.app.errors import RequestError
from rv_edit.app.settings import Remote

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_STEP = 65536


def fetch(url: str, remote: Remote, most_bytes: int) -> bytes:
    """The content of ``url``.

    Raises:
        RequestError: fetching is not allowed, the address is private or not HTTP, or what comes is too large, too slow
            or no success.
    """
    if not remote.allowed:
        raise RequestError("pictures are not fetched from addresses here; send the picture itself as a data: URL")
    deadline = time.monotonic() + remote.seconds
    for _ in range(remote.redirects + 1):
        status, location, body = _get(url, deadline, most_bytes)
        if status in _REDIRECTS and location:
            try:
                url = urljoin(url, location)
            except ValueError:
                raise RequestError("image_url: its server redirects to no valid address") from None
            continue
        if status != 200:
            raise RequestError(f"image_url: the server answered {status}")
        return body
    raise RequestError(f"image_url: more than {remote.redirects} redirects")


def checked_address(host: str, port: int) -> str:
    """An address of ``host`` to connect to, once every address it has is known to be public.

    Raises:
        RequestError: one is not, or there is none.
    """
    try:
        found = {str(item[4][0]) for item in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError, ValueError):
        found = set()
    if not found:
        raise RequestError("image_url: its host cannot be found")
    for text in found:
        if not is_public(text):
            raise RequestError("image_url: its host has a private address; only public ones are fetched from")
    return sorted(found)[0]


def is_public(text: str) -> bool:
    """Whether an address belongs to the open internet; embedded IPv4 addresses are looked at too.

    >>> is_public("8.8.8.8"), is_public("127.0.0.1"), is_public("::ffff:127.0.0.1"), is_public("169.254.169.254")
    (True, False, False, False)
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo or (None, None))[1]
        if inner is None and address in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _get(url: str, deadline: float, most_bytes: int) -> tuple[int, str | None, bytes]:
    """One request, without redirects: status, location, content."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise RequestError("image_url: no valid address") from None
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise RequestError("image_url: give an http or https address, or a data: URL")
    connection = _Connection(host, port, checked_address(host, port), parts.scheme == "https", deadline)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # A server that sends a byte now and then would never let a single read time out.
    watch = threading.Timer(_left(deadline), connection.abort)
    watch.daemon = True
    watch.start()
    try:
        connection.request("GET", target, headers={"Accept": "image/*", "User-Agent": "rv_edit"})
        response = connection.getresponse()
        if response.status != 200:
            return response.status, response.getheader("Location"), b""
        return 200, None, _body(response, connection, deadline, most_bytes)
    except RequestError:
        raise
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise RequestError(f"image_url: cannot be fetched ({type(error).__name__})") from error
    finally:
        watch.cancel()
        connection.close()


def _body(response: http.client.HTTPResponse, connection: _Connection, deadline: float, most_bytes: int) -> bytes:
    """At most so many bytes, before the deadline."""
    parts: list[bytes] = []
    size = 0
    while part := response.read1(_STEP):
        size += len(part)
        if size > most_bytes:
            raise RequestError(f"image_url: more than {most_bytes} bytes", status=413)
        parts.append(part)
        connection.hurry(deadline)
    connection.hurry(deadline)  # what was ended in time looks like an end
    return b"".join(parts)


class _Connection(http.client.HTTPConnection):
    """A connection to a checked address, under the name that was asked for."""

    def __init__(self, host: str, port: int, address: str, secure: bool, deadline: float) -> None:
        super().__init__(host, port, timeout=_left(deadline))
        self._address = address
        self._secure = secure
        self._live: socket.socket | None = None

    def connect(self) -> None:
        """Connect to the checked address; the certificate must be the name's."""
        self._live = self.sock = socket.create_connection((self._address, self.port), timeout=self.timeout)
        if self._secure:
            secured = ssl.create_default_context().wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
            self._live = self.sock = secured
            secured.do_handshake()

    def abort(self) -> None:
        """End what is under way, from another thread."""
        if self._live is not None:  # where the server closes, `sock` is gone while its content is still read
            with suppress(OSError):
                socket.socket.shutdown(self._live, socket.SHUT_RDWR)

    def hurry(self, deadline: float) -> None:
        """Wait no longer than is left."""
        left = _left(deadline)
        if self.sock is not None:
            self.sock.settimeout(left)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise RequestError("image_url: too slow")
    return left
