//! Rows for a person: aligned columns, times in UTC, sizes in powers of 1024.

use std::ops::RangeInclusive;
use std::time::Duration;

use crate::ops::log::printable;
pub(super) use crate::time::utc::utc as time;

/// Lines of a table with its head; the last column is not padded.
///
/// Every cell may hold text from the network: it is made printable here.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let mut cells: Vec<Vec<String>> = vec![head.iter().map(|cell| (*cell).to_owned()).collect()];
    cells.extend(rows.iter().map(|row| row.iter().map(|cell| printable(cell)).collect()));
    let width = |column: usize| {
        cells.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut text = String::new();
    for row in &cells {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// `512 B`, `1.5 KiB`, `20 MiB`: three digits at the least, one decimal below ten.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    // 63 - zeros is the index of the highest bit; ten bits a unit.
    let unit = ((63 - count.leading_zeros()) / 10).min(6);
    let tenths = (u128::from(count) * 10) >> (10 * unit);
    let name = UNITS[unit as usize - 1];
    if tenths < 100 {
        format!("{}.{} {name}", tenths / 10, tenths % 10)
    } else {
        format!("{} {name}", tenths / 10)
    }
}

/// `45s`, `3m12s`, `2h05m`, `3d04h`.
pub(super) fn lasted(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d{:02}h", seconds / 86_400, seconds / 3600 % 24),
    }
}

/// `90s`, `12h`, `7d`, within what is allowed.
pub(super) fn duration(text: &str, allowed: RangeInclusive<Duration>) -> Option<Duration> {
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        Some(_) | None => return None,
    };
    let count = text
        .get(..text.len().saturating_sub(1))
        .filter(|count| !count.is_empty() && count.bytes().all(|c| c.is_ascii_digit()))?;
    let seconds = count.parse::<u64>().ok()?.checked_mul(unit)?;
    Some(Duration::from_secs(seconds)).filter(|time| allowed.contains(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_cells_cannot_break_the_table() {
        let rows = [
            vec!["alice".to_owned(), "1".to_owned()],
            vec!["b\nFAKE\u{1b}[2J".to_owned(), "22".to_owned()],
        ];
        let text = table(&["USER", "N"], &rows);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.ends_with("b\\nFAKE\\u{1b}[2J  22\n"), "{text}");
        let column = |line: &str| line.rfind("  ").unwrap() + 2;
        let columns: Vec<usize> = text.lines().map(column).collect();
        assert_eq!(columns, [columns[0]; 3], "{text}");
    }

    #[test]
    fn sizes_change_their_unit_at_1024() {
        for (count, shown) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10 * 1024 - 1, "9.9 KiB"),
            (10 * 1024, "10 KiB"),
            ((1 << 20) - 1, "1023 KiB"),
            (1 << 20, "1.0 MiB"),
            (3 << 29, "1.5 GiB"),
            (u64::MAX, "15 EiB"),
        ] {
            assert_eq!(bytes(count), shown);
        }
    }

    #[test]
    fn spans_have_two_units_at_the_most() {
        for (seconds, shown) in [
            (-5, "0s"),
            (59, "59s"),
            (60, "1m00s"),
            (3599, "59m59s"),
            (3600, "1h00m"),
            (86_399, "23h59m"),
            (86_400, "1d00h"),
        ] {
            assert_eq!(lasted(seconds * 1000), shown);
        }
    }
}
