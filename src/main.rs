//! The binary: parses arguments, runs, maps the error to an exit code.

fn main() {}
