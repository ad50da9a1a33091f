//! What a way sends through the relay: between its two allocations, and from a bare socket.

use std::net::SocketAddr;
use std::time::Duration;

use super::datagrams::{Datagrams, Kind};
use super::entropy::Entropy;
use super::session::{Request, Session};
use super::way::{Phase, Role, Way, Wish, step};
use crate::limits::probe::VERIFY_DATA_PATIENCE;
use crate::policy::public::not_public;
use crate::probe::observation::{Direct, Fault, Step};
use crate::time::Now;

impl Way {
    /// Sends what is due, or gives the exchange up.
    pub(super) fn exchange(&mut self, now: Now, entropy: &mut Entropy) {
        let Some(datagrams) = &mut self.datagrams else { return };
        if now.mono >= self.until {
            return self.exchanged(now, entropy);
        }
        if now.mono < datagrams.next_at() {
            return;
        }
        datagrams.count(now);
        match (self.phase, self.relayed, self.outsider) {
            (Phase::Relaying, [_, Some(second)], _) => {
                let data = datagrams.write(Kind::There);
                self.send_to_peer(Role::First, second, &data, entropy);
            }
            (Phase::Directly, [Some(first), _], Some(outsider)) => {
                let (inbound, outbound) =
                    (datagrams.write(Kind::Inbound), datagrams.write(Kind::Outbound));
                self.wishes.push(Wish::Send(Role::Outsider, first, inbound));
                self.send_to_peer(Role::First, outsider, &outbound, entropy);
            }
            (_, _, _) => {}
        }
    }

    fn send_to_peer(&mut self, role: Role, peer: SocketAddr, data: &[u8], entropy: &mut Entropy) {
        let bytes = Session::to_peer(peer, data, entropy);
        self.wishes.push(Wish::Send(role, self.seen.address, bytes));
    }

    /// A datagram came through the relay, or from it.
    pub(super) fn data(
        &mut self,
        now: Now,
        role: Role,
        from: Option<SocketAddr>,
        bytes: &[u8],
        entropy: &mut Entropy,
    ) {
        let Some(datagrams) = &mut self.datagrams else { return };
        let Some(kind) = datagrams.read(now, bytes) else { return };
        match (self.phase, role, kind, from) {
            (Phase::Relaying, Role::Second, Kind::There, Some(from)) => {
                let back = datagrams.answer(bytes, Kind::Back);
                self.send_to_peer(Role::Second, from, &back, entropy);
            }
            (Phase::Relaying, Role::First, Kind::Back, Some(_)) => self.exchanged(now, entropy),
            (Phase::Directly, Role::First, Kind::Inbound, Some(from)) => {
                let outbound = datagrams.answer(bytes, Kind::Outbound);
                let is_whole = datagrams.has(Kind::Outbound);
                self.send_to_peer(Role::First, from, &outbound, entropy);
                if is_whole {
                    self.exchanged(now, entropy);
                }
            }
            (Phase::Directly, Role::Outsider, Kind::Outbound, None) => {
                let is_whole = datagrams.has(Kind::Inbound);
                self.came_from = self.heard_from;
                if is_whole {
                    self.exchanged(now, entropy);
                }
            }
            (_, _, _, _) => {}
        }
    }

    /// An exchange is over.
    fn exchanged(&mut self, now: Now, entropy: &mut Entropy) {
        let Some(datagrams) = self.datagrams.take() else { return };
        let took = now.mono.saturating_duration_since(self.began);
        let fault = if datagrams.has(Kind::There) { Fault::NotBack } else { Fault::Silent };
        let round_trip = datagrams.round_trip().ok_or(fault);
        if self.phase == Phase::Relaying && datagrams.are_large() {
            self.seen.large = step(round_trip.map(|_| ()), took);
            self.directly(now, entropy);
        } else if self.phase == Phase::Relaying {
            let passes = round_trip.is_ok();
            self.seen.relayed = step(round_trip, took);
            if !passes {
                return self.directly(now, entropy);
            }
            self.enter(now, Phase::Relaying, VERIFY_DATA_PATIENCE);
            self.datagrams = Some(Datagrams::large(now, entropy));
            self.exchange(now, entropy);
        } else {
            let (inbound, outbound) = (datagrams.has(Kind::Inbound), datagrams.has(Kind::Outbound));
            let told = self.relayed[0].map(|relayed| relayed.ip());
            let came_from = self.came_from.map(|from| from.ip()).filter(|ip| Some(*ip) != told);
            self.seen.direct = Step::Done { value: Direct { inbound, outbound, came_from }, took };
            self.release(now, entropy);
        }
    }

    /// Tries it as a peer outside would, if that is wanted and harmless.
    pub(super) fn directly(&mut self, now: Now, entropy: &mut Entropy) {
        let Some(relayed) = self.relayed[0].filter(|_| self.is_tried_directly) else {
            return self.release(now, entropy);
        };
        let server = self.session(Role::First).map(|session| session.server().ip());
        // Nobody's answer sends us to a neighbour, or to a service of the machine.
        let is_harmless = server == Some(relayed.ip()) || not_public(relayed.ip()).is_none();
        if is_harmless && relayed.port() >= 1024 && relayed.is_ipv4() == self.seen.address.is_ipv4()
        {
            return self.open(now, Role::Outsider);
        }
        let fault = Fault::StrangeAddress(relayed);
        self.seen.direct = Step::Failed { fault, took: Duration::ZERO };
        self.release(now, entropy);
    }

    pub(super) fn release(&mut self, now: Now, entropy: &mut Entropy) {
        self.phase = Phase::Releasing(Role::First);
        self.ask(now, Role::First, Request::Release, entropy);
    }
}
