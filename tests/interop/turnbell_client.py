"""A client of turnbell.v1 with sound, made from README and schema: URL NAME answer | URL NAME call USER.

It prints every frame (`>` said, `<` heard) and what it hears of the call; a line on standard input hangs up.
"""

import asyncio
import fractions
import http.client
import itertools
import json
import math
import sys
import time
from array import array
from urllib.parse import urlsplit

import websockets
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from aiortc.rtcconfiguration import RTCIceTransportPolicy
from aiortc.sdp import candidate_from_sdp
from av import AudioFrame

TONE_HZ, RATE, FRAME = 660, 48_000, 960
# Only what is this loud counts as heard, and so many frames of it (20 ms each).
LOUD, FRAMES_HEARD = 1_000, 50


def tell(*words):
    print(*words, flush=True)


class Tone(AudioStreamTrack):
    """What our microphone hears."""

    at = 0

    async def recv(self):
        self.began = getattr(self, "began", time.monotonic())
        await asyncio.sleep(self.began + self.at / RATE - time.monotonic())
        wave = (math.sin(2 * math.pi * TONE_HZ * n / RATE) for n in range(self.at, self.at + FRAME))
        frame = AudioFrame(format="s16", layout="mono", samples=FRAME)
        frame.planes[0].update(array("h", (int(12_000 * level) for level in wave)).tobytes())
        frame.pts, frame.sample_rate, frame.time_base = self.at, RATE, fractions.Fraction(1, RATE)
        self.at += FRAME
        return frame


async def listen(track):
    """Says the pitch of what arrives, each time that enough of it was loud."""
    crossings = frames = 0
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        channels = len(frame.layout.channels)
        levels = array("h", bytes(frame.planes[0])[: 2 * channels * frame.samples])[::channels]
        if max(map(abs, levels)) > LOUD:
            crossings += sum((a < 0) != (b < 0) for a, b in itertools.pairwise(levels))
            frames += 1
        if frames == FRAMES_HEARD:
            tell("hears", round(crossings / 2 / (frames * frame.samples / frame.sample_rate)))
            crossings = frames = 0


class Line:
    """One session: requests are awaited, events come in order. (It does not resume.)"""

    def __init__(self, socket):
        self.socket, self.ids, self.replies = socket, itertools.count(1), {}
        self.last_seq, self.events = 0, asyncio.Queue()

    async def say(self, **frame):
        tell(">", json.dumps(frame))
        await self.socket.send(json.dumps(frame))

    async def hear(self):
        async for text in self.socket:
            tell("<", text)
            frame = json.loads(text)
            if "re" in frame:
                self.replies.pop(frame["re"]).set_result(frame)
            else:
                self.last_seq = frame["seq"]
                self.events.put_nowait(frame)

    async def ask(self, t, **d):
        name = f"p{next(self.ids)}"
        reply = self.replies[name] = asyncio.get_running_loop().create_future()
        await self.say(t=t, id=name, ack=self.last_seq, d=d)
        frame = await reply
        if frame["t"] == "error":
            raise RuntimeError(f"{t}: {frame['d']['message']}")
        return frame["d"]


class Call:
    """A call of two, with one connection; every offer is answered, whatever its generation."""

    def __init__(self, line, ice):
        self.line, self.call, self.waiting = line, None, []
        servers = [RTCIceServer(**server) for server in ice["iceServers"]]
        self.connection = RTCPeerConnection(RTCConfiguration(servers, RTCIceTransportPolicy.RELAY))
        self.connection.addTrack(Tone())
        self.connection.on("track", lambda track: asyncio.ensure_future(listen(track)))
        self.connection.on("connectionstatechange", self.report)

    async def report(self):
        status = self.connection.connectionState
        tell("media", status)
        if self.call and status in ("connecting", "connected", "disconnected", "failed"):
            await self.line.ask("call.media", call=self.call, status=status)

    async def described(self, kind):
        """Our description, with all candidates."""
        make = self.connection.createOffer if kind == "offer" else self.connection.createAnswer
        await self.connection.setLocalDescription(await make())
        return self.connection.localDescription.sdp

    async def heard(self, kind, sdp):
        await self.connection.setRemoteDescription(RTCSessionDescription(sdp, kind))
        for candidate in self.waiting:
            await self.candidate(candidate)

    async def candidate(self, found):
        if not self.connection.remoteDescription:
            self.waiting.append(found)
        elif found["candidate"]:
            candidate = candidate_from_sdp(found["candidate"].removeprefix("candidate:"))
            candidate.sdpMid, candidate.sdpMLineIndex = found["sdpMid"], found["sdpMLineIndex"]
            await self.connection.addIceCandidate(candidate)

    async def begin(self, user):
        offer = await self.described("offer")
        invited = await self.line.ask("call.invite", to={"user": user}, media={"audio": True}, offer=offer)
        self.call = invited["call"]

    async def take(self, d):
        self.call = d["call"]
        await self.line.ask("call.ringing", call=self.call)
        answer = {}
        if d["offer"] is not None:
            await self.heard("offer", d["offer"])
            answer["answer"] = await self.described("answer")
        await self.line.ask("call.accept", call=self.call, **answer)

    async def signal(self, d):
        if d["kind"] == "offer":
            await self.heard("offer", d["sdp"])
            answer = {"call": self.call, "gen": d["gen"], "kind": "answer", "sdp": await self.described("answer")}
            await self.line.ask("call.signal", **answer)
        elif d["kind"] == "answer":
            await self.heard("answer", d["sdp"])
        for found in d.get("cands", ()):
            await self.candidate(found)

    async def run(self):
        """Until it is over."""
        while True:
            frame = await self.line.events.get()
            t, d = frame["t"], frame["d"]
            if t == "call.incoming" and self.call is None:
                await self.take(d)
            elif self.call is None or d.get("call") != self.call:
                continue
            elif t == "call.signal":
                await self.signal(d)
            elif t == "call.state":
                tell("call", d["state"])
                if d["state"] == "ended":
                    return await self.connection.close()


def guest(url, name):
    server = http.client.HTTPConnection(urlsplit(url).netloc)
    headers = {"Content-Type": "application/json"}
    server.request("POST", "/v1/guests", json.dumps({"name": name}), headers)
    return json.load(server.getresponse())


async def main(url, name, what, user=None):
    account = guest(url, name)
    address = url.replace("http", "ws", 1) + "v1/ws"
    async with websockets.connect(address, subprotocols=["turnbell.v1"], proxy=None) as socket:
        line = Line(socket)
        line.replies["hello"] = asyncio.get_running_loop().create_future()
        await line.say(t="hello", id="hello", d={"token": account["token"], "caps": ["media_reports"]})
        hearing = asyncio.ensure_future(line.hear())
        welcome = (await line.replies["hello"])["d"]
        call = Call(line, welcome["ice"])
        tell("user", account["user"])
        if what == "call":
            await call.begin(user)
        running = asyncio.ensure_future(call.run())
        command = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        await asyncio.wait({running, command, hearing}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():  # the other side may end it at the same moment: then this one is refused
            await asyncio.gather(line.ask("call.hangup", call=call.call), return_exceptions=True)
        await running
        await line.ask("bye")
        await asyncio.wait({hearing})


asyncio.run(main(*sys.argv[1:]))
