//! Where a client speaks from: its address, the transport, and which connection.

use std::net::SocketAddr;

use turnbell::turn::fact::Transport;
use turnbell::turn::five_tuple::{ConnectionNumber, FiveTuple};

use crate::support::server_for;

/// A client's side of a five-tuple, in an order that is always the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    pub(crate) address: SocketAddr,
    pub(crate) transport: Transport,
    /// 0 for UDP.
    pub(crate) connection: u64,
}

impl Origin {
    pub(crate) fn udp(address: SocketAddr) -> Self {
        Self { address, transport: Transport::Udp, connection: 0 }
    }

    pub(crate) fn of(tuple: &FiveTuple) -> Self {
        assert_eq!(tuple.server, server_for(tuple.client));
        let connection = tuple.connection.0;
        Self { address: tuple.client, transport: tuple.transport, connection }
    }

    pub(crate) fn tuple(self) -> FiveTuple {
        FiveTuple {
            transport: self.transport,
            client: self.address,
            server: server_for(self.address),
            connection: ConnectionNumber(self.connection),
        }
    }

    pub(crate) fn is_stream(self) -> bool {
        self.transport != Transport::Udp
    }

    /// The shard it comes to: by SO_REUSEPORT always the same one, or where a stream was handed to.
    pub(crate) fn shard(self) -> usize {
        let number =
            if self.is_stream() { self.connection } else { u64::from(self.address.port()) };
        (number % 2) as usize
    }
}
