"""Servers that do everything but serve. Each listens on a port of its own, on one address or on many."""
import os
import socket
import ssl
import threading
import time

# What a good answer of each protocol begins with, and what makes its reader go on for ever.
FIRST = {"http": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{\"value\":",
         "smtp": b"220-mail.test\r\n220-", "ldap": b"\x30\x84\x00\x00\x00\x40\x02\x01\x01\x61", "rpc": b"\x80\x00\x00\x40\x00\x00\x00\x01"}
MORE = {"http": b" " * 65536, "smtp": b"220-" + b"a" * 500 + b"\r\n", "ldap": b"\x30\x84\x06\x00\x00\x00\x02\x01\x01" + b"a" * 65536,
        "rpc": b"\x80\xff\xff\xff" + b"a" * 65536}
FLOOD = 100 << 20
HABITS = ("silent", "trickling", "cutting", "babbling", "flooding")


class Hostile:
    """`context`: TLS before the habit begins; None: from the first byte. `sent` counts the bytes of a flood."""

    def __init__(self, habit, protocol, address="10.77.0.66", port=0, context=None):
        self.habit, self.protocol, self.context, self.sent, self.met = habit, protocol, context, 0, 0
        self.server = socket.create_server((address, port), backlog=50)
        self.port = self.server.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.server.accept()
            except OSError:
                return
            self.met += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        connection.settimeout(30)
        try:
            if self.context is not None:
                connection = self.context.wrap_socket(connection, server_side=True)
            getattr(self, self.habit)(connection)
        except (OSError, ssl.SSLError):
            pass
        connection.close()

    def silent(self, connection):
        connection.recv(65536)
        time.sleep(30)

    def trickling(self, connection):
        for byte in FIRST[self.protocol] + MORE[self.protocol]:
            connection.sendall(bytes([byte]))
            time.sleep(1)

    def cutting(self, connection):
        connection.sendall(FIRST[self.protocol])

    def babbling(self, connection):
        connection.sendall(os.urandom(2000) + b"\r\n\r\n")
        connection.recv(65536)

    def flooding(self, connection):
        connection.sendall(FIRST[self.protocol].replace(b"1000000", b"999999999"))
        while self.sent < FLOOD:
            connection.sendall(MORE[self.protocol])
            self.sent += len(MORE[self.protocol])


def silent_name_server(address):
    """Port 53 that never answers."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((address, 53))
    return server
