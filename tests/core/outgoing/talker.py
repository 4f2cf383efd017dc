"""A server that says whatever a test likes, byte by byte, with TLS or without."""

from __future__ import annotations

import datetime as dt
import ipaddress
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Speak = Callable[[socket.socket], None]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def saying(text: bytes) -> Speak:
    return lambda connection: connection.sendall(text)


well = saying(OK)


class Talker:
    """Listens on a loopback address; ``requests`` are what came in first on each connection."""

    def __init__(
        self,
        speak: Speak = well,
        *,
        host: str = "127.0.0.1",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[bytes] = []
        self.ended = threading.Event()
        self._speak, self._tls = speak, tls
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        self.ended.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with suppress(OSError), connection:
            if self._tls is None:
                self._converse(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as secured:
                    self._converse(secured)

    def _converse(self, connection: socket.socket) -> None:
        self.requests.append(read(connection))
        self._speak(connection)
        connection.shutdown(socket.SHUT_WR)  # an orderly end, so that what was said arrives
        while connection.recv(65536):
            pass

    def drip(self, piece: bytes, times: int = 100) -> Speak:
        """Say a piece every tenth of a second."""

        def speak(connection: socket.socket) -> None:
            for _ in range(times):
                connection.sendall(piece)
                if self.ended.wait(0.1):
                    return

        return speak


def read(connection: socket.socket) -> bytes:
    """One request with its body; what is no HTTP is not waited for."""
    text = connection.recv(65536)
    if not text.startswith(b"POST "):
        return text
    while b"\r\n\r\n" not in text:
        piece = connection.recv(65536)
        if not piece:
            return text
        text += piece
    head, _, body = text.partition(b"\r\n\r\n")
    [length] = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    ] or [0]
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def certificate(directory: Path, *names: str) -> tuple[ssl.SSLContext, Path]:
    """A server's context for these names and addresses, and the file that makes it trusted."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "certificate.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    trusted = directory / "trusted.pem"
    trusted.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context, trusted


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
