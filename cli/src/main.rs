//! `kubectl-sidecar`: the decisions of the sidecar policies at the command line. A plug-in of
//! `kubectl`, which runs it as `kubectl sidecar`.

mod arguments;
mod catalog;
mod cluster;
mod commands;
mod controllers;
mod document;
mod facts;
#[cfg(test)]
#[allow(dead_code, reason = "the tests of the heart use more of it")]
#[path = "../../inject/tests/patch_laws/generators.rs"]
mod generators;
mod injection;
mod inputs;
mod live;
mod manifests;
mod objects;
mod output;
#[cfg(test)]
mod patch_laws;
mod policies;
mod readiness;
#[cfg(test)]
mod reference;
mod uninjection;

use std::{
    io::{self, IsTerminal as _, Write},
    process::ExitCode,
};

use clap::Parser;

use crate::{
    arguments::Arguments,
    commands::{Ending, Error, Streams},
    output::{Terminal, styles::Colours},
};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut input = io::stdin();
    let mut messages = io::LineWriter::new(stream(io::stderr()));
    let mut output = io::BufWriter::new(stream(io::stdout()));
    let mut streams = Streams {
        input: &mut input,
        output: &mut output,
        messages: &mut messages,
        colours: Colours::of_output(),
        is_terminal: io::stdout().is_terminal(),
    };
    let ended = commands::run(arguments, &mut streams);
    match ended.and_then(|ending| output.flush().map(|()| ending).map_err(Error::Output)) {
        Ok(Ending::Clean) => ExitCode::SUCCESS,
        Ok(Ending::Findings) => ExitCode::from(1),
        // Whoever reads has seen enough, as in `| head`.
        Err(Error::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(error) => {
            for line in error.to_string().lines() {
                // There is nowhere left to tell of a failure to write here.
                let _ = writeln!(messages, "error: {line}");
            }
            ExitCode::from(2)
        }
    }
}

/// The stream, as a terminal may get it if it is one.
fn stream(stream: impl Write + io::IsTerminal + 'static) -> Box<dyn Write> {
    if stream.is_terminal() { Box::new(Terminal::new(stream)) } else { Box::new(stream) }
}
