"""The configuration is read whole, strictly, and every mistake is named by file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callrec.config import Config, load, loads
from callrec.core.retention import Nation
from callrec.errors import ConfigError

EXAMPLE = Path(__file__).parents[2] / "config" / "callrec.example.yaml"
TEXT = EXAMPLE.read_text("utf-8")

SMALLEST = """\
agent: {name: a}
responsible:
  controller: c
  information_asset_owner: o
  caldicott_guardian: g
  ownership: all ours
  privacy_page: https://example.org/calls
  privacy_page_version: "1"
sip: {listen: ["udp:127.0.0.1:5080"], allow_from: [127.0.0.1], media_from: [127.0.0.1]}
lines:
  advice: {match: {dialled: ["5000"]}, destination: "sip:6000@127.0.0.1", notice: n, purposes: [medico-legal]}
pbx_events: none
retention: {nation: wales}
"""

A_BUCKET = "{endpoint: 'https://s3.example.org', bucket: b-1, access_key: env:K, secret_key: env:S}"


def changed(old: str, new: str, text: str = TEXT) -> str:
    assert text.count(old) >= 1, old
    return text.replace(old, new, 1)


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as refused:
        loads(text, "callrec.yaml")
    assert refused.value.exit_code == 2
    assert refused.value.next_step
    return str(refused.value)


def line_of(part: str, text: str) -> int:
    return next(i for i, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_example_is_valid_as_it_stands():
    config = load(EXAMPLE)

    assert [line.name for line in config.lines] == ["advice"]
    assert config.lines[0].targets[0].uri == "sip:6000@127.0.0.1:5062"


def test_what_is_left_out_has_its_default():
    line = loads(SMALLEST, "c").lines[0]

    assert (line.dial_timeout_s, line.keys.decline, line.keys.stop, line.capture_from.value) == (
        20,
        "2",
        "**2",
        "answer",
    )


def test_relative_paths_count_from_the_folder_of_the_file(tmp_path):
    file = tmp_path / "callrec.yaml"
    file.write_text(SMALLEST)

    config = load(file)

    assert config.agent.data_dir == tmp_path / "var"
    assert config.ledger.database == tmp_path / "var/ledger.db"
    assert config.keys.signing.path == tmp_path / "keys/ledger"
    assert config.agent.runtime_dir == Path("/run/callrec")


def test_a_line_of_another_nation_is_kept_by_that_nations_schedule():
    assert loads(SMALLEST, "c").lines[0].nation is Nation.WALES
    other = changed("    nation: null", "    nation: scotland")
    assert next(iter(loads(other, "c").lines)).nation is Nation.SCOTLAND
    assert "england, wales" in refusal(changed("nation: null", "nation: france"))


def test_a_database_of_several_agents_is_named_without_its_password(tmp_path, monkeypatch):
    monkeypatch.setenv("LEDGER_PASSWORD", "hunter2")
    url = "postgresql://callrec@db.example:5433/calls?sslmode=verify-full&sslrootcert=/etc/ca.pem"
    file = tmp_path / "callrec.yaml"
    file.write_text(f'{SMALLEST}\nledger: {{url: "{url}", password: "env:LEDGER_PASSWORD"}}\n')

    ledger = load(file).ledger

    assert dict(ledger.database.options) == {
        "user": "callrec",
        "host": "db.example",
        "port": "5433",
        "dbname": "calls",
        "sslmode": "verify-full",
        "sslrootcert": "/etc/ca.pem",
    }
    assert ledger.database.schema == f"callrec_{load(file).agent.name}"
    assert ledger.database.password() == "hunter2"
    assert "hunter2" not in f"{ledger}{ledger.database}"
    assert ledger.journal == tmp_path / "var/ledger.pending"


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("    destination: sip", "    destinaton: sip", "lines.advice.destinaton", "did you mean destination?"),
        ("agent:", "agnt:", "agnt", "did you mean agent?"),
        ("max_calls: 60", "max_calls: sixty", "agent.max_calls", "whole number"),
        ("max_calls: 60", "max_calls: 060", "agent.max_calls", "whole number"),
        ("max_calls: 60", "max_calls: 0", "agent.max_calls", "from 1 to 1000"),
        ("max_calls: 60", "max_calls:", "agent.max_calls", "has no value"),
        ("max_setups_per_s: 15", "max_setups_per_s: 0", "agent.max_setups_per_s", "from 1 to 200"),
        ("drain_s: 60", "drain_s: [60]", "agent.drain_s", "not a list"),
        ("drain_s: 60", "drain_s: 60\n  drain_s: 61", "agent.drain_s", "stands twice, first on line"),
        ("  controller: Example", "  # Example", "responsible.controller", "must be written"),
        ("ownership: Example", "# Example", "responsible.ownership", "must be written"),
        ("privacy_page: https:", "privacy_page: ftp:", "responsible.privacy_page", "web address"),
        ("guardian@example.org", "null", "responsible.caldicott_guardian", "data_protection_officer"),
        ("role: auditor", "role: boss", "people.ig-lead.role", "operator, auditor"),
        ("  ig-lead:", "  IG Lead:", "people", "small letters"),
        ('"udp:127.0.0.1:5080"', '"5080"', "sip.listen[0]", "transport:address:port"),
        ('"udp:127.0.0.1:5080"', '"udp:pbx:5080"', "sip.listen[0]", "no IP address"),
        ('"udp:127.0.0.1:5080"', '"udp:127.0.0.1:65536"', "sip.listen[0]", "ports are 1 to 65535"),
        ('"udp:127.0.0.1:5080"', '"udp:192.0.2.1:5080"', "sip.listen[0]", "sip.trusted_network: true"),
        ('"udp:127.0.0.1:5080"', '"udp:0.0.0.0:5080"', "sip.listen[0]", "sip.trusted_network: true"),
        ('"udp:127.0.0.1:5080"', '"tls:127.0.0.1:5061"', "sip.listen[0]", "cert and key"),
        ('"tcp:127.0.0.1:5080"', '"udp:127.0.0.1:5080"', "sip.listen[1]", "twice"),
        ('"tcp:127.0.0.1:5080"', '"tcp:[::1]:5080"', "sip.listen[1]", "is IPv6, and udp:127.0.0.1:5080 is IPv4"),
        ("uri: sip:127.0.0.1:5062", "uri: sip:[::1]:5062", "sip.trunks.pbx.uri", "could not be called from there"),
        ('"sip:6002@pbx"', '"sip:6002@[::1]"', "lines.advice.fallback[0]", "the agent listens on IPv4"),
        ("127.0.0.1:5062", "127.0.0.1:5062;transport=tls", "sip.trunks.pbx.uri", "names no tls: address"),
        ('"udp:127.0.0.1:5080"', '"udp:127.0.0.1:40002"', "sip.listen[0]", "within sip.rtp_ports"),
        ("40000-44999", "44999-40000", "sip.rtp_ports", "backwards"),
        ("40000-44999", "40000-40254", "sip.rtp_ports", "needs 256, four for each call and 16"),
        ("allow_from: [127.0.0.1]", "allow_from: [127.0.0.1/8]", "sip.allow_from[0]", "network"),
        ("allow_from: [127.0.0.1]", "allow_from: []", "sip.allow_from", "at least 1"),
        ("[PCMA, PCMU]", "[opus]", "sip.codecs[0]", "PCMA or PCMU"),
        ("trusted_headers: []", "trusted_headers: [X-Callrec-Id]", "sip.trusted_headers[0]", "ours alone"),
        ("password: null", "password: hunter2", "sip.trunks.pbx.password", "file:PATH or env:NAME"),
        ("password: null", "password: env:PBX", "sip.trunks.pbx.user", "must be written"),
        ("register: false", "register: true", "sip.trunks.pbx.register", "user and password"),
        ("register: false", "register: yes", "sip.trunks.pbx.register", "true or false"),
        ("uri: sip:127.0.0.1:5062", "uri: sip:6@127.0.0.1:5062", "sip.trunks.pbx.uri", "names a user"),
        ('["5000", ', "[5000, ", "lines.advice.match.dialled[0]", "in quotes"),
        ('["5000", ', '["01632 960001", ', "lines.advice.match.dialled[1]", "same number"),
        ("sip:6000@pbx", "6000", "lines.advice.destination", "in quotes"),
        ("sip:6000@pbx", "tel:6000", "lines.advice.destination", "no SIP URI"),
        ("sip:6000@pbx", "sip:6000@pxb", "lines.advice.destination", "trunks are pbx"),
        ("sip:6000@pbx", "sip:6000@pbx:5070", "lines.advice.destination", "more than user and trunk"),
        ("sip:6000@pbx", "sip:pbx", "lines.advice.destination", "names no user"),
        ("sip:6000@pbx", "sip:6000@127.0.0.1:5080", "lines.advice.destination", "circle"),
        ('"sip:6002@pbx"', '"sip:6002@elsewhere"', "lines.advice.fallback[0]", "trunks are pbx"),
        ("notice: advice-line", "notice: null", "lines.advice.notice", "nothing can be proven"),
        ("audit, training]", "research]", "lines.advice.purposes[1]", "R32"),
        ("[medico-legal, audit, training]", "[audit, training]", "lines.advice.purposes", "health_record"),
        ("[medico-legal, audit, training]", "[]", "lines.advice.purposes", "without purpose"),
        ("[medico-legal, audit, training]", "[medico-legal]", "lines.advice.keys.decline_training", "training"),
        ('decline: "2"', 'decline: "9"', "lines.advice.keys.decline", "999"),
        ('decline: "2"', "decline: 2", "lines.advice.keys.decline", "in quotes"),
        ("repeat: null", 'repeat: "2"', "lines.advice.keys.repeat", "which is keys.decline"),
        ('stop: "**2"', 'stop: "999"', "lines.advice.keys.stop", "never 9"),
        ('stop: "**2"', 'stop: "22"', "lines.advice.keys.stop", "begins with '2'"),
        ('decline_training: "3"', 'decline_training: "9"', "lines.advice.keys.decline_training", "999"),
        ('decline: "2"', 'decline: "2"\n      decline: "4"', "lines.advice.keys.decline", "stands twice"),
        ("acknowledge: null", 'acknowledge: "2"', "lines.advice.keys.acknowledge", "which is keys.decline"),
        ('stop: "**2"', 'stop: "*72"', "lines.advice.keys.stop", "begin alike"),
        ('pause: "1" ', 'pause: "0" ', "staff_codes.pause", "is the key of stop already"),
        ('prefix: "*7"', 'prefix: "77"', "staff_codes.prefix", "begins no code"),
        ("policy_version: null", "policy_version: Version 3", "staff.policy_version", "small letters"),
        ("not_informed: warn", "not_informed: record", "staff.not_informed", "warn or refuse"),
        ("language_header: null", "language_header: X-Lang", "lines.advice.language_header", "trusted_headers"),
        ('en: ["5000"]', 'cy: ["5009"]', "lines.advice.language_numbers.cy", "match.dialled too"),
        ('en: ["5000"]', 'fr: ["5000"]', "lines.advice.language_numbers.fr", "none of the line's"),
        ('en: ["5000"]', 'en: ["5000", "05000"]', "lines.advice.language_numbers.en", "match.dialled too"),
        ("record: if_proven", "record: always", "lines.advice.record", "if_proven or never"),
        ("capture_from: answer", "capture_from: ringing", "lines.advice.capture_from", "staff_joined"),
        ("dial_timeout_s: 20", "dial_timeout_s: 0", "lines.advice.dial_timeout_s", "from 3 to 180"),
        ("longest_s: 20", "longest_s: 21", "notice.longest_s", "3 to 20"),
        ("decide_within_ms: 200", "decide_within_ms: 1001", "notice.decide_within_ms", "20 to 1000"),
        ("max_wait_s: 60", "max_wait_s: 20", "notice.max_wait_s", "above longest_s"),
        ("url: sqlite:///var", "url: mysql://u:hunter2@db/var", "ledger.url", "sqlite:///PATH"),
        ("sqlite:///var/ledger.db ", "postgresql://u:hunter2@db/var ", "ledger.url", "ledger.password"),
        ("sqlite:///var/ledger.db ", "postgresql://u@db/var ", "ledger.url", "sslmode=verify-full"),
        ("sqlite:///var/ledger.db ", "postgresql://u@db/var?passfile=/x ", "ledger.url", "no option of it here"),
        ("sqlite:///var/ledger.db ", "postgresql://u@/a/b?host=/run ", "ledger.url", "no database"),
        (
            "password: null                 #",
            "password: hunter2  #",
            "ledger.password",
            "file:PATH or env:NAME",
        ),
        (
            "password: null                 #",
            "password: file:x  #",
            "ledger.password",
            "begins with postgresql",
        ),
        ("log: null                      #", f"log: {'x' * 51}  #", "ledger.log", "longer than 50"),
        ("log: null                      #", "log: other  #", "ledger.log", "a file has none"),
        ("path: var/store", "path: var/spool/store", "store.path", "folder of its own"),
        ("  keys: null", "  keys: var/store/keys", "store.keys", "folder of its own"),
        ("kind: filesystem", "kind: s3", "store.s3", "endpoint, bucket, access_key and secret_key"),
        ("  s3: null", f"  s3: {A_BUCKET}", "store.kind", "there is a section s3"),
        ("  s3: null", f"  s3: {A_BUCKET.replace('https', 'http')}", "store.s3.endpoint", "not encrypted"),
        ("  s3: null", f"  s3: {A_BUCKET.replace('https', 'ftp')}", "store.s3.endpoint", "no S3 server"),
        ("  s3: null", f"  s3: {A_BUCKET.replace('b-1', 'B_1')}", "store.s3.bucket", "no name of a bucket"),
        ("  s3: null", f"  s3: {A_BUCKET.replace('env:K', 'hunter2')}", "store.s3.access_key", "file:PATH or env:NAME"),
        ("nation: england", "nation: france", "retention.nation", "england, wales"),
        ("file:keys/ledger", "AGE-SECRET-hunter2", "keys.signing", "file:PATH or env:NAME"),
        ("0.05", "5", "alerts.our_fault_share_1h", "at most 1.0"),
        ("- kind: directory ", "- kind: command ", "ledger.anchors[0].program", "is needed there"),
        ("command: null", "command: mail it@example.org", "alerts.command", "must be a list"),
    ],
)
def test_a_mistake_is_named_by_line_key_and_mend(old, new, key, says):
    text = changed(old, new)
    message = refusal(text)

    assert says in message
    assert f": {key}: " in message
    assert "hunter2" not in message
    assert all(place.startswith("callrec.yaml:") for place in message.splitlines())


def test_codes_that_are_null_are_none():
    codes = loads(changed('prefix: "*7"', "prefix: null", changed('pause: "1" ', "pause: null ")), "c").staff_codes

    assert (codes.prefix, codes.pause, codes.resume) == (None, None, "4")


def test_a_key_is_found_again_by_its_line_or_by_that_of_what_is_around_it():
    config = loads(TEXT, "callrec.yaml")

    assert config.place("lines.advice.keys.decline") == f"callrec.yaml:{line_of('decline: ', TEXT)}"
    assert config.place("sip.listen[0]") == f"callrec.yaml:{line_of('listen: [', TEXT)}"
    assert config.place("nothing.of.ours") == "callrec.yaml"


def test_the_line_named_is_the_line_of_the_mistake():
    text = changed("    destination: sip", "    destinaton: sip")

    assert f"callrec.yaml:{line_of('destinaton', text)}: lines.advice.destinaton: unknown key" in refusal(text)


def test_a_key_that_is_missing_is_named_at_the_line_of_its_section():
    text = changed("  information_asset_owner: Head", "  # Head")

    place = f"callrec.yaml:{line_of('responsible:', text)}: responsible.information_asset_owner: must be written"

    assert place in refusal(text)


def test_every_mistake_is_named_not_only_the_first():
    message = refusal(changed("nation: england", "nation: x", changed("agent:", "agent:\n  nam: x")))

    assert "agent.nam: unknown key; did you mean name?" in message
    assert "retention.nation" in message


def test_without_the_responsible_every_one_of_them_is_asked_for():
    message = refusal("agent: {name: a}")

    for key in ("controller", "information_asset_owner", "ownership", "privacy_page", "privacy_page_version"):
        assert f"responsible.{key}: must be written" in message


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "empty"),
        ("- a\n- b", "must hold keys and values"),
        ("agent: [", "no YAML"),
        ("agent: &a {name: x}\nsip: *a", "alias *a"),
        ("agent: {<<: {name: x}}", "unknown key"),
        ("? [a]\n: b", "plain word"),
        ("agent: " + "[" * 50 + "]" * 50, "levels deep"),
        ("a: b\n---\nc: d", "no YAML"),
        ("agent: {name: !!python/object:os.system x}", "must be text"),
        ("agent: \x00", "no YAML"),
    ],
)
def test_text_that_leaves_something_to_guess_is_refused(text, says):
    assert says in refusal(text)


def test_an_off_without_quotes_is_the_word_off():
    assert loads(changed('srtp: "off"', "srtp: off"), "c").sip.srtp == "off"


def test_a_line_may_be_passed_through_without_notice_or_purpose():
    text = changed("notice: n, purposes: [medico-legal]", "record: never, purposes: []", SMALLEST)

    assert loads(text, "c").lines[0].notice is None


def test_udp_beyond_this_machine_is_taken_where_the_network_is_said_to_be_private():
    text = changed("trusted_network: false", "trusted_network: true", changed("udp:127.0.0.1", "udp:192.0.2.1"))

    assert loads(text, "c").sip.listen[0].host == "192.0.2.1"


def test_tls_is_taken_with_its_certificate():
    text = changed("sip: {", 'sip: {tls: {cert: c.pem, key: "file:k.pem"}, ', SMALLEST)
    text = changed("udp:127.0.0.1:5080", "tls:[::1]:5061", changed("sip:6000@127.0.0.1", "sip:6000@[::1]", text))

    assert str(loads(text, "c").sip.listen[0]) == "tls:[::1]:5061"


def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.yaml")


def test_a_file_that_is_no_text_is_a_configuration_error(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match="UTF-8"):
        load(tmp_path / "c.yaml")


def test_the_hash_knows_values_and_no_layout():
    noted = "# a remark\n" + SMALLEST.replace("{name: a}", "\n  name: 'a'   # ours")
    other = changed("name: a", "name: b", SMALLEST)

    assert loads(noted, "x").sha256 == loads(SMALLEST, "y").sha256
    assert loads(other, "y").sha256 != loads(SMALLEST, "y").sha256


def test_writing_a_default_down_changes_no_hash():
    text = changed("agent: {name: a}", "agent: {name: a, max_calls: 60}", SMALLEST)

    assert loads(text, "x").sha256 == loads(SMALLEST, "x").sha256


@pytest.mark.parametrize("dialled", ["5000", "+441632960001", "01632960001", "00441632960001"])
def test_a_line_takes_its_number_however_it_was_dialled(dialled):
    line = load(EXAMPLE).line_for(dialled)

    assert line is not None
    assert line.name == "advice"


@pytest.mark.parametrize("dialled", ["5001", "999", "", "+441632960002"])
def test_a_number_of_no_line_finds_none(dialled):
    assert load(EXAMPLE).line_for(dialled) is None


def test_the_next_hop_is_what_the_trunk_at_its_address_says():
    sip = loads(changed("leg_ends_at: pbx           # required", "leg_ends_at: carrier  #"), "c").sip

    assert sip.leg_ends_at_for("127.0.0.1", 5062) == "carrier"
    assert sip.leg_ends_at_for("127.0.0.1", 40404) == "carrier"
    assert sip.leg_ends_at_for("192.0.2.9", 5060) == "pbx"


def test_a_reference_is_read_where_it_points(tmp_path, monkeypatch):
    (tmp_path / "callrec.yaml").write_text(changed("retention:", "keys: {signing: env:SIGN}\nretention:", SMALLEST))
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys/keeper.pub").write_text("public\n")
    monkeypatch.setenv("SIGN", "secret")

    keys = load(tmp_path / "callrec.yaml").keys

    assert (keys.wrap_to.read(), keys.signing.read()) == (b"public", b"secret")


def test_a_reference_to_nothing_says_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.delenv("NOWHERE", raising=False)
    keys = loads(changed("retention:", "keys: {signing: env:NOWHERE}\nretention:", SMALLEST), "c", folder=tmp_path).keys

    with pytest.raises(ConfigError, match="NOWHERE"):
        keys.signing.read()
    with pytest.raises(ConfigError, match=r"keeper\.pub"):
        keys.wrap_to.read()


@given(st.text(max_size=300))
def test_any_text_is_a_configuration_or_a_configuration_error(text):
    try:
        outcome = loads(text, "c")
    except ConfigError as error:
        outcome = error

    assert isinstance(outcome, (Config, ConfigError))


@settings(deadline=None)  # a machine that is shared is slow at times
@given(st.data())
def test_any_damage_to_the_example_is_a_configuration_or_a_configuration_error(data):
    start = data.draw(st.integers(0, len(TEXT) - 1))
    end = data.draw(st.integers(start, min(len(TEXT), start + 40)))
    text = TEXT[:start] + data.draw(st.text(alphabet=st.sampled_from(TEXT + "&*<>!|\t"), max_size=20)) + TEXT[end:]

    try:
        outcome = loads(text, "c")
    except ConfigError as error:
        outcome = error

    assert isinstance(outcome, (Config, ConfigError))


HTTP = 'http: {listen: "127.0.0.1:8089", token: "file:token"}\npbx_events: http'


def test_a_pbx_that_tells_by_http_needs_the_door_it_tells_through():
    assert "there is no section http" in refusal(changed("pbx_events: none", "pbx_events: http", SMALLEST))
    assert loads(changed("pbx_events: none", HTTP, SMALLEST), "c").http.listen.port == 8089


def test_whether_the_pbx_tells_must_be_stated():
    assert "pbx_events: must be written" in refusal(changed("pbx_events: none\n", "", SMALLEST))


def test_http_beyond_this_machine_is_told_from_http_on_it():
    beyond = HTTP.replace("127.0.0.1:8089", "192.0.2.5:8089")

    assert "http.listen: 192.0.2.5:8089 is reached from beyond" in refusal(
        changed("pbx_events: none", beyond, SMALLEST)
    )
    private = beyond.replace("}", ", trusted_network: true}")
    assert not loads(changed("pbx_events: none", private, SMALLEST), "c").http.listen.loopback


def test_a_line_that_waits_for_staff_of_whom_nobody_tells_is_a_mistake():
    waits = changed("notice: n", "notice: n, capture_from: staff_joined", SMALLEST)

    assert "nobody tells when staff join" in refusal(waits)
    assert loads(changed("pbx_events: none", HTTP, waits), "c").lines


def test_the_header_of_the_pbx_s_id_must_be_a_trusted_one():
    linked = changed("media_from: [127.0.0.1]}", "media_from: [127.0.0.1], linked_header: X-Id}", SMALLEST)

    assert "X-Id must stand in sip.trusted_headers too" in refusal(linked)
