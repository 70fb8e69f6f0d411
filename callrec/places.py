"""What a configuration names: where each thing lies, and how it is opened. Without what only a running agent needs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from callrec._shipped import shipped
from callrec._sql import Database
from callrec.config import Config, load_rules
from callrec.core.retention import Rule
from callrec.errors import ConfigError
from callrec.ledger.anchor import Anchor, CommandAnchor, DirectoryAnchor
from callrec.ledger.log import SqlLedger
from callrec.ledger.logfile import Commit, commit
from callrec.ledger.lookup import VerifiedLookup
from callrec.ledger.reading import open_log
from callrec.ports import Clock, Entry, Store
from callrec.rights.standing import KEY_FILE, Standing
from callrec.store.configured import store_of
from callrec.store.filesystem import FilesystemStore
from callrec.store.imported import IMPORTED_KEYS, ImportedAdmission, Shelves
from callrec.store.keys import load_private
from callrec.store.openers import Unwrap, by_file, by_program


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


def imported_dir(config: Config) -> Path:
    """Where what other recorders made is kept, apart from the store: made by the first import."""
    return config.agent.data_dir / "imported"


def imported_shelf(config: Config) -> FilesystemStore:
    """That shelf, with its own door; its wrapped keys beside those of the store."""
    keys = config.store.keys.with_name(f"{config.store.keys.name}{IMPORTED_KEYS}")
    return FilesystemStore(imported_dir(config), admission=ImportedAdmission(verified_lookup(config)), keys=keys)


def proven_store(config: Config) -> Store:
    """The store alone, for commands that read it."""
    return store_of(config, verified_lookup(config), evidence_dir(config))


def reading_store(config: Config) -> Store:
    """Everything that is kept, for commands that read it: the store, and beside it what was imported. No key of the
    agent is needed; their doors are as strict as ever.
    """
    store = proven_store(config)
    return Shelves(store, imported_shelf(config)) if imported_dir(config).exists() else store


def verified_lookup(config: Config) -> VerifiedLookup:
    """The ledger, for commands that must believe what they look up in it."""
    with open_log(config.ledger.database) as log:
        return VerifiedLookup(config.ledger.database, log.key())


@contextmanager
def opened_ledger(config: Config, clock: Clock, *, holder: str) -> Iterator[Callable[[Entry], str]]:
    """The ledger, for a command that writes while no agent runs: `append(entry) -> leaf`, once durable."""
    ledger = open_ledger(config, clock, holder=holder)
    try:
        yield lambda entry: ledger.append_blocking(entry).leaf
    finally:
        ledger.close()


def open_ledger(
    config: Config, clock: Clock, *, holder: str, commit: Commit = commit, patient: bool = False
) -> SqlLedger:
    """The ledger, for one who writes. Close it."""
    return SqlLedger(
        config.ledger.database,
        signing_key=key_file(config, "signing"),
        clock=clock,
        holder=holder,
        journal=config.ledger.journal,
        commit=commit,
        patient=patient,
    )
