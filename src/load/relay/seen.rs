//! Which numbers of a flow have arrived.

/// Of one flow: the next number, and which of the 64 before it have come.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Seen {
    next: u32,
    /// Bit n: `next - 1 - n` has come.
    before: u64,
}

/// How one came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// In its turn, or after so many that have not come.
    Next {
        /// That many.
        skipped: u32,
    },
    /// After a later one.
    Late,
    /// A second time.
    Again,
}

impl Seen {
    /// Takes note of one. What is more than 64 late is not known to be the first of its number.
    pub(super) fn arrived(&mut self, number: u32) -> Arrival {
        if let Some(skipped) = number.checked_sub(self.next) {
            self.before = self.before.checked_shl(skipped.saturating_add(1)).unwrap_or(0) | 1;
            self.next = number.saturating_add(1);
            return Arrival::Next { skipped };
        }
        let bit = 1_u64.checked_shl(self.next - 1 - number).unwrap_or(0);
        if self.before & bit != 0 {
            return Arrival::Again;
        }
        self.before |= bit;
        Arrival::Late
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_late_ones_and_copies_are_told_apart() {
        let mut seen = Seen::default();
        let mut came = |number| seen.arrived(number);
        assert_eq!(came(0), Arrival::Next { skipped: 0 });
        assert_eq!(came(3), Arrival::Next { skipped: 2 });
        assert_eq!(came(3), Arrival::Again);
        assert_eq!(came(1), Arrival::Late);
        assert_eq!(came(1), Arrival::Again);
        assert_eq!(came(0), Arrival::Again);
        assert_eq!(came(4), Arrival::Next { skipped: 0 });
        assert_eq!(came(2), Arrival::Late);
        assert_eq!(came(67), Arrival::Next { skipped: 62 });
        assert_eq!(came(4), Arrival::Again, "64 before the next");
        assert_eq!(came(3), Arrival::Late, "too long ago to know");
        assert_eq!(came(1000), Arrival::Next { skipped: 932 });
        assert_eq!(came(999), Arrival::Late);
        assert_eq!(came(u32::MAX), Arrival::Next { skipped: u32::MAX - 1001 });
    }
}
