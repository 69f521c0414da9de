//! Object stores: `nearside://` ones are made on first use, all others are the session's own.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::execution::object_store::ObjectStoreRegistry;
use object_store::ObjectStore;
use url::Url;

use crate::devices::Devices;
use crate::location::DeviceUrl;
use crate::reason::external;

/// The session's registry, which also knows `nearside://host:port`.
#[derive(Debug)]
pub(crate) struct Registry {
    inner: Arc<dyn ObjectStoreRegistry>,
    devices: Arc<Devices>,
}

impl Registry {
    pub(crate) fn new(inner: Arc<dyn ObjectStoreRegistry>, devices: Arc<Devices>) -> Self {
        Self { inner, devices }
    }
}

impl ObjectStoreRegistry for Registry {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.inner.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.inner.deregister_store(url)
    }

    /// A store that somebody has registered goes first.
    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        if url.scheme() != "nearside" {
            return self.inner.get_store(url);
        }
        self.inner.get_store(url).or_else(|_| {
            let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
            let device: DeviceUrl = format!("nearside://{authority}").parse().map_err(external)?;
            self.devices.objects(device).map_err(external)
        })
    }
}
