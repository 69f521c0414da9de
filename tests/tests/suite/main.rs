//! Whole programs over real files, sockets and processes. One binary: each would link all of DataFusion again.

mod daemon;
mod differential;
mod errors;
mod kill;
mod s3;
mod shell;
mod socket;
mod sql;
mod stop;
