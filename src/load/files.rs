//! As many descriptors as there are sockets.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::LoadError;
use crate::limits::load::LOAD_FILES_SPARE;

/// Makes room for so many sockets.
///
/// # Errors
/// If the process may not have as many.
pub(super) fn make_room(sockets: u64) -> Result<(), LoadError> {
    let needed = sockets + LOAD_FILES_SPARE;
    let system = |why: nix::Error| LoadError::System {
        what: "raising the limit of descriptors",
        source: why.into(),
    };
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(system)?;
    if soft >= needed {
        return Ok(());
    }
    if hard < needed {
        return Err(LoadError::TooFewFiles { needed, most: hard });
    }
    setrlimit(Resource::RLIMIT_NOFILE, needed, hard).map_err(system)
}
