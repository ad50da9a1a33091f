//! The free relay ports of one address: drawn at random, found by number.

use std::ops::RangeInclusive;

use crate::turn::reservation::Ports;

/// Random tries before all candidates are listed; among half of the ports nearly one in two hits.
const DRAWS: usize = 16;
const TAKEN: u32 = u32::MAX;

/// Free ports. Every operation but a rare draw of even ones takes the same short time.
#[derive(Debug)]
pub(super) struct PortPool {
    first: u16,
    /// In no order.
    free: Vec<u16>,
    /// Index into `free` by port from `first`, or [`TAKEN`].
    place: Vec<u32>,
}

impl PortPool {
    /// All of `ports` are free.
    pub(super) fn new(ports: &RangeInclusive<u16>) -> Self {
        let free: Vec<u16> = ports.clone().collect();
        let place = (0..free.len() as u32).collect();
        Self { first: *ports.start(), free, place }
    }

    pub(super) fn len(&self) -> usize {
        self.free.len()
    }

    /// Draws a port that will do, each with the same chance; for [`Ports::EvenAndReserve`] the next
    /// higher one is taken as well.
    pub(super) fn draw(&mut self, ports: Ports) -> Option<u16> {
        let number = (0..DRAWS).find_map(|_| self.draw_one(ports)).or_else(|| {
            let all: Vec<u16> =
                self.free.iter().copied().filter(|n| self.does(*n, ports)).collect();
            Some(all[random_below(all.len())?])
        })?;
        self.take(number);
        match ports {
            Ports::Any | Ports::Even => {}
            Ports::EvenAndReserve => self.take(number + 1),
        }
        Some(number)
    }

    /// Makes a port free again.
    pub(super) fn put(&mut self, number: u16) {
        let Some(at) = self.offset(number) else { return };
        debug_assert_eq!(self.place[at], TAKEN, "a port is given back once");
        self.place[at] = self.free.len() as u32;
        self.free.push(number);
    }

    fn draw_one(&self, ports: Ports) -> Option<u16> {
        let number = self.free[random_below(self.free.len())?];
        self.does(number, ports).then_some(number)
    }

    fn does(&self, number: u16, ports: Ports) -> bool {
        let is_even = number.is_multiple_of(2);
        match ports {
            Ports::Any => true,
            Ports::Even => is_even,
            Ports::EvenAndReserve => {
                is_even && self.offset(number + 1).is_some_and(|at| self.place[at] != TAKEN)
            }
        }
    }

    fn take(&mut self, number: u16) {
        let Some(at) = self.offset(number) else { return };
        let place = std::mem::replace(&mut self.place[at], TAKEN);
        debug_assert_ne!(place, TAKEN, "only a free port is taken");
        self.free.swap_remove(place as usize);
        if let Some(moved) = self.free.get(place as usize).and_then(|moved| self.offset(*moved)) {
            self.place[moved] = place;
        }
    }

    fn offset(&self, number: u16) -> Option<usize> {
        let at = usize::from(number.checked_sub(self.first)?);
        (at < self.place.len()).then_some(at)
    }
}

/// A number below `bound` from the operating system's generator: relay ports must not be guessable
/// (RFC 8656 §7.2). `None` if there is nothing to choose from.
fn random_below(bound: usize) -> Option<usize> {
    let bound = u64::try_from(bound).ok().filter(|bound| *bound > 0)?;
    // 32 random bits scaled down to at most 16: the bias is under one in 65,536.
    let random = u64::from(getrandom::u32().ok()?);
    usize::try_from((random * bound) >> 32).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_port_that_will_do_is_drawn_once_and_no_other() {
        for (range, ports, expected) in [
            (50_000..=50_009, Ports::Any, (50_000..=50_009).collect::<Vec<u16>>()),
            (50_000..=50_009, Ports::Even, vec![50_000, 50_002, 50_004, 50_006, 50_008]),
            (50_001..=50_007, Ports::Even, vec![50_002, 50_004, 50_006]),
            (50_001..=50_007, Ports::EvenAndReserve, vec![50_002, 50_004, 50_006]),
            // Without its neighbour the last one is not half of a pair.
            (50_000..=50_006, Ports::EvenAndReserve, vec![50_000, 50_002, 50_004]),
            (65_534..=65_535, Ports::EvenAndReserve, vec![65_534]),
            (65_535..=65_535, Ports::Any, vec![65_535]),
            (65_535..=65_535, Ports::Even, vec![]),
        ] {
            let mut pool = PortPool::new(&range);
            let all = pool.len();
            let mut drawn: Vec<u16> = std::iter::from_fn(|| pool.draw(ports)).collect();
            let of_each = if ports == Ports::EvenAndReserve { 2 } else { 1 };
            assert_eq!(pool.len(), all - of_each * drawn.len());
            drawn.sort_unstable();
            assert_eq!(drawn, expected, "{range:?} {ports:?}");
        }
    }

    #[test]
    fn a_pair_needs_both_halves_and_they_come_back_apart() {
        let mut pool = PortPool::new(&(50_000..=50_003));
        assert!(pool.draw(Ports::EvenAndReserve).is_some());
        assert!(pool.draw(Ports::EvenAndReserve).is_some());
        assert_eq!(pool.draw(Ports::Any), None);
        pool.put(50_001);
        assert_eq!(pool.draw(Ports::Even), None);
        assert_eq!(pool.draw(Ports::EvenAndReserve), None);
        pool.put(50_002);
        assert_eq!(pool.draw(Ports::EvenAndReserve), None, "50002 has no neighbour");
        pool.put(50_000);
        assert_eq!(pool.draw(Ports::EvenAndReserve), Some(50_000));
        assert_eq!(pool.draw(Ports::Even), Some(50_002));
        assert_eq!(pool.len(), 0);
    }

    #[test] // security.md B1: relay ports must not be predictable
    fn drawn_ports_are_spread_evenly() {
        for (ports, places) in
            [(Ports::Any, 16_usize), (Ports::Even, 8), (Ports::EvenAndReserve, 8)]
        {
            let mut pool = PortPool::new(&(50_000..=50_015));
            let mut hits = [0_u32; 16];
            for _ in 0..places * 1000 {
                let number = pool.draw(ports).unwrap();
                hits[usize::from(number - 50_000)] += 1;
                pool.put(number);
                if ports == Ports::EvenAndReserve {
                    pool.put(number + 1);
                }
            }
            // Chi-square with up to 15 degrees of freedom: over 60 happens once in some 10^7 runs.
            let chi: f64 = hits
                .iter()
                .filter(|h| **h > 0)
                .map(|h| (f64::from(*h) - 1000.0).powi(2) / 1000.0)
                .sum();
            assert_eq!(hits.iter().filter(|h| **h > 0).count(), places);
            assert!(chi < 60.0, "{chi} {hits:?}");
        }
    }
}
