#!/usr/bin/python3
"""Scenes of the gateway as a process. Each scene is a function; its name is the behaviour that it protects."""
import contextlib
import json
import os
import signal
import stat
import subprocess
import threading
import time
import uuid

import told
from gateway import (ADMIN, BASE, BINARY, DIR, OTHER_ADMIN, PORT, SECRET, Gateway, ask, call, connection, database,
                     expect, sql, until)

PEER = os.path.join(DIR, "postgrest")


def write(name, text):
    path = os.path.join(DIR, name)
    with open(path, "w") as file:
        file.write(text)
    return path


def threads(count, work):
    """Runs work(i) in `count` threads and returns what they raised."""
    errors = []

    def guarded(i):
        try:
            work(i)
        except Exception as error:  # told by the scene
            errors.append(error)

    workers = [threading.Thread(target=guarded, args=(i,)) for i in range(count)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return errors


@contextlib.contextmanager
def clients(count, work, errors):
    """While the scene goes on, `count` clients do work(i, is_over) until is_over is set; what they raised is added."""
    is_over = threading.Event()
    worker = threading.Thread(target=lambda: errors.extend(threads(count, lambda i: work(i, is_over))))
    worker.start()
    try:
        yield
    finally:
        is_over.set()
        worker.join()


@contextlib.contextmanager
def held():
    """While it is in force /rpc/hold does not return."""
    holder = subprocess.Popen(["psql", "-XAtq", os.environ["SCENE_DB"]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    holder.stdin.write("select 'held' from pg_advisory_lock(1);\n")
    holder.stdin.flush()
    expect(holder.stdout.readline(), "held\n")
    try:
        yield
    finally:
        holder.stdin.close()
        holder.wait()


# ---- configuration ----

def the_environment_wins_over_the_file_and_the_database_over_both():
    path = write("file.conf", 'db-max-rows = 10\ndb-anon-role = "member"\napp.settings.stage = "file"\n')
    dump = call(["--dump-config", path], PGRST_DB_ANON_ROLE="anon")[1]
    expect('PGRST_DB_MAX_ROWS="10"' in dump and 'PGRST_DB_ANON_ROLE="anon"' in dump, True, dump)
    sql("alter role authenticator set pgrst.db_max_rows = '7'; alter role authenticator set pgrst.jwt_aud = 'role';"
        "alter role authenticator in database postgres set pgrst.jwt_aud = 'here'")
    try:
        dump = call(["--dump-config", path], PGRST_DB_PRE_CONFIG="api.pre_config")[1]
        expect('PGRST_DB_MAX_ROWS="7"' in dump and 'PGRST_JWT_AUD="here"' in dump, True, dump)
        with Gateway([path], PGRST_DB_PRE_CONFIG="api.pre_config"):
            expect(len(ask("GET", "/items")[1]), 7)
            expect(ask("GET", "/rpc/setting?name=app.settings.stage")[1], "file")
        sql("alter role authenticator reset all; alter role authenticator in database postgres reset all")
        dump = call(["--dump-config", path], PGRST_DB_PRE_CONFIG="api.pre_config")[1]
        expect('PGRST_DB_MAX_ROWS="3"' in dump and 'PGRST_JWT_AUD="from-function"' in dump, True, dump)
        dump = call(["--dump-config", path], PGRST_DB_CONFIG="false", PGRST_DB_PRE_CONFIG="api.pre_config")[1]
        expect('PGRST_DB_MAX_ROWS="10"' in dump, True, dump)
    finally:
        sql("alter role authenticator reset all; alter role authenticator in database postgres reset all")


def what_is_dumped_under_the_peers_name_can_be_read_again():
    path = write("peer.conf", 'db-schemas = " api,  other"\ndb-pool = 3\napp.settings.x = "a \\"b\\" $$c"\n'
                              'jwt-role-claim-key = "$$.a.role"\nserver-port = 3456\n')
    settings = {"PGRST_DB_SCHEMAS": None, "BASALT_REST_PREFIX": None, "PGRST_DB_CONFIG": "false"}
    status, dump, _ = call(["--dump-config", path], name=PEER, **settings)
    expect(status, 0)
    for line in ('db-schemas = "api,other"', "db-pool = 3", 'app.settings.x = "a \\"b\\" $$c"',
                 'jwt-secret = "%s"' % SECRET, "server-port = 3456", 'log-level = "error"', 'db-max-rows = ""'):
        expect(line in dump.splitlines(), True, line)
    bare = {"PGRST_JWT_SECRET": None, "PGRST_DB_URI": None, "PGRST_DB_ANON_ROLE": None, **settings}
    expect(call(["--dump-config", write("again.conf", dump)], name=PEER, **bare)[1], dump)
    expect(SECRET in call(["--dump-config"])[1], False, "our own dump shows no secret")


def settings_that_cannot_work_are_refused_at_the_start():
    for key, value in (("PGRST_JWT_SECRET", "short"), ("PGRST_JWT_SECRET", "@/nonexistent"), ("PGRST_DB_TX_END", "no"),
                       ("PGRST_JWT_ROLE_CLAIM_KEY", "$.a;b"), ("PGRST_OPENAPI_MODE", "all"), ("BASALT_LOG_LEVEL", "x"),
                       ("PGRST_DB_SCHEMAS", "api, pg_catalog"), ("PGRST_SERVER_UNIX_SOCKET_MODE", "800"),
                       ("PGRST_JWT_AUD", "http://%%x"), ("PGRST_OPENAPI_SERVER_PROXY_URI", "htp:/x"),
                       ("PGRST_OPENAPI_SERVER_PROXY_URI", "https://user:pass@example.com"),
                       ("PGRST_OPENAPI_SERVER_PROXY_URI", "https://example.com:70000")):
        expect(call(["--dump-config"], **{key: value})[0], 1, "%s=%s" % (key, value))
        expect(call([], **{key: value})[0], 1, "%s=%s serves" % (key, value))
    expect(call(["--dump-config", "/nonexistent"])[0], 1)
    expect(call(["--dump-config", write("broken.conf", 'db-uri = "open\n')])[0], 1)


def what_env_files_and_addresses_look_like_is_understood():
    dump = call(["--dump-config"], name=PEER, PGRST_DB_CONFIG="false", PGRST_DB_PLAN_ENABLED='"true"')[1]
    expect("db-plan-enabled = true" in dump.splitlines(), True, "a boolean in quotation marks")
    for uri, host, scheme in (("HTTPS://Example.com/api", "Example.com:443", "https"),
                              ("http://[::1]:8080/x", "[::1]:8080", "http")):
        with Gateway(PGRST_OPENAPI_SERVER_PROXY_URI=uri):
            document = ask("GET", "/")[1]
            expect((document["host"], document["schemes"]), (host, [scheme]))


def a_schema_that_does_not_exist_is_told_and_stops_nothing():
    with Gateway(PGRST_DB_SCHEMAS="api,later") as gateway:
        expect([json.loads(line)["schema"] for line in gateway.events("schema_missing")], ["later"])
        expect(ask("GET", "/items?id=eq.1")[0], 200)
        expect(ask("GET", "/things", **{"Accept-Profile": "later"})[1]["code"], "PGRST205")
        sql("create schema later; create table later.things (id int); grant usage on schema later to anon;"
            "grant select on later.things to anon; notify pgrst, 'reload schema'")
        until("it is there", lambda: ask("GET", "/things", **{"Accept-Profile": "later"})[0] == 200)
    sql("drop schema later cascade")


def a_bad_reload_leaves_what_is_in_force():
    path = write("reload.conf", "PGRST_DB_MAX_ROWS=5\n")
    with Gateway([path], PGRST_JWT_SECRET=None) as gateway:
        write("reload.conf", "PGRST_DB_MAX_ROWS=6\nPGRST_JWT_SECRET=short\n")
        gateway.signal(signal.SIGHUP)
        until("the reload is refused", lambda: gateway.events("config_reload_failed"))
        expect(len(ask("GET", "/items")[1]), 5)
        write("reload.conf", "PGRST_DB_MAX_ROWS=6\n")
        gateway.signal(signal.SIGUSR2)
        until("the reload is applied", lambda: len(ask("GET", "/items")[1]) == 6)


def a_secret_in_a_file_changes_with_a_reload():
    path = write("secret", "another secret of more than thirty-two characters\n")
    with Gateway(PGRST_JWT_SECRET="@" + path) as gateway:
        expect(ask("GET", "/items?limit=1", role="member")[0], 401)
        write("secret", SECRET + "\n")
        gateway.signal(signal.SIGUSR2)
        until("the new secret counts", lambda: ask("GET", "/items?limit=1", role="member")[0] == 200)


def ready_asks_a_running_gateway():
    settings = {"BASALT_ADMIN_LISTEN": None, "PGRST_ADMIN_SERVER_HOST": "localhost"}
    with Gateway():
        expect(call(["--ready"])[:2], (0, "OK: http://127.0.0.1:%d/ready\n" % ADMIN))
    status, _, said = call(["--ready"], PGRST_ADMIN_SERVER_PORT=str(ADMIN), **settings)
    expect((status, "connection refused" in said), (1, True))
    expect(call(["--ready"], **settings)[0], 1, "no admin listener")


# ---- where it listens ----

def at_the_root_nothing_but_rest_is_served():
    sql("create table api.health (id int primary key); grant select, insert on api.health to anon; notify pgrst")
    try:
        with Gateway():
            expect(ask("GET", "/health")[:2], (200, []))
            expect(ask("POST", "/health", {"id": 1}, Prefer="return=headers-only")[2]["Location"], "/health?id=eq.1")
            expect(ask("GET", "/items?limit=1")[2]["Content-Location"], "/items?limit=1")
            expect(ask("GET", "/")[1]["basePath"], "/")
            expect(ask("GET", "/rest/v1/items")[0], 404)
    finally:
        sql("drop table api.health")


def unix_sockets_have_their_mode_and_their_loss_is_told():
    api, admin = os.path.join(DIR, "api.sock"), os.path.join(DIR, "admin.sock")
    with Gateway(BASALT_LISTEN=None, PGRST_SERVER_UNIX_SOCKET=api, PGRST_SERVER_UNIX_SOCKET_MODE="600",
                 PGRST_ADMIN_SERVER_UNIX_SOCKET=admin, PGRST_ADMIN_SERVER_UNIX_SOCKET_MODE="666"):
        expect([stat.S_IMODE(os.stat(path).st_mode) for path in (api, admin)], [0o600, 0o666])
        expect(ask("GET", "/items?limit=1", where=api)[0], 200)
        expect(ask("GET", "/live", where=admin)[0], 200)
        os.remove(api)
        expect([ask("GET", path, where=admin)[0] for path in ("/live", "/ready")], [500, 500])


# ---- reloads ----

def no_notification_is_lost_with_the_listening_connection():
    with Gateway() as gateway:
        for i in range(3):
            sql("select pg_terminate_backend(pid) from pg_stat_activity where query = 'LISTEN \"pgrst\"';"
                "create table api.lost%d (id int); grant select on api.lost%d to anon; notify pgrst" % (i, i))
            until("table %d is known" % i, lambda: ask("GET", "/lost%d" % i)[0] == 200)
        expect(len(gateway.events("db_listen_lost")), 3)
    sql("drop table api.lost0, api.lost1, api.lost2")


def the_channel_and_the_recovery_change_with_a_reload():
    path = write("channel.conf", 'db-channel = "one"\n')
    with Gateway([path]) as gateway:
        until("it listens", lambda: '"channel":"one"' in "".join(gateway.events("db_listening")))
        write("channel.conf", 'db-channel = "two"\ndb-pool-automatic-recovery = false\n')
        gateway.signal(signal.SIGUSR2)
        until("it listens anew", lambda: '"channel":"two"' in "".join(gateway.events("db_listening")))
        sql("create table api.told (id int); grant select on api.told to anon; notify two, 'reload schema'")
        until("the table is known", lambda: ask("GET", "/told")[0] == 200)
        sql("drop table api.told; select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'")
        expect(gateway.process.wait(timeout=60), 1, "without recovery")


def beside_a_standby_the_primary_is_listened_to():
    database("standby")
    _, behind = BASE["PGRST_DB_URI"].split("?host=")
    host, port = behind.split("&port=")
    uri = "%s?host=%s,%s&port=%s,%s&target_session_attrs=read-only" % (
        BASE["PGRST_DB_URI"].split("?")[0], host, host, os.environ["SCENE_STANDBY_PORT"], port)
    with Gateway(PGRST_DB_URI=uri) as gateway:
        expect(ask("GET", "/rpc/setting?name=in_hot_standby")[1], "on")
        sql("create table api.followed (id int); grant select on api.followed to anon")
        # told more than once: the standby may be behind what it is told of
        until("what the primary tells is heard", lambda: sql("notify pgrst, 'reload schema'") == "" and ask("GET", "/followed")[0] == 200)
        expect(gateway.events("db_listen_lost"), [])
    sql("drop table api.followed")


def without_event_triggers_changes_are_found_by_looking():
    with Gateway(BASALT_SCHEMA_POLL="300ms", PGRST_DB_CHANNEL_ENABLED="false"):
        time.sleep(1)  # the first look, which later ones are compared with
        sql("create table api.unannounced (id int); grant select on api.unannounced to anon")
        until("the table is known", lambda: ask("GET", "/unannounced")[0] == 200)
        sql("drop table api.unannounced")
        until("the table is forgotten", lambda: ask("GET", "/unannounced")[1]["code"] == "PGRST205")


def a_signal_brings_new_connections_with_new_settings_of_the_login():
    with Gateway(PGRST_DB_POOL="1") as gateway:
        before = ask("GET", "/rpc/login_pid")[1]
        sql("alter role authenticator set work_mem = '5MB'")
        try:
            gateway.signal(signal.SIGUSR1)
            until("a new connection", lambda: ask("GET", "/rpc/setting?name=work_mem")[1] == "5MB")
        finally:
            sql("alter role authenticator reset work_mem")
        expect(ask("GET", "/rpc/login_pid")[1] == before, False)


def a_storm_of_reloads_ends_with_the_last_state():
    failures = []
    with Gateway() as gateway:
        def client(_, is_over):
            conn = connection(PORT)
            while not is_over.is_set():
                status = ask("GET", "/items?limit=1", conn=conn)[0]
                if status != 200:
                    failures.append(status)

        storm = ["alter table api.items rename to stuff; notify pgrst, 'reload schema'; notify pgrst, 'reload config';"
                 "alter table api.stuff rename to items; notify pgrst, 'reload schema'"] * 15
        with clients(1, client, failures):
            for text in storm:
                sql(text)
                for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                    gateway.signal(number)
            sql("create table api.last (id int); grant select on api.last to anon; notify pgrst, 'reload schema'")
            until("the last state", lambda: ask("GET", "/last")[0] == 200)
    sql("drop table api.last")
    expect([status for status in failures if status != 404], [], "404: the table had its other name")


def the_old_schema_serves_while_the_new_one_cannot_be_read():
    with Gateway() as gateway:
        holder = subprocess.Popen(["psql", "-XAtq", os.environ["SCENE_DB"]], stdin=subprocess.PIPE, text=True)
        holder.stdin.write("begin; lock table pg_catalog.pg_description in access exclusive mode;\n")
        holder.stdin.flush()
        until("the lock is held", lambda: sql("select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted"
                                              " and relation = 'pg_description'::regclass") == "1")
        gateway.signal(signal.SIGUSR1)
        until("readiness tells", lambda: ask("GET", "/ready", where=ADMIN)[0] == 503)
        for _ in range(20):
            expect(ask("GET", "/items?id=eq.1")[1], [{"id": 1, "name": "item 1"}])
        holder.stdin.write("rollback;\n")
        holder.stdin.close()
        holder.wait()
        until("ready again", gateway.is_ready)


# ---- limits of time ----

def who_gets_no_connection_is_told_so_in_the_order_of_coming():
    with Gateway(PGRST_DB_POOL="1", PGRST_DB_POOL_ACQUISITION_TIMEOUT="2", BASALT_ACCESS_LOG="true") as gateway:
        answers = []

        def wait(number):
            answers.append(ask("GET", "/items?id=eq.%d" % number)[:2])

        with held():
            first = threading.Thread(target=lambda: answers.append(ask("GET", "/rpc/hold")[:2]))
            first.start()
            until("the connection is taken", lambda: gateway.inspect("pools")[0]["busy"] == 1)
            queue = [threading.Thread(target=wait, args=(number,)) for number in range(1, 21)]
            for number, waiting in enumerate(queue, 1):
                waiting.start()
                until("it waits", lambda number=number: answers or gateway.inspect("pools")[0]["waiting"] == number)
            for path, status in (("/items?id=wrong.1", 400), ("/nothing", 404)):
                expect(ask("GET", path)[0], status, "needs no connection")
            expect(ask("GET", "/items", Authorization="Bearer x.y.z")[0], 401)
            for waiting in queue:
                waiting.join()
        first.join()
        expect([(status, body["code"]) for status, body in answers[:-1]], [(504, "PGRST003")] * 20)
        expect(answers[-1][0], 204, "who has it keeps it")
        expect(ask("GET", "/rpc/me")[1], "anon", "the pool works again")
        told = [line.split("id=eq.")[1].split(" ")[0] for line in gateway.log().splitlines() if "id=eq." in line and '" 504 ' in line]
    expect(told, [str(number) for number in range(1, 21)], "the order of the answers")


def roles_and_functions_have_their_own_time():
    with Gateway():
        expect(ask("GET", "/rpc/nap?seconds=0.6")[0], 204)
        status, body, headers = ask("GET", "/rpc/nap?seconds=5", role="slow")
        expect((status, body["code"], headers["Proxy-Status"]), (500, "57014", "PostgREST; error=57014"))
        expect(ask("POST", "/rpc/hasty", {})[1]["code"], "57014")
        for number, message in enumerate(("reload schema", "reload config")):
            time_now = "%ds" % (5 + number)
            sql("alter role slow set statement_timeout = '%s'; notify pgrst, '%s'" % (time_now, message))
            until("the role's new time after " + message,
                  lambda: ask("GET", "/rpc/setting?name=statement_timeout", role="slow")[1] == time_now)
        sql("alter role slow set statement_timeout = '300ms'")


def while_many_are_served_no_wake_up_interrupts_others():
    def ask_many_times(times):
        conn = connection(PORT)
        for _ in range(times):
            expect(ask("GET", "/items?limit=1", conn=conn)[0], 200)

    def napper(_, is_over):
        conn = connection(PORT)
        while not is_over.is_set():
            expect(ask("GET", "/rpc/nap?seconds=0.01", conn=conn)[0], 204)

    def policy():
        return os.sched_getscheduler(gateway.process.pid)

    errors = []
    with Gateway() as gateway:
        expect(policy(), os.SCHED_OTHER)
        with clients(12, napper, errors):
            until("SCHED_BATCH", lambda: policy() == os.SCHED_BATCH)
        until("SCHED_OTHER for one client", lambda: ask_many_times(50) or policy() == os.SCHED_OTHER)
    with Gateway(BASALT_BATCH="false") as gateway:
        with clients(12, napper, errors):
            ask_many_times(300)
            expect(policy(), os.SCHED_OTHER)
    expect(errors, [])


# ---- the database goes away ----

def whether_it_is_ready_depends_on_the_database():
    with Gateway(PGRST_DB_POOL_MAX_IDLETIME="1") as gateway:
        for how in ("stop", "kill"):
            until("no connection is open but that of LISTEN", lambda: gateway.inspect("pools")[0]["size"] == 0)
            database(how)
            until("readiness tells after " + how, lambda: ask("GET", "/ready", where=ADMIN)[0] == 503)
            expect(ask("GET", "/live", where=ADMIN)[0], 200)
            until("the database starts", start)
            until("ready again after " + how, gateway.is_ready)


def what_was_acknowledged_survives_restarts_under_load():
    acknowledged, wrong = [], []
    with Gateway(PGRST_DB_POOL="6") as gateway:
        def client(_, is_over):
            conn = connection(PORT)
            while not is_over.is_set():
                key = str(uuid.uuid4())
                status, body, headers = ask("POST", "/writes", {"id": key}, conn=conn)
                if status == 201:
                    acknowledged.append(key)
                elif status != 503 or not body["code"] or headers["Retry-After"] is None:
                    wrong.append((status, body, dict(headers)))
                else:
                    time.sleep(0.01)

        with clients(20, client, wrong):
            for how in ("stop", "immediate", "kill"):
                count = len(acknowledged)
                until("writes before " + how, lambda: len(acknowledged) > count + 20)
                database(how)
                until("503 after " + how, lambda: ask("GET", "/items?limit=1")[0] == 503)
                until("the database starts", start)
                until("served again after " + how, lambda: ask("GET", "/items?limit=1")[0] == 200)
        expect(gateway.process.poll(), None, "it lives")
    expect(wrong[:2], [])
    found = set(sql("select id from api.writes").split())
    expect(len([key for key in acknowledged if key not in found]), 0, "acknowledged and missing")
    expect(len(set(acknowledged)), len(acknowledged))


def start():
    """False: the remains of a killed server are still in the way, or taken for one that runs."""
    try:
        database("start")
        return sql("select 1", check=False) == "1"
    except subprocess.CalledProcessError:
        return False


def only_requests_that_were_hit_fail_when_backends_are_killed():
    odd, served = [], []
    with Gateway(PGRST_DB_POOL="4") as gateway:
        def client(i, is_over):
            conn, role = connection(PORT), "member" if i % 2 else "slow"
            while not is_over.is_set():
                status, body, _ = ask("POST", "/rpc/me", {}, conn=conn, role=role)
                if status == 200 and body == role:
                    served.append(i)
                elif status not in (500, 503) or not body.get("code"):
                    odd.append((status, body))

        with clients(12, client, odd):
            for _ in range(30):
                sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'"
                    " and query not like 'LISTEN%' order by random() limit 1")
                time.sleep(0.02)
            until("many are served", lambda: len(served) > 100)
        expect(odd[:2], [])
        until("all are served again", lambda: threads(12, lambda i: expect(ask("GET", "/rpc/me")[0], 200)) == [])
        pool = gateway.inspect("pools")[0]
        expect((pool["busy"], pool["waiting"], pool["size"] <= 4), (0, 0, True), pool)


def without_recovery_it_ends_with_an_error():
    with Gateway(PGRST_DB_POOL_AUTOMATIC_RECOVERY="false") as gateway:
        sql("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'authenticator'")
        expect(gateway.process.wait(timeout=60), 1)
    uri = BASE["PGRST_DB_URI"].replace("/postgres?", "/no_such_database?")
    expect(call([], PGRST_DB_URI=uri, PGRST_DB_POOL_AUTOMATIC_RECOVERY="false")[0], 1)
    before, behind = BASE["PGRST_DB_URI"].split("@")
    wrong = before.rsplit(":", 1)[0] + ":wrong@" + behind
    expect(call([], name=PEER, PGRST_DB_URI=wrong, BASALT_REST_PREFIX=None)[0], 1, "a wrong password")


# ---- the end ----

def what_is_under_way_is_finished_and_nothing_new_let_in():
    with Gateway() as gateway:
        answers = []
        worker = threading.Thread(target=lambda: answers.append(ask("GET", "/rpc/hold")))
        with held():
            worker.start()
            until("the request is under way", lambda: gateway.inspect("pools")[0]["busy"] == 1)
            gateway.signal(signal.SIGTERM)
            until("it drains", lambda: gateway.events("draining"))
            try:
                ask("GET", "/items")
                raise AssertionError("a new connection was let in")
            except ConnectionError:
                pass
        worker.join()
        expect((answers[0][0], answers[0][2]["Connection"]), (204, "close"))
        expect(gateway.process.wait(timeout=60), 0)


def asked_twice_it_ends_at_once():
    with Gateway(BASALT_DRAIN_TIMEOUT="600s") as gateway:
        worker = threading.Thread(target=lambda: threads(1, lambda i: ask("GET", "/rpc/nap?seconds=600")))
        worker.start()
        until("the request is under way", lambda: gateway.inspect("pools")[0]["busy"] == 1)
        gateway.signal(signal.SIGTERM)
        until("it drains", lambda: gateway.events("draining"))
        gateway.signal(signal.SIGTERM)
        expect(gateway.process.wait(timeout=60), 0)
        worker.join()


def a_new_gateway_takes_over_without_a_failed_request():
    shared = {"PGRST_SERVER_REUSEPORT": "true"}
    asked, errors = [], []

    def client(i, is_over):
        conn = connection(PORT)
        while not is_over.is_set():
            if i % 2:
                conn.close()
            status, _, headers = ask("GET", "/items?limit=1", conn=conn)
            expect(status, 200)
            asked.append(i)
            if headers["Connection"] == "close":
                conn.close()
            time.sleep(0.002)

    with Gateway(**shared) as first, Gateway(ready=False, BASALT_ADMIN_LISTEN="127.0.0.1:%d" % OTHER_ADMIN,
                                             **shared) as second, clients(8, client, errors):
        until("the second one is ready", second.is_ready)
        until("they serve", lambda: len(asked) > 50)
        first.signal(signal.SIGTERM)
        expect(first.process.wait(timeout=60), 0)
        count = len(asked)
        until("the second one serves", lambda: len(asked) > count + 50)
    expect(errors, [])


SCENES = [value for name, value in list(globals().items()) + list(vars(told).items())
          if callable(value) and name.count("_") >= 3 and getattr(value, "__module__", "") in ("__main__", "told")]


def main():
    os.symlink(os.path.abspath(BINARY), PEER)
    passed = failed = 0
    only = os.environ.get("SCENE_ONLY", "")
    for scene in SCENES:
        name = scene.__name__.replace("_", " ")
        if only not in name:
            continue
        try:
            scene()
        except Exception as error:  # a scene may fail in any way
            failed += 1
            print("FAILED %s\n  %s: %s" % (name, type(error).__name__, error), flush=True)
        else:
            passed += 1
            print("ok %s" % name, flush=True)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
