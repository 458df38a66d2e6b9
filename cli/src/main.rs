//! `kubectl-sidecar`: the decisions of the sidecar policies at the command line. A plug-in of
//! `kubectl`, which runs it as `kubectl sidecar`.

mod arguments;
mod commands;
mod document;
mod facts;
mod injection;
mod manifests;
mod objects;
mod output;
mod policies;
#[cfg(test)]
mod reference;

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::Parser;

use crate::{
    arguments::Arguments,
    commands::{Ending, Streams},
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (mut input, mut output, mut messages) = (io::stdin(), io::stdout(), io::stderr());
    let mut streams = Streams { input: &mut input, output: &mut output, messages: &mut messages };
    match commands::run(arguments, &mut streams) {
        Ok(Ending::Clean) => ExitCode::SUCCESS,
        Ok(Ending::Findings) => ExitCode::from(1),
        Err(error) => {
            for line in error.to_string().lines() {
                // There is nowhere left to tell of a failure to write here.
                let _ = writeln!(messages, "error: {line}");
            }
            ExitCode::from(2)
        }
    }
}
