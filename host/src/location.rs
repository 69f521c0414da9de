//! Which device answers for which files.

use std::fmt;
use std::str::FromStr;

use nearside_device::DeviceError;
use object_store::path::Path;
use url::Url;

/// Where a device is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeviceUrl {
    /// In this process, over the object store that the prefix names.
    Embedded,
    /// A daemon: `nearside://host:port`.
    Remote {
        /// Name or address.
        host: String,
        /// Port; 4774 unless the URL has one.
        port: u16,
    },
}

/// Port of a daemon whose URL has none.
pub const DEFAULT_PORT: u16 = 4774;

/// A location map that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// An entry has no `=`.
    #[error("{entry:?} is not PREFIX=DEVICE")]
    Entry {
        /// The entry.
        entry: String,
    },
    /// A prefix that is no URL.
    #[error("prefix {prefix:?} is not a URL like s3://bucket/ or file:///data/: {reason}")]
    Prefix {
        /// The prefix.
        prefix: String,
        /// What is wrong.
        reason: String,
    },
    /// A device that is no device.
    #[error("device {device:?} is neither `embedded` nor a URL like nearside://host:4774")]
    Device {
        /// The device.
        device: String,
    },
}

impl FromStr for DeviceUrl {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let text = text.trim();
        if text == "embedded" {
            return Ok(Self::Embedded);
        }
        let refuse = || LocationError::Device { device: text.to_owned() };
        let url = Url::parse(text).map_err(|_| refuse())?;
        let plain = matches!(url.path(), "" | "/") && url.query().is_none() && url.username().is_empty();
        match url.host_str() {
            Some(host) if url.scheme() == "nearside" && plain => {
                Ok(Self::Remote { host: host.to_owned(), port: url.port().unwrap_or(DEFAULT_PORT) })
            }
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for DeviceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded => f.write_str("embedded"),
            Self::Remote { host, port } => write!(f, "nearside://{host}:{port}"),
        }
    }
}

/// A device and the prefix it answers for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Location {
    /// Which device.
    pub device: DeviceUrl,
    /// URL of what the device's own paths start from; ends in `/`.
    pub prefix: String,
}

impl Location {
    /// The path by which the device knows a file, if the file is below the prefix.
    pub fn path_of<'a>(&self, url: &'a str) -> Option<&'a str> {
        url.strip_prefix(&self.prefix)
    }

    /// A device's error, with the file it is about by the name that people know it by: a path on this machine, or a URL. A device that is busy is named itself.
    pub fn named(&self, error: DeviceError) -> DeviceError {
        let name = |path: String| format!("{}{path}", self.prefix.strip_prefix("file://").unwrap_or(&self.prefix));
        match error {
            DeviceError::BadObject { path, reason } => DeviceError::BadObject { path: name(path), reason },
            DeviceError::Changed { path, reason } => DeviceError::Changed { path: name(path), reason },
            DeviceError::NotFound { path, reason } => DeviceError::NotFound { path: name(path), reason },
            DeviceError::Busy { reason } => DeviceError::Busy { reason: format!("{}: {reason}", self.device) },
            other => other,
        }
    }

    /// Whether the files can be read without the device.
    pub fn readable_elsewhere(&self) -> bool {
        !self.prefix.starts_with("nearside://")
    }
}

/// The location map: `s3://lake/=nearside://dpu1:4774, file:///data/=embedded`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LocationMap {
    /// Longest prefix first.
    locations: Vec<Location>,
}

impl FromStr for LocationMap {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let mut locations = entries.map(location).collect::<Result<Vec<_>, _>>()?;
        locations.sort_by_key(|location| std::cmp::Reverse(location.prefix.len()));
        Ok(Self { locations })
    }
}

impl fmt::Display for LocationMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries: Vec<_> = self.locations.iter().map(|Location { prefix, device }| format!("{prefix}={device}")).collect();
        f.write_str(&entries.join(", "))
    }
}

impl LocationMap {
    /// Whether nothing is mapped.
    pub fn is_empty(&self) -> bool {
        self.locations.is_empty()
    }

    /// Who answers for a file: the longest prefix that holds it, or the daemon that the URL itself names.
    pub fn locate(&self, url: &str) -> Option<Location> {
        let mapped = self.locations.iter().find(|location| location.path_of(url).is_some());
        mapped.cloned().or_else(|| own_device(url))
    }
}

/// `prefix=device`; a device's URL has no `=`, a prefix may have.
fn location(entry: &str) -> Result<Location, LocationError> {
    let (prefix, device) = entry.rsplit_once('=').ok_or_else(|| LocationError::Entry { entry: entry.to_owned() })?;
    Ok(Location { prefix: normal_prefix(prefix.trim())?, device: device.parse()? })
}

/// The prefix as DataFusion spells its files, with a `/` at its end so that `/data` does not hold `/database`.
fn normal_prefix(prefix: &str) -> Result<String, LocationError> {
    let refuse = |reason: String| LocationError::Prefix { prefix: prefix.to_owned(), reason };
    let url = Url::parse(prefix).map_err(|error| refuse(error.to_string()))?;
    let path = Path::from_url_path(url.path()).map_err(|error| refuse(error.to_string()))?;
    let separator = if path.as_ref().is_empty() { "" } else { "/" };
    Ok(format!("{}/{path}{separator}", origin(&url)))
}

/// `scheme://authority`.
fn origin(url: &Url) -> String {
    format!("{}://{}", url.scheme(), &url[url::Position::BeforeHost..url::Position::AfterPort])
}

/// `nearside://host:port/path` is its own device's.
fn own_device(url: &str) -> Option<Location> {
    let parsed = Url::parse(url).ok().filter(|parsed| parsed.scheme() == "nearside")?;
    let device = DeviceUrl::from_str(&origin(&parsed)).ok()?;
    Some(Location { device, prefix: format!("{}/", origin(&parsed)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locate(map: &str, url: &str) -> Option<(String, String)> {
        let location = map.parse::<LocationMap>().unwrap().locate(url)?;
        let path = location.path_of(url).unwrap().to_owned();
        Some((location.device.to_string(), path))
    }

    /// The longest prefix wins, whatever the order of the entries.
    #[test]
    fn the_longest_prefix_wins() {
        let map = "s3://lake/=nearside://dpu1:4774, s3://lake/hot/=nearside://dpu2, file:///data=embedded";
        let found = |url| locate(map, url).map(|(device, path)| format!("{device} {path}"));
        assert_eq!(found("s3://lake/t/a.parquet").unwrap(), "nearside://dpu1:4774 t/a.parquet");
        assert_eq!(found("s3://lake/hot/a.parquet").unwrap(), "nearside://dpu2:4774 a.parquet");
        assert_eq!(found("file:///data/a.parquet").unwrap(), "embedded a.parquet");
        assert_eq!(found("file:///database/a.parquet"), None);
        assert_eq!(found("s3://other/a.parquet"), None);
    }

    /// Files that only a device has name it themselves, unless the map says otherwise.
    #[test]
    fn nearside_urls_are_their_own_devices() {
        assert_eq!(locate("", "nearside://dpu1:4774/t/a.parquet").unwrap().1, "t/a.parquet");
        let map: LocationMap = "nearside://dpu1:4774/=nearside://dpu2:1".parse().unwrap();
        assert_eq!(map.locate("nearside://dpu1:4774/a").unwrap().device.to_string(), "nearside://dpu2:1");
        assert!(!map.locate("nearside://dpu3:4774/a").unwrap().readable_elsewhere());
    }

    /// Errors name files as people do, whatever part of the path the device has been told.
    #[test]
    fn files_in_errors_have_whole_names() {
        for (map, url, name) in [
            ("file:///data=embedded", "file:///data/t/a.parquet", "/data/t/a.parquet"),
            ("file:///=embedded", "file:///data/a.parquet", "/data/a.parquet"),
            ("s3://lake/=nearside://dpu1", "s3://lake/a.parquet", "s3://lake/a.parquet"),
            ("", "nearside://dpu1:4774/a.parquet", "nearside://dpu1:4774/a.parquet"),
        ] {
            let location = map.parse::<LocationMap>().unwrap().locate(url).unwrap();
            let error = |path: &str| DeviceError::Changed { path: path.to_owned(), reason: "size".to_owned() };
            assert_eq!(location.named(error(location.path_of(url).unwrap())), error(name));
        }
    }

    /// What is wrong is named.
    #[test]
    fn mistakes_are_named() {
        let error = |map: &str| map.parse::<LocationMap>().unwrap_err().to_string();
        assert!(error("s3://lake/").contains("is not PREFIX=DEVICE"));
        assert!(error("lake=embedded").contains("\"lake\" is not a URL"));
        assert!(error("s3://lake/=http://dpu1").contains("neither `embedded`"));
        assert!(error("s3://lake/=nearside://dpu1/path").contains("neither `embedded`"));
    }
}
