"""`callrec config check` says what is wrong on this machine, or what will happen to calls."""

from __future__ import annotations

import asyncio
import shutil
import socket
import threading
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from callrec.cli import surroundings
from callrec.cli.config_check import config_group
from callrec.cli.root import root
from callrec.config import load
from callrec.control import ControlServer
from callrec.errors import ConfigError
from callrec.initial import initialise
from callrec.ledger.init import create_log, create_signing_key
from callrec.notice.approval import install_samples
from callrec.places import standing
from callrec.store.filesystem import create_store
from callrec.store.keys import create_keeper_keys
from callrec.wiring import build_agent
from tests.peers.certificates import Authority

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 1, 5, tzinfo=UTC)
LEAF = "a" * 64


@dataclass(frozen=True)
class Setup:
    config_path: Path | None


@dataclass
class Place:
    """A folder in which everything is as `callrec init` leaves it, and its configuration."""

    folder: Path

    @property
    def config(self) -> Path:
        return self.folder / "callrec.yaml"

    def change(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text, old
        self.config.write_text(text.replace(old, new, 1))

    def at(self, start: str) -> str:
        """The file, and the line of it that begins so."""
        number = next(n for n, line in enumerate(self.config.read_text().splitlines(), 1) if line.startswith(start))
        return f"{self.config.name}:{number}"

    def check(self, *options: str) -> str:
        """What the command says when nothing must be mended."""
        outcome = CliRunner().invoke(config_group, ["check", *options], obj=Setup(self.config), catch_exceptions=False)
        assert outcome.exit_code == 0
        return outcome.output

    def refused(self, *options: str) -> str:
        """What must be mended."""
        with pytest.raises(ConfigError) as refused:
            CliRunner().invoke(config_group, ["check", *options], obj=Setup(self.config), catch_exceptions=False)
        assert refused.value.exit_code == 2
        return str(refused.value)


def free_port() -> int:
    """A port that is free for UDP and TCP alike on loopback."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(("127.0.0.1", tcp.getsockname()[1]))
        return tcp.getsockname()[1]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(surroundings, "memory_hazards", lambda runtime_dir: ())
    place = Place(tmp_path)
    shutil.copy(ROOT / "config/callrec.example.yaml", place.config)
    place.change("rules: config/retention.yaml", f"rules: {ROOT / 'config/retention.yaml'}")
    port = free_port()
    place.change("40000-44999", "20000-24999")  # apart from the ports that the kernel hands out
    place.change("udp:127.0.0.1:5080", f"udp:127.0.0.1:{port}")
    place.change("tcp:127.0.0.1:5080", f"tcp:127.0.0.1:{port}")
    keys = tmp_path / "keys"
    keys.mkdir()
    create_keeper_keys(keys)
    create_signing_key(keys / "ledger")
    create_log(tmp_path / "var/ledger.db", keys / "ledger", created=NOW)
    create_store(tmp_path / "var/store")
    install_samples(ROOT / "prompts", tmp_path / "var", lambda entry: LEAF, NOW)
    return place


def test_what_is_in_order_is_told_as_what_will_happen(place):
    said = place.check()

    assert "takes 5000, +441632960001; connects to sip:6000@pbx, then sip:6002@pbx" in said
    assert "Recorded only where the notice advice-line (en, cy) is proven (sent)" in said
    assert "2 not recorded; 3 not for training; **2 stops recording" in said
    assert "Without proof: connected, unrecorded." in said
    assert said.endswith("The configuration is in order.\n")


def test_a_sample_in_use_is_noted_with_what_to_do(place):
    said = place.check()

    assert "advice-line.en.1: this is our sample; record your own words: callrec prompts add" in said


def test_a_log_that_nobody_else_holds_is_noted(place):
    assert "ledger.anchors: anchored outside: never" in place.check()


def test_a_second_language_that_names_less_is_noted(place):
    said = place.check()

    assert "advice-line.cy.1 does not name audit, training" in said
    assert "advice-line.cy.1 does not tell callers to press 3" in said


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("languages: [en, cy]", "languages: [cy]", "purposes", "cy.1 does not name audit, training"),
        ("repeat: null", 'repeat: "0"', "keys.repeat", "does not tell callers to press 0"),
        ('decline_training: "3"', 'decline_training: "4"', "keys.decline_training", 'write decline_training: "3"'),
        ('decline_training: "3"', "decline_training: null", "keys.decline_training", "the line does not take it"),
    ],
)
def test_what_the_notice_does_not_say_is_named_by_line_and_mend(place, old, new, key, says):
    place.change(old, new)
    place.change('en: ["5000"]', 'cy: ["5000"]') if key == "purposes" else None

    wrong = next(line for line in place.refused().splitlines() if f": lines.advice.{key}: " in line)

    text = place.config.read_text().splitlines()
    written = next(i for i, line in enumerate(text, 1) if line.strip().startswith(f"{key.rpartition('.')[2]}:"))
    assert wrong.startswith(f"{place.config}:{written}: ")
    assert says in place.refused()


def test_a_first_language_that_names_less_must_be_mended(place):
    place.change("languages: [en, cy]", "languages: [cy]")
    place.change('en: ["5000"]', 'cy: ["5000"]')

    assert "lines.advice.purposes: advice-line.cy.1 does not name audit, training" in place.refused()


def test_a_key_that_the_notice_does_not_name_must_be_mended(place):
    place.change("repeat: null", 'repeat: "0"')

    assert "lines.advice.keys.repeat: advice-line.en.1 does not tell callers to press 0" in place.refused()


def test_a_key_that_the_notice_names_must_be_taken(place):
    place.change('decline_training: "3"', "decline_training: null")

    assert (
        'tells callers to press 3 for this, and the line does not take it; write decline_training: "3"'
        in place.refused()
    )


def test_a_notice_that_is_not_there_must_be_mended(place):
    place.change("notice: advice-line", "notice: advise-line")

    assert "lines.advice.notice: there is no prompt advise-line in en" in place.refused()


def test_a_prompt_that_was_altered_must_be_mended(place):
    audio = place.folder / "var/prompts/advice-line.en.1.wav"
    audio.chmod(0o600)
    audio.write_bytes(audio.read_bytes()[:-2] + b"\x01\x00")

    assert "lines.advice.notice: advice-line.en.1" in place.refused()


def test_a_notice_longer_than_configured_must_be_mended(place):
    place.change("longest_s: 20", "longest_s: 10")

    assert "longer than notice.longest_s of 10" in place.refused()


def test_a_register_that_is_not_there_must_be_mended(place):
    place.change("register: var/prompts", "register: elsewhere")

    assert "notice.register: " in place.refused()


def test_a_ledger_that_was_not_made_must_be_mended(place):
    (place.folder / "var/ledger.db").unlink()

    assert "ledger.url: " in place.refused()


def test_a_signing_key_that_others_can_read_must_be_mended(place):
    key = place.folder / "keys/ledger"
    key.chmod(0o444)

    said = place.refused()

    assert f"keys.signing: the private key {key} can be read or changed by others than its owner" in said
    assert f"chmod 0400 {key}" in said
    assert said.count("keys.signing") == 1


@pytest.mark.parametrize("name", ["ledger", "keeper.key"])
def test_a_private_key_that_its_owner_can_write_over_must_be_mended(place, name):
    key = place.folder / "keys" / name
    key.chmod(0o600)

    assert f"{key} has mode 0600, and must have 0400; chmod 0400 {key}" in place.refused()


def test_private_keys_among_the_data_must_be_mended(place):
    (place.folder / "keys").rename(place.folder / "var/keys")
    place.change("wrap_to: file:keys/keeper.pub", "wrap_to: file:var/keys/keeper.pub")
    place.change("signing: file:keys/ledger", "signing: file:var/keys/ledger")

    said = place.refused()

    assert f"keys.signing: the private key {place.folder / 'var/keys/ledger'} lies under agent.data_dir" in said
    assert f"keys.wrap_to: the private key {place.folder / 'var/keys/keeper.key'} lies under agent.data_dir" in said
    assert f"move it to a folder outside {place.folder / 'var'}, and name that in keys.signing" in said


def test_a_link_from_elsewhere_does_not_take_a_key_out_of_the_data(place):
    (place.folder / "keys").rename(place.folder / "var/keys")
    (place.folder / "keys").symlink_to(place.folder / "var/keys")

    assert "lies under agent.data_dir" in place.refused()


@pytest.mark.parametrize("mode", [0o440, 0o404, 0o600])
def test_an_agent_does_not_start_with_a_key_that_more_than_its_owner_can_read(place, mode):
    (place.folder / "keys/ledger").chmod(mode)

    with pytest.raises(ConfigError, match="keys/ledger") as refused:
        build_agent(load(place.config))

    assert refused.value.next_step == f"chmod 0400 {place.folder / 'keys/ledger'}"


def test_no_key_is_made_among_the_data(place):
    place.change("signing: file:keys/ledger", "signing: file:var/second/ledger")

    with pytest.raises(ConfigError, match=r"lies under agent\.data_dir"):
        initialise(load(place.config))

    assert not (place.folder / "var/second").exists()


def test_a_keeper_key_that_is_not_there_must_be_mended(place):
    (place.folder / "keys/keeper.pub").unlink()

    assert "keys.wrap_to: " in place.refused()


def refuse_a_number(place) -> Path:
    """Somebody refuses for good; the key that finds them again."""
    config = load(place.config)
    standing(config).refuse("01632 960001", since="2026-01-05", why="letter-7", by="records")
    return standing(config).key


def test_refusals_without_the_key_that_finds_them_must_be_mended(place):
    key = refuse_a_number(place)
    assert place.check().endswith("The configuration is in order.\n")
    key.unlink()

    said = place.refused()

    assert (
        f"{place.at('  signing:')}: keys.signing: {key}: No such file or directory; restore it from the backup" in said
    )


@pytest.mark.parametrize(("mode", "says"), [(0o440, "can be read or changed by others"), (0o600, "has mode 0600")])
def test_a_key_of_refusals_that_is_not_its_owners_alone_must_be_mended(place, mode, says):
    key = refuse_a_number(place)
    key.chmod(mode)

    said = place.refused()

    assert f"{place.at('  signing:')}: keys.signing: the private key {key} {says}" in said
    assert f"chmod 0400 {key}" in said


def test_a_key_of_refusals_among_the_data_must_be_mended(place):
    key = refuse_a_number(place)
    key.rename(place.folder / "var/refusals.key")
    key.symlink_to(place.folder / "var/refusals.key")

    assert f"the private key {key} lies under agent.data_dir" in place.refused()


def test_without_a_refusal_no_key_of_refusals_is_asked_for(place):
    assert "refusals.key" not in place.check()


def test_a_destination_where_nobody_acknowledged_the_policy_is_noted_once_however_many_lines_name_it(place):
    place.change("policy_version: null", 'policy_version: "3"')
    plain = yaml.safe_load(place.config.read_text())
    plain["lines"]["second"] = deepcopy(plain["lines"]["advice"]) | {"match": {"dialled": ["5009"]}}
    plain["lines"]["second"] |= {"language_numbers": {}}
    place.config.write_text(yaml.safe_dump(plain, sort_keys=False))

    said = place.check()

    assert said.count("nobody at sip:6000@pbx acknowledged policy 3; callrec staff add sip:6000@pbx") == 1
    assert said.count("nobody at sip:6002@pbx acknowledged policy 3") == 1


def test_a_password_that_others_can_read_must_be_mended(place):
    (place.folder / "password").write_text("secret")
    (place.folder / "password").chmod(0o644)
    place.change("user: null", "user: me")
    place.change("password: null", "password: file:password")

    said = place.refused()

    assert "sip.trunks.pbx.password: " in said
    assert "chmod 400" in said


def test_a_schedule_without_a_rule_for_the_line_must_be_mended(place):
    place.change("nation: england", "nation: scotland")

    assert "no retention rule for medico-legal" in place.refused()


def test_a_schedule_that_is_not_there_must_be_mended(place):
    place.change(f"rules: {ROOT / 'config/retention.yaml'}", "rules: none.yaml")

    assert "retention.rules: " in place.refused()


def test_a_folder_that_is_a_file_must_be_mended(place):
    (place.folder / "kept").write_text("")
    place.change("path: var/store", "path: kept")

    assert "store.path: " in place.refused()


def test_a_store_that_is_not_mounted_must_be_mended(place):
    place.change("path: var/store", "path: elsewhere/store")

    assert "store.path: there is no store at" in place.refused()


def test_an_agent_does_not_start_without_the_notice_of_a_line(place):
    (place.folder / "var/prompts/advice-line.en.1.wav").unlink()
    done = CliRunner().invoke(root, ["-c", str(place.config), "agent", "run"])

    assert isinstance(done.exception, ConfigError)
    assert "lines.advice.notice: advice-line.en.1" in str(done.exception)
    assert "does not exist" in str(done.exception)


def test_an_agent_does_not_start_without_the_register_of_notices(place):
    (place.folder / "var/prompts/manifest.yaml").unlink()
    done = CliRunner().invoke(root, ["-c", str(place.config), "agent", "run"])

    assert isinstance(done.exception, ConfigError)
    assert "notice.register: " in str(done.exception)


def test_live_audio_on_a_disk_must_be_mended(place, monkeypatch):
    monkeypatch.undo()
    place.change("runtime_dir: /run/callrec", "runtime_dir: /proc")

    assert "agent.runtime_dir: /proc is not in memory" in place.refused()


@pytest.mark.parametrize(("kind", "word"), [(socket.SOCK_DGRAM, "udp"), (socket.SOCK_STREAM, "tcp")])
def test_a_port_in_use_must_be_mended(place, kind, word):
    port = int(place.config.read_text().partition("udp:127.0.0.1:")[2].partition('"')[0])
    with socket.socket(type=kind) as other:
        other.bind(("127.0.0.1", port))
        if kind is socket.SOCK_STREAM:
            other.listen()

        assert f"{word}:127.0.0.1:{port} cannot be listened on: Address already in use" in place.refused()


async def test_ports_held_by_the_running_agent_are_as_they_should_be(place):
    async def status(args):
        return {}

    port = int(place.config.read_text().partition("udp:127.0.0.1:")[2].partition('"')[0])
    server = ControlServer(place.folder / "var/control.sock", {"status": status})
    await server.start()
    try:
        with socket.socket(type=socket.SOCK_DGRAM) as ours:
            ours.bind(("127.0.0.1", port))

            assert "in order" in await asyncio.to_thread(place.check)
    finally:
        await server.close()


def test_every_mistake_on_the_machine_is_named_not_only_the_first(place):
    (place.folder / "var/ledger.db").unlink()
    (place.folder / "keys/ledger").chmod(0o444)

    said = place.refused()

    assert "ledger.url" in said
    assert "keys.signing" in said


def test_a_mistake_in_the_file_is_told_before_the_machine_is_looked_at(place, monkeypatch):
    monkeypatch.setattr(surroundings, "CHECKS", (lambda config: pytest.fail("looked around"),))
    place.change("max_calls: 60", "max_cals: 60")

    assert "did you mean max_calls?" in place.refused()


def test_without_a_file_the_command_says_how_to_name_one():
    with pytest.raises(ConfigError) as refused:
        CliRunner().invoke(config_group, ["check"], obj=Setup(None), catch_exceptions=False)

    assert "CALLREC_CONFIG" in refused.value.next_step


# ---------------------------------------------------------------- asking destinations


@pytest.fixture
def answering():
    """A SIP peer that answers whatever it is asked, and keeps it."""
    heard = []
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        peer.settimeout(10)

        def answer():
            for _ in range(2):
                request, source = peer.recvfrom(65535)
                heard.append(request.decode())
                peer.sendto(b"SIP/2.0 404 Not Found\r\n\r\n", source)

        thread = threading.Thread(target=answer)
        thread.start()
        yield peer.getsockname()[1], heard
        thread.join(10)


def test_each_destination_is_asked_and_any_answer_will_do(place, answering):
    port, heard = answering
    place.change("uri: sip:127.0.0.1:5062", f"uri: sip:127.0.0.1:{port}")

    said = place.check("--live")

    assert "sip:6000@pbx answers." in said
    assert "sip:6002@pbx answers." in said
    assert [request.split("\r\n")[0] for request in heard] == [
        f"OPTIONS sip:{user}@127.0.0.1:{port} SIP/2.0" for user in ("6000", "6002")
    ]


def test_a_destination_that_is_silent_must_be_mended(place):
    place.change("uri: sip:127.0.0.1:5062", f"uri: sip:127.0.0.1:{free_port()}")

    said = place.refused("--live")

    assert "lines.advice.destination: sip:6000@pbx" in said
    assert "lines.advice.fallback[0]: sip:6002@pbx" in said


def with_tls(place) -> Authority:
    authority = Authority(place.folder / "tls")
    authority.issue("cert")
    place.change("listen: [", f'listen: ["tls:127.0.0.1:{free_port()}", ')
    place.change("tls: null", "tls: {cert: tls/cert.pem, key: file:tls/cert.key}")
    return authority


def test_a_certificate_that_expired_must_be_mended(place):
    with_tls(place).issue("cert", days=(-30, -1))

    assert "sip.tls.cert: " in place.refused()
    assert "expired on" in place.refused()


def test_a_destination_over_tls_is_noted_as_not_asked(place):
    with_tls(place)
    place.change("uri: sip:127.0.0.1:5062", 'uri: "sip:127.0.0.1:5061;transport=tls"')

    assert "was not asked: it speaks TLS" in place.check("--live")
