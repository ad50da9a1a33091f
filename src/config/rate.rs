//! Rates with their unit: `20Mbit`, `5kpps`. A bare number is refused, nobody knows its unit.

use super::Rate;
use super::value::Refusal;

/// Bits a second, from 64 kbit to 100 Gbit.
pub(super) fn bits(text: &str) -> Result<u64, Refusal> {
    let found = with_unit(text, &[("kbit", 1_000), ("Mbit", 1_000_000), ("Gbit", 1_000_000_000)]);
    found.filter(|bits| (64_000..=100_000_000_000).contains(bits)).ok_or_else(|| {
        Refusal(
            "must be bits a second from \"64kbit\" to \"100Gbit\", with one of the units kbit, \
             Mbit, Gbit, such as \"20Mbit\""
                .to_owned(),
        )
    })
}

/// Bits or packets a second; the unit says which.
pub(super) fn parse(text: &str) -> Result<Rate, Refusal> {
    if let Ok(bits) = bits(text) {
        return Ok(Rate { bits: Some(bits), packets: None });
    }
    let packets = with_unit(text, &[("kpps", 1_000), ("Mpps", 1_000_000), ("pps", 1)]);
    match packets.filter(|packets| (10..=100_000_000).contains(packets)) {
        Some(packets) => Ok(Rate { bits: None, packets: Some(packets) }),
        None => Err(Refusal(
            "must be bits a second from \"64kbit\" to \"100Gbit\" or packets a second from \
             \"10pps\" to \"100Mpps\", such as \"20Mbit\" or \"5kpps\""
                .to_owned(),
        )),
    }
}

fn with_unit(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find_map(|(unit, factor)| {
        let count = text.strip_suffix(unit)?.trim_end();
        if count.is_empty() || !count.bytes().all(|c| c.is_ascii_digit()) {
            return None;
        }
        count.parse::<u64>().ok()?.checked_mul(*factor)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_a_unit_and_a_range() {
        for (text, found) in [
            ("64kbit", 64_000),
            ("20Mbit", 20_000_000),
            ("20 Mbit", 20_000_000),
            ("100Gbit", 100_000_000_000),
        ] {
            assert_eq!(bits(text), Ok(found), "{text}");
        }
        for text in
            ["63kbit", "101Gbit", "20", "20M", "20mbit", "-1Mbit", "+1Mbit", "1.5Mbit", "Mbit", ""]
        {
            let refusal = bits(text).expect_err(text).0;
            assert!(refusal.contains("\"64kbit\" to \"100Gbit\""), "{text}: {refusal}");
        }
        assert!(bits("18446744073709551615Gbit").is_err());
    }

    #[test]
    fn a_rate_is_in_bits_or_in_packets() {
        let of_packets = |packets| Ok(Rate { bits: None, packets: Some(packets) });
        assert_eq!(parse("64kbit"), Ok(Rate { bits: Some(64_000), packets: None }));
        assert_eq!(parse("10pps"), of_packets(10));
        assert_eq!(parse("5kpps"), of_packets(5000));
        assert_eq!(parse("100Mpps"), of_packets(100_000_000));
        for text in ["9pps", "101Mpps", "63kbit", "5000", "5 k", "5Kpps", "kpps", ""] {
            let refusal = parse(text).expect_err(text).0;
            assert!(refusal.contains("\"20Mbit\" or \"5kpps\""), "{text}: {refusal}");
        }
    }
}
