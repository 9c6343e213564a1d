"""What the inventory tools share: settings from the environment, HTTPS without redirects, exit codes, a summary."""
import json
import os
import ssl
import sys
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

    def call(self, method, path, body=None, headers=None):
        """(status, headers, JSON or None). Anything but 2xx is returned, not raised."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method, headers=dict(
            {"Accept": "application/json", "Content-Type": "application/json"}, **self.headers, **(headers or {})))
        try:
            with self.opener.open(request, timeout=self.timeout) as answer:
                return answer.status, answer.headers, self.parse(answer.read(BODY_MAX))
        except urllib.error.HTTPError as error:
            with error:
                try:
                    return error.code, error.headers, self.parse(error.read(BODY_MAX))
                except Failure:
                    return error.code, error.headers, None
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, ssl.SSLError):
                raise Failure(TLS, "%s: TLS failed: %s" % (self.name, reason)) from None
            raise Failure(UNREACHABLE, "%s cannot be reached: %s" % (self.name, reason)) from None

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
