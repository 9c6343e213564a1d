"""The stand of the executor's tests with a gateway whose functions may reach this host."""
import os
import sys
import uuid

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "executor"))
from harness import PASSWORD, Count, Stand, free_port, sql, token, until  # noqa: E402


class NetStand(Stand):
    local = True

    def spawn_gateway(self, port, **env):
        if self.local:
            env["BASALT_ALLOW_LOCAL_TARGETS"] = "true"
        env["ASAN_OPTIONS"] = "detect_leaks=1"
        return super().spawn_gateway(port, **env)

    def person(self, role):
        identifier = str(uuid.uuid4())
        sql("insert into auth.users (id, email, aud, role) values "
            "('%s', '%s@example.test', 'authenticated', 'authenticated')" % (identifier, identifier))
        sql("insert into user_roles (user_id, role) values ('%s', '%s') on conflict do nothing" % (identifier, role))
        return token("authenticated", identifier)

    def fn(self, name, body=None, key=None, url=None):
        return self.call("POST", (url or self.url) + "/functions/v1/" + name, body, key)


__all__ = ["Count", "NetStand", "PASSWORD", "free_port", "sql", "token", "until"]
