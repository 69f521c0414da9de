//! The devices this session talks to.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use datafusion::execution::object_store::ObjectStoreRegistry;
use futures::FutureExt;
use nearside_device::{Config, Embedded};
use nearside_device::{Description, Device, DeviceError, Execution, ProgramDigest, Request};
use nearside_planner::Capabilities;
use nearside_programs::abi::columnar;
use nearside_protocol::RemoteDevice;
use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use tokio::sync::OnceCell;
use url::Url;

use crate::experience::Experience;
use crate::health::Health;
use crate::location::{DeviceUrl, Location};
use crate::reason::Reason;

/// Connections by device; shared by everything one [`crate::extend`] has made.
#[derive(Debug)]
pub(crate) struct Devices {
    /// Where embedded devices get the stores they sit beside.
    stores: Arc<dyn ObjectStoreRegistry>,
    connections: Mutex<HashMap<Key, Arc<Connection>>>,
}

/// What tells one device from another: a daemon by its address, an embedded one by its prefix.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Embedded(String),
    Remote(DeviceUrl),
}

/// A device, and what is known of it.
#[derive(Debug)]
pub(crate) struct Connection {
    /// As users write it.
    pub url: String,
    pub health: Health,
    pub experience: Experience,
    device: Arc<dyn Device>,
    description: OnceCell<Description>,
    loaded: Mutex<BTreeSet<ProgramDigest>>,
}

impl Devices {
    /// Devices of one's own are connected already.
    pub(crate) fn new(stores: Arc<dyn ObjectStoreRegistry>, own: impl IntoIterator<Item = (DeviceUrl, Arc<dyn Device>)>) -> Self {
        let connect =
            |(url, device): (DeviceUrl, _)| (Key::Remote(url.clone()), Arc::new(Connection::new(url.to_string(), device)));
        Self { stores, connections: Mutex::new(own.into_iter().map(connect).collect()) }
    }

    /// The device of a location, made on first use; nothing is sent yet.
    pub(crate) fn connect(&self, location: &Location) -> Result<Arc<Connection>, Reason> {
        let key = match &location.device {
            DeviceUrl::Embedded => Key::Embedded(location.prefix.clone()),
            remote @ DeviceUrl::Remote { .. } => Key::Remote(remote.clone()),
        };
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get(&key) {
            return Ok(Arc::clone(connection));
        }
        let device: Arc<dyn Device> = match &location.device {
            DeviceUrl::Embedded => self.embedded(&location.prefix)?,
            remote => RemoteDevice::connect(&remote.to_string())?,
        };
        let connection = Arc::new(Connection::new(location.device.to_string(), device));
        connections.insert(key, Arc::clone(&connection));
        Ok(connection)
    }

    /// The object store of the files that only this device has.
    pub(crate) fn objects(&self, device: DeviceUrl) -> Result<Arc<dyn ObjectStore>, Reason> {
        let location = Location { prefix: format!("{device}/"), device };
        Ok(self.connect(&location)?.device.objects())
    }

    fn embedded(&self, prefix: &str) -> Result<Arc<Embedded>, Reason> {
        let refuse = |reason: String| Reason::BadDevice(format!("embedded device over {prefix}: {reason}"));
        let url = Url::parse(prefix).map_err(|error| refuse(error.to_string()))?;
        if url.scheme() == "file" {
            return Ok(Embedded::directory(Path::new(&prefix["file://".len()..]), Config::default())?);
        }
        let store = self.stores.get_store(&url).map_err(|error| refuse(error.to_string()))?;
        let path = ObjectPath::from_url_path(url.path()).map_err(|error| refuse(error.to_string()))?;
        Ok(Embedded::object_store(store, path, Config::default()))
    }
}

impl Connection {
    pub(crate) fn new(url: String, device: Arc<dyn Device>) -> Self {
        Self {
            url,
            health: Health::default(),
            experience: Experience::default(),
            device,
            description: OnceCell::new(),
            loaded: Mutex::default(),
        }
    }

    /// What programs may use there, as far as it is known without asking over the network; all of this release's ABI otherwise.
    pub(crate) fn presumed_capabilities(&self) -> Capabilities {
        let known = self.description.get().cloned().or_else(|| self.device.describe().now_or_never()?.ok());
        known.as_ref().map_or_else(Capabilities::all, capabilities)
    }

    /// What programs may use there. Asks once.
    pub(crate) async fn capabilities(&self) -> Result<Capabilities, DeviceError> {
        let description = self.description.get_or_try_init(|| self.device.describe()).await?;
        if description.columnar_abi != columnar::VERSION {
            let reason = format!("its ABI has version {}, this host's {}", description.columnar_abi, columnar::VERSION);
            return Err(DeviceError::BadProgram { reason });
        }
        Ok(capabilities(description))
    }

    /// Runs a program, which is loaded if it was not yet or is not any more.
    pub(crate) async fn execute(&self, object: &[u8], request: Request) -> Result<Execution, DeviceError> {
        if let Some(error) = self.health.unreachable(Instant::now()) {
            return Err(error);
        }
        if !self.remembers(&request.program) {
            self.load(object).await?;
        }
        match self.device.execute(request.clone()).await {
            Err(DeviceError::NotLoaded { .. }) => {
                self.load(object).await?;
                self.device.execute(request).await
            }
            outcome => outcome,
        }
    }

    /// Forgets that the program is there, so that it is loaded before its next execution.
    pub(crate) fn forget(&self, program: &ProgramDigest) {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).remove(program);
    }

    fn remembers(&self, program: &ProgramDigest) -> bool {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).contains(program)
    }

    async fn load(&self, object: &[u8]) -> Result<(), DeviceError> {
        let digest = self.device.load(object.to_vec().into()).await?;
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).insert(digest);
        Ok(())
    }
}

fn capabilities(description: &Description) -> Capabilities {
    Capabilities { helpers: description.helpers.iter().copied().collect() }
}
