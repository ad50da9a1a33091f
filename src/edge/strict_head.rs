//! Lines of a request head end with CR LF. HTTP lets a server take LF alone, too; but if a proxy in
//! front does not, the two disagree about where requests begin (security.md G10).

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Replaces a LF that stands alone in a head by NUL, which no head may hold: 400, and the
/// connection is closed.
#[derive(Debug)]
pub(super) struct StrictHead<S> {
    stream: S,
    at: At,
}

/// What the next byte belongs to.
#[derive(Debug)]
enum At {
    Head(Head),
    /// So many bytes before the next head.
    Body(u64),
    /// Chunks, another protocol, or what will be refused: looked at no more.
    Unknown,
}

/// The lines of a head so far.
#[derive(Debug, Default)]
struct Head {
    /// The current one without its end, as far as it matters.
    line: Vec<u8>,
    is_after_cr: bool,
    has_lines: bool,
    content_length: u64,
    is_unknown: bool,
}

impl<S> StrictHead<S> {
    pub(super) fn new(stream: S) -> Self {
        Self { stream, at: At::Head(Head::default()) }
    }

    fn check(&mut self, bytes: &mut [u8]) {
        let mut next = 0;
        while let Some(byte) = bytes.get_mut(next) {
            match &mut self.at {
                At::Unknown => return,
                At::Body(0) => self.at = At::Head(Head::default()),
                At::Body(left) => {
                    let here = (*left).min((bytes.len() - next) as u64);
                    *left -= here;
                    next += here as usize;
                }
                At::Head(head) => {
                    if let Some(after) = head.take(byte) {
                        self.at = after;
                    }
                    next += 1;
                }
            }
        }
    }
}

impl Head {
    /// What comes behind the head, if it ends with `byte`.
    fn take(&mut self, byte: &mut u8) -> Option<At> {
        let is_after_cr = std::mem::replace(&mut self.is_after_cr, *byte == b'\r');
        if *byte != b'\n' {
            if *byte != b'\r' && self.line.len() < LINE_BYTES_MAX {
                self.line.push(*byte);
            }
            return None;
        }
        if !is_after_cr {
            *byte = 0;
            return Some(At::Unknown);
        }
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.has_lines = true;
            self.note(&line);
            return None;
        }
        // Empty lines before a request are skipped.
        if !self.has_lines {
            return None;
        }
        Some(if self.is_unknown { At::Unknown } else { At::Body(self.content_length) })
    }

    fn note(&mut self, line: &[u8]) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return };
        let (name, value) = (line[..colon].trim_ascii(), &line[colon + 1..]);
        if name.eq_ignore_ascii_case(b"content-length") {
            let length = std::str::from_utf8(value).ok().and_then(|text| text.trim().parse().ok());
            self.content_length = length.unwrap_or(0);
            self.is_unknown |= length.is_none() || line.len() >= LINE_BYTES_MAX;
        }
        self.is_unknown |= name.eq_ignore_ascii_case(b"transfer-encoding")
            || name.eq_ignore_ascii_case(b"upgrade");
    }
}

/// Longer than any line that says how long the body is.
const LINE_BYTES_MAX: usize = 64;

impl<S: AsyncRead + Unpin> AsyncRead for StrictHead<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        self.check(&mut into.filled_mut()[before..]);
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StrictHead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes out of `pieces`.
    fn checked(pieces: &[&[u8]]) -> Vec<u8> {
        let mut strict = StrictHead::new(());
        let mut out = Vec::new();
        for piece in pieces {
            let from = out.len();
            out.extend_from_slice(piece);
            strict.check(&mut out[from..]);
        }
        out
    }

    fn is_untouched(text: &str) {
        let bytes = text.as_bytes();
        assert_eq!(checked(&[bytes]), bytes, "{text:?}");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(checked(&single), bytes, "{text:?} byte by byte");
    }

    fn has_nul_at(text: &str, at: usize) {
        let bytes = text.as_bytes();
        let mut expected = bytes.to_vec();
        expected[at] = 0;
        assert_eq!(checked(&[bytes]), expected, "{text:?}");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(checked(&single), expected, "{text:?} byte by byte");
    }

    #[test]
    fn proper_heads_and_whatever_stands_in_a_body_are_left_alone() {
        is_untouched("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
        is_untouched("\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n");
        is_untouched("POST / HTTP/1.1\r\ncontent-LENGTH:  4 \r\n\r\n\n{}\nGET / HTTP/1.1\r\n\r\n");
        is_untouched("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n");
        is_untouched("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n\n\n\r\n0\r\n\r\n");
        is_untouched("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\n\n\n");
        let long = "x".repeat(LINE_BYTES_MAX - 2);
        for more in ["", "y", "yy", "yyy", "yyyy"] {
            is_untouched(&format!("GET / HTTP/1.1\r\n{long}{more}\r\n\r\nGET / HTTP/1.1\r\n\r\n"));
        }
    }

    #[test]
    fn a_lf_alone_in_any_head_becomes_a_byte_that_is_refused() {
        has_nul_at("GET / HTTP/1.1\nHost: x\r\n\r\n", 14);
        has_nul_at("GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 23);
        has_nul_at("GET / HTTP/1.1\r\nHost: x\r\n\n", 25);
        has_nul_at("\nGET / HTTP/1.1\r\n\r\n", 0);
        has_nul_at("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\n\r\n", 32);
        has_nul_at("POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET / HTTP/1.1\n", 54);
        let long = "x".repeat(10 * LINE_BYTES_MAX);
        has_nul_at(&format!("GET / HTTP/1.1\r\n{long}\n\r\n"), 16 + long.len());
        has_nul_at(&format!("GET / HTTP/1.1\r\n{long}\r{long}\n"), 17 + 2 * long.len());
    }
}
