"""A relay-only call between two ICE agents of aioice: IP PORT udp|tcp|tls USERNAME PASSWORD LENGTHS..."""

import asyncio
import sys

import aioice

# No step may take longer; the test has no more patience either.
STEP_S = 30


async def agent(controlling, server, over, username, password):
    connection = aioice.Connection(
        ice_controlling=controlling,
        turn_server=server,
        turn_username=username,
        turn_password=password,
        turn_transport="udp" if over == "udp" else "tcp",
        turn_ssl=over == "tls",
        transport_policy=aioice.TransportPolicy.RELAY,
    )
    await asyncio.wait_for(connection.gather_candidates(), STEP_S)
    kinds = {candidate.type for candidate in connection.local_candidates}
    assert kinds == {"relay"}, kinds
    return connection


async def tell(one, other):
    other.remote_username, other.remote_password = one.local_username, one.local_password
    for candidate in one.local_candidates:
        await other.add_remote_candidate(candidate)
    await other.add_remote_candidate(None)


async def call(ip, port, over, username, password, *lengths):
    login = ((ip, int(port)), over, username, password)
    one, other = await agent(True, *login), await agent(False, *login)
    await tell(one, other)
    await tell(other, one)
    await asyncio.wait_for(asyncio.gather(one.connect(), other.connect()), STEP_S)
    for at, length in enumerate(map(int, lengths)):
        for sender, receiver in ((one, other), (other, one)):
            data = bytes((at + place) % 256 for place in range(length))
            await sender.send(data)
            heard = await asyncio.wait_for(receiver.recv(), STEP_S)
            assert heard == data, f"{length} bytes became {len(heard)}"
    await asyncio.gather(one.close(), other.close())


asyncio.run(call(*sys.argv[1:]))
