"""What PostgreSQL itself allows: the gateway's own statements in pgbench, as pipelines without BEGIN and COMMIT.

The statements are taken from the server's log while the gateway answers one request, so they are always the very ones.
"""
import glob
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

from process import children_of, go_first
from workloads import ROWS

ROW = 7777  # stands for the row that changes from request to request
STATEMENT = re.compile(r"^\S+ \S+ \S+ \[\d+\] \S+ LOG:  execute [^:]*: (.*?)(?=^\S)", re.M | re.S)
PARAMETERS = re.compile(r"\S+ \S+ \S+ \[\d+\] \S+ DETAIL:  parameters: (.*?)(?=^\S)", re.M | re.S)
VALUE = re.compile(r"\$(\d+) = ('(?:[^']|'')*'|NULL)")


class Database:
    """PG_URL (a superuser) and PGPASSWORD are in the environment; `url` is the login of the servers."""

    def __init__(self, url, log, postmaster, is_first):
        self.url, self.log, self.postmaster, self.is_first = url, log, postmaster, is_first

    def execute(self, *statements):
        commands = [part for statement in statements for part in ("-c", statement)]
        subprocess.run(["psql", "-qXAt", "-o", os.devnull, "-v", "ON_ERROR_STOP=1", "-d", os.environ["PG_URL"], *commands], check=True)

    def configure(self, name, value):
        self.execute("alter system set %s = '%s'" % (name, value), "select pg_reload_conf()")
        time.sleep(.2)


def ask(server, workload, token):
    request = urllib.request.Request(server.url + workload.path.replace("{row}", str(ROW)), method=workload.method,
                                     data=workload.body.encode() if workload.body else None,
                                     headers={"Authorization": "Bearer " + token, **workload.all_headers()})
    urllib.request.urlopen(request).read()


def parse(text):
    """[(statement, [value or None])] of the last request in the log, from its settings to the question for the response's:
    before and behind them the gateway may tidy up its connection."""
    found, text = [], text + "x"  # the patterns look for the beginning of a next entry
    for match in STATEMENT.finditer(text):
        detail = PARAMETERS.match(text, match.end())
        values = [None if value == "NULL" else value[1:-1].replace("''", "'")
                  for _, value in VALUE.findall(detail.group(1) if detail else "")]
        found.append((match.group(1).strip(), values))
    starts = [i for i, (statement, _) in enumerate(found) if "'request.jwt.claims'" in statement]
    ends = [i for i, (statement, _) in enumerate(found) if "'response.headers'" in statement]
    return found[starts[-1]:ends[-1] + 1] if starts and ends else []


def capture(database, server, workload, token):
    database.configure("log_statement", "all")
    try:
        for _ in range(2):  # the second one meets a warm connection
            position = os.path.getsize(database.log)
            ask(server, workload, token)
            time.sleep(.1)
        with open(database.log) as file:
            file.seek(position)
            statements = parse(file.read())
    finally:
        database.configure("log_statement", "none")
    if not statements:
        sys.exit("no statements of %s in the log" % workload.name)
    return statements


def script(statements):
    """The text for pgbench and its variables. The values are parameters as they are the gateway's."""
    lines, variables = ["\\set row random(1, %d)" % ROWS, "\\startpipeline"], {}
    for number, (statement, values) in enumerate(statements):
        names = []
        for index, value in enumerate(values):
            names.append("row" if value == str(ROW) else "v%d_%d" % (number, index))
            if value is not None and value != str(ROW):
                variables[names[-1]] = value
        unset = [name for name in names if name != "row" and name not in variables]
        if unset:
            sys.exit("NULL cannot be given to pgbench")
        lines.append(re.sub(r"\$(\d+)", lambda match: ":" + names[int(match.group(1)) - 1], statement) + ";")
    return "\n".join(lines + ["\\endpipeline", ""]), variables


def arguments(directory, statements):
    text, variables = script(statements)
    with open(os.path.join(directory, "script"), "w") as file:
        file.write(text)
    return [part for name, value in variables.items() for part in ("-D", "%s=%s" % (name, value))]


def give_way(database, process):
    go_first(process.pid)
    time.sleep(.2)
    for backend in children_of(database.postmaster):
        go_first(backend)


def median_us(directory):
    """Of the transactions in pgbench's logs."""
    found = []
    for path in glob.glob(os.path.join(directory, "log*")):
        with open(path) as file:
            found += [int(line.split()[2]) for line in file]
    return statistics.median(found)


def measure(database, statements, connections, seconds):
    """Transactions per second and their median time with so many connections, each one transaction deep."""
    with tempfile.TemporaryDirectory() as directory:
        process = subprocess.Popen(
            ["pgbench", "-n", "-M", "prepared", "-c%d" % connections, "-j1", "-T%d" % max(seconds, 1), "-f", "script",
             "-l", "--log-prefix=log", *arguments(directory, statements), database.url], cwd=directory,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
        if database.is_first:
            give_way(database, process)
        out = process.communicate()[0]
        found = re.search(r"tps = ([\d.]+)", out)
        if process.returncode or not found or " 0 (" not in out:
            sys.exit("pgbench: " + out)
        return float(found.group(1)), median_us(directory)
