//! One connection on its way from `accept` to a shard: what it wants is told once, by its first
//! bytes (R15).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::certificates::ALPN_HTTP;
use super::listen::{self, Handed, Stream};
use super::proxy_header::{self, Proxied};
use super::rewound::Rewound;
use super::watching::{DoorWatch, Opened};
use crate::limits::PROXY_HEADER_TIMEOUT;
use crate::plane::handle::{FinishedStream, Handle};
use crate::turn::fact::Transport;
use crate::wire::channel_data::ChannelRange;
use crate::wire::framing::{Framing, first_frame};
use crate::wire::message::HEADER_BYTES;

/// What every connection of a door is opened with.
#[derive(Debug)]
pub(crate) struct Opening {
    /// Who takes the finished streams.
    pub(crate) shard: Handle,
    /// Whether a PROXY header comes first.
    pub(crate) is_proxied: bool,
    /// Where TLS is spoken before anything else.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    /// Who takes what wants HTTP; `None`: nobody.
    pub(crate) http: Option<mpsc::Sender<Handed>>,
    /// Whose connections are noted.
    pub(crate) watch: Arc<DoorWatch>,
}

/// What a connection wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wish {
    /// STUN and TURN.
    Turn,
    /// HTTP.
    Http,
    /// TLS, where it is not spoken.
    Tls,
    /// Nothing that is known here.
    Garbage,
}

/// Takes a connection to where it belongs, and says where. `ends` are those of the connection, and
/// then those that a PROXY header names.
///
/// # Errors
/// If it is broken, or wants what is not served here; it is closed then.
pub(super) async fn open(
    opening: &Opening,
    mut stream: TcpStream,
    ends: &mut Proxied,
) -> io::Result<Opened> {
    listen::set_options(&stream);
    if opening.is_proxied {
        let header = timeout(PROXY_HEADER_TIMEOUT, proxy_header::read(&mut stream)).await??;
        *ends = believed(*ends, header)?;
    }
    let Proxied { client, server } = *ends;
    let mut received = Vec::new();
    let finished = if let Some(config) = &opening.tls {
        let mut stream = TlsAcceptor::from(Arc::clone(config)).accept(stream).await?;
        let agreed = stream.get_ref().1.alpn_protocol().map(|name| name == ALPN_HTTP);
        let wish = match agreed {
            Some(true) => Wish::Http,
            Some(false) | None => wish(&mut stream, &mut received).await?,
        };
        if wish == Wish::Http && agreed != Some(false) {
            return opening.hand_to_http(Rewound::new(received, stream), client);
        }
        wants_turn(wish)?;
        let (stream, tls) = stream.into_inner();
        let (socket, tls) = (stream.into_std()?, Some(Box::new(tls)));
        FinishedStream { socket, tls, transport: Transport::Tls, client, server, received }
    } else {
        let wish = wish(&mut stream, &mut received).await?;
        if wish == Wish::Http {
            return opening.hand_to_http(Rewound::new(received, stream), client);
        }
        wants_turn(wish)?;
        let (socket, tls) = (stream.into_std()?, None);
        FinishedStream { socket, tls, transport: Transport::Tcp, client, server, received }
    };
    opening.shard.take_stream(finished).map_err(io::Error::other)?;
    Ok(Opened::Turn)
}

/// The ends of a connection that came through a load balancer. Who claims to be this machine, and
/// is not, wants what only this machine gets.
fn believed(real: Proxied, header: Option<Proxied>) -> io::Result<Proxied> {
    let claimed = header.unwrap_or(real);
    if claimed.client.ip().is_loopback() && !real.client.ip().is_loopback() {
        return Err(io::Error::other("a loopback address in a PROXY header from elsewhere"));
    }
    Ok(claimed)
}

impl Opening {
    fn hand_to_http(&self, stream: impl Stream + 'static, peer: SocketAddr) -> io::Result<Opened> {
        let http = self.http.as_ref().ok_or_else(|| io::Error::other("no HTTP at this port"))?;
        let handed = Handed { stream: Box::new(stream), peer };
        http.try_send(handed).map_err(|_| io::Error::other("too many HTTP connections"))?;
        Ok(Opened::Http)
    }
}

fn wants_turn(wish: Wish) -> io::Result<()> {
    match wish {
        Wish::Turn => Ok(()),
        Wish::Http => Err(io::Error::other("HTTP after ALPN for TURN")),
        Wish::Tls => Err(io::Error::other("TLS is not spoken here")),
        Wish::Garbage => Err(io::Error::other("no protocol begins like this")),
    }
}

/// Reads until the first bytes say what is wanted: for TURN a whole header, so that who only
/// connects never reaches a shard.
async fn wish(stream: &mut (impl AsyncRead + Unpin), received: &mut Vec<u8>) -> io::Result<Wish> {
    loop {
        if let Some(wish) = decide(received) {
            return Ok(wish);
        }
        if received.len() >= RECEIVED_BYTES_MAX || stream.read_buf(received).await? == 0 {
            return Ok(Wish::Garbage);
        }
    }
}

/// The protocol that begins with `bytes`; `None` if that cannot be said yet. A stream cannot open
/// with ChannelData, so the letters of HTTP's methods mean HTTP.
fn decide(bytes: &[u8]) -> Option<Wish> {
    match bytes.first()? {
        0x00..=0x03 => match first_frame(bytes, ChannelRange::Rfc8656) {
            Framing::Malformed => Some(Wish::Garbage),
            Framing::Partial if bytes.len() < HEADER_BYTES => None,
            Framing::Partial | Framing::Frame { .. } => Some(Wish::Turn),
        },
        0x16 => Some(Wish::Tls),
        b'A'..=b'Z' => Some(Wish::Http),
        _ => Some(Wish::Garbage),
    }
}

/// More than any first read that decides; the shard reads the rest.
const RECEIVED_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const BINDING: [u8; 20] =
        [0x00, 0x01, 0x00, 0x00, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

    #[test]
    fn a_whole_stun_header_decides_for_turn() {
        for short in 0..20 {
            assert_eq!(decide(&BINDING[..short]), None, "{short}");
        }
        assert_eq!(decide(&BINDING), Some(Wish::Turn));
        let mut long = BINDING;
        long[3] = 8;
        assert_eq!(decide(&long), Some(Wish::Turn), "the shard waits for the rest");
    }

    #[test]
    fn other_protocols_are_told_by_their_first_byte() {
        assert_eq!(decide(b"G"), Some(Wish::Http));
        assert_eq!(decide(b"OPTIONS"), Some(Wish::Http));
        assert_eq!(decide(&[0x16, 0x03, 0x01]), Some(Wish::Tls));
        for first in [0x04, 0x15, 0x17, b'a', 0x80, 0xFF] {
            assert_eq!(decide(&[first]), Some(Wish::Garbage), "{first:#x}");
        }
    }

    #[test]
    fn what_only_looks_like_stun_is_garbage_as_soon_as_it_shows() {
        let mut bytes = BINDING;
        bytes[4] = 0;
        assert_eq!(decide(&bytes[..4]), None);
        assert_eq!(decide(&bytes[..5]), Some(Wish::Garbage));
        let mut bytes = BINDING;
        bytes[3] = 3;
        assert_eq!(decide(&bytes[..4]), Some(Wish::Garbage));
    }

    #[test]
    fn a_proxy_elsewhere_cannot_speak_for_this_machine() {
        let ends = |client: &str| Proxied {
            client: client.parse().unwrap(),
            server: "192.0.2.7:443".parse().unwrap(),
        };
        let (outside, here) = (ends("198.51.100.9:5"), ends("127.0.0.1:5"));
        assert_eq!(believed(outside, Some(ends("203.0.113.5:6"))).unwrap(), ends("203.0.113.5:6"));
        assert_eq!(believed(outside, None).unwrap(), outside);
        assert!(believed(outside, Some(here)).is_err());
        assert_eq!(believed(here, Some(here)).unwrap(), here);
    }

    #[tokio::test]
    async fn bytes_behind_the_first_header_are_kept_for_the_shard() {
        let sent = [BINDING, BINDING].concat();
        let mut received = Vec::new();
        assert_eq!(wish(&mut &sent[..], &mut received).await.unwrap(), Wish::Turn);
        assert_eq!(received, sent);
        let mut received = Vec::new();
        assert_eq!(wish(&mut &sent[..19], &mut received).await.unwrap(), Wish::Garbage);
    }
}
