//! What `--root` names: a directory, or an object store.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use nearside_device::{Config as DeviceConfig, Device, DeviceError, Embedded};
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, parse_url_opts};
use url::Url;

use crate::{Config, DaemonError};

/// How long a store may take to show that it is there.
const STORE_ANSWER_TIME: Duration = Duration::from_secs(20);

/// Most characters of what a store says.
const STORE_CHARS: usize = 400;

/// Where the files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A place in an object store.
    Store(Url),
}

impl FromStr for Root {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.contains("://") {
            return Ok(Self::Directory(text.into()));
        }
        let url = Url::parse(text).map_err(|error| error.to_string())?;
        match url.scheme() {
            "file" => url.to_file_path().map(Self::Directory).map_err(|()| "a file URL has an absolute path".to_owned()),
            "s3" | "s3a" if url.host_str().is_none_or(str::is_empty) => Err("it names no bucket".to_owned()),
            "s3" | "s3a" | "http" | "https" => Ok(Self::Store(url)),
            other => Err(format!("{other}:// is not supported; a directory, file://, s3:// or http(s):// is")),
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => write!(f, "{}", path.display()),
            Self::Store(url) => write!(f, "{url}"),
        }
    }
}

/// The device over the configured root.
pub(crate) async fn open(config: &Config) -> Result<Arc<dyn Device>, DaemonError> {
    let device = device_config(config);
    let failed = |reason: String| DaemonError::Root { root: config.root.clone(), reason };
    match &config.root {
        Root::Directory(path) => {
            let opened = Embedded::directory(path, device);
            Ok(opened.map_err(|error| failed(no_folder(error)))?)
        }
        Root::Store(url) => {
            // Who writes `http` means it.
            let plain = (url.scheme() == "http").then(|| ("allow_http".to_owned(), "true".to_owned()));
            let options = environment().chain(plain);
            let (store, prefix) = parse_url_opts(url, options).map_err(|error| failed(error.to_string()))?;
            let store: Arc<dyn ObjectStore> = Arc::from(store);
            probe(&store, &prefix).await.map_err(failed)?;
            Ok(Embedded::object_store(store, prefix, device))
        }
    }
}

/// A device knows its root as any other object of its; people name a folder.
fn no_folder(error: DeviceError) -> String {
    match error {
        DeviceError::NotFound { reason, .. } => format!("not a folder of this machine: {reason}"),
        other => other.to_string(),
    }
}

fn device_config(config: &Config) -> DeviceConfig {
    let mut device = DeviceConfig { executions_max: config.executions as usize, ..DeviceConfig::default() };
    if let Some(workers) = config.workers {
        device.workers = workers as usize;
    }
    device
}

/// The AWS_* variables, as `object_store` spells its options. It would take others too, `REGION` and `TOKEN` among them.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("AWS_"))
        .map(|(name, value)| (name.to_ascii_lowercase(), value))
}

/// A wrong bucket or key is said now, not at the first query.
async fn probe(store: &Arc<dyn ObjectStore>, prefix: &ObjectPath) -> Result<(), String> {
    let mut listed = store.list(Some(prefix));
    match tokio::time::timeout(STORE_ANSWER_TIME, listed.next()).await {
        Ok(Some(Err(error))) => Err(one_line(&error.to_string())),
        Ok(_) => Ok(()),
        Err(_) => Err(format!("no answer within {STORE_ANSWER_TIME:?}")),
    }
}

/// What a store says, without a page for people with a browser.
fn one_line(text: &str) -> String {
    let said = text.split_once("<!").map_or(text, |(said, _)| said);
    said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(STORE_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path is a directory whatever it is called; a URL must be one that can be served.
    #[test]
    fn roots() {
        let root = |text: &str| text.parse::<Root>();
        assert_eq!(root("data:1"), Ok(Root::Directory("data:1".into())));
        assert_eq!(root("file:///a/b%20c"), Ok(Root::Directory("/a/b c".into())));
        assert_eq!(root("s3://bucket/a").unwrap().to_string(), "s3://bucket/a");
        for bad in ["s3://", "ftp://x/y", "file://host/a", "http://", "://"] {
            assert!(root(bad).is_err(), "{bad}");
        }
    }
}
