//! The PROXY protocol, version 2: a load balancer says whose connection it forwards (R27).
//!
//! ```text
//! |signature (12)|2 and command|family and protocol|length (2)|source, destination, ports|TLVs ...
//! ```

use std::io;
use std::net::{IpAddr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limits::PROXY_HEADER_BYTES_MAX;

/// Bytes up to and with the length.
const HEAD_BYTES: usize = 16;
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// Client and server as the client sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Proxied {
    pub(super) client: SocketAddr,
    pub(super) server: SocketAddr,
}

/// Reads the header and not a byte more; `None` if the balancer speaks for itself (a health check)
/// or does not say for whom.
///
/// # Errors
/// If there is none, or it is not one of a TCP connection.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Proxied>> {
    let mut head = [0; HEAD_BYTES];
    stream.read_exact(&mut head).await?;
    let length = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if head[..12] != SIGNATURE || length > PROXY_HEADER_BYTES_MAX {
        return Err(io::Error::other("no PROXY header"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    parse(head[12], head[13], &rest).ok_or_else(|| io::Error::other("a PROXY header of no use"))
}

/// `None`: not to be understood. `Some(None)`: no addresses.
fn parse(version_and_command: u8, family: u8, rest: &[u8]) -> Option<Option<Proxied>> {
    match (version_and_command, family) {
        (0x20, _) | (0x21, 0x00) => Some(None),
        (0x21, 0x11) => addresses::<4>(rest).map(Some),
        (0x21, 0x21) => addresses::<16>(rest).map(Some),
        _ => None,
    }
}

fn addresses<const BYTES: usize>(rest: &[u8]) -> Option<Proxied>
where
    IpAddr: From<[u8; BYTES]>,
{
    let (client, rest) = rest.split_first_chunk::<BYTES>()?;
    let (server, rest) = rest.split_first_chunk::<BYTES>()?;
    let &[c0, c1, s0, s1, ..] = rest else { return None };
    // An IPv4 client is never written as an IPv4-mapped IPv6 address.
    let at = |ip: &[u8; BYTES], port| SocketAddr::new(IpAddr::from(*ip).to_canonical(), port);
    let client = at(client, u16::from_be_bytes([c0, c1]));
    let server = at(server, u16::from_be_bytes([s0, s1]));
    Some(Proxied { client, server })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    async fn check(bytes: &[u8], expected: Option<Option<(&str, &str)>>) {
        let mut stream = &[bytes, b"next"].concat()[..];
        let found = read(&mut stream).await.ok();
        let expected = expected.map(|proxied| {
            proxied.map(|(client, server)| Proxied {
                client: client.parse().unwrap(),
                server: server.parse().unwrap(),
            })
        });
        assert_eq!(found, expected, "{bytes:?}");
        if found.is_some() {
            assert_eq!(stream, b"next", "not a byte more is read");
        }
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 7, 0x13, 0x88, 0x0D, 0x96];

    #[tokio::test]
    async fn addresses_of_both_families_are_read_and_what_follows_them_is_skipped() {
        let v4 = Some(Some(("192.0.2.1:5000", "198.51.100.7:3478")));
        check(&header(0x21, 0x11, &V4), v4).await;
        check(&header(0x21, 0x11, &[&V4[..], &[7; 500]].concat()), v4).await;
        let mut v6 = [0; 36];
        v6[..2].copy_from_slice(&[0x20, 0x01]);
        v6[26..28].copy_from_slice(&[0xFF, 0xFF]);
        v6[28..].copy_from_slice(&[198, 51, 100, 7, 0x13, 0x88, 0x0D, 0x96]);
        check(&header(0x21, 0x21, &v6), Some(Some(("[2001::]:5000", "198.51.100.7:3478")))).await;
    }

    #[tokio::test]
    async fn a_health_check_has_no_addresses() {
        check(&header(0x20, 0x00, &[]), Some(None)).await;
        check(&header(0x20, 0x11, &V4), Some(None)).await;
        check(&header(0x21, 0x00, &[1, 2, 3]), Some(None)).await;
    }

    #[tokio::test]
    async fn anything_else_is_refused() {
        check(b"PROXY TCP4 192.0.2.1 198.51.100.7 5000 3478\r\n", None).await;
        check(&header(0x21, 0x12, &V4), None).await; // UDP
        check(&header(0x31, 0x11, &V4), None).await; // version 3
        check(&header(0x22, 0x11, &V4), None).await; // another command
        check(&header(0x21, 0x11, &V4[..11]), None).await;
        check(&header(0x21, 0x21, &[0; 35]), None).await;
        check(&header(0x20, 0, &vec![0; PROXY_HEADER_BYTES_MAX]), Some(None)).await;
        check(&header(0x20, 0, &vec![0; PROXY_HEADER_BYTES_MAX + 1]), None).await;
    }
}
