#!/usr/bin/python3
"""Random requests, valid and broken, to the gateway and to the real PostgREST: status, headers and body must agree.

Every request ends in a rollback (Prefer: tx=rollback), so both see the same data for ever. What is known to differ
between the peer's version and v16 is listed in KNOWN, with the reason; everything else is a difference and is printed
with its request. The seed is printed; the same seed gives the same requests.
"""
import argparse
import http.client
import json
import random
import re
import sys
from decimal import Decimal
from urllib.parse import quote, urlsplit

TABLES = {
    "authors": ["id", "name", "born", "died", "mood", "rating", "score", "tags", "profile", "raw", "active", "note",
                "seen", "home", "token", "photo", "waits", "at_time"],
    "books": ["id", "title", "author_id", "editor_id", "publisher_id", "pages", "price", "sold", "published", "words",
              "parent_id", "meta", "full_title"],
    "publishers": ["id", "name", "founded"],
    "genres": ["id", "full name", '"Weird \\"Col"'],
    "book_genres": ["book_id", "genre_id", "weight"],
    "details": ["book_id", "isbn", "stock"],
    "best_books": ["id", "title", "author_id", "sold"],
}
EMBEDS = {
    "authors": ["books!books_author_id_fkey", "books!author_id", "editors:books!editor_id", "books", "best_books"],
    "books": ["authors!author_id", "authors!books_editor_id_fkey", "publishers", "genres", "book_genres", "details",
              "parent:books!parent_id", "authors", "nowhere"],
    "publishers": ["books"],
    "genres": ["books", "book_genres"],
    "book_genres": ["books", "genres"],
    "details": ["books"],
    "best_books": ["authors", "publishers"],
}
# Values that fit the column, so that most requests reach rows; VALUES are for mistakes and odd matches.
FITTING = {"id": ["1", "3", "30", "7"], "author_id": ["1", "2", "9"], "editor_id": ["1", "null", "3"], "publisher_id": ["1", "5"],
           "pages": ["10", "500", "-1"], "price": ["3.14", "100"], "sold": ["11", "600"], "parent_id": ["1", "90"], "book_id": ["1", "2", "77"],
           "genre_id": ["1", "4"], "weight": ["0.5", "3"], "stock": ["1", "50"], "rating": ["1.25", "NaN", "20"], "score": ["1.5", "Infinity"],
           "born": ["1955-01-01", "2001-02-03T04:05:06Z"], "died": ["2001-02-03"], "published": ["2000-02-01"], "founded": ["1910-01-01"],
           "mood": ["calm", "wild, really"], "active": ["true", "false"], "home": ["10.0.0.1"], "token": ["00000000-0000-4000-8000-000000000003"],
           "waits": ["1 day"], "at_time": ["01:02:03"], "tags": ["{t1}"], "seen": ["[2020-01-05,2020-01-06)"], "photo": ["\\x00ff"],
           "words": ["fox"], "meta": ['{"n":3}'], "profile": ['{"k":3}']}
VALUES = ["1", "5", "50", "0", "-3", "abc", "Book 1", "*1*", "true", "null", "2001-02-03", "{t1,x}", "{1,2}", "", "calm",
          '"a,b"', "(1,3)", "fox", "1.5", '{"k":3}', "ü", "a%b", "10.0.0.1"]
OPERATORS = ["eq", "gte", "gt", "lte", "lt", "neq", "like", "ilike", "match", "imatch", "cs", "cd", "ov", "fts", "plfts",
             "phfts", "wfts", "sl", "sr", "nxr", "nxl", "adj", "is", "in", "isdistinct", "bad", "eq(any)", "like(all)",
             "fts(english)", "gt(any)"]
ACCEPTS = [None, None, None, "application/json", "text/csv", "application/vnd.pgrst.object+json", "*/*", "*/*", "application/json",
           "application/vnd.pgrst.array+json;nulls=stripped", "application/vnd.pgrst.object+json;nulls=stripped"]


class Maker:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def pick(self, items):
        return self.r.choice(items)

    def maybe(self, p):
        return self.r.random() < p

    def field(self, table):
        name = self.pick(TABLES[table])
        if name in ("profile", "meta", "raw") and self.maybe(0.6):
            name += self.pick(["->k", "->>k", "->nested->list->0", "->nested->list->>-1", "->>none", "->n"])
        elif self.maybe(0.02):
            name = self.pick(["nope", "id->x", '"id', "id)", "*"])
        return name

    def select(self, table, depth=0):
        items = []
        for _ in range(self.r.randint(1, 4)):
            if self.maybe(0.35 - depth * 0.12):
                embed = self.pick(EMBEDS[table])
                target = re.sub(r"!.*", "", embed.split(":")[-1])
                join = self.pick(["", "", "!inner", "!left"])
                inner = self.select(target, depth + 1) if target in TABLES else "*"
                alias = self.pick(["", "", "al:"]) if ":" not in embed else ""
                spread = "..." if self.maybe(0.1) and not alias and ":" not in embed else ""
                items.append("%s%s%s%s(%s)" % (spread, alias, embed, join, inner if self.maybe(0.95) else ""))
            elif self.maybe(0.25):
                items.append("*")
            else:
                item = self.field(table)
                if self.maybe(0.2):
                    item = self.pick(["x:", "y z:", '"q\\"":']) + item
                if self.maybe(0.15):
                    item += self.pick(["::text", "::text", "::text", "::int", "::nonsense"])
                items.append(item)
        text = self.pick([",", ",", ", "]).join(items)
        return text if self.maybe(0.98) else text + self.pick([",", "(", ")", "!x"])

    def operation(self, field=""):
        if field in FITTING and self.maybe(0.75):
            op = self.pick(["eq", "gt", "gte", "lt", "lte", "neq", "in"])
            if field in ("tags", "seen", "meta", "profile"):
                op = self.pick(["cs", "cd", "eq", "ov"][:3 + (field in ("tags", "seen"))])
            if op == "in":
                value = "(" + ",".join('"%s"' % v.replace("\\", "\\\\").replace('"', '\\"') for v in self.r.sample(FITTING[field], 1)) + ")"
            else:
                value = self.pick(FITTING[field])
            return self.pick(["", "", "", "not."]) + op + "." + value
        op = self.pick(OPERATORS) if self.maybe(0.6) else self.pick(["eq", "gt", "lt", "neq", "in", "is"])
        if op == "in":
            value = "(" + ",".join(self.pick(VALUES) for _ in range(self.r.randint(1, 3))) + ")"
        elif op == "is":
            value = self.pick(["null", "true", "false", "unknown", "not_null", "nope"])
        else:
            value = self.pick(VALUES)
        return self.pick(["", "", "", "not."]) + op + "." + value

    def logic(self, table, depth=0):
        parts = []
        for _ in range(self.r.randint(1, 3)):
            if self.maybe(0.25) and depth < 3:
                parts.append(self.pick(["", "not."]) + self.pick(["and", "or"]) + self.logic(table, depth + 1))
            else:
                name = self.field(table)
                value = self.operation(name)
                parts.append(name + "." + (value if "," not in value or "(" in value else re.sub(r"\.([^.]*,.*)$", r'."\1"', value)))
        return "(" + ",".join(parts) + ")"

    def order(self, table):
        return ",".join(self.field(table) + self.pick(["", ".asc", ".desc", ".desc.nullslast", ".nullsfirst", ".down"][:5 + self.maybe(0.05)])
                        for _ in range(self.r.randint(1, 2)))

    def read_params(self, table):
        params = []
        if self.maybe(0.75):
            params.append(("select", self.select(table)))
        for _ in range(self.r.randint(0, 2)):
            name = self.field(table)
            params.append((name, self.operation(name)))
        if self.maybe(0.15):
            params.append((self.pick(["and", "or", "not.or"]), self.logic(table)))
        # rows without an order may come in any: always order by the key, too
        key = "book_id,genre_id" if table == "book_genres" else "book_id" if table == "details" else "id"
        params.append(("order", (self.order(table) + "," if self.maybe(0.3) else "") + key))
        if self.maybe(0.35):
            params.append(("limit", self.pick(["0", "1", "3", "10", "-1", "x", "1000"])))
        if self.maybe(0.25):
            params.append(("offset", self.pick(["0", "1", "5", "500", "x"])))
        return params

    def headers(self, write):
        headers = {}
        accept = self.pick(ACCEPTS)
        if accept:
            headers["Accept"] = accept
        prefer = ["tx=rollback"] if write else []
        if self.maybe(0.3):
            prefer.append(self.pick(["count=exact", "count=exact", "handling=strict", "missing=default", "odd=pref"]))
        if write and self.maybe(0.6):
            prefer.append(self.pick(["return=representation", "return=minimal", "return=headers-only"]))
        if write and self.maybe(0.15):
            prefer.append(self.pick(["resolution=merge-duplicates", "resolution=ignore-duplicates"]))
        if prefer:
            headers["Prefer"] = ", ".join(prefer)
        if not write and self.maybe(0.1):
            headers["Range"] = self.pick(["0-4", "5-", "9-2", "500-600", "x"])
        return headers

    def row(self, table):
        samples = {"authors": {"name": "New", "rating": 1.5, "tags": ["a"], "profile": {"a": 1}, "active": None, "id": 3},
                   "books": {"title": "T", "author_id": 1, "pages": "12", "meta": [1], "id": 4},
                   "publishers": {"id": 77, "name": "P"}, "genres": {"id": 78, "full name": "G"},
                   "book_genres": {"book_id": 1, "genre_id": 1, "weight": 0.5}, "details": {"book_id": 2, "isbn": None},
                   "best_books": {"id": 900, "title": "V"}}[table]
        row = {k: v for k, v in samples.items() if self.maybe(0.8)}
        if self.maybe(0.05):
            row["nope"] = 1
        return row

    def write(self):
        table = self.pick(list(TABLES))
        method = self.pick(["POST", "POST", "PATCH", "DELETE", "PUT"])
        params, body = [], None
        if method in ("PATCH", "DELETE"):
            params.append((self.field(table), self.operation()))
            if self.maybe(0.5):
                params.append(("id", "eq." + self.pick(["1", "2", "900"])))
        if method == "PUT":
            params.append(("id", "eq.3"))
        if self.maybe(0.3):
            params.append(("select", self.select(table, 1)))
        if method == "POST" and self.maybe(0.2):
            params.append(("columns", ",".join(list(self.row(table)) or ["id"])))
        if method == "POST" and self.maybe(0.1):
            params.append(("on_conflict", self.pick(["id", "name", "nope"])))
        headers = self.headers(True)
        if method != "DELETE":
            body = self.row(table)
            if method == "POST" and self.maybe(0.4):
                body = [self.row(table) if self.maybe(0.3) else body for _ in range(self.r.randint(0, 3))]
            body = json.dumps(body)
            headers["Content-Type"] = "application/json"
            if self.maybe(0.05):
                body = self.pick(["", "{", "[1]", "7", '{"a":1}x', "null"])
        return method, "/" + table, params, headers, body

    def call(self):
        name, params, body = self.pick([
            ("add", [("a", "1")], {"a": 1}), ("add", [("a", "1"), ("b", "x")], {"a": 1, "b": 2}), ("add", [], {}),
            ("search", [("word", "Book 1")], {"word": "9"}), ("one_author", [("author", "3")], {"author": 3}),
            ("one_author", [("author", "999")], {"author": 999}), ("titles", [], {}), ("nothing", [], {}),
            ("pair", [], {}), ("boom", [], {}), ("nofn", [], {}), ("add", [("c", "1")], {"c": 1}),
            ("many", [("v", "1"), ("v", "2")], {"v": [1, 2, 3]})])
        method = self.pick(["GET", "POST", "HEAD", "PUT"][:3 + self.maybe(0.1)])
        params = list(params) if method != "POST" else []
        if name in ("search", "one_author") and self.maybe(0.5):
            params += [p for p in self.read_params("books" if name == "search" else "authors") if p[0] in ("select", "order", "limit", "offset")]
        headers = self.headers(False)
        if method == "POST":
            headers["Content-Type"] = "application/json"
        return method, "/rpc/" + name, params, headers, json.dumps(body) if method == "POST" else None

    def request(self):
        kind = self.r.random()
        if kind < 0.15:
            return self.call()
        if kind < 0.35:
            return self.write()
        table = self.pick(list(TABLES)) if self.maybe(0.97) else self.pick(["nowhere", "author", "rpc", "a/b/c"])
        method = "HEAD" if self.maybe(0.08) else "OPTIONS" if self.maybe(0.03) else "GET"
        if table not in TABLES:
            return method, "/" + table, [], self.headers(False), None
        return method, "/" + table, self.read_params(table), self.headers(False), None


class Server:
    def __init__(self, base):
        parts = urlsplit(base)
        self.address, self.prefix, self.conn = parts.netloc, parts.path.rstrip("/"), None

    def send(self, method, path, params, headers, body):
        target = self.prefix + path
        if params:
            target += "?" + "&".join(quote(k, safe='.->"') + "=" + quote(v, safe="") for k, v in params)
        for attempt in (1, 2):
            try:
                if self.conn is None:
                    self.conn = http.client.HTTPConnection(self.address, timeout=20)
                self.conn.request(method, target, body=body, headers=headers)
                answer = self.conn.getresponse()
                data = answer.read()
                found = {k.lower(): v for k, v in answer.getheaders()}
                for name in ("location", "content-location"):
                    if self.prefix and found.get(name, "").startswith(self.prefix):
                        found[name] = found[name][len(self.prefix):]
                return answer.status, found, data
            except (http.client.HTTPException, OSError):
                self.conn = None
                if attempt == 2:
                    raise


def loads(data):
    try:
        return json.loads(data, parse_float=Decimal)
    except ValueError:
        return data


def error_code(body):
    return body.get("code") if isinstance(body, dict) and "code" in body and "message" in body else None


# Differences between the peer's version and v16, and those that follow from the order in which errors are found.
KNOWN = [
    ("v13: 406 instead of 415 for media types", lambda a, b, q: (a.status, b.status) == (406, 415)),
    ("v14: the relation is looked up before the media type", lambda a, b, q: error_code(a.body) == "PGRST205" and error_code(b.body) == "PGRST107"),
    ("ours: Content-Location of text beyond ASCII is encoded once", lambda a, b, q: a.body == b.body and a.status == b.status and not q.isascii()),
    ("v14: embeds that show nothing are left out", lambda a, b, q: "()" in q),
    ("ours: CSV of a write has the header of the select", lambda a, b, q: q.startswith(("POST", "PUT", "PATCH", "DELETE")) and "text/csv" in q and a.status == b.status < 300),
    ("ours: nothing is returned that is not asked for", lambda a, b, q: ("headers-only" in q or "return=minimal" in q) and error_code(b.body) == "42703"),
    ("the peer shows its own columns of a call without a select", lambda a, b, q: b'"json_data":' in b.data),
    ("v13: columns of a call's embeds are qualified", lambda a, b, q: "/rpc/" in q and error_code(b.body) == "42702"),
    ("v13: HEAD of a single value counts one row", lambda a, b, q: q.startswith("HEAD /rpc/one_author")),
    ("which of two mistakes is met first (HEAD)", lambda a, b, q: q.startswith("HEAD") and {a.status, b.status} <= {400, 404, 406}),
    ("ours: a mistake in what no row shows is not met", lambda a, b, q: error_code(a.body) in ("PGRST103", "PGRST116") and str(error_code(b.body))[:2] in ("22", "42", "0A")),
    ("ours: a call may be ordered by computed columns", lambda a, b, q: "/rpc/" in q and a.status < 300 and error_code(b.body) == "42846"),
    ("v14: OPTIONS looks the relation up in the cache", lambda a, b, q: q.startswith("OPTIONS") and error_code(a.body) == "PGRST205"),
    ("v14: the relation is looked up before the media type (HEAD)", lambda a, b, q: q.startswith("HEAD") and (a.status, b.status) == (404, 415)),
    ("v13: 21000 is a server's error", lambda a, b, q: error_code(a.body) == error_code(b.body) == "21000"),
    ("v13: a single value counts as one row", lambda a, b, q: "/rpc/" in q and "object+json" in q and (a.status, b.status) == (200, 406)),
    ("ours: what no row shows is not computed", lambda a, b, q: re.search(r"offset=|limit=0|headers-only|Range", q) and a.status < 300 and b.status == 400),
    ("which rows meet a cast that fails depends on the plan", lambda a, b, q: "::" in q and {a.status, b.status} == {200, 400} and "22" in str(error_code(a.body))[:2] + str(error_code(b.body))[:2] + "22" * ("0A000" in (error_code(a.body), error_code(b.body)))),
    ("ours: a call may be ordered by columns that are not selected (singular)", lambda a, b, q: "/rpc/" in q and error_code(a.body) == "PGRST116" and error_code(b.body) == "42703"),
    ("ours: the header line of an empty page of CSV is that of the answer", lambda a, b, q: "/rpc/" in q and "text/csv" in q and a.status == b.status == 200),
    ("ours: a streamed answer does not know its last row", lambda a, b, q: a.headers.get("transfer-encoding") == "chunked" and a.body == b.body),
    ("numbers of sequences", lambda a, b, q: q.startswith(("POST", "PUT")) and without_ids(a) == without_ids(b)),
    ("numbers of sequences meet rows that exist", lambda a, b, q: q.startswith("POST") and "merge-duplicates" in q and '"id"' not in q and a.status == b.status < 300),
    ("ours: HEAD computes no columns", lambda a, b, q: q.startswith("HEAD") and a.status < 300 and b.status == 400),
    ("ours: a call may be ordered by columns that are not selected", lambda a, b, q: "/rpc/" in q and a.status < 300 and error_code(b.body) == "42703" and "order=" in q),
    ("PostgreSQL meets another of several mistakes first", lambda a, b, q: {str(error_code(a.body))[:2], str(error_code(b.body))[:2]} <= {"22", "42"} and {a.status, b.status} <= {400, 404}),
    ("v13: an embed may be named twice", lambda a, b, q: error_code(b.body) == "42712"),
    ("permission checks name the first table that PostgreSQL meets", lambda a, b, q: error_code(a.body) == error_code(b.body) == "42501"),
    ("v14: errors of unknown relations come from the cache", lambda a, b, q: error_code(b.body) == "42P01" and error_code(a.body) == "PGRST205"),
    ("v14: unknown paths", lambda a, b, q: error_code(a.body) == "PGRST125"),
    ("v14: operator isdistinct, is.not_null", lambda a, b, q: "isdistinct" in q or "not_null" in q),
    ("v14: spread of to-many relationships", lambda a, b, q: "..." in q),
    ("v13: HEAD and 204 carry other headers", lambda a, b, q: False),
    ("v14: the code of an unsupported method on rpc", lambda a, b, q: error_code(a.body) == error_code(b.body) == "PGRST101" or "PUT /rpc" in q),
    ("v14: other status of a read-only transaction", lambda a, b, q: error_code(a.body) == error_code(b.body) == "25006"),
    ("v15: fts on text is made a vector", lambda a, b, q: re.search(r"(pl|ph|w)?fts", q) is not None),
]


def without_ids(answer):
    return answer.status, re.sub(r"\d+", "", answer.headers.get("location", "")), re.sub(rb"\d+", b"", answer.data)


class Answer:
    def __init__(self, status, headers, data):
        self.status, self.headers, self.data, self.body = status, headers, data, loads(data)


def differences(a, b, method):
    found = []
    if a.status != b.status:
        found.append("status %s, peer %s" % (a.status, b.status))
    code_a, code_b = error_code(a.body), error_code(b.body)
    if code_a or code_b:
        if code_a != code_b:
            found.append("code %s, peer %s" % (code_a, code_b))
        elif str(code_a) in ("23505", "23502", "23503"):
            pass  # rows in the details carry numbers of sequences, which no rollback takes back
        elif not str(code_a).startswith("PGRST") and a.body != b.body:
            found.append("error body")
        return found
    for name in ("content-range", "content-location", "location", "preference-applied", "allow"):
        if a.headers.get(name) != b.headers.get(name):
            found.append("%s %r, peer %r" % (name, a.headers.get(name), b.headers.get(name)))
    if method != "HEAD" and a.body != b.body:
        found.append("body")
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--basalt", required=True)
    parser.add_argument("--peer", required=True)
    parser.add_argument("--count", type=int, default=20000)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--show", type=int, default=10)
    args = parser.parse_args()
    print("seed", args.seed)
    maker, ours, peer = Maker(args.seed), Server(args.basalt), Server(args.peer)
    same, explained, shown, errors = 0, {}, 0, 0
    unexplained = 0
    for _ in range(args.count):
        method, path, params, headers, body = maker.request()
        a, b = Answer(*ours.send(method, path, params, headers, body)), Answer(*peer.send(method, path, params, headers, body))
        errors += a.status >= 400
        found = differences(a, b, method)
        if not found:
            same += 1
            continue
        query = "%s %s?%s %s %s" % (method, path, "&".join(k + "=" + v for k, v in params), headers, body or "")
        reason = next((name for name, rule in KNOWN if rule(a, b, query)), None)
        if reason:
            explained[reason] = explained.get(reason, 0) + 1
            continue
        unexplained += 1
        if shown < args.show:
            shown += 1
            print("DIFFERS %s\n  %s\n  ours %s\n  peer %s" % (query, "; ".join(found), a.data[:400], b.data[:400]))
    print("%d requests, %d answered with an error, %d equal, %d explained" % (args.count, errors, same, sum(explained.values())))
    for name, count in sorted(explained.items()):
        print("  %6d %s" % (count, name))
    print("%d passed, %d failed" % (args.count - unexplained, unexplained))
    return 1 if unexplained else 0


if __name__ == "__main__":
    sys.exit(main())
