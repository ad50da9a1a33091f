//! `[verify]`: how often the daemon verifies by itself what `/ice` hands out.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::checker::Checker;
use super::raw::RawVerify;
use super::value;
use crate::limits::probe::{VERIFY_EVERY_MAX, VERIFY_EVERY_MIN};

/// `[verify]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verify {
    /// `None`: only when somebody asks.
    pub every: Option<Duration>,
}

impl Default for Verify {
    fn default() -> Self {
        Self { every: Some(Duration::from_secs(3600)) }
    }
}

impl Verify {
    /// As the file has it.
    pub(super) fn shown(&self) -> String {
        self.every.map_or_else(|| "off".to_owned(), value::shown)
    }
}

impl Checker<'_> {
    pub(super) fn verify(&mut self, default: &Verify, raw: RawVerify) -> Verify {
        const ALLOWED: RangeInclusive<Duration> = VERIFY_EVERY_MIN..=VERIFY_EVERY_MAX;
        let every = self.text("verify.every", raw.every, default.every, |text| {
            if text == "off" {
                return Ok(None);
            }
            value::duration(text, &ALLOWED)
                .map(Some)
                .map_err(|refusal| value::Refusal(format!("{}, or \"off\"", refusal.0)))
        });
        Verify { every }
    }
}
