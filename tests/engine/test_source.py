"""Where the engine's source comes from: in which order it is looked for, and that nothing else is ever taken.

Debian's archive and upstream's are stood in for: a command `apt-get` of the test's own, and a server on loopback. So is
the source, by one of two files whose sums the script is given; the real one, and its sums, are tried once.
"""

from __future__ import annotations

import functools
import hashlib
import http.server
import re
import shutil
import stat
import subprocess
import tarfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "pjsip" / "source.sh"
REAL = ROOT / "build" / "pjsip" / "source.tar.xz"
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LEFT_OUT = ("third_party/gsm/inc/gsm.h", "third_party/srtp/README", ".github/stale.yml", "pjlib/.gitignore")
"""Some of what upstream's release has and Debian's source has not."""
APT = """\
#!/bin/sh
case "$*" in
    *indextargets*) . /etc/os-release; echo "http://127.0.0.1:9/debian $VERSION_CODENAME main" ;;
    *source*) [ -f "$DEBIAN_HAS" ] && cp "$DEBIAN_HAS" ./asterisk_99.0~dfsg.orig-Xpjproject.tar.xz ;;
esac
"""


FILES = {"configure": "#!/bin/sh\n", "pjlib/src/pj/version.c": "2.17\n"}


def packed(made: Path, files: Mapping[str, str], top: str) -> Path:
    """These files in a tarball, below this folder."""
    tree = made.parent / f"{made.name}-tree"
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    with tarfile.open(made, f"w:{made.suffix[1:]}") as archive:
        archive.add(tree, top)
    return made


@pytest.fixture(scope="module")
def debians(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The right source."""
    return packed(tmp_path_factory.mktemp("debians") / "source.tar.xz", FILES, "pjsip-pjproject-6852b24")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as upstream packs it: otherwise compressed, in another first folder, with more in it."""
    more = FILES | dict.fromkeys(LEFT_OUT, "left out\n")
    return packed(tmp_path_factory.mktemp("release") / "2.17.tar.gz", more, "pjproject-2.17")


@pytest.fixture(scope="module")
def altered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release with one file that is another."""
    other = FILES | dict.fromkeys(LEFT_OUT, "left out\n") | {"pjlib/src/pj/version.c": "something else\n"}
    return packed(tmp_path_factory.mktemp("altered") / "2.17.tar.gz", other, "pjproject-2.17")


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Path]:
    """A folder that a server on loopback shows, and its address in `address`."""
    shown = tmp_path / "upstream"
    shown.mkdir()
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=shown)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (shown / "address").write_text(f"http://127.0.0.1:{server.server_port}/2.17.tar.gz")
        yield shown
        server.shutdown()


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout with the script alone; `around` is the folder that it and `shared` lie in."""

    around: Path

    @property
    def target(self) -> Path:
        return self.around / "callrec" / "build" / "pjsip" / "source.tar.xz"

    def beside(self, tarball: Path) -> None:
        """As on a machine without a network."""
        (self.around / "shared" / "pjproject").mkdir(parents=True)
        shutil.copy(tarball, self.around / "shared" / "pjproject" / "any-name.tar.xz")

    def run(self, upstream: Path | None = None, *, debian: Path | None = None, given: Path | None = None) -> Ran:
        address = (upstream / "address").read_text() if upstream else "http://127.0.0.1:9/2.17.tar.gz"
        environment = {"PATH": f"{self.around / 'bin'}:/usr/bin:/bin", "PJPROJECT_URL": address}
        environment |= {"DEBIAN_HAS": str(debian or "/nothing"), "PJPROJECT": str(given or "")}
        script = self.around / "callrec" / "deploy" / "pjsip" / "source.sh"
        ran = subprocess.run([script], check=False, env=environment, capture_output=True, text=True)
        return Ran(ran.returncode, ran.stdout, ran.stderr)


@dataclass(frozen=True, slots=True)
class Ran:
    code: int
    said: str
    complained: str


@pytest.fixture
def checkout(tmp_path: Path, debians: Path) -> Checkout:
    """With the sums of the stand-in in place of the real ones."""
    made = real_checkout(tmp_path)
    script = tmp_path / "callrec" / "deploy" / "pjsip" / "source.sh"
    listed = "".join(f"{one}  ./{name}\n" for name, one in sorted(sums(debians).items()))
    for name, one in (("SHA256", sum_of(debians.read_bytes())), ("FILES", sum_of(listed.encode()))):
        script.write_text(re.sub(rf"^{name}=\w{{64}}", f"{name}={one}", script.read_text(), flags=re.MULTILINE))
    return made


def real_checkout(tmp_path: Path) -> Checkout:
    made = Checkout(tmp_path)
    (tmp_path / "callrec" / "deploy" / "pjsip").mkdir(parents=True)
    shutil.copy(SCRIPT, tmp_path / "callrec" / "deploy" / "pjsip")
    (tmp_path / "bin").mkdir()
    stand_in = tmp_path / "bin" / "apt-get"
    stand_in.write_text(APT)
    stand_in.chmod(stand_in.stat().st_mode | stat.S_IXUSR)
    return made


def sums(tarball: Path) -> Mapping[str, str]:
    """Of every file in it, by its path below the first folder."""
    with tarfile.open(tarball) as archive:
        files = [one for one in archive if one.isfile()]
        return {one.name.partition("/")[2]: sum_of(archive.extractfile(one).read()) for one in files}


def sum_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_a_path_that_is_given_comes_before_everything_else(checkout, debians, altered):
    checkout.beside(altered)

    ran = checkout.run(given=debians)

    assert ran == Ran(0, "source: PJPROJECT\n", "")
    assert checkout.target.read_bytes() == debians.read_bytes()


def test_what_was_brought_before_is_used_again_without_a_word(checkout, debians, altered):
    checkout.run(given=debians)
    checkout.beside(altered)

    assert checkout.run() == Ran(0, "", "")


def test_what_lies_beside_the_checkout_comes_before_the_network(checkout, debians, upstream):
    checkout.beside(debians)

    assert checkout.run(upstream).said == "source: beside the checkout\n"


def test_debians_archive_comes_before_upstreams(checkout, debians, upstream, release):
    shutil.copy(release, upstream / "2.17.tar.gz")

    ran = checkout.run(upstream, debian=debians)

    assert ran.said.endswith("source: Debian sid\n")
    assert checkout.target.read_bytes() == debians.read_bytes()
    assert not (checkout.target.parent / "apt").exists()


def test_where_debian_has_another_version_by_now_upstreams_release_is_taken_less_what_debian_leaves_out(
    checkout, debians, upstream, release, altered
):
    assert KEYS.exists(), "this test needs Debian's own keyring, as the script does"
    shutil.copy(release, upstream / "2.17.tar.gz")

    ran = checkout.run(upstream, debian=altered)

    assert ran.code == 0, ran.complained
    assert "Debian sid has another version by now" in ran.said
    assert ran.said.endswith("source: upstream's release\n")
    assert sums(checkout.target) == sums(debians)
    assert checkout.run() == Ran(0, "", "")


def test_upstreams_own_archive_may_be_given_as_well(checkout, debians, release):
    assert checkout.run(given=release).said == "source: PJPROJECT\n"
    assert sums(checkout.target) == sums(debians)


def test_a_release_with_one_file_altered_is_refused_and_nothing_is_left_to_build_from(checkout, upstream, altered):
    shutil.copy(altered, upstream / "2.17.tar.gz")

    ran = checkout.run(upstream)

    assert ran.code == 1
    assert "refused" in ran.complained
    assert sum_of(altered.read_bytes()) in ran.complained
    assert "next: give the right file" in ran.complained
    assert not checkout.target.exists()


@pytest.mark.parametrize("what", ["no tarball at all", "a link in it", "cut short"])
def test_what_is_no_source_is_refused(checkout, debians, tmp_path, what):
    given = tmp_path / "given.tar.xz"
    if what == "cut short":
        given.write_bytes(debians.read_bytes()[:100])
    elif what == "a link in it":
        (tmp_path / "third_party").symlink_to("/etc")
        with tarfile.open(given, "w:xz") as archive:
            archive.add(tmp_path / "third_party", "pjproject-2.17/third_party")
    else:
        given.write_bytes(b"not the source")

    ran = checkout.run(given=given)

    assert (ran.code, "refused" in ran.complained) == (1, True)
    assert not checkout.target.exists()


def test_what_an_earlier_run_brought_is_brought_anew_where_it_was_changed_since(checkout, debians):
    checkout.run(given=debians)
    checkout.target.write_bytes(checkout.target.read_bytes() + b"more")
    checkout.beside(debians)

    assert checkout.run().said == "source: beside the checkout\n"
    assert checkout.target.read_bytes() == debians.read_bytes()


def test_where_it_can_be_had_nowhere_every_way_out_is_named(checkout):
    ran = checkout.run()

    assert ran.code == 1
    for way_out in ("PJPROJECT=", "../shared/pjproject/", "Debian mirror", "http://127.0.0.1:9/2.17.tar.gz"):
        assert way_out in ran.complained


def test_the_real_release_as_upstream_packs_it_is_the_source_this_engine_is_built_from(tmp_path):
    """Made of the real source and of what Debian leaves out; the script is as it is."""
    tree = tmp_path / "pjproject-2.17"
    tree.mkdir()
    subprocess.run(["tar", "-xJf", REAL, "-C", tree, "--strip-components=1"], check=True)
    for name in LEFT_OUT:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text("left out\n")
    given = tmp_path / "2.17.tar"
    subprocess.run(["tar", "-C", tmp_path, "-cf", given, tree.name], check=True)

    assert real_checkout(tmp_path).run(given=given) == Ran(0, "source: PJPROJECT\n", "")


def test_a_path_where_nothing_is_is_named(checkout):
    ran = checkout.run(given=Path("/no/such.tar.xz"))

    assert (ran.code, "/no/such.tar.xz" in ran.complained) == (1, True)
