"""`callrec init`: what is made once, before any agent runs."""

from __future__ import annotations

from callrec import _durable
from callrec.agent.clock import SystemClock
from callrec.config import Config
from callrec.config.key_files import require_key_places
from callrec.core.kinds import Kind
from callrec.ledger.init import create_log, create_signing_key, half_page
from callrec.notice.approval import install_samples
from callrec.places import key_file, opened_ledger, shipped_prompts
from callrec.ports import Entry
from callrec.store.configured import create, require_fit_place
from callrec.store.keys import create_keeper_keys


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
