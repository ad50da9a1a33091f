//! Wall time as people read it.

/// `2026-11-20 10:02:03`, UTC.
#[must_use]
pub fn utc(unix_ms: i64) -> String {
    let seconds = unix_ms.div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days are counted from 0000-03-01, so that a leap day is the last day of its year.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// Unix milliseconds of `2026-11-20 10:02:03`, UTC: seconds may be missing, a `T` may stand
/// between, and a `Z` or an offset (`+02:00`) behind; or of `10:02` alone, the last one before
/// `now_unix_ms`. `None` for anything else.
#[must_use]
pub fn parse(text: &str, now_unix_ms: i64) -> Option<i64> {
    let text = text.trim();
    let Some((date, time)) = text.split_once(['T', ' ']) else {
        let (of_day_ms, offset_ms) = time_of_day(text)?;
        let today = now_unix_ms - (now_unix_ms + offset_ms).rem_euclid(DAY_MS);
        let at = today + of_day_ms;
        return Some(if at > now_unix_ms { at - DAY_MS } else { at });
    };
    let mut parts = date.splitn(3, '-').map(|part| number(part, 4));
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let (of_day_ms, offset_ms) = time_of_day(time.trim_start())?;
    let (years, months) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = years * 365 + years / 4 - years / 100 + years / 400;
    let days = days + (153 * months + 2) / 5 + day - 1 - 719_468;
    let at = days * DAY_MS + of_day_ms;
    // A 31st of November would be another day's name.
    utc(at).starts_with(&format!("{year:04}-{month:02}-{day:02} ")).then_some(at - offset_ms)
}

const DAY_MS: i64 = 86_400_000;

/// Milliseconds since midnight, and how far ahead of UTC this is.
fn time_of_day(text: &str) -> Option<(i64, i64)> {
    let (clock, offset_ms) = match text.find(['Z', '+', '-']) {
        None => (text, 0),
        Some(at) => {
            let (clock, zone) = text.split_at(at);
            let sign = if zone.starts_with('-') { -1 } else { 1 };
            let offset_ms = match zone {
                "Z" => 0,
                _ => sign * clock_ms(zone.get(1..)?)?,
            };
            (clock, offset_ms)
        }
    };
    Some((clock_ms(clock)?, offset_ms))
}

fn clock_ms(clock: &str) -> Option<i64> {
    let mut parts = clock.splitn(3, ':').map(|part| number(part, 2));
    let (hour, minute) = (parts.next()??, parts.next()??);
    let second = parts.next().unwrap_or(Some(0))?;
    let is_time = hour < 24 && minute < 60 && second < 60;
    is_time.then_some((hour * 3600 + minute * 60 + second) * 1000)
}

fn number(text: &str, digits_max: usize) -> Option<i64> {
    let is_number =
        (1..=digits_max).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit());
    if is_number { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_again_and_offsets_count() {
        let now = 1_795_168_923_000;
        for at in [0, 951_782_399_000, 951_782_400_000, 1_795_168_923_000, 4_107_542_400_000] {
            assert_eq!(parse(&utc(at), now), Some(at));
        }
        assert_eq!(parse("2026-11-20T10:02Z", now), Some(now - 3000));
        assert_eq!(parse("2026-11-20 12:02:03+02:00", now), Some(now));
        assert_eq!(parse("10:02", now), Some(now - 3000));
        assert_eq!(parse("10:03", now), Some(now + 57_000 - DAY_MS), "yesterday's");
        assert_eq!(parse("12:02+02:00", now), Some(now - 3000));
        assert_eq!(parse("23:59-02:00", now), parse("2026-11-20T01:59Z", now));
        for not in
            ["", "alice", "10", "24:00", "10:60", "10:2x", "2026-11-31 10:02", "2026-13-01 10:02"]
        {
            assert_eq!(parse(not, now), None, "{not}");
        }
        for not in ["2026-11-20", "2026-11-20 ", "99999-01-01 10:02", "10:02+", "10:02Zulu", "é:02"]
        {
            assert_eq!(parse(not, now), None, "{not}");
        }
    }

    #[test]
    fn times_agree_with_date() {
        for (unix_s, shown) in [
            (0, "1970-01-01 00:00:00"),
            (-1, "1969-12-31 23:59:59"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_795_168_923, "2026-11-20 10:02:03"),
            (4_107_542_399, "2100-02-28 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(unix_s * 1000 + 999), shown);
        }
    }
}
