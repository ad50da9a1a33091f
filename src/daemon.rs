//! Builds everything from the config, runs it, stops it in order.
