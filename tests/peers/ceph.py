"""A real S3 server with Object Lock: Ceph's RADOS Gateway from Debian's packages, on loopback ports of its own.

    with Ceph(folder) as ceph:
        client = ceph.client()          # boto3, as its owner

One monitor, one object daemon that keeps everything in memory, one gateway. They start as this user, from files in
`folder` alone, and nothing outside is read or written: the machine's own Ceph, where there is one, is not touched.

What has to be so, and is not obvious: without cephx the gateway never connects; without the two `paxos` settings each
pool that the gateway makes costs two seconds; a daemon whose `run_dir` is the default one wants to be root.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import uuid
from pathlib import Path
from typing import Any, Self

from tests.peers import ports
from tests.peers.ports import LOOPBACK, PeerFailed, Process

PROGRAMS = ("ceph-mon", "ceph-osd", "radosgw", "ceph", "ceph-authtool", "monmaptool", "radosgw-admin")
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_STARTS_S = 60.0
_ADMIN = "client.admin"
_GATEWAY = "client.rgw.a"

_CONF = """
[global]
fsid = {fsid}
keyring = {folder}/admin.keyring
mon_initial_members = a
mon_host = [v2:{host}:{mon},v1:{host}:{mon_v1}]
public_addr = {host}
cluster_addr = {host}
ms_bind_port_min = {first}
ms_bind_port_max = {last}
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
auth_allow_insecure_global_id_reclaim = false
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pgp_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_warn_on_pool_no_redundancy = false
mon_data_avail_warn = 2
mon_data_avail_crit = 1
mon_max_pg_per_osd = 1000
run_dir = {folder}/run
admin_socket = {folder}/run/$name.asok
log_file = {folder}/log/$name.log
crash_dir = {folder}/log
[mon]
keyring = {folder}/mon/keyring
mon_data = {folder}/mon
mon_cluster_log_file = {folder}/log/cluster.log
[osd]
keyring = {folder}/osd/keyring
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 536870912
osd_op_num_shards = 2
[{gateway}]
keyring = {folder}/rgw/keyring
rgw_data = {folder}/rgw
rgw_frontends = beast endpoint={host}:{rgw}
rgw_thread_pool_size = 16
rgw_enable_usage_log = false
rgw_override_bucket_index_max_shards = 1
"""


def missing() -> list[str]:
    """Programs that are not here."""
    return [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]


class Ceph:
    """One running server. `endpoint`, `access_key` and `secret_key` are what an operator would write down."""

    def __init__(self, folder: Path) -> None:
        if gone := missing():
            step = "deploy/test-setup.sh installs them, as root on Debian"
            raise PeerFailed(f"no S3 server can be started, and nothing of S3 was tested: no {', '.join(gone)}; {step}")
        self.folder = folder
        self.access_key, self.secret_key = "callrec" + secrets.token_hex(6), secrets.token_hex(20)
        for name in ("mon", "osd", "rgw", "run", "log"):
            (folder / name).mkdir(parents=True, mode=0o700)
        self._conf = folder / "ceph.conf"
        first = ports.free_range(24)
        self.port = first + 23
        self.endpoint = f"http://{LOOPBACK}:{self.port}"
        self._monitor = f"[v2:{LOOPBACK}:{first},v1:{LOOPBACK}:{first + 1}]"
        self._fsid = str(uuid.uuid4())
        self._conf.write_text(
            _CONF.format(
                fsid=self._fsid,
                folder=folder,
                host=LOOPBACK,
                mon=first,
                mon_v1=first + 1,
                first=first + 2,
                last=first + 22,
                rgw=self.port,
                gateway=_GATEWAY,
            )
        )
        self._daemons: list[Process] = []
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    # ------------------------------------------------------------ what a test asks

    def client(self, **changes: Any) -> Any:
        """A boto3 client of the server's owner, or with other credentials."""
        import boto3  # noqa: PLC0415 - only those who ask for S3 need it

        words = {"aws_access_key_id": self.access_key, "aws_secret_access_key": self.secret_key}
        return boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1", **{**words, **changes})

    def removed_by_its_administrator(self, bucket: str, key: str, version: str) -> None:
        """Object Lock binds S3 clients, not whoever runs the server: one version is gone, locked or not."""
        self._gateway_admin("object", "rm", f"--bucket={bucket}", f"--object={key}", f"--object-version={version}")

    def limit(self, bucket: str, *, objects: int) -> None:
        """The bucket is full with this many objects."""
        self._gateway_admin("quota", "set", "--quota-scope=bucket", f"--bucket={bucket}", f"--max-objects={objects}")
        self._gateway_admin("quota", "enable", "--quota-scope=bucket", f"--bucket={bucket}")

    # ------------------------------------------------------------ start and stop

    def _start(self) -> None:
        self._monitor_up()
        self._objects_up()
        self._gateway_up()

    def _monitor_up(self) -> None:
        keyring, of_monitor = self.folder / "admin.keyring", self.folder / "mon.keyring"
        everything = ("mon", "allow *"), ("osd", "allow *"), ("mgr", "allow *")
        caps = [word for who, what in everything for word in ("--cap", who, what)]
        monmap = self.folder / "monmap"
        self._run("monmaptool", "--create", "--clobber", "--fsid", self._fsid, "--addv", "a", self._monitor, monmap)
        self._run("ceph-authtool", "-C", keyring, "--gen-key", "-n", _ADMIN, *caps)
        self._run("ceph-authtool", "-C", of_monitor, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("ceph-authtool", of_monitor, "--import-keyring", keyring)
        self._run("ceph-mon", "-c", self._conf, "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", of_monitor)
        self._daemon("ceph-mon", "-i", "a")

    def _objects_up(self) -> None:
        identity = str(uuid.uuid4())
        self._ceph("osd", "new", identity, "0")
        keyring = self.folder / "osd" / "keyring"
        self._ceph(
            *("auth", "get-or-create", "osd.0", "mon", "allow profile osd", "osd", "allow *"),
            *("mgr", "allow profile osd", "-o", keyring),
        )
        self._run("ceph-osd", "-c", self._conf, "-i", "0", "--mkfs", "--osd-uuid", identity)
        self._daemon("ceph-osd", "-i", "0")

    def _gateway_up(self) -> None:
        keyring = self.folder / "rgw" / "keyring"
        self._ceph("auth", "get-or-create", _GATEWAY, "mon", "allow rw", "osd", "allow rwx", "-o", keyring)
        keys = (f"--access-key={self.access_key}", f"--secret-key={self.secret_key}")
        self._gateway_admin("user", "create", "--uid=callrec", "--display-name=callrec", *keys)
        gateway = self._daemon("radosgw", "-n", _GATEWAY)
        ports.until(lambda: self._answers(gateway), seconds=_STARTS_S, what="the gateway answers")

    def _answers(self, gateway: Process) -> bool:
        if not gateway.alive:
            raise PeerFailed(f"the gateway ended ({gateway.exit_code})\n{gateway.output[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self.port)) == 0

    def _daemon(self, program: str, *words: str) -> Process:
        command = (self._found(program), "-c", self._conf, "-f", *words)
        process = Process(command, folder=self.folder, name=program)
        self._daemons.append(process)
        return process

    def _ceph(self, *words: str | Path) -> str:
        return self._run("ceph", "-c", self._conf, "--connect-timeout", "30", *words)

    def _gateway_admin(self, *words: str) -> str:
        return self._run("radosgw-admin", "-c", self._conf, "--name", _GATEWAY, *words)

    def _run(self, program: str, *words: str | Path) -> str:
        done = subprocess.run(
            [self._found(program), *map(str, words)],
            capture_output=True,
            text=True,
            timeout=_STARTS_S,
            check=False,
            env={**os.environ, "CEPH_CONF": str(self._conf)},
        )
        if done.returncode:
            raise PeerFailed(f"{program} {words[:3]} ended with {done.returncode}\n{done.stderr[-2000:]}")
        return done.stdout

    @staticmethod
    def _found(program: str) -> str:
        return shutil.which(program, path=_PATH) or program

    def stop(self) -> None:
        """End its daemons, the gateway first. Safe to call twice. Nothing of it is worth an orderly end."""
        for process in reversed(self._daemons):
            process.signal(signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
