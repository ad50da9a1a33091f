//! The binary: parses arguments, runs, maps the error to an exit code.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use turnbell::cli::{Cli, CouldNotRun};

fn main() -> ExitCode {
    // A wrong command line ends here with code 2, `--help` with 0.
    let cli = Cli::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                // Nobody is left to tell if stderr is closed.
                let _ = writeln!(std::io::stderr().lock(), "turnbell: {line}");
            }
            if error.is::<CouldNotRun>() { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
