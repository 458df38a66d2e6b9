//! Log lines on standard error.

use tracing_subscriber::{EnvFilter, filter::ParseError, fmt};

use crate::arguments::LogFormat;

/// Starts logging for the whole process. The error says what of the filter cannot be read.
pub fn start(format: LogFormat, level: &str) -> Result<(), ParseError> {
    let lines = fmt().with_env_filter(EnvFilter::try_new(level)?).with_writer(std::io::stderr);
    match format {
        LogFormat::Json => lines.json().flatten_event(true).init(),
        LogFormat::Text => lines.init(),
    }
    Ok(())
}
