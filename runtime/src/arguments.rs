//! Command-line arguments that webhook and operator share.

use std::net::SocketAddr;

use axum::http::Uri;
use clap::{Args, ValueEnum};

/// Arguments that both programs take.
#[derive(Args, Clone, Debug)]
pub struct SharedArguments {
    /// Namespace that the program runs in
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,
    /// Address of /healthz, /readyz and /metrics
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub health_address: SocketAddr,
    /// Namespaces that no policy reaches, beside Kubernetes' own and the program's
    #[arg(long, value_delimiter = ',')]
    pub excluded_namespaces: Vec<String>,
    /// Form of the log lines
    #[arg(long, value_enum, default_value_t = LogFormat::Json)]
    pub log_format: LogFormat,
    /// Least severe level that is logged, or a filter such as info,webhook=debug
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log_level: String,
    /// Address of the collector that spans are sent to, by OTLP over plain HTTP, usually at port 4318
    #[arg(long, value_name = "URL")]
    pub otlp_endpoint: Option<Uri>,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}
