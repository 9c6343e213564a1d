#!/usr/bin/python3
"""Hostile names in every position. Judged by what the server ran: each statement it logged, its names and literals taken out,
must have one of the shapes that harmless requests have; none may have been a syntax error; the canary must be untouched."""
import http.client
import json
import os
import random
import re
import subprocess
import sys
from urllib.parse import quote

HOST, PORT = os.environ["SCENE_ADDRESS"].split(":")
LOG = os.environ["SCENE_DIR"] + "/db/postgresql.log"
COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
TABLE = "vault.canary"
# what an attacker would want to run, and ways to get out of where he is
GOALS = [f"drop table {TABLE}", f"delete from {TABLE}", f"update {TABLE} set word=null", f"select word from {TABLE}",
         "select pg_sleep(9)", "set role postgres", "copy (select 1) to program 'id'", f"table {TABLE}", "commit", "select 1/0"]
BREAKS = ["'", "''", '"', '""', "\\'", "\\\"", "$$", "$a$", "')", "\")", "'))", "]", "}", ")", "::text", "->>'a'", "/*", "*/", "--", "\n",
          ";", "E'", "U&\"", "x'", "b'", "\u02bc", "\uff07", "\u2019", "\u00bf'", "%27", "%22", "&#39;", "\t", "\r", "\v", " ", ",", ".",
          "!", "=", "@", "{", "[", "(", "|", "^", "~", "`", "?", "#", "$1", "$9", ":a", "%s", "{0}", "\\", "\\u0027", "\u0001", "\u007f",
          "\ud7ff", "\U0001f600"]
WORDS = ["id", "name", "items", "data", "echo", "*", "count", "sum", "null", "true", "1", "0x41", "-1", "1e9", "current_user", "api",
         "api.items", "pg_catalog.pg_authid", "information_schema", "pg_sleep(1)", "not", "and", "or", "eq", "in", "is", "select",
         "a" * 70, "é", "", "public", "anon", "text", "int", "regclass", "json", "odd \"name", "return", "minimal", "utf-8"]
JOINS = ["{b}{g}{c}", "{w}{b};{g}--", "{w}{b} or 1=1;{g};--", "{b}||({g})||{c}", "{w}){b};{g}", "({g})", "{w}{b}{w2}", "{b}{w}{c}", "{w} {g}",
         "{w}{b} union {g}--", "{b}+({g})+{c}", "{w}::{b}{w2}", "{b}{b}{b}", "{w}{c}{g}{b}"]

# position: method, path, headers, body. {} is where the hostile text stands, encoded for the place
POSITIONS = [
    ("column", "GET", "/items?select={}"), ("alias", "GET", "/items?select={}:id"), ("alias of an embed", "GET", "/items?select=a{}:items!parent_id(id)"),
    ("cast", "GET", "/items?select=id::{}"), ("cast of an aggregate", "GET", "/items?select=id.sum()::{}"), ("aggregate", "GET", "/items?select=id.{}()"),
    ("JSON path", "GET", "/items?select=data->{}"), ("JSON path as text", "GET", "/items?select=data->>{}"), ("JSON path further", "GET", "/items?select=data->a->>{}"),
    ("embed", "GET", "/items?select=id,{}(id)"), ("hint", "GET", "/items?select=items!{}(id)"), ("spread", "GET", "/items?select=...{}(id)"),
    ("spread column", "GET", "/items?select=...items!parent_id({})"), ("order", "GET", "/items?order={}"), ("direction", "GET", "/items?order=id.{}"),
    ("order by JSON", "GET", "/items?order=data->>{}"), ("order by an embed", "GET", "/items?select=id,p:items!parent_id(id)&order=p({})"),
    ("filtered column", "GET", "/items?{}=eq.1"), ("filtered JSON", "GET", "/items?data->>{}=eq.1"), ("operator", "GET", "/items?id={}.1"),
    ("value", "GET", "/items?name=eq.{}"), ("list", "GET", "/items?name=in.({})"), ("quoted list", "GET", "/items?name=in.(\"{}\")"), ("pattern", "GET", "/items?name=like.{}"),
    ("regular expression", "GET", "/items?name=match.{}"), ("array", "GET", "/items?tags=cs.{}"), ("is", "GET", "/items?id=is.{}"),
    ("text search", "GET", "/items?name=fts({}).a"), ("text search words", "GET", "/items?name=plfts.{}"), ("any", "GET", "/items?name=eq(any).{}"),
    ("logic", "GET", "/items?or=({})"), ("column in logic", "GET", "/items?or=({}.eq.1,id.eq.2)"), ("value in logic", "GET", "/items?or=(name.eq.\"{}\",id.eq.2)"),
    ("filter of an embed", "GET", "/items?select=id,p:items!parent_id(id)&p.{}=eq.1"), ("limit", "GET", "/items?limit={}"), ("offset", "GET", "/items?offset={}"),
    ("table", "GET", "/{}"), ("function", "POST", "/rpc/{}"), ("function read", "GET", "/rpc/{}"), ("argument", "GET", "/rpc/echo?{}=1"),
    ("value of an argument", "GET", "/rpc/echo?t={}"), ("column of a function", "GET", "/rpc/rows?select={}"), ("filter of a function", "GET", "/rpc/rows?{}=eq.1"),
    ("order of a function", "GET", "/rpc/rows?order={}"),
    ("columns", "POST", "/items?columns={}", {"Prefer": "tx=rollback"}, {"id": 99}), ("on_conflict", "POST", "/items?on_conflict={}", {"Prefer": "resolution=merge-duplicates, tx=rollback"}, {"id": 1}),
    ("returned column", "POST", "/items?select={}", {"Prefer": "return=representation, tx=rollback"}, {"id": 98}),
    ("filter of a change", "PATCH", "/items?{}=eq.1", {"Prefer": "tx=rollback"}, {"name": "x"}), ("value of a change", "PATCH", "/items?name=eq.{}", {"Prefer": "tx=rollback"}, {"name": "x"}),
    ("filter of a removal", "DELETE", "/items?{}=eq.1", {"Prefer": "tx=rollback"}), ("key of a body", "POST", "/items", {"Prefer": "tx=rollback"}, "key"),
    ("value of a body", "POST", "/items", {"Prefer": "tx=rollback"}, "value"), ("argument of a body", "POST", "/rpc/echo", {}, "key"),
    ("value of an argument of a body", "POST", "/rpc/change", {}, "text"), ("column of CSV", "POST", "/items", {"Prefer": "tx=rollback", "Content-Type": "text/csv"}, "csv"),
    ("field of a form", "POST", "/items", {"Prefer": "tx=rollback", "Content-Type": "application/x-www-form-urlencoded"}, "form"),
    ("profile", "GET", "/items", {"Accept-Profile": "{}"}), ("profile of a body", "POST", "/items", {"Content-Profile": "{}", "Prefer": "tx=rollback"}, {"id": 97}), ("Accept", "GET", "/items", {"Accept": "{}"}),
    ("parameter of Accept", "GET", "/items", {"Accept": "application/vnd.pgrst.plan+json; for=\"{}\""}), ("Prefer", "GET", "/items", {"Prefer": "{}"}),
    ("time zone", "GET", "/items", {"Prefer": "timezone={}"}), ("Range", "GET", "/items", {"Range": "{}"}), ("Content-Type", "POST", "/items", {"Content-Type": "{}", "Prefer": "tx=rollback"}, {"id": 96}),
    ("header", "GET", "/items?limit=1", {"X-Thing": "{}"}), ("cookie", "GET", "/items?limit=1", {"Cookie": "a={}"}), ("path", "GET", "/items/{}"),
]
# harmless requests whose statements stand for all that may be run
HARMLESS = ["id", "name", "a", "1", "(id)", "items", "echo", "asc", "desc.nullslast", "eq", "gt", "text", "(1,2)", "a b", "api", "other", "{a,b}", "null", "true",
            "english", "sum", "count", "data->a", "*", "application/json", "text/csv", "count=exact", "UTC", "0-5", "id,name", "not.null", "name.eq.1,id.eq.2",
            "things", "rows", "change", "id.desc", "data", "parent_id", "tags", "n", "t", "-1", "2.5", "max", "int", "jsonb", "[1]"]


def hostile(dice):
    form = dice.choice(JOINS)
    return form.format(b=dice.choice(BREAKS), c=dice.choice(BREAKS), g=dice.choice(GOALS), w=dice.choice(WORDS), w2=dice.choice(WORDS))


def body_of(kind, text):
    if kind is None or isinstance(kind, dict):
        return None if kind is None else json.dumps(kind)
    return {"key": json.dumps({text: 1, "id": 95}), "value": json.dumps({"id": 94, "name": text}), "text": json.dumps({"t": text}),
            "csv": f"id,{text}\n93,1\n", "form": quote(text, safe="") + "=1&id=92"}[kind]


class Gun:
    def __init__(self):
        self.conn = None

    def fire(self, position, text):
        method, path, headers, kind = position[1], position[2], dict(position[3]) if len(position) > 3 else {}, position[4] if len(position) > 4 else None
        body = body_of(kind, text)
        if body is not None:
            headers.setdefault("Content-Type", "application/json")
        clean = "".join(c for c in text if c >= " " and c != "\x7f").encode("utf-8", "surrogatepass").decode("latin-1").strip()
        headers = {name: value.replace("{}", clean) for name, value in headers.items()}
        path = "/rest/v1" + path.replace("{}", quote(text.encode("utf-8", "surrogatepass"), safe=""))
        for attempt in range(2):
            if self.conn is None:
                self.conn = http.client.HTTPConnection(HOST, int(PORT), timeout=60)
            try:
                self.conn.request(method, path, body=body.encode("utf-8", "surrogatepass") if body is not None else None, headers=headers)
                answer = self.conn.getresponse()
                data = answer.read()
                break
            except (http.client.HTTPException, ConnectionError):
                self.conn = None
                if attempt == 1:
                    raise
        if answer.getheader("Connection") == "close":
            self.conn = None
        try:
            parsed = json.loads(data)
        except ValueError:
            parsed = None
        return answer.status, parsed.get("code") if isinstance(parsed, dict) else None


def sql(text):
    return subprocess.run(["psql", "-XAtq", os.environ["SCENE_DB"], "-c", text], capture_output=True, text=True, check=True).stdout.strip()


ENTRY = re.compile(r"^\d{4}-\d\d-\d\d [\d:.]+ \S+ \[\d+\] (\S+@\S+ )?([A-Z]+):  (?:([0-9A-Z]{5}): )?(.*)$")
RUN = re.compile(r"(?:execute \S+|statement): ")


def entries():
    """The log of the server: (who, level, SQLSTATE, text), lines joined."""
    found = []
    with open(LOG, encoding="utf-8", errors="replace") as file:
        for line in file:
            match = ENTRY.match(line.rstrip("\n"))
            if match:
                found.append([match[1] or "", match[2], match[3], match[4]])
            elif found:
                found[-1][3] += "\n" + line.rstrip("\n")
    return found


def tokens(statement):
    """The statement as its words, with names, literals, parameters and numbers all alike. Also tells of open quotes."""
    text, out, at = statement, [], 0
    while at < len(text):
        c = text[at]
        if c == '"' or c == "'":
            is_escaped = c == "'" and out and out[-1] in ("E", "e") and text[at - 1] in "Ee"
            if is_escaped:
                out.pop()
            end = at + 1
            while True:
                end = text.find(c, end)
                if end < 0:
                    return None
                if is_escaped:
                    back, cut = 0, end - 1
                    while text[cut] == "\\":
                        back, cut = back + 1, cut - 1
                    if back % 2:
                        end += 1
                        continue
                if text[end + 1:end + 2] != c:
                    break
                end += 2
            out.append("N" if c == '"' else "L")
            at = end + 1
        elif c.isspace():
            at += 1
        else:
            match = re.compile(r"\$\d+|\d+(?:\.\d+)?|\w+|--|/\*|.", re.S).match(text, at)
            word = match[0]
            is_number = word[0].isdigit() or re.fullmatch(r"s\d+", word) and out == ["DEALLOCATE"]
            out.append("P" if word[0] == "$" and len(word) > 1 else "9" if is_number else word)
            at = match.end()
    return out


def words_of(statement):
    """What a statement consists of, apart from names and values; None when its quotes do not close."""
    found = tokens(statement)
    return None if found is None else frozenset(w.lower() for w in found if w not in ("N", "L", "P", "9"))


def statements(found):
    """What the gateway ran; its questions about the catalog begin with a comment."""
    ran = [text.split(": ", 1)[1] for who, level, _, text in found
           if who.startswith("authenticator@") and level == "LOG" and RUN.match(text)]
    return [statement for statement in ran if not statement.startswith("-- ")]


def main():
    passed, failures, dice, gun = 0, [], random.Random(int(os.environ.get("INJECTION_SEED", "1"))), Gun()
    for position in POSITIONS:
        for text in HARMLESS:
            gun.fire(position, text)
    known, first = set(), entries()
    harmless = statements(first)
    for statement in harmless:
        known |= words_of(statement)
    statuses = {}
    for number in range(COUNT):
        position = POSITIONS[number % len(POSITIONS)]
        text = hostile(dice)
        status, code = gun.fire(position, text)
        statuses[status] = statuses.get(status, 0) + 1
        if code == "42601" or status >= 500 and code not in ("22P05", "57014", "54001"):
            failures.append(f"{position[0]} {text!r}: {status} {code}")
    later = entries()[len(first):]
    failures += [f"the server saw a syntax error: {text[:300]}" for _, _, state, text in later if state == "42601"]
    ran = statements(later)
    for statement in set(ran):
        words = words_of(statement)
        if words is None or words - known:
            failures.append(f"a statement of a new shape: {sorted(words - known) if words else 'open quotes'}: {statement[:400]}")
    canary = sql(f"table {TABLE}")
    rest = sql("select count(*) from api.items")
    for what, is_good in (("the canary is alive", canary == "1|alive"), ("nothing was written", rest == "20"),
                          ("the log was read", len(harmless) > 500 and len(ran) > COUNT // 10),
                          ("no hostile name was SQL", not failures)):
        passed += is_good
        print(f"{'ok' if is_good else 'FAILED'} {what}")
    for failure in failures[:20]:
        print("  " + failure)
    print(f"{COUNT} requests: {len(ran)} statements, {len(set(ran))} different; answers {dict(sorted(statuses.items()))}")
    print(f"{passed} passed, {4 - passed} failed")
    return passed != 4


if __name__ == "__main__":
    raise SystemExit(main())
