//! The program: arguments to a command.

use std::process::ExitCode;

use clap::Parser;
use trellis::cli;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(cli::Arguments::parse())
}
