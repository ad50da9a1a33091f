//! When memory is short no new work is taken on, so that what lives is not killed with it.

use std::sync::Arc;
use std::time::Duration;

use crate::edge::Edge;
use crate::ops::memory::{self, Room};
use crate::plane::handle::Handle;

/// How often it is looked what is left.
const LOOK: Duration = Duration::from_millis(250);

/// Looks at what is left, again and again.
pub(super) async fn watch(handle: Handle, edge: Arc<Edge>) {
    let mut look = tokio::time::interval(LOOK);
    let mut was_short = false;
    loop {
        look.tick().await;
        let room = memory::read();
        let is_short = room.is_some_and(|room| room.is_short(was_short));
        if is_short == was_short {
            continue;
        }
        was_short = is_short;
        handle.set_short_of_memory(is_short);
        edge.set_short_of_memory(is_short);
        match room {
            Some(Room { used_bytes, limit_bytes, limit }) if is_short => {
                let (used_kib, limit_kib) = (used_bytes / 1024, limit_bytes / 1024);
                tracing::warn!(
                    limit,
                    used_kib,
                    limit_kib,
                    "memory is short: no more allocations and streams than there are; raise the limit"
                );
            }
            Some(_) | None => tracing::info!("there is enough memory again"),
        }
    }
}
