"""Rules about our own source that no linter knows. Each breach is named by file and line."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "callrec"
TESTS = ROOT / "tests"

LONGEST_FUNCTION = 60
LONGEST_FILE = 400

WRITERS = {
    "callrec/_durable.py": "the one writer of evidence files",
}
"""Files of the package that may open others for writing, and why."""

ALLOWED_WRITES = {
    ("callrec/control.py", "chmod"): "the mode of a socket, which holds nothing",
    ("callrec/ledger/init.py", "chmod"): "SQLite made the file; it holds what SQLite wrote",
    ("callrec/recording/audio.py", "open for 'wb'"): "a WAV in memory, for whoever asked for one",
    ("callrec/sip/play.py", "open with a mode that is computed"): "a window of the wire tap, which is no file",
}
"""Single writes outside: (file, call) and why. SQLite and pjsip's recorders open their files themselves."""

LONG_FILES = {
    "callrec/agent/call.py": "every event and every order of a call has its one place there, and nothing else has",
    "callrec/audit/standalone.py": "an auditor is handed one file, to read whole and to run without callrec",
}
"""Files beyond the length, and why each is one file all the same."""

MAY_POLL = {
    "tests/peers/ports.py": "asks a program of others again and again, with a bound: it has no event to wait for",
    "tests/calls/faulty_agent.py": "is no test but a slow program: it hangs on purpose",
}
"""Files of the tests that may sleep between two questions, and why."""


def files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def at(path: Path, node: ast.AST) -> str:
    return f"{name_of(path)}:{node.lineno}"


def calls(tree: ast.AST) -> Iterator[tuple[str, str, ast.Call]]:
    """Every call as (what it is called on, its name, the node): `os.open(...)` is ("os", "open", ...)."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func.value), node.func.attr, node
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield "", node.func.id, node


# ---------------------------------------------------------------- (a) one writer

SAVING = {
    "write_text": "Path.write_text",
    "write_bytes": "Path.write_bytes",
    "touch": "Path.touch",
    "symlink_to": "Path.symlink_to",
    "hardlink_to": "Path.hardlink_to",
    "chmod": "chmod",
}
"""Methods that change files, whatever they are called on."""
COPIES = {"copy", "copy2", "copyfile", "copyfileobj", "copytree", "move", "make_archive", "unpack_archive"}
OS_WRITES = {"truncate", "ftruncate", "rename", "replace", "renames", "link", "symlink", "mknod", "sendfile", "pwrite"}
TEMPORARY = {"NamedTemporaryFile", "TemporaryFile", "SpooledTemporaryFile", "mkstemp", "mkdtemp", "TemporaryDirectory"}
READING_FLAGS = re.compile(r"^(os\.)?O_(RDONLY|DIRECTORY|CLOEXEC|NOFOLLOW|PATH|NONBLOCK|NOATIME)$")


def written_by(on: str, name: str, node: ast.Call) -> str:
    """What this call writes with, or nothing."""
    if name == "open" and on != "os":
        return opens_for_writing(on, node)
    if name in SAVING:
        return SAVING[name]
    if on == "os":
        return os_write(name, node)
    if (on == "shutil" and name in COPIES) or name in TEMPORARY:
        return f"{on}.{name}".lstrip(".")
    return "Path.rename" if name == "rename" and "path" in on.lower() else ""


def os_write(name: str, node: ast.Call) -> str:
    if name == "open":
        flags = node.args[1] if len(node.args) > 1 else None
        words = [ast.unparse(n) for n in ast.walk(flags) if isinstance(n, (ast.Attribute, ast.Name))] if flags else []
        only_reads = bool(words) and all(word == "os" or READING_FLAGS.match(word) for word in words)
        return "" if only_reads else "os.open for writing"
    return f"os.{name}" if name in OS_WRITES else ""


def opens_for_writing(on: str, node: ast.Call) -> str:
    """open(path, "wb"), path.open("a"), gzip.open(path, mode="x"): a mode that is not plainly reading is writing."""
    builtin = on in ("", "io", "codecs", "gzip", "bz2", "lzma", "wave")
    given = node.args[1:2] if builtin else node.args[:1]
    mode = next((k.value for k in node.keywords if k.arg == "mode"), given[0] if given else None)
    if mode is None:
        return ""
    if not isinstance(mode, ast.Constant):
        return "open with a mode that is computed"
    writes = (
        isinstance(mode.value, str) and re.fullmatch(r"[rwaxbtU+]{1,4}", mode.value) and set(mode.value) & set("wax+")
    )
    return f"open for {mode.value!r}" if writes else ""


def writes_of(path: Path) -> list[str]:
    found = []
    for on, name, node in calls(tree_of(path)):
        how = written_by(on, name, node)
        if how and (name_of(path), how) not in ALLOWED_WRITES:
            found.append(f"{at(path, node)}: {how}")
    return found


def test_only_durable_opens_files_for_writing():
    breaches = [line for path in files(PACKAGE) if name_of(path) not in WRITERS for line in writes_of(path)]

    assert breaches == []


@pytest.mark.parametrize(
    "source",
    [
        "open(p, 'wb')",
        "open(p, mode='a')",
        "open(p, m)",
        "p.open('x')",
        "p.open(mode='r+')",
        "p.write_bytes(b'')",
        "Path(p).write_text('')",
        "os.open(p, os.O_WRONLY | os.O_CREAT)",
        "os.open(p, os.O_RDWR)",
        "os.open(p, flags)",
        "shutil.copyfile(a, b)",
        "tempfile.mkstemp()",
        "os.replace(a, b)",
        "gzip.open(p, 'wb')",
    ],
)
def test_the_rule_of_the_one_writer_sees_every_way_to_write(source):
    (on, name, node) = next(calls(ast.parse(source)))

    assert written_by(on, name, node)


@pytest.mark.parametrize(
    "source",
    [
        "open(p)",
        "open(p, 'rb')",
        "p.open()",
        "p.open('rb')",
        "os.open(p, os.O_RDONLY | os.O_DIRECTORY)",
        "p.read_bytes()",
    ],
)
def test_the_rule_of_the_one_writer_lets_readers_read(source):
    (on, name, node) = next(calls(ast.parse(source)))

    assert not written_by(on, name, node)


# ---------------------------------------------------------------- (b) who may make what a recording needs

MAKERS: dict[str, Callable[[str], bool]] = {
    "Receipt": lambda name: name.startswith("callrec/ledger/"),
    "NoticeProof": lambda name: name == "callrec/core/proof.py" or name.startswith("callrec/agent/"),
    "Consent": lambda name: name == "callrec/agent/notice_desk.py",
    "Agreed": lambda name: name == "callrec/core/call/capture.py",
    "Granted": lambda name: name == "callrec/core/proof.py",
    "StartRecording": lambda name: name == "callrec/core/call/capture.py",
    "AccessGrant": lambda name: name == "callrec/recording/access.py",
}
"""Who may construct these: a recording starts from a proof, a proof or a consent from a receipt, a receipt from a
durable entry.
"""


@pytest.mark.parametrize("made", MAKERS)
def test_nobody_else_makes(made: str):
    breaches = [
        at(path, node)
        for path in files(PACKAGE)
        for _, name, node in calls(tree_of(path))
        if name == made and not MAKERS[made](name_of(path))
    ]

    assert breaches == []


def test_a_notice_proof_is_made_in_one_place():
    places = [at(path, n) for path in files(PACKAGE) for _, name, n in calls(tree_of(path)) if name == "NoticeProof"]

    assert len(places) <= 1


@pytest.mark.parametrize("made", MAKERS)
def test_nobody_gets_around_the_constructor_of(made: str):
    """`replace`, `__new__` and other names for these would escape the rule above."""
    around = re.compile(
        rf"\b{made}\s+as\s+\w+|\b{made}\.__new__|object\.__new__\({made}|=\s*{made}\s*(#|$)", re.MULTILINE
    )

    assert [name_of(path) for path in files(PACKAGE) if around.search(path.read_text("utf-8"))] == []


# ---------------------------------------------------------------- (c) one room for pjsua2


def imported(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith(("import_module", "__import__")):
            yield from ((str(a.value), node) for a in node.args[:1] if isinstance(a, ast.Constant))


def test_only_sip_imports_pjsua2():
    breaches = [
        at(path, node)
        for path in files(PACKAGE)
        if not name_of(path).startswith("callrec/sip/")
        for module, node in imported(tree_of(path))
        if module.lstrip("_").split(".")[0] == "pjsua2"
    ]

    assert breaches == []


# ---------------------------------------------------------------- (d) what has no place in the source

UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
MACHINE_PATH = re.compile(r"(?<![\w.])/(work|root|home/[a-z]+|workspace|mnt)/")


def words_of(path: Path) -> Iterator[tuple[int, str]]:
    """Comments and strings: where people leave notes and paths."""
    for token in tokenize.generate_tokens(io.StringIO(path.read_text("utf-8")).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            yield token.start[0], token.string


@pytest.mark.parametrize(
    "pattern", [UNFINISHED, MACHINE_PATH], ids=["marks of unfinished work", "paths of one machine"]
)
def test_the_source_is_free_of(pattern):
    everything = files(PACKAGE) + [p for p in files(TESTS) if p != Path(__file__)]
    breaches = [
        f"{name_of(p)}:{line}: {text[:80]}" for p in everything for line, text in words_of(p) if pattern.search(text)
    ]

    assert breaches == []


def test_every_exception_is_still_needed():
    held = {
        (name_of(path), how)
        for path in files(PACKAGE)
        for *call, node in calls(tree_of(path))
        if (how := written_by(*call, node))
    }

    assert set(ALLOWED_WRITES) <= held
    assert all((ROOT / name).exists() for name in (*WRITERS, *MAY_POLL))


def test_no_test_sleeps():
    """A test waits for an event, with a bound. `asyncio.sleep(0)` gives others a turn and is no wait."""
    breaches = [
        at(path, node)
        for path in files(TESTS)
        for on, name, node in calls(tree_of(path))
        if name == "sleep" and name_of(path) not in MAY_POLL and not _is_zero(node)
    ]

    assert breaches == []


def _is_zero(node: ast.Call) -> bool:
    return bool(node.args) and isinstance(node.args[0], ast.Constant) and node.args[0].value == 0


# ---------------------------------------------------------------- (f) size


def test_no_function_is_longer_than_can_be_read_at_a_glance():
    breaches = [
        f"{at(path, node)}: {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path in files(PACKAGE) + files(TESTS)
        for node in ast.walk(tree_of(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - node.lineno >= LONGEST_FUNCTION
    ]

    assert breaches == []


def test_no_file_of_the_package_is_too_long():
    lengths = {name_of(path): len(path.read_text("utf-8").splitlines()) for path in files(PACKAGE)}

    assert {name for name, length in lengths.items() if length > LONGEST_FILE} == set(LONG_FILES)


# ---------------------------------------------------------------- (g) no test that cannot fail


def asserts(node: ast.AST) -> bool:
    """An assert statement, pytest.raises or fail, or a helper of ours whose name says that it checks."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assert):
            return True
        if isinstance(inner, ast.Call):
            name = ast.unparse(inner.func).rpartition(".")[2]
            if name in ("raises", "fail", "warns") or name.startswith(("assert_", "check_", "expect_")):
                return True
    return False


def each_test(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            yield node


def test_every_test_can_fail():
    breaches = [f"{at(path, t)}: {t.name}" for path in files(TESTS) for t in each_test(tree_of(path)) if not asserts(t)]

    assert breaches == []


def test_this_rule_knows_a_test_that_cannot_fail():
    assert not asserts(ast.parse("def test_x():\n    run()\n"))
    assert asserts(ast.parse("def test_x():\n    with pytest.raises(ValueError):\n        run()\n"))
