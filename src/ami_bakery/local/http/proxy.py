"""The HTTP proxy of child processes: answers requests to AWS, and forwards all others."""

from __future__ import annotations

import errno
import http.client
import selectors
import socket
import socketserver
import ssl
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from ami_bakery.local.http import endpoint
from ami_bakery.local.http.api_request import ApiRequest
from ami_bakery.local.http.response import Response

if TYPE_CHECKING:
    from ami_bakery.local.http.certificate_authority import Authority
    from ami_bakery.local.http.service import Service

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_CONNECT_TIMEOUT_SECONDS = 10

ControlHandler = Callable[[str, str, bytes], Response]
"""Answers a request to the proxy's own address: method, path, body."""


class Proxy(ThreadingHTTPServer):
    """Listens on a free loopback port, with a thread for each connection."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(
        self, *, service: Service, authority: Authority, control: ControlHandler, note: Callable[[str], None]
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.service = service
        self.authority = authority
        self.control = control
        self.note = note
        self._connections_lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}
        self._connection_threads: dict[int, threading.Thread] = {}
        self._acceptor = threading.Thread(target=self.serve_forever, args=(0.05,), name="embedded-ec2-proxy")

    def server_bind(self) -> None:
        """Binds without HTTPServer's look-up of the host name. The look-up takes seconds without a network."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "127.0.0.1", self.socket.getsockname()[1]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def start(self) -> None:
        self._acceptor.start()

    def stop(self) -> None:
        """Stops listening, closes all connections, and waits for their threads."""
        self.shutdown()
        self._acceptor.join()
        self.server_close()
        with self._connections_lock:
            for connection in self._sockets.values():
                with suppress(OSError):
                    # Not the TLS socket's method: it discards the TLS state, which another thread uses to read.
                    socket.socket.shutdown(connection, socket.SHUT_RDWR)
            threads = list(self._connection_threads.values())
        for thread in threads:
            thread.join(timeout=5)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        thread = threading.current_thread()
        with self._connections_lock:
            self._connection_threads[id(thread)] = thread
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._connections_lock:
                del self._connection_threads[id(thread)]

    def track(self, owner: object, connection: socket.socket | None) -> None:
        """Registers the socket of a connection's thread for `stop`, which closes it. None unregisters it."""
        with self._connections_lock:
            if connection is None:
                self._sockets.pop(id(owner), None)
            else:
                self._sockets[id(owner)] = connection

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores clients that close the connection. Reports any other error in one line."""
        error = sys.exc_info()[1]
        if error is not None and not isinstance(error, OSError):
            self.note(f"a connection failed: {type(error).__name__}: {error}")


class _Connection(BaseHTTPRequestHandler):
    """Handles one client's connection in its own thread."""

    server: Proxy
    protocol_version = "HTTP/1.1"
    server_version = "EmbeddedEC2"
    sys_version = ""
    wbufsize = -1  # one write for status, headers and body
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self._tunnel_host = ""
        self.server.track(self, self.connection)

    def finish(self) -> None:
        self.server.track(self, None)
        with suppress(OSError):
            super().finish()
        self.rfile.close()  # `finish` skips this if unsent data cannot be written
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Logs nothing: the report has every call, and a log would hide the child's output."""

    def handle_expect_100(self) -> bool:
        continues = super().handle_expect_100()
        self.wfile.flush()
        return continues

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        if endpoint.is_metadata(host):
            self._refuse_metadata(host)
        elif not endpoint.is_aws(host):
            self._relay(host, int(port) if port.isdigit() else 443)
        elif (
            where := endpoint.parse_host(host)
        ).service in endpoint.MODELLED and where.region not in endpoint.regions():
            self.server.note(f"refused: there is no region '{where.region}' ({host})")
            self._fail(502, f"embedded EC2: there is no region '{where.region}' ({host})")
        else:
            self._terminate_tls(host)

    def _terminate_tls(self, host: str) -> None:
        self.send_response_only(200, "Connection established")
        self.end_headers()
        self.wfile.flush()
        plain = self.connection
        self.connection = self.server.authority.context_for(host).wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        )
        self.server.track(self, self.connection)
        try:
            self.connection.do_handshake()
        except ssl.SSLError as error:
            if "ALERT" in str(error.reason or ""):
                self.server.note(
                    f"a client does not trust the embedded EC2's certificate for {host} ({error.reason}); it "
                    "uses none of AWS_CA_BUNDLE, SSL_CERT_FILE, REQUESTS_CA_BUNDLE, NODE_EXTRA_CA_CERTS"
                )
            raise
        self.rfile = self.connection.makefile("rb", self.rbufsize)
        self.wfile = self.connection.makefile("wb", self.wbufsize)
        self._tunnel_host = host
        self.close_connection = False

    def _any_method(self) -> None:
        body = self._read_body()
        if self._tunnel_host:
            self._answer_api(self._tunnel_host, self.path, body)
            return
        target = urlsplit(self.path)
        if not target.netloc:
            self._answer_control(body)
        elif endpoint.is_metadata(target.hostname or ""):
            self._refuse_metadata(target.hostname or "")
        elif endpoint.is_aws(target.hostname or ""):
            path = target.path or "/"
            self._answer_api(target.hostname or "", f"{path}?{target.query}" if target.query else path, body)
        else:
            self._forward(target.hostname or "", target.port or 80, self.path, body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _any_method

    def _answer_control(self, body: bytes) -> None:
        """Answers a control request, but not for web pages. They can reach a loopback port by DNS rebinding."""
        hosts = {f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")}
        origins = self.headers.get_all("Origin", [])
        sites = self.headers.get_all("Sec-Fetch-Site", [])
        if [name.lower() for name in self.headers.get_all("Host", [])] not in [[host] for host in hosts]:
            self._fail(403, "embedded EC2: the Host header does not match the control URL")
        elif any(origin not in {f"http://{host}" for host in hosts} for origin in origins) or any(
            site not in ("same-origin", "none") for site in sites
        ):
            self._fail(403, "embedded EC2: pages of other sites cannot use the control URL")
        else:
            self._send(self.server.control(self.command, self.path, body))

    def _refuse_metadata(self, host: str) -> None:
        self.server.note(f"refused: {host} is a metadata service, which gives the credentials of a machine")
        self._fail(403, f"embedded EC2: access to the metadata service {host} is blocked")

    def _connected(self, host: str, port: int) -> socket.socket:
        """Connects to the address that was checked: a second look-up of the name could return another."""
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
        addresses = [str(address[0]) for *_, address in found]
        if any(endpoint.is_metadata(address) for address in addresses):
            raise PermissionError(errno.EACCES, "its address belongs to a metadata service")
        failure: OSError = OSError(errno.EHOSTUNREACH, "it has no address")
        for address in addresses:
            try:
                return socket.create_connection((address, port), timeout=_CONNECT_TIMEOUT_SECONDS)
            except OSError as error:
                failure = error
        raise failure

    def _answer_api(self, host: str, path: str, body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = ApiRequest(method=self.command, host=host, path=path, headers=headers, body=body)
        answer = self.server.service.answer(request)
        if answer is None:
            self.close_connection = True
        else:
            self._send(answer)

    def _read_body(self) -> bytes:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            return b"".join(iter(self._read_chunk, b""))
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _read_chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        chunk = self.rfile.read(size)
        if size == 0:
            while self.rfile.readline().strip():  # trailers
                pass
        else:
            self.rfile.readline()
        return chunk

    def _send(self, answer: Response) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in ("server", "date"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _fail(self, status: int, reason: str) -> None:
        """Sends an error of the proxy, and closes the connection."""
        self.close_connection = True
        body = f"{reason}\n".encode()
        self.send_response(status, reason)
        for name, value in (
            ("Content-Type", "text/plain"),
            ("Content-Length", str(len(body))),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _relay(self, host: str, port: int) -> None:
        self.close_connection = True
        try:
            other = self._connected(host, port)
        except (OSError, OverflowError, UnicodeError) as error:
            self._fail(502, f"embedded EC2: cannot reach {host}:{port}: {error}")
            return
        with other:
            other.settimeout(None)
            self.send_response_only(200, "Connection established")
            self.end_headers()
            self.wfile.flush()
            _pump(self.connection, other)

    def _forward(self, host: str, port: int, path: str, body: bytes) -> None:
        """Forwards a plain HTTP request to a host other than AWS."""
        self.close_connection = True
        kept: Mapping[str, str] = {
            name: value for name, value in self.headers.items() if name.lower() not in _HOP_BY_HOP
        }
        target = urlsplit(path)
        with closing(http.client.HTTPConnection(host, port, timeout=_CONNECT_TIMEOUT_SECONDS)) as connection:
            try:
                connection.sock = self._connected(host, port)
                connection.request(
                    self.command, target._replace(scheme="", netloc="").geturl() or "/", body or None, {**kept}
                )
                response = connection.getresponse()
            except (OSError, OverflowError, UnicodeError, http.client.HTTPException) as error:
                self._fail(502, f"embedded EC2: cannot reach {host}:{port}: {error}")
                return
            with response:
                self.send_response_only(response.status, response.reason)
                for name, value in response.getheaders():
                    if name.lower() not in _HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Connection", "close")
                self.end_headers()
                while block := response.read(65536):
                    self.wfile.write(block)


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Copies data in both directions until either side closes."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                source, sink = cast("socket.socket", key.fileobj), key.data
                data = source.recv(65536)
                if not data:
                    return
                sink.sendall(data)
