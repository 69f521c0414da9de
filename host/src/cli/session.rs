//! A session as the command line wants it: devices, and the tables of `--data`.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use datafusion::common::{DataFusionError, TableReference};
use datafusion::datasource::listing::{ListingTable, ListingTableUrl};
use datafusion::execution::SessionState;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use nearside::location::{DeviceUrl, LocationMap};
use nearside::{NearsideOptions, Offload};
use object_store::path::Path as ObjectPath;
use object_store::{ListResult, ObjectStore};
use url::Url;

use super::failure::{self, Failure};
use super::files::{self, is_parquet, table_name};
use super::stores::Stores;
use super::wire::Wire;

/// What commands that open a session have in common.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct SessionArguments {
    /// Device for the files below a URL prefix: `embedded` or `nearside://HOST:PORT`; without PREFIX for those of --data. Repeatable.
    ///
    /// Local files have the embedded device unless this says otherwise. `nearside://HOST:PORT` without PREFIX and without --data makes the daemon's own
    /// files the tables.
    #[arg(long = "device", value_name = "[PREFIX=]URL")]
    pub(crate) devices: Vec<String>,
    /// Folder, file or URL (s3://, http://, https://, nearside://); each Parquet file and each folder of Parquet files in it is a table.
    ///
    /// A folder at http:// or https:// takes a server that lists it (WebDAV's PROPFIND), a file one that answers range requests.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<String>,
    /// Which scans go to a device: what is estimated to pay, whatever it can take, nothing.
    #[arg(long, value_name = "auto|always|never", default_value_t)]
    pub(crate) offload: Offload,
}

impl SessionArguments {
    /// A session with the embedded device and the tables of a folder.
    pub(crate) fn over(folder: &Path) -> Self {
        Self { devices: Vec::new(), data: Some(folder.display().to_string()), offload: Offload::Auto }
    }
}

/// An open session.
pub(crate) struct Session {
    /// With tables registered.
    pub(crate) context: SessionContext,
    /// Its connections.
    pub(crate) wire: Wire,
}

/// Tables of `--data` that a session has to do without, and why: a query that names one says it.
#[derive(Debug, Default)]
pub(crate) struct LeftOut(BTreeMap<String, String>);

impl LeftOut {
    /// Why a table is not there.
    pub(crate) fn reason(&self, table: &str) -> Option<&str> {
        self.0.get(table).map(String::as_str)
    }
}

/// Opens a session and registers the tables.
pub(crate) async fn open(arguments: &SessionArguments) -> Result<Session, Failure> {
    let data = match &arguments.data {
        Some(data) => Some(base_url(data).map_err(|reason| Failure::usage(format!("--data {data}: {reason}")))?),
        None => only_device(&arguments.devices)?,
    };
    // Files are listed for each query: what was added or replaced meanwhile is seen, and not only by the next session.
    let runtime =
        RuntimeEnvBuilder::new().with_object_store_registry(Arc::new(Stores::default())).with_object_list_cache_limit(0);
    let runtime = runtime.build_arc()?;
    let context = SessionContext::new_with_config_rt(SessionConfig::new().with_information_schema(true), runtime);
    let devices = location_map(&arguments.devices, data.as_ref())?;
    let wire = Wire::new(daemons(&arguments.devices, data.as_ref()))?;
    let context = files::enable_url_tables(nearside::extend_with(context, wire.devices())?);
    configure(&context, devices, arguments.offload);
    if let Some(data) = data {
        register_tables(&context, &data).await?;
    }
    Ok(Session { context, wire })
}

fn configure(context: &SessionContext, devices: LocationMap, offload: Offload) {
    let state = context.state_ref();
    let mut state = state.write();
    let extensions = &mut state.config_mut().options_mut().extensions;
    if let Some(options) = extensions.get_mut::<NearsideOptions>() {
        options.devices = devices;
        options.offload = offload;
    }
}

/// The URL that a folder, a file or a URL names; folders end in a slash.
fn base_url(place: &str) -> Result<Url, String> {
    if place.contains("://") {
        return Url::parse(place).map_err(|error| error.to_string());
    }
    let path = std::fs::canonicalize(place).map_err(|error| error.to_string())?;
    let url = if path.is_dir() { Url::from_directory_path(&path) } else { Url::from_file_path(&path) };
    url.map_err(|()| "not a path a URL can name".to_owned())
}

/// The daemon whose own files are meant when there is nothing but one `--device nearside://…`.
fn only_device(devices: &[String]) -> Result<Option<Url>, Failure> {
    match devices {
        [device] if device.starts_with("nearside://") && !device.contains('=') => {
            Url::parse(device).map(Some).map_err(|error| Failure::usage(format!("--device {device}: {error}")))
        }
        _ => Ok(None),
    }
}

/// The value of `nearside.devices`.
fn location_map(devices: &[String], data: Option<&Url>) -> Result<LocationMap, Failure> {
    let mut entries = vec!["file:///=embedded".to_owned()];
    for device in devices {
        let wrong = |reason: String| Failure::usage(format!("--device {device}: {reason}"));
        let (prefix, url) = match device.rsplit_once('=') {
            Some((prefix, url)) => (Some(prefix.to_owned()), url),
            None => (data.map(prefix_of), device.as_str()),
        };
        url.parse::<DeviceUrl>().map_err(|error| wrong(error.to_string()))?;
        match prefix {
            // What only the daemon has needs no entry.
            Some(prefix) if prefix.starts_with("nearside://") => {}
            Some(prefix) => entries.push(format!("{}={url}", base_url(&prefix).map_err(wrong)?)),
            None => return Err(wrong(format!("say for which files, PREFIX={device}, or give --data"))),
        }
    }
    entries.join(", ").parse().map_err(Failure::usage)
}

/// The daemons that the command line names.
fn daemons(devices: &[String], data: Option<&Url>) -> impl Iterator<Item = DeviceUrl> {
    let named = devices.iter().map(|device| device.rsplit_once('=').map_or(device.as_str(), |(_, url)| url));
    let data = data.map(|data| data[..url::Position::BeforePath].to_owned());
    named.map(str::to_owned).chain(data).filter_map(|url| url.parse().ok())
}

/// A file's folder; a folder itself.
fn prefix_of(data: &Url) -> String {
    data.join(".").map_or_else(|_| data.to_string(), |url| url.to_string())
}

async fn register_tables(context: &SessionContext, data: &Url) -> Result<(), Failure> {
    let tables = find_tables(context, data).await?;
    if tables.is_empty() {
        return Err(Failure::usage(format!("--data {data}: no Parquet file there, nor a folder with one")));
    }
    let state = context.state();
    let mut left_out = LeftOut::default();
    let table_count = tables.len();
    for (name, urls) in tables {
        match table(&state, &urls).await {
            Ok(table) => drop(context.register_table(TableReference::bare(name), Arc::new(table))?),
            // Nothing is left: no session without it.
            Err(error) if left_out.0.len() + 1 == table_count => return Err(error.into()),
            Err(error) => drop(left_out.0.insert(name, failure::message(&error))),
        }
    }
    for (name, reason) in &left_out.0 {
        eprintln!("warning: table {name} is left out: {reason}");
    }
    context.state_ref().write().config_mut().set_extension(Arc::new(left_out));
    Ok(())
}

/// The table of a name; two things of one name are none.
async fn table(state: &SessionState, urls: &[Url]) -> Result<ListingTable, DataFusionError> {
    match urls {
        [url] => files::parquet_table(state, &ListingTableUrl::try_new(url.clone(), None)?).await,
        _ => {
            let places: Vec<_> = urls.iter().map(files::shown).collect();
            Err(DataFusionError::Plan(format!("{} are of one name; rename one, or remove it", places.join(" and "))))
        }
    }
}

/// The tables at a URL: what has their names.
async fn find_tables(context: &SessionContext, data: &Url) -> Result<BTreeMap<String, Vec<Url>>, Failure> {
    if let Some(name) = file_name(data).as_deref().and_then(table_name) {
        return Ok(BTreeMap::from([(name.to_owned(), vec![data.clone()])]));
    }
    let listing = ListingTableUrl::try_new(data.clone(), None)?;
    let store = context.runtime_env().object_store(&listing)?;
    let failed = |error: object_store::Error| Failure::query(failed_to_list(data, error));
    let found = store.list_with_delimiter(Some(listing.prefix())).await.map_err(failed)?;
    if let Some(name) = file_name(data).filter(|_| is_partitioned(&found)) {
        return Ok(BTreeMap::from([(name, vec![data.clone()])]));
    }
    let mut tables = BTreeMap::<String, Vec<Url>>::new();
    for file in &found.objects {
        if let Some(name) = file.location.filename().and_then(table_name) {
            tables.entry(name.to_owned()).or_default().push(below(data, &file.location, None));
        }
    }
    for folder in &found.common_prefixes {
        if let (Some(name), true) = (folder.filename(), has_parquet(&store, folder).await.map_err(failed)?) {
            // Some writers make a folder `orders.parquet`.
            let name = table_name(name).unwrap_or(name);
            tables.entry(name.to_owned()).or_default().push(below(data, folder, Some("")));
        }
    }
    Ok(tables)
}

fn failed_to_list(data: &Url, error: object_store::Error) -> String {
    failure::unreachable(&error).unwrap_or_else(|| format!("--data {data}: {}", failure::message(&error.into())))
}

/// A folder of folders like `year=2026`, and nothing else: one table.
fn is_partitioned(folder: &ListResult) -> bool {
    let mut names = folder.common_prefixes.iter().map(|folder| folder.filename().unwrap_or_default());
    folder.objects.is_empty() && names.len() > 0 && names.all(|name| name.contains('='))
}

/// The URL of what the data's store knows by a path; names may have any character.
fn below<'a>(data: &Url, path: &'a ObjectPath, end: Option<&'a str>) -> Url {
    let mut url = data.clone();
    let names = path.as_ref().split('/').chain(end);
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.clear().extend(names);
    }
    url
}

/// The last name in a URL's path, as it is spelled on disk.
fn file_name(url: &Url) -> Option<String> {
    let path = ObjectPath::from_url_path(url.path()).ok()?;
    path.filename().map(str::to_owned)
}

async fn has_parquet(store: &Arc<dyn ObjectStore>, folder: &ObjectPath) -> Result<bool, object_store::Error> {
    let mut files = store.list(Some(folder));
    while let Some(file) = files.try_next().await? {
        if file.size > 0 && is_parquet(&file) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A path that a store lists comes back from its URL as it was, whatever is in it.
    #[test]
    fn names_survive_their_urls() {
        let data = Url::parse("file:///data/").unwrap();
        for name in ["a b.parquet", "it's \"x\".parquet", "50%.parquet", "a%20b.parquet", "q?x#y.parquet", "ä[1]*.parquet"] {
            let path = ObjectPath::parse(format!("data/{name}")).unwrap();
            let url = below(&data, &path, None);
            assert_eq!(ListingTableUrl::try_new(url.clone(), None).unwrap().prefix(), &path, "{url}");
            assert_eq!(file_name(&url).as_deref(), Some(name));
        }
    }

    /// Only folders with a `=` make a partitioned table of their parent.
    #[test]
    fn partitioned_folders() {
        let folder = |folders: &[&str]| ListResult {
            common_prefixes: folders.iter().map(|name| ObjectPath::from(*name)).collect(),
            objects: Vec::new(),
        };
        assert!(is_partitioned(&folder(&["t/year=1", "t/year=2"])));
        assert!(!is_partitioned(&folder(&["t/year=1", "t/u"])));
        assert!(!is_partitioned(&folder(&[])));
    }
}
