//! Finds the cluster in the kubeconfig and connects to it.

use std::{
    env,
    future::Future,
    net::IpAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use hyper_util::client::proxy::matcher::Matcher;
use kube::{
    Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};

use super::Error;
use crate::{arguments::ClusterArguments, commands};

/// People wait for it; an API server that is there answers within a second.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Does work that waits for a cluster.
pub(crate) fn run<T>(
    work: impl Future<Output = Result<T, commands::Error>>,
) -> Result<T, commands::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::Runtime)?;
    runtime.block_on(work)
}

/// A cluster that commands ask. Nothing is sent before the first question.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// The namespace of the context, else `default`.
    pub(crate) default_namespace: String,
    /// URL of the API server.
    pub(super) server: String,
    /// What kubectl has to be given to ask the same cluster, with a space before it.
    pub(super) kubectl_flags: String,
}

impl Cluster {
    /// The cluster that the arguments name, else that of the kubeconfig, else the one that this program runs in.
    pub(crate) async fn connect(arguments: &ClusterArguments) -> Result<Self, Error> {
        let mut config = config(arguments).await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let server = shown(&config);
        let default_namespace = config.default_namespace.clone();
        let client = Client::try_from(config).map_err(|error| Error::credentials(&error))?;
        let kubectl_flags = kubectl_flags(arguments);
        Ok(Self { client, default_namespace, server, kubectl_flags })
    }
}

async fn config(arguments: &ClusterArguments) -> Result<Config, Error> {
    let kubeconfig = match &arguments.kubeconfig {
        Some(file) => read(file)?,
        None => match found_kubeconfig()? {
            Some(kubeconfig) => kubeconfig,
            None => return Config::incluster().map_err(|_| Error::NoKubeconfig),
        },
    };
    let has_proxy = names_proxy(&kubeconfig, arguments.context.as_ref());
    let options =
        KubeConfigOptions { context: arguments.context.clone(), ..KubeConfigOptions::default() };
    let mut config =
        Config::from_custom_kubeconfig(kubeconfig, &options).await.map_err(Error::kubeconfig)?;
    if !has_proxy {
        // The client compares NO_PROXY with the address of the proxy instead of the cluster's.
        let proxy = Matcher::from_env().intercept(&config.cluster_url);
        config.proxy_url = proxy.filter(|_| !is_here(&config)).map(|proxy| proxy.uri().clone());
    }
    Ok(config)
}

/// The API server as people are told of it; what a proxy's URL says of credentials is left out.
fn shown(config: &Config) -> String {
    let server = config.cluster_url.to_string();
    let server = server.trim_end_matches('/');
    match config.proxy_url.as_ref().and_then(|proxy| proxy.host()) {
        Some(proxy) => format!("{server}, asked through the proxy {proxy},"),
        None => server.to_owned(),
    }
}

/// Whether the kubeconfig itself names a proxy for its cluster.
fn names_proxy(kubeconfig: &Kubeconfig, context: Option<&String>) -> bool {
    let context = context.or(kubeconfig.current_context.as_ref());
    let context = kubeconfig.contexts.iter().find(|found| Some(&found.name) == context);
    let cluster = context.and_then(|found| found.context.as_ref()).map(|found| &found.cluster);
    let cluster = kubeconfig.clusters.iter().find(|found| Some(&found.name) == cluster);
    let cluster = cluster.and_then(|found| found.cluster.as_ref());
    cluster.is_some_and(|found| found.proxy_url.as_ref().is_some_and(|url| !url.is_empty()))
}

/// Whether the API server is on this machine, where kubectl asks no proxy of the environment.
fn is_here(config: &Config) -> bool {
    let host = config.cluster_url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The kubeconfig of the environment; `None` if there is none. Files that KUBECONFIG names and that do
/// not exist are passed over, as kubectl does.
fn found_kubeconfig() -> Result<Option<Kubeconfig>, Error> {
    let named = env::var_os("KUBECONFIG").filter(|paths| !paths.is_empty());
    let files: Vec<PathBuf> = match named {
        Some(paths) => {
            env::split_paths(&paths).filter(|path| !path.as_os_str().is_empty()).collect()
        }
        None => env::home_dir().map(|home| home.join(".kube/config")).into_iter().collect(),
    };
    let mut merged: Option<Kubeconfig> = None;
    for file in files {
        if !file.exists() {
            continue;
        }
        let read = read(&file)?;
        merged = Some(match merged {
            Some(merged) => merged.merge(read).map_err(Error::kubeconfig)?,
            None => read,
        });
    }
    Ok(merged)
}

fn read(file: &Path) -> Result<Kubeconfig, Error> {
    Kubeconfig::read_from(file).map_err(|error| Error::kubeconfig_file(file, &error))
}

fn kubectl_flags(arguments: &ClusterArguments) -> String {
    let mut flags = String::new();
    if let Some(file) = &arguments.kubeconfig {
        flags.push_str(" --kubeconfig ");
        flags.push_str(&file.to_string_lossy());
    }
    if let Some(context) = &arguments.context {
        flags.push_str(" --context ");
        flags.push_str(context);
    }
    flags
}
