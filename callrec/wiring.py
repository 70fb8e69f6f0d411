"""The one chooser of implementations: from a Config to objects. Imports the SIP engine only where an agent is built."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from callrec import _durable
from callrec._shipped import shipped
from callrec._sql import Database
from callrec.agent import leftovers
from callrec.agent.agent import Agent, House, Watch
from callrec.agent.clock import SystemClock
from callrec.agent.judging import Judge
from callrec.agent.limits import raise_open_files
from callrec.agent.services import Services
from callrec.config import Config, load_rules
from callrec.config.certificates import check_certificate
from callrec.config.key_files import require_key_files, require_key_places
from callrec.core.kinds import Kind
from callrec.core.proof import judge
from callrec.core.proposals import SECRET_LEAST
from callrec.core.reasons import Reason
from callrec.core.recording import RecordingState
from callrec.core.retention import Rule
from callrec.errors import ConfigError, Unavailable
from callrec.ledger.anchor import Anchor, AnchorShipper, CommandAnchor, DirectoryAnchor, PrefixGate
from callrec.ledger.init import create_log, create_signing_key, half_page
from callrec.ledger.log import SqlLedger
from callrec.ledger.logfile import commit
from callrec.ledger.lookup import VerifiedLookup
from callrec.ledger.reading import open_log
from callrec.notice.announcements import Announcements, to_staff
from callrec.notice.approval import install_samples
from callrec.notice.register import ApprovedPrompt, Shelf, Unusable
from callrec.ports import Clock, Entry, Kept, Sealed, Store, Telephony
from callrec.recording.memory import memory_hazards, wipe_freed_memory
from callrec.recording.mover import Mover
from callrec.recording.spool import Spool
from callrec.rights.standing import KEY_FILE, Standing
from callrec.store.configured import create, require_fit_place, store_of
from callrec.store.index import Index, row_from_manifest
from callrec.store.keys import FileKeyRing, create_keeper_keys, load_private
from callrec.store.openers import Unwrap, by_file, by_program

Commit = Callable[..., None]
_REPLAY_S: Final = 5.0


@dataclass(slots=True, kw_only=True)
class Faults:
    """Doors for faults that a test wants to see: nothing else opens them."""

    judge_by: Judge = judge
    commit: Commit = commit


# ---------------------------------------------------------------- places


def key_file(config: Config, which: str) -> Path:
    """Where a key lies. ConfigError where the configuration does not name a file."""
    reference = {"signing": config.keys.signing, "keeper": config.keys.wrap_to}[which]
    if reference.path is None:
        raise ConfigError(f"keys.{which}: {reference} is no file", next_step="name it as file:PATH")
    return reference.path


def opener(config: Config, key: Path | None) -> Unwrap:
    """How wrapped keys are opened: with the key file that is named, else by the configured program, else with the
    private key beside its public half. ConfigError where that file is not there, is none, or others can read it.
    """
    if key is None and config.keys.open_with is not None:
        return by_program(config.keys.open_with)
    path = key or key_file(config, "keeper").with_suffix(".key")
    if not path.is_file():
        step = "do this where the keeper's private key is, or name it with --key FILE"
        raise ConfigError(f"the keeper's private key {path} is not there", next_step=step)
    load_private(path)
    return by_file(path)


def index_database(config: Config) -> Database:
    """The index: a convenience that can be rebuilt from store and ledger. In PostgreSQL it lies beside the ledger."""
    database = config.ledger.database
    return config.agent.data_dir / "index.db" if isinstance(database, Path) else database


def index_exists(config: Config) -> bool:
    """False where no index was ever made: questions are then answered from ledger and store, and none is made."""
    database = index_database(config)
    return database.exists() if isinstance(database, Path) else True


def evidence_dir(config: Config) -> Path:
    """Where notice evidence is kept."""
    return config.agent.data_dir / "evidence"


def disposal_dir(config: Config) -> Path:
    """Where certificates of disposal lie, and facts that arrived after a call."""
    return config.agent.data_dir / "disposal"


def standing(config: Config) -> Standing:
    """Refusals that stand, and staff who know. The key of the hashes lies with the key that signs the ledger."""
    key = key_file(config, "signing").with_name(KEY_FILE)
    return Standing(config.agent.data_dir / "standing", key, country=config.sip.country_code)


def shipped_prompts() -> Path:
    """The sample prompts that came with callrec."""
    return shipped("prompts/manifest.yaml").parent


def rules(config: Config) -> tuple[Rule, ...]:
    """The retention schedule in force."""
    return load_rules(config.retention.rules)


def anchors(config: Config) -> tuple[Anchor, ...]:
    """Outside anchors, as configured."""
    return tuple(
        CommandAnchor(anchor.path, anchor.program) if anchor.program else DirectoryAnchor(anchor.path)
        for anchor in config.ledger.anchors
    )


def reading_store(config: Config) -> Store:
    """The store, for commands that read it: no key of the agent is needed; its door is as strict as ever."""
    return store_of(config, verified_lookup(config), evidence_dir(config))


def verified_lookup(config: Config) -> VerifiedLookup:
    """The ledger, for commands that must believe what they look up in it."""
    with open_log(config.ledger.database) as log:
        return VerifiedLookup(config.ledger.database, log.key())


# ---------------------------------------------------------------- init


def initialise(config: Config) -> str:
    """Make keys, ledger, directories and the samples' register, once; the half page for the auditor.

    `Refused` where a ledger exists: starting over by mistake is the worst thing that could happen here.
    """
    clock = SystemClock()
    created = clock.utc()
    require_key_places(config)
    require_fit_place(config)
    for folder in (config.agent.data_dir, config.spool.path):
        _durable.make_dir(folder)
    signing, keeper = key_file(config, "signing"), key_file(config, "keeper")
    if not signing.exists():
        _durable.make_dir(signing.parent)
        create_signing_key(signing)
    if not keeper.exists():
        _durable.make_dir(keeper.parent)
        create_keeper_keys(keeper.parent)
    key = create_log(config.ledger.database, signing, created=created)
    create(config, log_id=key.log_id, vkey=key.vkey())
    with opened_ledger(config, clock, holder="callrec init") as desk:
        desk(Entry(kind=Kind.KEY_CREATED, body={"key_id": key.log_id, "use": "ledger"}, actor="init"))
        if config.notice.register == config.agent.data_dir / "prompts":
            install_samples(shipped_prompts(), config.agent.data_dir, desk, created)
    return half_page(key, created=created, controller=config.responsible.controller)


@contextmanager
def opened_ledger(config: Config, clock: Clock, *, holder: str) -> Iterator[Callable[[Entry], str]]:
    """The ledger, for a command that writes while no agent runs: `append(entry) -> leaf`, once durable."""
    ledger = _open_ledger(config, clock, holder=holder)
    try:
        yield lambda entry: ledger.append_blocking(entry).leaf
    finally:
        ledger.close()


def _open_ledger(
    config: Config, clock: Clock, *, holder: str, commit: Commit = commit, patient: bool = False
) -> SqlLedger:
    return SqlLedger(
        config.ledger.database,
        signing_key=key_file(config, "signing"),
        clock=clock,
        holder=holder,
        journal=config.ledger.journal,
        commit=commit,
        patient=patient,
    )


# ---------------------------------------------------------------- agent


@dataclass(slots=True, kw_only=True)
class Built:
    """An agent and what must be closed after it."""

    agent: Agent
    ledger: SqlLedger
    index: Index

    def close(self) -> None:
        """Release ledger and index. Idempotent."""
        self.ledger.close()
        self.index.close()


def build_agent(
    config: Config,
    *,
    watch: Watch = lambda _uid, _what: None,
    telephony: Telephony | None = None,
    faults: Faults | None = None,
    allow_unsafe_memory: bool = False,
) -> Built:
    """Everything an agent needs, opened; ConfigError where something is not there or not as it must be, `Unavailable`
    where another agent has the ledger. A database or store that is away is waited for: calls go through meanwhile.
    """
    faults = faults or Faults()
    clock = SystemClock()
    raise_open_files(config.agent.max_calls)
    check_certificate(config, clock.utc())
    require_key_files(config)
    ledger = _open_ledger(config, clock, holder=f"agent {config.agent.name}", commit=faults.commit, patient=True)
    try:
        index = Index(index_database(config), patient=True)
        sip = telephony or build_telephony(config, clock)
        services = _services(config, clock=clock, ledger=ledger, index=index, telephony=sip, judge_by=faults.judge_by)
    except BaseException:
        ledger.close()
        raise
    outside = anchors(config)
    gate = PrefixGate(config.ledger.database, outside, ledger.public_key)
    services.standing_obstacle = _standing_obstacle(config, gate, allow_unsafe_memory=allow_unsafe_memory)
    shipper = AnchorShipper(ledger, outside, gate=gate) if outside else None
    house = House(services=services, shipper=shipper, read_back=lambda: _read_back(ledger), watch=watch)
    return Built(agent=Agent(house), ledger=ledger, index=index)


def _services(
    config: Config, *, clock: Clock, ledger: SqlLedger, index: Index, telephony: Telephony, judge_by: Judge
) -> Services:
    spool = Spool(config.spool.path, config.agent.runtime_dir, reserve_s=config.spool.reserve_s)
    lookup = VerifiedLookup(config.ledger.database, ledger.public_key)
    store = store_of(config, lookup, evidence_dir(config))
    with suppress(Unavailable):  # a store that is away now is the mover's to wait for
        store.require_fit()
    mover = Mover(spool, store, ledger, lookup, notify=_ignore, on_kept=_indexer(index))
    return Services(
        config=config,
        clock=clock,
        telephony=telephony,
        ledger=ledger,
        log_id=ledger.log_id,
        keys=FileKeyRing(key_file(config, "keeper")),
        spool=spool,
        mover=mover,
        choose_prompt=_chooser(config, clock),
        rules=rules(config),
        standing=standing(config),
        evidence_dir=evidence_dir(config),
        mishap=lambda _uid, _what: None,
        announcements=Announcements(config.notice.register, clock.utc),
        staff_words=to_staff(config.notice.register, clock.utc),
        judge_by=judge_by,
        purpose_secret=_purpose_secret(config),
        tidy_store=store.clear_unfinished,
    )


def _purpose_secret(config: Config) -> bytes | None:
    """What the PBX shares with us. ConfigError where it is not there, or so short that it could be guessed."""
    if config.sip.purpose_token is None:
        return None
    secret = config.sip.purpose_token.read()
    if len(secret) < SECRET_LEAST:
        step = f"write at least {SECRET_LEAST} letters and digits into it, as `openssl rand -hex 24` prints them"
        raise ConfigError(f"sip.purpose_token: {config.sip.purpose_token} is too short", next_step=step)
    return secret


def _ignore(_message: str) -> None:
    """The mover's incidents stand in the ledger."""


def _indexer(index: Index) -> Callable[[Sealed, Kept, str], None]:
    def on_kept(sealed: Sealed, _kept: Kept, leaf: str) -> None:
        if index.get(sealed.recording_id) is None:
            index.add(row_from_manifest(sealed.manifest, RecordingState.KEPT, kept_leaf=leaf))

    return on_kept


def _chooser(config: Config, clock: Clock) -> Callable[[str, str], ApprovedPrompt | Unusable]:
    """The register is looked at anew for each call: an approval or a retirement counts from the next call on."""
    shelf = Shelf(config.notice.register)

    def choose(prompt_id: str, language: str) -> ApprovedPrompt | Unusable:
        try:
            register = shelf.register()
        except ConfigError as error:
            return Unusable(reason=Reason.NOTICE_MISSING, what=str(error), next_step=error.next_step)
        return register.choose(prompt_id, language, clock.utc())

    return choose


def _standing_obstacle(
    config: Config, gate: PrefixGate, *, allow_unsafe_memory: bool
) -> Callable[[], tuple[Reason, str] | None]:
    """What forbids recording, whatever the call: memory for as long as this process runs; anchors that contradict the
    ledger for as long as they do, and anchors that are away until they answer.
    """
    wipe_freed_memory()
    hazards = memory_hazards(config.agent.runtime_dir)  # forbids core dumps in any case
    unsafe = "" if allow_unsafe_memory else "; ".join(hazards)
    gate.look()

    def obstacle() -> tuple[Reason, str] | None:
        if unsafe:
            return Reason.MEMORY_UNSAFE, unsafe
        return (Reason.LEDGER_UNAVAILABLE, gate.why) if gate.why else None

    return obstacle


def _read_back(ledger: SqlLedger) -> leftovers.Leftovers:
    """What earlier runs left, once all that they set aside is in the log. Entries of this run are its own to end."""
    if (trouble := ledger.trouble()) or not ledger.wait_replayed(_REPLAY_S):
        raise Unavailable(f"the ledger cannot be read back: {trouble or 'its side journal waits'}")
    with open_log(ledger.database) as log:
        return leftovers.find(entry for entry in log.newest_first() if entry.agent_run != ledger.agent_run)


def build_telephony(config: Config, clock: Clock) -> Telephony:
    """The SIP engine. ConfigError where none is installed, saying how to get one."""
    try:
        from callrec.sip.settings import SipSettings, Srtp, Tls, Trunk  # noqa: PLC0415 - only an agent needs the engine
        from callrec.sip.telephony import PjsuaTelephony  # noqa: PLC0415
    except ImportError as error:
        step = "pip install 'callrec[eval]' for a trial on loopback, or build the production engine"
        raise ConfigError(f"no SIP engine can be loaded: {error}", next_step=step) from error
    sip = config.sip
    trunks = {
        trunk.name: Trunk(
            uri=str(trunk.uri),
            user=trunk.user or "",
            password=trunk.password.read().decode() if trunk.password else "",
            register=trunk.register,
            leg_ends_at=trunk.leg_ends_at,
        )
        for trunk in sip.trunks
    }
    tls = sip.tls and Tls(
        cert=sip.tls.cert, key=sip.tls.key.read(), ca=sip.tls.ca, require_client=sip.tls.require_client
    )
    settings: dict[str, Any] = {
        "listen": tuple(str(listen) for listen in sip.listen),
        "rtp_ports": (sip.rtp_ports.first, sip.rtp_ports.last),
        "allow_from": sip.allow_from,
        "media_from": sip.media_from,
        "public_address": sip.public_address,
        "codecs": sip.codecs,
        "srtp": Srtp[sip.srtp.upper()],
        "tls": tls,
        "trunks": trunks,
        "max_calls": config.agent.max_calls,
        "runtime_dir": config.agent.runtime_dir,
    }
    return PjsuaTelephony(SipSettings(**settings), clock)
