//! The in-process device.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use nearside_programs::abi::columnar;
use nearside_programs::abi::helper::{HELPERS, Helper, Kind};
use nearside_programs::manifest::Target;
use object_store::ObjectStore;
use object_store::path::Path as ObjectPath;
use tokio::runtime::Handle;

use crate::columnar::{Program, vector_helpers};
use crate::config::Config;
use crate::error::DeviceError;
use crate::media::Medium;
use crate::pipeline::{self, Cores, Environment, FooterCache, Job, Memory};
use crate::programs::Programs;
use crate::request::{Description, Input, ProgramDigest, Request};
use crate::{Device, Execution, Status};

/// A device in this process, over a directory or beside an object store.
#[derive(Debug)]
pub struct Embedded {
    environment: Arc<Environment>,
    programs: Programs,
    executions: Arc<AtomicUsize>,
}

impl Embedded {
    /// A device over the files below `root`.
    ///
    /// # Errors
    /// [`DeviceError::NotFound`] if there is no such directory.
    pub fn directory(root: &Path, config: Config) -> Result<Arc<Self>, DeviceError> {
        Ok(Self::over(Medium::directory(root)?, config))
    }

    /// A device over the objects of a store below `prefix`, which may be empty.
    pub fn object_store(store: Arc<dyn ObjectStore>, prefix: ObjectPath, config: Config) -> Arc<Self> {
        Self::over(Medium::store(store, prefix), config)
    }

    fn over(medium: Medium, config: Config) -> Arc<Self> {
        let programs = Programs::new(config.program_cache_bytes);
        let environment = Environment {
            medium,
            footers: FooterCache::new(config.footer_cache_bytes, config.object_metadata_bytes_max),
            cores: Cores::new(config.workers),
            memory: Memory::new(config.memory_bytes_max),
            config,
        };
        Arc::new(Self { environment: Arc::new(environment), programs, executions: Arc::default() })
    }

    fn config(&self) -> &Config {
        &self.environment.config
    }

    fn admit(&self) -> Result<Admission, DeviceError> {
        let limit = self.config().executions_max;
        let running = self.executions.fetch_add(1, Ordering::Relaxed);
        let admission = Admission(Arc::clone(&self.executions));
        match running < limit {
            true => Ok(admission),
            false => Err(DeviceError::Busy { reason: format!("{running} of {limit} executions are running") }),
        }
    }
}

/// One of the executions a device may run at a time; dropping ends it.
#[derive(Debug)]
pub(crate) struct Admission(Arc<AtomicUsize>);

impl Drop for Admission {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Device for Embedded {
    async fn describe(&self) -> Result<Description, DeviceError> {
        Ok(Description {
            name: self.config().name.clone(),
            protocol_version: 0,
            columnar_abi: columnar::VERSION,
            helpers: helpers(),
            workers: u32::try_from(self.config().workers).unwrap_or(u32::MAX),
            groups_max: self.config().groups_max,
            object_bytes_max: self.config().program_bytes_max as u64,
        })
    }

    async fn status(&self) -> Result<Status, DeviceError> {
        let (programs, program_bytes) = self.programs.size();
        Ok(Status {
            executions: self.executions.load(Ordering::Relaxed) as u64,
            row_group_bytes: self.environment.memory.used(),
            programs: programs as u64,
            program_bytes: program_bytes as u64,
        })
    }

    async fn load(&self, object: Bytes) -> Result<ProgramDigest, DeviceError> {
        let (given, limit) = (object.len() as u64, self.config().program_bytes_max as u64);
        if given > limit {
            return Err(DeviceError::Limit { what: "a program, bytes,".into(), given, limit });
        }
        Ok(self.programs.insert(Program::load(&object)?, object.len()))
    }

    async fn activate(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        let program = self.programs.get(program)?;
        let compile = tokio::task::spawn_blocking(move || program.activate());
        compile.await.map_err(|error| DeviceError::Internal { reason: error.to_string() })?
    }

    async fn deactivate(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        self.programs.get(program)?.deactivate();
        Ok(())
    }

    async fn unload(&self, program: &ProgramDigest) -> Result<(), DeviceError> {
        self.programs.remove(program)
    }

    async fn execute(&self, request: Request) -> Result<Execution, DeviceError> {
        let program = self.programs.get(&request.program)?;
        let runtime = Handle::try_current().map_err(|error| DeviceError::Internal { reason: error.to_string() })?;
        let Input::Objects { schema, objects } = request.input;
        pipeline::start(Job {
            environment: Arc::clone(&self.environment),
            program,
            schema,
            objects,
            parameters: Arc::new(request.parameters),
            options: request.options,
            runtime,
            _admission: self.admit()?,
        })
        .await
    }

    fn objects(&self) -> Arc<dyn ObjectStore> {
        self.environment.medium.objects()
    }
}

/// The engine's intrinsics and the vector helpers that `columnar` has.
fn helpers() -> Vec<u32> {
    let has = |helper: &&Helper| match helper.kind {
        Kind::Intrinsic => helper.targets.contains(&Target::Columnar),
        Kind::Vector => vector_helpers().any(|number| number == helper.number),
        Kind::Kernel => false,
    };
    HELPERS.iter().filter(has).map(|helper| helper.number).collect()
}
