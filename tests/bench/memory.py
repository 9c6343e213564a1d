"""Memory of idle connections and of large bodies. Both need a server that has done nothing else before."""
import http.client

from process import memory_kib, peak_kib, reset_peak


def connect(server):
    return http.client.HTTPConnection("127.0.0.1", server.port)


def get(server, connection, token):
    connection.request("GET", server.prefix + "/notes?limit=1", headers={"Authorization": "Bearer " + token})
    connection.getresponse().read()


def idle(server):
    return {field: memory_kib(server.pid, field) for field in ("Pss", "Private_Dirty", "Rss")}


def per_connection_kib(server, token, count):
    """Of a keep-alive connection that has had one request answered. Before, one connection asks as often."""
    warm = connect(server)
    for _ in range(count):
        get(server, warm, token)
    before = memory_kib(server.pid, "Rss")
    connections = [connect(server) for _ in range(count)]
    for connection in connections:
        get(server, connection, token)
    grown = memory_kib(server.pid, "Rss") - before
    for connection in connections:
        connection.close()
    return max(grown, 0) / count


def bodies(size):
    """A POST of many rows and a PATCH with one long value."""
    note = '{"body":"%s"}' % ("n" * 1000)
    yield "POST", "/notes", "[%s]" % ",".join([note] * (size // (len(note) + 1)))
    yield "PATCH", "/notes?id=eq.1", '{"body":"%s"}' % ("n" * size)


def send(server, token, method, path, body):
    connection = connect(server)
    connection.request(method, server.prefix + path, body.encode(),
                       {"Authorization": "Bearer " + token, "Content-Type": "application/json"})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    if response.status >= 300:
        raise SystemExit("%s of %d bytes: %d %s" % (method, len(body), response.status, text[:200]))


def body_factors(server, token, size):
    """{method: (peak - idle) / body}"""
    send(server, token, "POST", "/notes", '{"body":"first"}')
    found = {}
    for method, path, body in bodies(size):
        before = memory_kib(server.pid, "Rss")
        reset_peak(server.pid)
        send(server, token, method, path, body)
        found[method] = (peak_kib(server.pid) - before) * 1024 / len(body)
    return found
