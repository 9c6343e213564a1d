"""What the inventory tools share: settings from the environment, HTTPS without redirects, exit codes, a summary."""
import http.client
import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

DONE, PARTIAL, SETTINGS, AUTH, UNREACHABLE, TLS, REFUSED = 0, 1, 2, 3, 4, 5, 6
BODY_MAX = 64 << 20
PAGES_MAX = 10000


class Failure(Exception):
    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


def setting(*names, default=None):
    for name in names:
        if os.environ.get(name):
            return os.environ[name]
    if default is None:
        raise Failure(SETTINGS, "%s is not set" % names[0])
    return default


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args):
        return None


class Service:
    """One server; `verify` and `ca_file` decide about its certificate."""

    def __init__(self, name, base, verify=True, ca_file=None, timeout=60):
        self.name, self.base, self.timeout, self.headers = name, base.rstrip("/"), timeout, {}
        try:
            context = ssl.create_default_context(cafile=ca_file or None)
        except OSError as error:
            raise Failure(SETTINGS, "the authorities in %s cannot be read: %s" % (ca_file, error)) from None
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), NoRedirect(),
                                                  urllib.request.HTTPSHandler(context=context))

    def exchange(self, method, path, data, headers):
        """(status, headers, bytes). Anything but 2xx is returned, not raised."""
        request = urllib.request.Request(self.base + path, data=data, method=method, headers=headers)
        try:
            try:
                with self.opener.open(request, timeout=self.timeout) as answer:
                    return answer.status, answer.headers, self.read(answer)
            except urllib.error.HTTPError as error:
                with error:
                    return error.code, error.headers, self.read(error)
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLError):
                raise Failure(TLS, "%s: TLS failed: %s" % (self.name, reason)) from None
            raise Failure(UNREACHABLE, "%s cannot be reached: %s" % (self.name, reason)) from None

    def read(self, answer):
        """A peer that dribbles its answer is not waited for longer than `timeout` in all."""
        deadline, parts, size = time.monotonic() + self.timeout, [], 0
        while True:
            part = answer.read1(1 << 16) if hasattr(answer, "read1") else answer.read(1 << 16)
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > BODY_MAX:
                raise Failure(REFUSED, "%s: the answer is larger than %d MiB" % (self.name, BODY_MAX >> 20))
            if time.monotonic() > deadline:
                raise Failure(UNREACHABLE, "%s: the answer took longer than %d s" % (self.name, self.timeout))
        length = answer.headers.get("Content-Length")
        if length and length.isdigit() and int(length) > size and answer.status not in (204, 304):
            raise Failure(UNREACHABLE, "%s: the answer was cut off" % self.name)
        return b"".join(parts)

    def call(self, method, path, body=None, headers=None):
        """(status, headers, JSON or None). Anything but 2xx is returned, not raised."""
        data = None if body is None else json.dumps(body).encode()
        status, fields, text = self.exchange(method, path, data, dict(
            {"Accept": "application/json", "Content-Type": "application/json"}, **self.headers, **(headers or {})))
        try:
            return status, fields, self.parse(text)
        except Failure:
            if 200 <= status < 300:
                raise
            return status, fields, None

    def parse(self, text):
        try:
            return json.loads(text) if text else None
        except ValueError:
            raise Failure(REFUSED, "%s: the answer is not JSON" % self.name) from None

    def want(self, method, path, body=None, headers=None):
        status, fields, answer = self.call(method, path, body, headers)
        if status in (401, 403):
            raise Failure(AUTH, "%s refuses the credentials (HTTP %d)" % (self.name, status))
        if not 200 <= status < 300:
            raise Failure(REFUSED, "%s: %s %s answered HTTP %d" % (self.name, method, path.partition("?")[0], status))
        return fields, answer


def peer(name, prefixes):
    """The service that PREFIX_HOST, PREFIX_PORT, PREFIX_VERIFY_SSL and PREFIX_CA_FILE name."""
    def read(suffix, default=None):
        return setting(*[prefix + suffix for prefix in prefixes], default=default)
    host = read("_HOST")
    host = "[%s]" % host if ":" in host and not host.startswith("[") else host
    verify = read("_VERIFY_SSL", "true").lower() not in ("false", "0", "no", "off")
    service = Service(name, "https://%s:%s" % (host, read("_PORT", "443")), verify, read("_CA_FILE", ""))
    return service, read("_USERNAME"), read("_PASSWORD")


def gateway():
    return Service("Basalt", setting("BASALT_URL", "SUPABASE_URL"), ca_file=setting("BASALT_CA_FILE", default=""), timeout=130)


def credential(keys):
    """The header that proves who sends: an API token, which lasts and can be taken back, else one of `keys`."""
    token = setting("BASALT_API_TOKEN", "API_TOKEN", default="")
    return {"X-API-Token": token} if token else {"Authorization": "Bearer " + setting(*keys)}


def report(answers, skipped):
    """Prints counts and every item that failed; returns the exit code."""
    total = {"total": 0, "new": 0, "updated": 0, "auto_linked": 0, "errors": 0}
    errors = list(skipped)
    for answer in answers:
        if not isinstance(answer, dict) or not answer.get("success"):
            raise Failure(REFUSED, "Basalt did not take the inventory")
        for key in total:
            total[key] += int(answer.get("summary", {}).get(key, 0))
        errors += answer.get("errors") or []
    for error in errors:
        print("failed: %s" % error, file=sys.stderr)
    print("total %(total)d, new %(new)d, updated %(updated)d, linked %(auto_linked)d" % total + ", failed %d" % len(errors))
    return PARTIAL if errors else DONE


def run(main):
    if len(sys.argv) > 1:
        print(sys.modules["__main__"].__doc__.strip())
        sys.exit(DONE if sys.argv[1] in ("-h", "--help") else SETTINGS)
    try:
        sys.exit(main())
    except Failure as failure:
        print("error: %s" % failure, file=sys.stderr)
        sys.exit(failure.code)
