//! Log lines on standard error.

use std::{
    error::Error,
    io::{IsTerminal as _, stderr},
};

use tracing_subscriber::{
    EnvFilter, Layer as _, filter::ParseError, fmt, layer::SubscriberExt as _, registry,
    util::SubscriberInitExt as _,
};

use crate::{
    arguments::{LogFormat, SharedArguments},
    traces::{Traces, TracesError},
};

/// Every error of a watch or a request is handed to us, and told once. The library tells some with every
/// try, and without the object that it was about.
const TOLD_BY_US: &str = "kube_runtime::watcher=error,kube_client::client::builder=off";

/// Logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    /// The filter cannot be read.
    #[error("--log-level cannot be read: {0}")]
    Level(#[from] ParseError),
    /// Spans cannot be sent.
    #[error("--otlp-endpoint: {0}")]
    Traces(#[from] TracesError),
}

/// Starts logging for the whole process, and has the spans of the program `service` sent where there is a
/// collector, from the runtime that this is called in.
pub fn start(arguments: &SharedArguments, service: &'static str) -> Result<Traces, LoggingError> {
    let traces = Traces::to(arguments.otlp_endpoint.as_ref(), service)?;
    let lines = fmt::layer().with_ansi(stderr().is_terminal()).with_writer(stderr);
    let lines = match arguments.log_format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => lines.boxed(),
    };
    let lines = lines.with_filter(filter(&arguments.log_level)?);
    registry().with(lines).with(traces.layer()).init();
    Ok(traces)
}

fn filter(level: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(format!("{TOLD_BY_US},{level}"))
}

/// An error and what caused it, in one line. A cause that the error already tells is not repeated.
#[must_use]
pub fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let told = error.to_string();
        if !text.contains(&told) {
            text.push_str(": ");
            text.push_str(&told);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Failed {
        #[error("cannot connect")]
        Silent(#[source] io::Error),
        #[error("cannot connect: {0}")]
        Telling(#[source] io::Error),
    }

    #[test]
    fn what_the_library_tells_of_watches_is_shown_when_it_is_asked_for() {
        let shown = |level: &str| filter(level).unwrap().to_string();
        assert!(shown("info").contains("kube_runtime::watcher=error"));
        let asked = shown("info,kube_runtime::watcher=debug");
        assert!(
            asked.contains("kube_runtime::watcher=debug") && !asked.contains("=error"),
            "{asked}"
        );
        assert!(filter("info,webhook=loud").is_err());
    }

    #[test]
    fn each_cause_is_told_once() {
        let cause = || io::Error::other("no route");
        for error in [Failed::Silent(cause()), Failed::Telling(cause())] {
            assert_eq!(with_causes(&error), "cannot connect: no route");
        }
    }
}
