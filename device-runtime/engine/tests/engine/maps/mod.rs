//! Maps: against plain models, through byte code in both engines, through the host, from several threads, and against the kernel's.

mod concurrent;
mod control;
mod hostile;
mod kernel;
mod kinds;
mod limits;
mod model;
mod records;
mod world;

use world::{BACKENDS, CPUS, KEY, VALUE, World, compile, errno, reference, spec, try_maps};
