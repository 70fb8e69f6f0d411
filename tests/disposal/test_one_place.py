"""Destroying and opening have one door each in our own source."""

import pytest

from tests.test_architecture import PACKAGE, at, calls, files, name_of, tree_of

DOORS = {
    "destroy": {
        "callrec/disposal/carry_out.py",
        "callrec/recording/salvage.py",  # of the spool: what was declined before it was sealed
        "callrec/recording/seal.py",
        "callrec/store/imported.py",  # hands it on to the shelf on which it lies, for whoever asked
    },
    "bury": {"callrec/disposal/carry_out.py", "callrec/store/imported.py"},
    "write_certificate": {"callrec/disposal/carry_out.py"},
    "grant_from": {"callrec/cli/recording_access.py", "callrec/demo/show.py"},
}
"""Calls, and the files that may make them."""


@pytest.mark.parametrize("name", DOORS)
def test_nobody_else_calls(name):
    found = {
        name_of(path): at(path, node)
        for path in files(PACKAGE)
        for _, called, node in calls(tree_of(path))
        if called == name
    }

    assert set(found) == DOORS[name], found
