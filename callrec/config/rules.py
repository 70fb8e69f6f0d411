"""What single keys cannot show: rules over the whole configuration. Each row of RULES answers with the dotted key that
should be changed and the rest of the sentence.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from callrec.config import direction_rules
from callrec.config.choices import CaptureFrom, PbxEvents, Record
from callrec.config.direction_rules import Wrong, targets
from callrec.config.models import Config
from callrec.config.outside import target_uri
from callrec.config.stores import StoreKind
from callrec.config.values import LONGEST_LOG_NAME, SipUri, Transport
from callrec.core.numbers import comparable
from callrec.core.values import Grade, Purpose

PORTS_PER_CALL: Final = 4
"""Two legs, each with RTP and RTCP."""
LONGEST_WAIT_FOR_A_KEY_S: Final = 8
"""Leaves two of the ten seconds after which a receipt for the notice proves nothing."""
PORTS_BESIDE: Final = 16
"""For calls beyond `max_calls`, which need ports for as long as it takes to turn them away with 503."""


def _somebody_to_ask(config: Config) -> Iterator[Wrong]:
    who = config.responsible
    if not (who.caldicott_guardian or who.data_protection_officer):
        yield "responsible.caldicott_guardian", "name a Caldicott Guardian or a data_protection_officer (R43)"


def _private_network(config: Config) -> Iterator[Wrong]:
    for i, listen in enumerate(config.sip.listen):
        if listen.transport is Transport.UDP and not listen.loopback and not config.sip.trusted_network:
            what = f"{listen} is UDP beyond this machine, where source addresses can be forged; use tcp or tls, or set"
            yield f"sip.listen[{i}]", f"{what} sip.trusted_network: true where the network is private"


def _local_http(config: Config) -> Iterator[Wrong]:
    http = config.http
    if http is not None and not http.listen.loopback and not http.trusted_network:
        what = f"{http.listen} is reached from beyond this machine, and the token would travel in the clear; listen on"
        yield "http.listen", f"{what} 127.0.0.1, or set http.trusted_network: true where the network is private"


def _pbx_tells(config: Config) -> Iterator[Wrong]:
    if config.pbx_events is PbxEvents.HTTP and config.http is None:
        yield "pbx_events", "is http, and there is no section http; add it with listen and token, or write none"
    if config.pbx_events is PbxEvents.HTTP:
        return
    for line in config.lines:
        if line.record is Record.IF_PROVEN and line.capture_from is CaptureFrom.STAFF_JOINED:
            what = "is staff_joined, and pbx_events: none says that nobody tells when staff join; no call would ever be"
            yield f"lines.{line.name}.capture_from", f"{what} recorded; write answer, or have the PBX tell (http)"


def _linked_header(config: Config) -> Iterator[Wrong]:
    header = config.sip.linked_header
    if header and header.lower() not in {trusted.lower() for trusted in config.sip.trusted_headers}:
        yield "sip.linked_header", f"{header} must stand in sip.trusted_headers too"


def _certificate(config: Config) -> Iterator[Wrong]:
    for i, listen in enumerate(config.sip.listen):
        if listen.transport is Transport.TLS and config.sip.tls is None:
            yield f"sip.listen[{i}]", f"{listen} needs sip.tls with cert and key"


def _one_version(config: Config) -> Iterator[Wrong]:
    first = ipaddress.ip_address(config.sip.listen[0].host).version
    for i, listen in enumerate(config.sip.listen):
        if ipaddress.ip_address(listen.host).version != first:
            what = f"{listen} is IPv{10 - first}, and {config.sip.listen[0]} is IPv{first}"
            yield f"sip.listen[{i}]", f"{what}; name addresses of one version, and run a second agent for the other"
    for at, uri in _called(config):
        if (version := _version(uri)) not in (None, first):
            yield at, f"{uri} is IPv{version}, and the agent listens on IPv{first}; it could not be called from there"


def _called(config: Config) -> Iterator[tuple[str, SipUri]]:
    """Every address that is called, each once: trunks, and what lines name beside them."""
    yield from ((f"sip.trunks.{trunk.name}.uri", trunk.uri) for trunk in config.sip.trunks)
    for line in config.lines:
        yield from ((at, target_uri(target.uri)) for at, target in targets(line) if target.trunk is None)


def _version(uri: SipUri) -> int | None:
    try:
        return ipaddress.ip_address(uri.host.strip("[]")).version
    except ValueError:
        return None


def _encrypted_calls(config: Config) -> Iterator[Wrong]:
    if any(listen.transport is Transport.TLS for listen in config.sip.listen):
        return
    for at, uri in _called(config):
        if uri.scheme == "sips" or "transport=tls" in uri.parameters.lower():
            yield at, f"{uri} wants TLS, and sip.listen names no tls: address; add one, with sip.tls"


def _room_for_audio(config: Config) -> Iterator[Wrong]:
    needed = PORTS_PER_CALL * config.agent.max_calls + PORTS_BESIDE
    if len(config.sip.rtp_ports) < needed:
        has = f"{config.sip.rtp_ports} has {len(config.sip.rtp_ports)} ports"
        calls = f"agent.max_calls of {config.agent.max_calls} needs {needed}"
        each = f"four for each call and {PORTS_BESIDE} for those turned away"
        yield "sip.rtp_ports", f"{has}, and {calls}, {each}; widen the range or lower max_calls"


def _ports_apart(config: Config) -> Iterator[Wrong]:
    for i, listen in enumerate(config.sip.listen):
        in_range = config.sip.rtp_ports.first <= listen.port <= config.sip.rtp_ports.last
        if listen.transport is Transport.UDP and in_range:
            yield f"sip.listen[{i}]", f"{listen} lies within sip.rtp_ports {config.sip.rtp_ports}; choose another port"


def _trunk_addresses(config: Config) -> Iterator[Wrong]:
    for trunk in config.sip.trunks:
        at = f"sip.trunks.{trunk.name}"
        if trunk.uri.user:
            yield f"{at}.uri", f"{trunk.uri} names a user; a trunk is an address only, the user stands with the line"
        if trunk.register and not (trunk.user and trunk.password):
            yield f"{at}.register", "needs user and password of the account to register"
        if trunk.password and not trunk.user:
            yield f"{at}.user", "must be written where there is a password"


def _anchor_commands(config: Config) -> Iterator[Wrong]:
    for i, anchor in enumerate(config.ledger.anchors):
        if (anchor.kind == "command") != (anchor.program is not None):
            what = "goes with kind: command, and is needed there: the program and its arguments"
            yield f"ledger.anchors[{i}].program", what


def _database(config: Config) -> Iterator[Wrong]:
    database = config.ledger.database
    if isinstance(database, Path):
        for name, value in (("password", config.ledger.password), ("log", config.ledger.log)):
            if value is not None:
                yield f"ledger.{name}", "goes with a url that begins with postgresql://; a file has none"
        return
    options = dict(database.options)
    if not _is_local(options.get("host", "")) and options.get("sslmode") != "verify-full":
        what = "names a server that is reached over a network: the salts of callers' numbers travel there"
        yield "ledger.url", f"{what}; add ?sslmode=verify-full&sslrootcert=FILE"
    if config.ledger.log is None and len(config.agent.name) > LONGEST_LOG_NAME:
        yield "ledger.log", f"must be written: the agent's name is longer than {LONGEST_LOG_NAME} characters"


def _is_local(host: str) -> bool:
    """A socket of this machine, or its loopback."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost") or host.startswith("/")


def _is_address(uri: SipUri) -> bool:
    try:
        ipaddress.ip_address(uri.host.strip("[]"))
    except ValueError:
        return uri.host == "localhost" or "." in uri.host
    return True


def _destinations(config: Config) -> Iterator[Wrong]:
    known = ", ".join(t.name for t in config.sip.trunks) or "none"
    for line in config.lines:
        for at, target in targets(line):
            uri = target_uri(target.written)
            if not uri.user:
                yield at, f"{uri} names no user; write sip:USER@{uri.host}"
            if target.trunk is None and not _is_address(uri):
                yield at, f"{uri.host!r} is neither a trunk nor an address; trunks are {known}"
            if target.trunk is not None and (uri.port or uri.parameters or uri.scheme != target.trunk.uri.scheme):
                yield at, f"{uri} says more than user and trunk; scheme, port and parameters stand with the trunk's uri"


def _no_loop(config: Config) -> Iterator[Wrong]:
    ours = {(listen.host, listen.port) for listen in config.sip.listen}
    for line in config.lines:
        for at, target in targets(line):
            uri = target_uri(target.uri)
            if (uri.host.strip("[]"), uri.port or 5060) in ours:
                yield at, f"{target.uri} is this agent itself; calls would go round in a circle"


def _numbers_apart(config: Config) -> Iterator[Wrong]:
    seen: dict[str, tuple[str, str]] = {}
    for line in config.lines:
        for i, dialled in enumerate(line.dialled):
            number = comparable(dialled, country=config.sip.country_code)
            at = f"lines.{line.name}.match.dialled[{i}]"
            if number in seen:
                other, written = seen[number]
                yield at, f"{dialled!r} is the same number as {written!r} of line {other}; a call goes to one line"
            seen.setdefault(number, (line.name, dialled))


def _keys_apart(config: Config) -> Iterator[Wrong]:
    for line in config.lines:
        taken = line.keys
        first = (("decline", taken.decline), ("decline_training", taken.decline_training), ("repeat", taken.repeat))
        others = (("acknowledge", taken.acknowledge), ("shorten", taken.shorten), ("stop", taken.stop))
        named = [(f"keys.{name}", key) for name, key in (*first, *others) if key]
        named += [(f"language_keys.{language}", key) for key, language in line.language_keys]
        for i, (name, key) in enumerate(named):
            for other, earlier in named[:i]:
                if key.startswith(earlier):
                    yield f"lines.{line.name}.{name}", f"{key!r} begins with {earlier!r}, which is {other}"
                elif earlier.startswith(key):
                    yield f"lines.{line.name}.{name}", f"{other}, {earlier!r}, begins with {key!r}"


def _codes_apart(config: Config) -> Iterator[Wrong]:
    """One key, one order; and no word of a caller that begins like a code, or the other way round."""
    codes = config.staff_codes.by_name()
    for i, (name, key) in enumerate(codes.items()):
        for other, earlier in list(codes.items())[:i]:
            if key == earlier:
                yield f"staff_codes.{name}", f"{key!r} is the key of {other} already; give each order its own, or null"
    prefix = config.staff_codes.prefix
    for line in config.lines if prefix else ():
        stop = line.keys.stop
        if prefix and stop and (stop.startswith(prefix) or prefix.startswith(stop)):
            what = f"{stop!r} and staff_codes.prefix {prefix!r} begin alike; staff and callers need words of their own"
            yield f"lines.{line.name}.keys.stop", what


def _recordable(config: Config) -> Iterator[Wrong]:
    for line in (line for line in config.lines if line.record is Record.IF_PROVEN):
        at = f"lines.{line.name}"
        if line.notice is None:
            yield f"{at}.notice", "must be written: without a notice nothing can be proven (or set record: never)"
        if not line.purposes:
            yield f"{at}.purposes", "must name at least one: a recording without purpose is unlawful (or record: never)"
        elif line.health_record and Purpose.MEDICO_LEGAL not in line.purposes:
            why = "a health record is kept, and nothing is kept for a purpose the caller was not told of"
            yield f"{at}.purposes", f"must name medico-legal, as health_record is true: {why} (or health_record: false)"


def _training_key(config: Config) -> Iterator[Wrong]:
    for line in config.lines:
        if line.keys.decline_training and Purpose.TRAINING not in line.purposes:
            yield (
                f"lines.{line.name}.keys.decline_training",
                "offers to leave out training, which is not among purposes",
            )


def _acknowledged(config: Config) -> Iterator[Wrong]:
    """A receipt later than ten seconds after the notice proves nothing any more."""
    for line in (line for line in config.lines if line.require is Grade.ACKNOWLEDGED):
        at = f"lines.{line.name}"
        if not line.keys.acknowledge:
            yield f"{at}.keys.acknowledge", "must name the key, as require is acknowledged"
        if not 1 <= line.choice_window_s <= LONGEST_WAIT_FOR_A_KEY_S:
            most = LONGEST_WAIT_FOR_A_KEY_S
            yield f"{at}.choice_window_s", f"must be 1 to {most}, as require is acknowledged: the key is waited for"


def _language_numbers(config: Config) -> Iterator[Wrong]:
    for line in config.lines:
        taken = {comparable(each, country=config.sip.country_code) for each in line.dialled}
        seen: dict[str, str] = {}
        for language, numbers in line.language_numbers:
            at = f"lines.{line.name}.language_numbers.{language}"
            if language not in line.languages:
                yield at, f"is none of the line's languages: {', '.join(line.languages)}"
            for number in (comparable(each, country=config.sip.country_code) for each in numbers):
                if number not in taken:
                    yield at, f"{number} must stand in lines.{line.name}.match.dialled too"
                elif number in seen:
                    yield at, f"{number} stands for {seen[number]} already; a number chooses one language"
                seen.setdefault(number, language)


def _language_keys(config: Config) -> Iterator[Wrong]:
    for line in config.lines:
        for _, language in line.language_keys:
            if language not in line.languages:
                at = f"lines.{line.name}.language_keys.{language}"
                yield at, f"is none of the line's languages: {', '.join(line.languages)}"


def _language_header(config: Config) -> Iterator[Wrong]:
    trusted = {header.lower() for header in config.sip.trusted_headers}
    for line in config.lines:
        if line.language_header and line.language_header.lower() not in trusted:
            yield f"lines.{line.name}.language_header", f"{line.language_header} must stand in sip.trusted_headers too"


def _waits(config: Config) -> Iterator[Wrong]:
    if config.notice.max_wait_s <= config.notice.longest_s:
        longest = f"longest_s of {config.notice.longest_s}"
        yield "notice.max_wait_s", f"is {config.notice.max_wait_s}; it must be above {longest}, or no notice can end"


def _store_place(config: Config) -> Iterator[Wrong]:
    if config.store.kind is StoreKind.S3 and config.store.s3 is None:
        yield "store.s3", "must be written where store.kind is s3: endpoint, bucket, access_key and secret_key"
    if config.store.kind is not StoreKind.S3 and config.store.s3 is not None:
        yield "store.kind", f"is {config.store.kind.value}, and there is a section s3; write kind: s3, or take it out"


def _any_line(config: Config) -> Iterator[Wrong]:
    if not config.lines:
        yield "lines", "must name at least one line; no call would be taken"


def _folders_apart(config: Config) -> Iterator[Wrong]:
    places = [("agent.runtime_dir", config.agent.runtime_dir), ("spool.path", config.spool.path)]
    places += [("store.path", config.store.path), ("notice.register", config.notice.register)]
    places += [("store.keys", config.store.keys)]
    for i, (key, path) in enumerate(places):
        for other, earlier in places[:i]:
            if path == earlier or path in earlier.parents or earlier in path.parents:
                yield key, f"lies in the same place as {other} ({earlier}); each needs a folder of its own"


RULES: Final[tuple[Callable[[Config], Iterator[Wrong]], ...]] = (
    _somebody_to_ask,
    _private_network,
    _local_http,
    _pbx_tells,
    _linked_header,
    _certificate,
    _one_version,
    _encrypted_calls,
    _room_for_audio,
    _ports_apart,
    _trunk_addresses,
    _anchor_commands,
    _database,
    _store_place,
    _any_line,
    _destinations,
    _no_loop,
    *direction_rules.RULES,
    _numbers_apart,
    _keys_apart,
    _codes_apart,
    _recordable,
    _training_key,
    _acknowledged,
    _language_numbers,
    _language_keys,
    _language_header,
    _waits,
    _folders_apart,
)
