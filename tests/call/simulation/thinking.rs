//! What somebody thinks of doing: mostly what makes sense, sometimes anything.

use turnbell::auth::identity::UserId;
use turnbell::call::media::MediaStatus;
use turnbell::call::request::{
    DeviceStatus, PresenceSet, PresenceSubscribe, RejectReason, RejectScope, RejoinMedia, Request,
};
use turnbell::call::ulid::CallId;

use super::{USERS, World};
use crate::call::setup::{
    accept, answer, cancel, candidates, hangup, hold, invite, media, offer, rejoin, ringing,
};
use crate::prng::Prng;

impl World {
    pub(super) fn thinks_of(&mut self, index: usize) -> Option<Request> {
        let prng = &mut self.prng;
        let actor = &self.actors[index];
        let one_of = |prng: &mut Prng, calls: &std::collections::BTreeSet<CallId>| {
            let calls: Vec<CallId> = calls.iter().copied().collect();
            (!calls.is_empty()).then(|| *prng.pick(&calls))
        };
        // Mostly what makes sense, sometimes anything.
        let call = match prng.below(10) {
            0 => None,
            1..6 => one_of(prng, &actor.ringing).or_else(|| one_of(prng, &actor.seats)),
            _ => one_of(prng, &actor.seats).or_else(|| one_of(prng, &actor.ringing)),
        };
        let Some(call) = call.or_else(|| (!self.known.is_empty()).then(|| *prng.pick(&self.known)))
        else {
            return Some(invite(USERS[prng.below(4) as usize]));
        };
        let scope = if prng.chance(50) { RejectScope::All } else { RejectScope::Device };
        let status = *prng.pick(&[
            MediaStatus::Connecting,
            MediaStatus::Connected,
            MediaStatus::Connected,
            MediaStatus::Connected,
            MediaStatus::Disconnected,
            MediaStatus::Failed,
        ]);
        let generation = prng.below(4) as u32;
        Some(match prng.below(100) {
            0..12 => invite(USERS[prng.below(4) as usize]),
            12..30 => ringing(call),
            30..42 => accept(call),
            42..45 => Request::CallReject { call, reason: RejectReason::Declined, scope },
            45..47 => cancel(call),
            47..50 => hangup(call),
            50..72 => media(call, status),
            72..76 => offer(call, generation),
            76..79 => answer(call, generation),
            79..82 => candidates(call, generation, 2),
            82..85 => hold(call, prng.chance(50)),
            85..90 => rejoin(call, *prng.pick(&[RejoinMedia::Up, RejoinMedia::New][..])),
            90..94 => {
                let users = USERS.iter().map(|user| UserId::new(user).unwrap()).collect();
                Request::PresenceSubscribe(PresenceSubscribe::Users(users))
            }
            94..97 => {
                let wanted = [DeviceStatus::Online, DeviceStatus::Online, DeviceStatus::Away];
                let status = *prng.pick(&wanted);
                Request::PresenceSet(PresenceSet { status, note: None, when_busy: None })
            }
            97 => Request::Bye,
            98 => {
                let user = UserId::new(USERS[prng.below(4) as usize]).unwrap();
                if prng.chance(50) { Request::UserBlock(user) } else { Request::UserUnblock(user) }
            }
            _ => Request::Ping,
        })
    }
}
