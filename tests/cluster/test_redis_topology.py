"""TLS, ACL users, Sentinel and Cluster, with real processes."""

import contextlib
import math
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from router import clock
from router.cluster.event_stream import EventStream
from router.cluster.redis_link import RedisLink
from router.cluster.redis_store import RedisStore
from router.cluster.redis_target import parse_target
from router.cluster.revoked_tokens import RedisRevokedTokens
from router.cluster.store import StoreError
from router.metrics import Metrics
from router.rooms.revocation import Revocation
from tests.cluster.conftest import PATIENT_S, SETUP, node, open_redis, room
from tests.cluster.redis_servers import RedisServer, needs_redis, run_servers
from tests.cluster.waiting import until
from tests.events.entries import entry

pytestmark = needs_redis

ACL_COMMANDS = (
    "+ping +select +role +cluster|slots +watch +unwatch +multi +exec +getrange +set +del +pexpire +pttl +zadd +zrem "
    "+zrange +zrangebyscore +zcount +zremrangebyscore +zremrangebyrank +xadd"
)
SETTLED_S = 20.0


async def use(store: RedisStore, name: str = "a") -> None:
    """Everything once."""
    await store.check()
    here, _ = await store.write_node(node())
    written = await store.write_rooms(
        [room(f"{name}-{n}") for n in range(20)], {f"{name}-0": SETUP, f"{name}-1": SETUP}
    )
    assert {r.node for r in written} == {"N_1"}
    assert await store.read_rooms() == sorted(written, key=lambda r: r.name)
    assert await store.refresh_rooms(written[:2]) == []
    assert await store.find_setup(f"{name}-0") == SETUP
    owner = await store.find_owner(f"{name}-0")
    assert owner is not None
    assert (owner.node, owner.silent_s > 0) == (here, True)
    await store.remove_rooms(written)
    assert await store.read_rooms() == []
    await store.remove_node(here)
    await use_what_nodes_share(store)


async def use_what_nodes_share(store: RedisStore) -> None:
    link, keys, now = store._link, store._keys, clock.wall_s()
    await EventStream(link, keys, Metrics(), max_entries=10).append([entry()])
    for key in (keys.revoked, keys.removed):
        tokens = RedisRevokedTokens(link, key, Revocation.read, Metrics(), limit=100)
        one, other = (Revocation(id_, "", "", now - 5, now + 60) for id_ in ("one", "other"))
        await tokens.add([one, other])
        await tokens.remove([one])
        found = (await tokens.read(-math.inf)).found
        assert (other in found, one in found) == (True, False)
        assert await tokens.check() >= 1


async def until_usable(store: RedisStore) -> float:
    """How long it took."""

    async def is_usable() -> bool:
        try:
            await use(store)
        except StoreError:
            return False
        return True

    return await until(is_usable, SETTLED_S)


# -- TLS and users -----------------------------------------------------------------------------------------------------


def make_certificates(directory: Path) -> None:
    """A CA and a certificate of 127.0.0.1 and localhost."""
    run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    for name, names in (("good", "IP:127.0.0.1,DNS:localhost"), ("other", "DNS:elsewhere.example")):
        subprocess.run(
            [*run, "-keyout", f"{name}.key", "-out", f"{name}.crt", "-subj", f"/CN={name}",
             "-addext", f"subjectAltName={names}"],
            cwd=directory, check=True, capture_output=True,
        )  # fmt: skip


@contextlib.asynccontextmanager
async def run_tls(directory: Path, certificate: str) -> AsyncIterator[RedisServer]:
    files = [("--tls-cert-file", f"{certificate}.crt"), ("--tls-key-file", f"{certificate}.key")]
    options = [word for option, file in files for word in (option, str(directory / file))]
    options += ["--tls-ca-cert-file", str(directory / "good.crt"), "--tls-auth-clients", "optional"]
    async with run_servers([RedisServer(directory, *options, tls=True)]) as (server,):
        yield server


async def test_tls(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    async with run_tls(tmp_path, "good") as server:
        client = f"ssl_certfile={tmp_path}/good.crt&ssl_keyfile={tmp_path}/good.key"
        store = open_redis(f"rediss://127.0.0.1:{server.port}/1?ssl_ca_certs={tmp_path}/good.crt&{client}")
        await use(store)
        await store.close()


@pytest.mark.parametrize("query", ["", "?ssl_ca_certs={0}/other.crt"])
async def test_a_server_that_nobody_vouches_for_gets_no_password(tmp_path: Path, query: str) -> None:
    make_certificates(tmp_path)
    async with run_tls(tmp_path, "good") as server:
        store = open_redis(f"rediss://u:canary@127.0.0.1:{server.port}/{query.format(tmp_path)}")
        with pytest.raises(StoreError, match="tls") as caught:
            await store.check()
        assert "canary" not in str(caught.value)
        await store.close()


async def test_a_certificate_of_another_name_is_refused_unless_the_setting_says_so(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    async with run_tls(tmp_path, "other") as server:
        url = f"rediss://127.0.0.1:{server.port}?ssl_ca_certs={tmp_path}/other.crt"
        store = open_redis(url)
        with pytest.raises(StoreError, match="tls"):
            await store.check()
        await store.close()
        store = open_redis(f"{url}&ssl_check_hostname=false")
        await use(store)
        await store.close()


async def test_a_server_without_tls_is_given_up_in_time(server: RedisServer) -> None:
    """It waits for the end of what it takes for a line."""
    store = open_redis(f"rediss://u:canary@127.0.0.1:{server.port}", timeout_s=0.2)
    with pytest.raises(StoreError, match=r"timeout|tls|connection"):
        await store.check()
    await store.close()


async def test_an_acl_user_needs_no_more_than_the_settings_say(server: RedisServer) -> None:
    rights = [word for word in ACL_COMMANDS.split(" ") if word]
    await server.command("ACL", "SETUSER", "router", "on", ">p@ss:word/1", "~test:*", *rights)
    yaml = (Path(__file__).parents[2] / "config" / "router.yaml").read_text().replace("\n  #", "")
    assert all(f" {word}" in yaml for word in rights)
    url = f"redis://router:p%40ss%3Aword%2F1@127.0.0.1:{server.port}/3"
    store = open_redis(url)
    await use(store)
    await store.close()
    foreign = open_redis(url, prefix="other")
    with pytest.raises(StoreError, match="permission"):
        await foreign.check()
    assert foreign.describe()["error"] == "permission"
    await foreign.close()


@pytest.mark.parametrize("user", ["", "router:wrong@", "nobody:p@"])
async def test_wrong_or_no_password(server: RedisServer, user: str) -> None:
    await server.command("ACL", "SETUSER", "router", "on", ">right", "~*", "+@all")
    await server.command("ACL", "SETUSER", "default", "off")
    store = open_redis(f"redis://{user}127.0.0.1:{server.port}")
    with pytest.raises(StoreError, match="auth"):
        await store.check()
    await store.close()


# -- Sentinel ----------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def run_sentinels(directory: Path) -> AsyncIterator[tuple[RedisServer, RedisServer, str]]:
    """A master, its replica, and the URL of two sentinels that fail over after a second."""
    master = RedisServer(directory, "--requirepass", "pw", "--masterauth", "pw")
    replica = RedisServer(
        directory, "--requirepass", "pw", "--masterauth", "pw", "--replicaof", "127.0.0.1", str(master.port)
    )
    sentinels = []
    for number in range(2):
        file = directory / f"sentinel-{number}.conf"
        file.write_text(
            f"dir {directory}\nsentinel monitor mymaster 127.0.0.1 {master.port} 1\n"
            "sentinel auth-pass mymaster pw\nsentinel down-after-milliseconds mymaster 1000\n"
            "sentinel failover-timeout mymaster 3000\n"
        )
        sentinels.append(RedisServer(directory, sentinel=file))
    hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
    async with run_servers([master, replica, *sentinels]):
        yield master, replica, f"redis+sentinel://:pw@127.0.0.1:1,{hosts}/mymaster"


@pytest.mark.timeout(90)
async def test_sentinel_names_the_master_and_a_failover_is_followed(tmp_path: Path) -> None:
    async with run_sentinels(tmp_path) as (master, _, url):
        store = open_redis(url)
        await until_usable(store)
        assert store.describe() == {"kind": "redis", "mode": "sentinel", "up": True, "error": None}
        await until_replica_is_known(url)
        await master.kill()
        with pytest.raises(StoreError):
            await store.check()
        print(f"usable {await until_usable(store):.1f} s after the master was killed")
        await store.close()


async def until_replica_is_known(url: str) -> None:
    """The sentinels learn of a replica from the master's INFO, every ten seconds, sooner at the beginning."""
    sentinel = parse_target(url).addresses[1]
    link = RedisLink(parse_target(f"redis://{sentinel[0]}:{sentinel[1]}"), Metrics(), timeout_s=PATIENT_S)

    async def is_known() -> bool:
        replicas = (await link.run("test", [("SENTINEL", "REPLICAS", "mymaster")]))[0]
        return bool(replicas) and b"master-link-status" in replicas[0] and b"ok" in replicas[0]

    await until(is_known, SETTLED_S)
    await link.close()


async def test_a_service_that_no_sentinel_knows(tmp_path: Path) -> None:
    async with run_sentinels(tmp_path) as (_, _, url):
        store = open_redis(url.replace("mymaster", "other"))
        with pytest.raises(StoreError, match="connection"):
            await store.check()
        await store.close()


# -- Cluster -----------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def run_cluster(directory: Path) -> AsyncIterator[list[RedisServer]]:
    """Three masters."""
    servers = []
    for number in range(3):
        own = directory / f"node-{number}"
        own.mkdir()
        servers.append(
            RedisServer(own, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--appendonly", "no")
        )
    async with run_servers(servers):
        first = servers[0]
        for number, server in enumerate(servers):
            last = 16_383 if number == 2 else (number + 1) * 5461 - 1
            await server.command("CLUSTER", "ADDSLOTSRANGE", str(number * 5461), str(last))
            await server.command("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
            if number:
                await server.command("CLUSTER", "MEET", "127.0.0.1", str(first.port))

        async def has_settled() -> bool:
            infos = [str(await server.command("CLUSTER", "INFO")) for server in servers]
            return all("cluster_state:ok" in info and "known_nodes:3" in info for info in infos)

        await until(has_settled, SETTLED_S)
        yield servers


@pytest.mark.timeout(90)
async def test_cluster(tmp_path: Path) -> None:
    async with run_cluster(tmp_path) as servers:
        store = open_redis(f"redis+cluster://127.0.0.1:1,127.0.0.1:{servers[1].port}")
        await use(store)
        assert store.describe()["mode"] == "cluster"
        await move_a_slot(servers, store)
        await use(store)
        await store.close()


@pytest.mark.timeout(90)
async def test_a_failover_of_a_cluster_is_followed(tmp_path: Path) -> None:
    own = tmp_path / "replica"
    own.mkdir()
    replica = RedisServer(own, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000", "--appendonly", "no")
    async with run_cluster(tmp_path) as servers, run_servers([replica]):
        await replica.command("CLUSTER", "MEET", "127.0.0.1", str(servers[0].port))
        ids = [str(await server.command("CLUSTER", "MYID")) for server in servers]

        async def knows_all() -> bool:
            nodes = str(await replica.command("CLUSTER", "NODES"))
            return all(id_ in nodes for id_ in ids) and "handshake" not in nodes

        await until(knows_all, SETTLED_S)
        await replica.command("CLUSTER", "REPLICATE", ids[0])

        async def follows() -> bool:
            others_know = "slave" in str(await servers[1].command("CLUSTER", "NODES"))
            info = await replica.command("INFO", "replication")
            assert isinstance(info, dict)
            return others_know and info.get("master_link_status") == "up"

        await until(follows, SETTLED_S)
        store = open_redis(f"redis+cluster://127.0.0.1:{servers[0].port},127.0.0.1:{servers[1].port}")
        await use(store)
        await servers[0].kill()
        print(f"usable {await until_usable(store):.1f} s after a master was killed")
        await store.close()


async def move_a_slot(servers: list[RedisServer], store: RedisStore) -> None:
    """The slot of a room's keys goes to another master while the store thinks it is where it was."""
    here, _ = await store.write_node(node())
    written = await store.write_rooms([room("a")], {"a": SETUP})
    key = "test:room:{a}"
    slot = str(await servers[0].command("CLUSTER", "KEYSLOT", key))
    ids = [str(await server.command("CLUSTER", "MYID")) for server in servers]
    owner = min(int(slot) // 5461, 2)
    target = (owner + 1) % 3
    await servers[target].command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[owner])
    await servers[owner].command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[target])
    for moved in (key, f"{key}:epoch", f"{key}:config", f"{key}:context"):
        await servers[owner].command("MIGRATE", "127.0.0.1", str(servers[target].port), moved, "0", "1000")
    # ASK: the owner still has the slot, no longer its keys.
    assert await store.find_setup("a") == SETUP
    for server in (servers[target], servers[owner], servers[3 - owner - target]):
        await server.command("CLUSTER", "SETSLOT", slot, "NODE", ids[target])
    # MOVED, of a command and of a transaction.
    assert await store.find_room("a") == written[0]
    store._link._topology._stale = False  # type: ignore[attr-defined] # as if it had not been told
    grown = room("a", participants=9, epoch=written[0].epoch)
    assert await store.write_rooms([grown], {}) == [grown]
    await store.remove_rooms([grown])
    await store.remove_node(here)
