//! HTTP, the control socket and JSON.
