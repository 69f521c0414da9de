//! The asking side: [`RemoteDevice`], a [`Device`] at the other end of a connection.

mod connect;
mod execute;
mod loaded;
mod session;
mod store;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use nearside_device::{Description, Device, DeviceError, Execution, ProgramDigest, Request, Status};
use object_store::ObjectStore;

pub use connect::{SocketBytes, Tuning};

use crate::VERSION;
use crate::client::loaded::Loaded;
use crate::client::session::Session;
use crate::client::store::RemoteStore;
use crate::limits::{REQUEST_BYTES_MAX, within};
use crate::message::{Program, action, to_json};

/// A device served by `nearsided`, or anything else that speaks the protocol.
///
/// Connects when it is first used, again when the connection broke, and never waits for a peer that is gone: a call fails with
/// [`DeviceError::Unreachable`] when the keep-alive of [`Tuning`] says so.
#[derive(Debug)]
pub struct RemoteDevice {
    session: Arc<Session>,
    loaded: Mutex<Loaded>,
}

impl RemoteDevice {
    /// The device at `nearside://host[:port]`; a path in the URL is the caller's business. Nothing is sent yet.
    ///
    /// # Errors
    /// [`DeviceError::BadRequest`] if it is no such URL.
    pub fn connect(url: &str) -> Result<Arc<Self>, DeviceError> {
        Self::connect_with(url, Tuning::default())
    }

    /// [`RemoteDevice::connect`] with other time limits.
    ///
    /// # Errors
    /// As [`RemoteDevice::connect`].
    pub fn connect_with(url: &str, tuning: Tuning) -> Result<Arc<Self>, DeviceError> {
        let session = Arc::new(Session::new(url, tuning)?);
        Ok(Arc::new(Self { session, loaded: Mutex::default() }))
    }

    /// `nearside://host:port`.
    pub fn url(&self) -> &str {
        self.session.url()
    }

    /// Bytes that went through this device's sockets so far, everything included.
    pub fn socket_bytes(&self) -> SocketBytes {
        self.session.socket_bytes()
    }

    fn loaded(&self) -> MutexGuard<'_, Loaded> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends an object and remembers it.
    async fn send_object(&self, object: Bytes) -> Result<ProgramDigest, DeviceError> {
        let Program { program } = self.session.ask(action::LOAD, object.clone()).await?;
        self.loaded().insert(object, program.clone());
        Ok(program)
    }

    /// After a call that failed: loads its program again if the device has dropped it since, so that the call may be repeated.
    async fn reload(&self, program: &ProgramDigest, error: DeviceError) -> Result<(), DeviceError> {
        let DeviceError::NotLoaded { .. } = error else { return Err(error) };
        let Some(object) = self.loaded().object(program) else { return Err(error) };
        tracing::debug!(%program, "the device has dropped the program: loading it again");
        self.send_object(object).await.map(drop)
    }

    async fn tell(&self, action: &str, program: &ProgramDigest) -> Result<(), DeviceError> {
        let body = to_json(&Program { program: program.clone() })?;
        self.session.tell(action, body).await
    }
}

#[async_trait]
impl Device for RemoteDevice {
    async fn describe(&self) -> Result<Description, DeviceError> {
        let description: Description = self.session.ask(action::DESCRIBE, Bytes::new()).await?;
        if description.protocol_version != VERSION {
            return Err(DeviceError::Version { ours: VERSION, theirs: description.protocol_version });
        }
        Ok(description)
    }

    async fn status(&self) -> Result<Status, DeviceError> {
        Ok(self.session.ask(action::STATUS, Bytes::new()).await?)
    }

    /// An object that this client has loaded before is not sent again: should the device have dropped it, `execute` sends it.
    async fn load(&self, object: Bytes) -> Result<ProgramDigest, DeviceError> {
        within("bytes of a program object", object.len(), REQUEST_BYTES_MAX / 2)?;
        let known = self.loaded().digest(&object);
        match known {
            Some(digest) => Ok(digest),
            None => self.send_object(object).await,
        }
    }

    async fn activate(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        match self.tell(action::ACTIVATE, program).await {
            Ok(()) => return Ok(()),
            Err(error) => self.reload(program, error).await?,
        }
        self.tell(action::ACTIVATE, program).await
    }

    async fn deactivate(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        self.tell(action::DEACTIVATE, program).await
    }

    async fn unload(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        self.loaded().remove(program);
        self.tell(action::UNLOAD, program).await
    }

    /// One round trip if the device has the program.
    async fn execute(&self, request: Request) -> Result<Execution, DeviceError> {
        let program = request.program.clone();
        let message = execute::request_message(request)?;
        match self.session.execute(message.clone()).await {
            Ok(execution) => return Ok(execution),
            Err(error) => self.reload(&program, error).await?,
        }
        self.session.execute(message).await
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        Arc::new(RemoteStore::new(Arc::clone(&self.session)))
    }
}
