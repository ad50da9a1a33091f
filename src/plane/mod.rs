//! The world of packets: shards, sockets, the ledger.
