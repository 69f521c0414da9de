//! `DoAction`: the life of programs, and reads of objects.

use arrow_flight::ActionType;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use nearside_device::DeviceError;
use serde::Serialize;

use crate::VERSION;
use crate::failure::Failure;
use crate::message::{Program, action, from_json, to_json};
use crate::server::Service;

/// Bodies of the results of an action.
pub(super) type Bodies = BoxStream<'static, Result<Bytes, Failure>>;

/// What `ListActions` tells.
pub(super) fn list() -> impl Iterator<Item = ActionType> {
    [
        (action::DESCRIBE, "what the device is and can do"),
        (action::STATUS, "what the device is doing now"),
        (action::LOAD, "body: a program object; answers its digest"),
        (action::ACTIVATE, "compile a loaded program"),
        (action::DEACTIVATE, "drop a program's compiled code"),
        (action::UNLOAD, "forget a program"),
        (action::HEAD, "size, ETag and time of an object"),
        (action::GET, "an object, or a range of it"),
        (action::GET_RANGES, "several ranges of an object"),
        (action::LIST, "objects below a prefix, in pages"),
    ]
    .into_iter()
    .map(|(name, description)| ActionType { r#type: name.to_owned(), description: description.to_owned() })
}

impl Service {
    pub(super) async fn act(&self, name: &str, body: Bytes) -> Result<Bodies, Failure> {
        match name {
            action::DESCRIBE => self.describe().await,
            action::STATUS => one(&self.device.status().await?),
            action::LOAD => one(&Program { program: self.device.load(body).await? }),
            action::ACTIVATE => self.device.activate(&program(&body)?.program).await.map(|()| none()).map_err(Failure::from),
            action::DEACTIVATE => self.device.deactivate(&program(&body)?.program).await.map(|()| none()).map_err(Failure::from),
            action::UNLOAD => self.device.unload(&program(&body)?.program).await.map(|()| none()).map_err(Failure::from),
            action::HEAD => self.head(from_json(name, &body)?).await,
            action::GET => self.get(from_json(name, &body)?).await,
            action::GET_RANGES => self.get_ranges(from_json(name, &body)?).await,
            action::LIST => self.list(from_json(name, &body)?).await,
            other => Err(DeviceError::BadRequest { reason: format!("no action {other:?}") }.into()),
        }
    }

    async fn describe(&self) -> Result<Bodies, Failure> {
        let mut description = self.device.describe().await?;
        description.protocol_version = VERSION;
        if let Some(name) = &self.name {
            description.name.clone_from(name);
        }
        one(&description)
    }
}

fn program(body: &[u8]) -> Result<Program, DeviceError> {
    from_json("program", body)
}

/// One result.
pub(super) fn one<T: Serialize>(body: &T) -> Result<Bodies, Failure> {
    let body = to_json(body)?;
    Ok(stream::once(async { Ok(body) }).boxed())
}

fn none() -> Bodies {
    stream::empty().boxed()
}
