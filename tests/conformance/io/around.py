"""Loaded by pytest around the peer's io tests: a stand-in for the snapshots of syrupy (compared with the stored files,
never written), and a database that each test finds as it was."""
import json
import os
import pathlib
import subprocess
import sys
import types

import pytest
import yaml

RESET = ('alter role "Postgrest_Test_Authenticator" reset all',
         "alter role \"Postgrest_Test_Authenticator\" set pgrst.db_anon_role = 'postgrest_test_anonymous'",
         "alter role postgrest_test_anonymous set statement_timeout = '5s'", "alter role timeout_authenticator reset all")


class SingleFileSnapshotExtension:
    file_extension = "raw"


class Snapshot:
    def __init__(self, request, extension=SingleFileSnapshotExtension):
        self.request, self.extension = request, extension

    def use_extension(self, extension):
        return Snapshot(self.request, extension)

    def __eq__(self, value):
        node, test = self.request.node, pathlib.Path(self.request.node.fspath)
        stored = test.parent / "__snapshots__" / test.stem / ("%s.%s" % (node.name, self.extension.file_extension))
        return parts(stored.read_bytes()) == parts(value)


def parts(text):
    """A dump is a list in the order of the peer's hash table: compared without that order."""
    return sorted(json.dumps(part, sort_keys=True) for part in yaml.safe_load(text))


for name in ("syrupy", "syrupy.extensions", "syrupy.extensions.json"):
    sys.modules[name] = types.ModuleType(name)
sys.modules["syrupy.extensions.json"].SingleFileSnapshotExtension = SingleFileSnapshotExtension


@pytest.fixture
def snapshot(request):
    return Snapshot(request)


@pytest.fixture(autouse=True)
def reset_roles():
    """What a failed test has left behind must not fail the next ones."""
    yield
    if "PGREPLICAHOST" not in os.environ and "IO_BIG" not in os.environ:
        commands = [part for text in RESET for part in ("-c", text)]
        subprocess.run(["psql", "-XqAt", "-U", "postgres", *commands], check=True, env={**os.environ, "PGOPTIONS": ""})
