"""A relay-only call between two ICE agents of libnice: IP PORT udp|tcp USERNAME PASSWORD LENGTHS..."""

import sys
import time
from ctypes import CDLL, CFUNCTYPE, POINTER, Structure, byref, c_char_p, c_int, c_uint, c_void_p, string_at

nice, gobject, glib = CDLL("libnice.so.10"), CDLL("libgobject-2.0.so.0"), CDLL("libglib-2.0.so.0")

# No step may take longer; the test has no more patience either.
STEP_S = 30
RFC5245 = 0
READY, FAILED = 4, 5
RELAYED = 3
RELAY_TYPES = {"udp": 0, "tcp": 1}
COMPONENT = 1

Received = CFUNCTYPE(None, c_void_p, c_uint, c_uint, c_uint, c_void_p, c_void_p)
Gathered = CFUNCTYPE(None, c_void_p, c_uint, c_void_p)
Closed = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p)
Tick = CFUNCTYPE(c_int, c_void_p)


class Candidate(Structure):
    """The public beginning of NiceCandidate."""

    _fields_ = [("type", c_int), ("transport", c_int)]


def declare(library, name, result, *arguments):
    function = getattr(library, name)
    function.restype, function.argtypes = result, arguments


P, S, I, U = c_void_p, c_char_p, c_int, c_uint
declare(nice, "nice_agent_new", P, P, I)
declare(nice, "nice_address_new", P)
declare(nice, "nice_address_set_from_string", I, P, S)
declare(nice, "nice_agent_add_local_address", I, P, P)
declare(nice, "nice_agent_add_stream", U, P, U)
declare(nice, "nice_agent_set_stream_name", I, P, U, S)
declare(nice, "nice_agent_set_relay_info", I, P, U, U, S, U, S, S, I)
declare(nice, "nice_agent_attach_recv", I, P, U, U, P, Received, P)
declare(nice, "nice_agent_gather_candidates", I, P, U)
declare(nice, "nice_agent_generate_local_sdp", S, P)
declare(nice, "nice_agent_parse_remote_sdp", I, P, S)
declare(nice, "nice_agent_get_component_state", I, P, U, U)
declare(nice, "nice_agent_get_selected_pair", I, P, U, U, POINTER(POINTER(Candidate)), POINTER(POINTER(Candidate)))
declare(nice, "nice_agent_send", I, P, U, U, U, S)
declare(nice, "nice_agent_close_async", None, P, Closed, P)
declare(gobject, "g_signal_connect_data", P, P, S, Gathered, P, P, I)
declare(gobject, "g_object_set", None, P, S, I, S, I, S, I, S, I, P)
declare(glib, "g_main_context_default", P)
declare(glib, "g_main_context_iteration", I, P, I)
declare(glib, "g_timeout_add", U, U, Tick, P)

context = glib.g_main_context_default()
# The loop wakes up even when nothing comes.
tick = Tick(lambda _: 1)
glib.g_timeout_add(20, tick, None)


def until(what, is_so):
    late = time.monotonic() + STEP_S
    while not is_so():
        assert time.monotonic() < late, what
        glib.g_main_context_iteration(context, 1)


class Agent:
    def __init__(self, controlling, ip, port, over, username, password):
        self.heard, self.is_gathered, self.is_closed = [], False, False
        self.agent = nice.nice_agent_new(context, RFC5245)
        gobject.g_object_set(
            self.agent, b"controlling-mode", controlling, b"force-relay", 1, b"ice-tcp", 0, b"upnp", 0, None
        )
        local = nice.nice_address_new()
        nice.nice_address_set_from_string(local, b"::1" if ":" in ip else b"127.0.0.1")
        nice.nice_agent_add_local_address(self.agent, local)
        self.stream = nice.nice_agent_add_stream(self.agent, 1)
        nice.nice_agent_set_stream_name(self.agent, self.stream, b"application")
        self.callbacks = (
            Gathered(lambda *_: setattr(self, "is_gathered", True)),
            Received(lambda _a, _s, _c, length, bytes_, _d: self.heard.append(string_at(bytes_, length))),
            Closed(lambda *_: setattr(self, "is_closed", True)),
        )
        gathered, received, _closed = self.callbacks
        gobject.g_signal_connect_data(self.agent, b"candidate-gathering-done", gathered, None, None, 0)
        nice.nice_agent_attach_recv(self.agent, self.stream, COMPONENT, context, received, None)
        assert nice.nice_agent_set_relay_info(
            self.agent, self.stream, COMPONENT, ip.encode(), port, username.encode(), password.encode(),
            RELAY_TYPES[over],
        )
        assert nice.nice_agent_gather_candidates(self.agent, self.stream)
        until("candidates", lambda: self.is_gathered)
        self.sdp = nice.nice_agent_generate_local_sdp(self.agent)
        kinds = {line.split(b" typ ")[1].split()[0] for line in self.sdp.splitlines() if b" typ " in line}
        assert kinds == {b"relay"}, self.sdp

    def state(self):
        state = nice.nice_agent_get_component_state(self.agent, self.stream, COMPONENT)
        assert state != FAILED, "the checks failed"
        return state

    def check_selected(self):
        local, remote = POINTER(Candidate)(), POINTER(Candidate)()
        found = nice.nice_agent_get_selected_pair(self.agent, self.stream, COMPONENT, byref(local), byref(remote))
        assert found and local.contents.type == RELAYED, "what is selected is not relayed"

    def send(self, data):
        assert nice.nice_agent_send(self.agent, self.stream, COMPONENT, len(data), data) == len(data)

    def close(self):
        nice.nice_agent_close_async(self.agent, self.callbacks[2], None)
        until("the end", lambda: self.is_closed)


def call(ip, port, over, username, password, *lengths):
    login = (ip, int(port), over, username, password)
    one, other = Agent(1, *login), Agent(0, *login)
    assert nice.nice_agent_parse_remote_sdp(one.agent, other.sdp) > 0
    assert nice.nice_agent_parse_remote_sdp(other.agent, one.sdp) > 0
    until("a connection", lambda: one.state() == READY and other.state() == READY)
    one.check_selected()
    other.check_selected()
    for at, length in enumerate(map(int, lengths)):
        for sender, receiver in ((one, other), (other, one)):
            data = bytes((at + place) % 256 for place in range(length))
            sender.send(data)
            until(f"{length} bytes", lambda: receiver.heard)
            heard = receiver.heard.pop()
            assert heard == data, f"{length} bytes became {len(heard)}"
    one.close()
    other.close()


call(*sys.argv[1:])
