"""What the database tests share: queries through psql, a count of results, a database of their own."""
import json
import os
import subprocess
import sys

TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def own_database(script):
    """Starts the script again inside tests/lib/with-database unless it already has a DATABASE_URL."""
    if not os.environ.get("DATABASE_URL"):
        runner = os.path.join(TESTS, "lib", "with-database")
        os.execv(runner, [runner, sys.executable, os.path.abspath(script), *sys.argv[1:]])


def psql(sql, url=None):
    """Runs SQL as one script; returns (succeeded, standard output, standard error)."""
    done = subprocess.run(
        ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", url or os.environ["DATABASE_URL"]],
        input=sql, capture_output=True, text=True, check=False)
    return done.returncode == 0, done.stdout, done.stderr


def rows(sql):
    """The rows of a query as lists."""
    succeeded, out, err = psql(f"set search_path = ''; select coalesce(json_agg(to_json(q)), '[]') from ({sql}) q;")
    if not succeeded:
        sys.exit(f"query failed: {err}\n{sql}")
    return [list(row.values()) for row in json.loads(out)]


class Count:
    """Counts what passed and failed, and prints failures as they come."""

    def __init__(self):
        self.passed = self.failed = 0

    def check(self, is_good, what, detail=""):
        if is_good:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}{': ' + detail if detail else ''}")

    def finish(self):
        print(f"{self.passed} passed, {self.failed} failed")
        sys.exit(1 if self.failed else 0)
