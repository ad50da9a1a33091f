//! The control socket: how commands reach the daemon that holds the record (mode 0600).
//!
//! One connection carries one request line and one answer line.

use std::fs::{self, Permissions};
use std::future::Future;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::commands::Commands;
use super::control_json::{Request, Response};
use super::json::ErrorWord;
use crate::limits::{
    CONTROL_CONNECTIONS_MAX, CONTROL_REPLY_BYTES_MAX, CONTROL_REQUEST_BYTES_MAX, CONTROL_TIMEOUT,
    HTTP_ACCEPT_PAUSE,
};
use crate::time::Now;

/// Why a command did not reach the daemon, or the daemon not its socket.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody listens: the command may work on the record itself.
    #[error("no turnbell is running on {}", .0.display())]
    NotRunning(PathBuf),
    /// The socket, or the directory it would lie in, is another user's.
    #[error(
        "{} is out of reach for this user: run this as root, or as the user turnbell runs as",
        .0.display()
    )]
    Denied(PathBuf),
    /// It runs, or hangs.
    #[error(
        "the turnbell behind {} does not answer within {} s: look at its log",
        .0.display(), CONTROL_TIMEOUT.as_secs()
    )]
    NoAnswer(PathBuf),
    /// Something else than a socket lies there, and is not ours to delete.
    #[error("{} is in the way and is no socket: move it away", .0.display())]
    InTheWay(PathBuf),
    /// The answer is not of this version's form.
    #[error("the turnbell that runs answers in another form than this one reads: {0}")]
    Answer(serde_json::Error),
    /// The system refuses.
    #[error("{}: {source}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What it says.
        source: io::Error,
    },
}

/// The daemon's end. The file goes when this is dropped, or when serving ends.
#[derive(Debug)]
pub struct ControlSocket {
    listener: std::os::unix::net::UnixListener,
    file: SocketFile,
}

#[derive(Debug)]
struct SocketFile(PathBuf);

impl ControlSocket {
    /// Listens at `path`. The caller holds the state directory's lock, so a socket that lies there
    /// is one that a crash left.
    ///
    /// # Errors
    /// `InTheWay` or `Io`.
    pub fn bind(path: &Path) -> Result<Self, ControlError> {
        let io_error = |source| ControlError::Io { path: path.to_owned(), source };
        match fs::symlink_metadata(path) {
            Ok(found) if found.file_type().is_socket() => {
                fs::remove_file(path).map_err(io_error)?;
            }
            Ok(_) => return Err(ControlError::InTheWay(path.to_owned())),
            Err(why) if why.kind() == ErrorKind::NotFound => {}
            Err(why) => return Err(io_error(why)),
        }
        let open = || {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            socket.bind(&SockAddr::unix(path)?)?;
            // Between bind and listen nobody can connect: the mode is never wider than it says.
            fs::set_permissions(path, Permissions::from_mode(0o600))?;
            socket.listen(CONTROL_CONNECTIONS_MAX as i32)?;
            socket.set_nonblocking(true)?;
            Ok(Self { listener: socket.into(), file: SocketFile(path.to_owned()) })
        };
        open().map_err(io_error)
    }

    /// Answers commands until `shutdown`, then lets those in progress end.
    ///
    /// # Errors
    /// Only where the runtime cannot take the socket over.
    pub async fn serve(
        self,
        commands: Arc<Commands>,
        shutdown: impl Future<Output = ()>,
    ) -> io::Result<()> {
        let Self { listener, file } = self;
        let listener = UnixListener::from_std(listener)?;
        let places = Arc::new(Semaphore::new(CONTROL_CONNECTIONS_MAX));
        let mut open = JoinSet::new();
        let mut shutdown = pin!(shutdown);
        loop {
            let accepted = async {
                let place = places.clone().acquire_owned().await;
                (listener.accept().await, place)
            };
            tokio::select! {
                () = &mut shutdown => break,
                (stream, place) = accepted => match stream {
                    Ok((stream, _)) => {
                        let commands = commands.clone();
                        open.spawn(async move {
                            let _ = timeout(CONTROL_TIMEOUT, answer(stream, commands)).await;
                            drop(place);
                        });
                    }
                    Err(why) => {
                        tracing::warn!(%why, "cannot accept on the control socket");
                        if timeout(HTTP_ACCEPT_PAUSE, &mut shutdown).await.is_ok() {
                            break;
                        }
                    }
                },
                Some(_) = open.join_next() => {}
            }
        }
        drop((listener, file));
        while open.join_next().await.is_some() {}
        Ok(())
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Reads one line, carries it out, writes one line.
async fn answer(stream: UnixStream, commands: Arc<Commands>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = Vec::new();
    let bound = CONTROL_REQUEST_BYTES_MAX as u64 + 1;
    tokio::io::BufReader::new(read.take(bound)).read_until(b'\n', &mut line).await?;
    let response = if line.last() != Some(&b'\n') {
        bad_request(format!("a request is one line of at most {CONTROL_REQUEST_BYTES_MAX} bytes"))
    } else {
        match serde_json::from_slice::<Request>(&line) {
            // The record's answer is waited for on a thread that may wait.
            Ok(request) => {
                tokio::task::spawn_blocking(move || commands.execute(Now::read(), request))
                    .await
                    .unwrap_or_else(|_| bad_request("the command failed; see the daemon's log"))
            }
            Err(why) => bad_request(format!("not a request this turnbell knows: {why}")),
        }
    };
    let mut bytes = serde_json::to_vec(&response)?;
    bytes.push(b'\n');
    write.write_all(&bytes).await?;
    write.shutdown().await
}

fn bad_request(message: impl Into<String>) -> Response {
    let message = message.into().into();
    Response::Error(ErrorWord { code: "bad_request".into(), message, field: None, hint: None })
}

/// Asks the daemon whose control socket is at `path`. Blocks up to [`CONTROL_TIMEOUT`] for each
/// step.
///
/// # Errors
/// `NotRunning` if nobody listens there; else what is wrong with the socket or the answer. What the
/// daemon itself refuses is an `Ok(Response::Error)`.
pub fn call(path: &Path, request: &Request) -> Result<Response, ControlError> {
    let io_error = |source: io::Error| {
        let path = path.to_owned();
        if matches!(source.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) {
            ControlError::NotRunning(path)
        } else if source.kind() == ErrorKind::PermissionDenied {
            ControlError::Denied(path)
        } else if matches!(source.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) {
            ControlError::NoAnswer(path)
        } else {
            ControlError::Io { path, source }
        }
    };
    let line = exchange(path, request).map_err(io_error)?;
    serde_json::from_slice(&line).map_err(ControlError::Answer)
}

fn exchange(path: &Path, request: &Request) -> io::Result<Vec<u8>> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // Bounds `connect`, too: a daemon whose queue is full lets it wait.
    socket.set_write_timeout(Some(CONTROL_TIMEOUT))?;
    socket.set_read_timeout(Some(CONTROL_TIMEOUT))?;
    socket.connect(&SockAddr::unix(path)?)?;
    let mut stream = std::os::unix::net::UnixStream::from(socket);
    let mut bytes = serde_json::to_vec(request)?;
    bytes.push(b'\n');
    stream.write_all(&bytes)?;
    let mut line = Vec::new();
    let bound = CONTROL_REPLY_BYTES_MAX as u64;
    BufReader::new(stream.take(bound)).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') {
        Ok(line)
    } else {
        Err(io::Error::new(ErrorKind::UnexpectedEof, "the daemon ended before it answered"))
    }
}
