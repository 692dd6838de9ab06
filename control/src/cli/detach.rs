//! `attach detach`: how `attach up` starts what is to stay. Not for people.

use std::ffi::OsString;

/// Flags of `attach detach`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The program
    program: OsString,
    /// Its arguments
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<OsString>,
}

/// Returns only when the program could not be started.
pub(super) fn run(args: &Args) -> crate::supervise::detach::Failed {
    crate::supervise::detach::become_program(&args.program, &args.arguments)
}
