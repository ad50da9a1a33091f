//! How calls of the last day went, from the record.

use std::collections::BTreeMap;

use crate::call::media::{CandidateType, MediaPath, PathTransport};
use crate::edge::diagnostics::json::{CallsWord, CountWord, Percentiles, QualityWord, ShareWord};
use crate::limits::diagnose::FIGURES_WINDOW;
use crate::store::{Figures, Measured, Store};
use crate::time::Now;

pub(super) fn figures(now: Now, store: &Store) -> (CallsWord, ShareWord, QualityWord) {
    let window_ms = i64::try_from(FIGURES_WINDOW.as_millis()).unwrap_or(i64::MAX);
    let since_at = now.unix_ms.saturating_sub(window_ms);
    match store.figures(since_at) {
        Ok(figures) => told(since_at, &figures),
        Err(why) => {
            let problem = Some(why.to_string());
            let calls = CallsWord { since_at, problem, ..CallsWord::default() };
            (calls, ShareWord::default(), QualityWord::default())
        }
    }
}

fn told(since_at: i64, figures: &Figures) -> (CallsWord, ShareWord, QualityWord) {
    let Figures { live, by_status, by_reason, by_path, reports } = figures;
    let calls = CallsWord {
        since_at,
        live: *live,
        total: by_status.values().sum(),
        by_status: most_first(by_status),
        by_reason: most_first(by_reason),
        problem: None,
    };
    let mut share = ShareWord::default();
    for (path, count) in by_path {
        let Some(path) = MediaPath::from_code(path) else { continue };
        let is_relayed = [path.local, path.remote].contains(&CandidateType::Relay);
        *match (is_relayed, path.transport) {
            (false, _) => &mut share.direct,
            (true, PathTransport::Udp) => &mut share.udp,
            (true, PathTransport::Tcp) => &mut share.tcp,
            (true, PathTransport::Tls) => &mut share.tls,
        } += count;
    }
    let of = |what: fn(&Measured) -> Option<f64>| {
        percentiles(reports.iter().filter_map(what).collect(), false)
    };
    let quality = QualityWord {
        reports: reports.len() as u64,
        rtt_ms: of(|report| report.rtt_ms),
        jitter_ms: of(|report| report.jitter_ms),
        loss_percent: of(|report| report.loss_percent),
        mos: percentiles(reports.iter().filter_map(|report| report.mos).collect(), true),
    };
    (calls, share, quality)
}

fn most_first(counts: &BTreeMap<String, u64>) -> Vec<CountWord> {
    let word = |(code, count): (&String, &u64)| CountWord { code: code.clone(), count: *count };
    let mut words: Vec<CountWord> = counts.iter().map(word).collect();
    words.sort_by_key(|word| std::cmp::Reverse(word.count));
    words
}

/// By nearest rank. `more_is_better`: what only one in twenty is worse than lies at the low end.
fn percentiles(mut values: Vec<f64>, more_is_better: bool) -> Option<Percentiles> {
    values.retain(|value| value.is_finite());
    values.sort_by(f64::total_cmp);
    if more_is_better {
        values.reverse();
    }
    let rank = |percent: usize| (values.len() * percent).div_ceil(100).max(1) - 1;
    let at =
        |percent: usize| values.get(rank(percent)).map(|value| (value * 100.0).round() / 100.0);
    Some(Percentiles { p50: at(50)?, p95: at(95)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_and_the_worst_twentieth_by_nearest_rank() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentiles(hundred.clone(), false), Some(Percentiles { p50: 50.0, p95: 95.0 }));
        assert_eq!(percentiles(hundred, true), Some(Percentiles { p50: 51.0, p95: 6.0 }));
        assert_eq!(percentiles(vec![7.0], false), Some(Percentiles { p50: 7.0, p95: 7.0 }));
        assert_eq!(percentiles(vec![f64::NAN], false), None);
    }

    #[test]
    fn a_call_is_relayed_if_either_end_is_and_counted_by_its_transport() {
        let paths = [
            ("host/srflx/udp", 4),
            ("relay/host/udp", 3),
            ("host/relay/udp", 1),
            ("relay/relay/tls", 2),
            ("relay/srflx/tcp", 1),
        ];
        let by_path = paths.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
        let (_, share, _) = told(0, &Figures { by_path, ..Figures::default() });
        assert_eq!(share, ShareWord { direct: 4, udp: 4, tcp: 1, tls: 2 });
    }
}
