"""A directory that takes every password and knows nobody: it refers to another server, as a domain controller does for
entries of other domains. Just enough LDAP (RFC 4511) for that."""
import socketserver
import threading

BIND, SEARCH, EXTENDED = 0x60, 0x63, 0x77
ANSWERS = {BIND: 0x61, SEARCH: 0x65, EXTENDED: 0x78}
SUCCESS, PROTOCOL_ERROR, REFERRAL = 0, 2, 10


def field(tag, content):
    assert len(content) < 128
    return bytes((tag, len(content))) + content


def read_message(stream):
    """(id, operation) or None at the end."""
    head = stream.read(2)
    if len(head) < 2:
        return None
    size = head[1] if head[1] < 128 else int.from_bytes(stream.read(head[1] & 127), "big")
    body = stream.read(size)
    return body[2:2 + body[1]], body[2 + body[1]]


class Referring:
    """`at`: the operation that is answered with a referral."""

    def __init__(self, address, at, target):
        self.asked = []
        server = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                for identifier, operation in iter(lambda: read_message(self.rfile), None):
                    if operation not in ANSWERS:  # unbind
                        return
                    server.asked.append(operation)
                    code = PROTOCOL_ERROR if operation == EXTENDED else REFERRAL if operation == at else SUCCESS
                    link = field(0xa3, field(0x04, target.encode())) if code == REFERRAL else b""
                    result = field(ANSWERS[operation], field(0x0a, bytes((code,))) + field(0x04, b"") + field(0x04, b"") + link)
                    self.wfile.write(field(0x30, field(0x02, identifier) + result))

        socketserver.ThreadingTCPServer.allow_reuse_address = True
        self.server = socketserver.ThreadingTCPServer((address, 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
