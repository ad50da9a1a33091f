//! EVEN-PORT and RESERVATION-TOKEN: an even port for RTP, the next one kept for RTCP (RFC 8656 §7.2).

use super::reply::Reject;
use crate::wire::attribute::AttributeType;
use crate::wire::message::Message;

/// Names a relayed transport address that is kept for whoever shows the token (§18.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReservationToken(pub [u8; 8]);

/// Which port numbers will do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// Any.
    Any,
    /// An even one.
    Even,
    /// An even one, and the next higher one is reserved.
    EvenAndReserve,
}

/// EVEN-PORT in an Allocate; 400 where it is not one byte. All bits but R are ignored (§18.7).
pub(super) fn requested_ports(message: &Message<'_>) -> Result<Ports, Reject> {
    match message.attribute(AttributeType::EVEN_PORT) {
        None => Ok(Ports::Any),
        Some([flags]) if flags & 0x80 == 0 => Ok(Ports::Even),
        Some([_]) => Ok(Ports::EvenAndReserve),
        Some(_) => Err(Reject::BadRequest),
    }
}

/// RESERVATION-TOKEN in an Allocate; 400 where it is not eight bytes, or stands beside an attribute
/// that asks for a port or family of its own (§7.2 step 5).
pub(super) fn requested_token(message: &Message<'_>) -> Result<Option<ReservationToken>, Reject> {
    let Some(value) = message.attribute(AttributeType::RESERVATION_TOKEN) else { return Ok(None) };
    let excluded = [
        AttributeType::EVEN_PORT,
        AttributeType::REQUESTED_ADDRESS_FAMILY,
        AttributeType::ADDITIONAL_ADDRESS_FAMILY,
    ];
    if excluded.iter().any(|kind| message.attribute(*kind).is_some()) {
        return Err(Reject::BadRequest);
    }
    let bytes = value.try_into().map_err(|_| Reject::BadRequest)?;
    Ok(Some(ReservationToken(bytes)))
}
