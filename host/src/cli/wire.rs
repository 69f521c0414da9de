//! What goes over the sockets of a session's daemons.

use std::sync::Arc;

use nearside::location::DeviceUrl;
use nearside_device::Device;
use nearside_protocol::RemoteDevice;

use super::failure::Failure;

/// The connections of a session to the daemons that its command line names.
#[derive(Debug, Default)]
pub(crate) struct Wire(Vec<(DeviceUrl, Arc<RemoteDevice>)>);

impl Wire {
    /// Connections that open when they are first used. What is no daemon is left out.
    pub(crate) fn new(devices: impl IntoIterator<Item = DeviceUrl>) -> Result<Self, Failure> {
        let mut wire = Self::default();
        for device in devices {
            if matches!(device, DeviceUrl::Remote { .. }) && !wire.0.iter().any(|(known, _)| *known == device) {
                let remote = RemoteDevice::connect(&device.to_string()).map_err(Failure::usage)?;
                wire.0.push((device, remote));
            }
        }
        Ok(wire)
    }

    /// Whether there is a daemon at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The devices for [`nearside::extend_with`].
    pub(crate) fn devices(&self) -> impl Iterator<Item = (DeviceUrl, Arc<dyn Device>)> {
        self.0.iter().map(|(url, device)| (url.clone(), Arc::clone(device) as Arc<dyn Device>))
    }

    /// Bytes that went through the sockets so far, in both directions, HTTP/2 included.
    pub(crate) fn bytes(&self) -> u64 {
        self.0.iter().map(|(_, device)| device.socket_bytes()).map(|bytes| bytes.sent + bytes.received).sum()
    }
}
