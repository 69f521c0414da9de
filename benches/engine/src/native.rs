//! The same work without a sandbox: in Rust over whole columns, and by arrow-rs a batch at a time.

use std::sync::Arc;

use anyhow::Result;

use crate::data::Data;
use crate::machine::Machine;
use crate::steps::{Kernels, Native};

/// How rustc compiles the loop.
#[derive(Clone, Copy)]
pub(crate) enum How {
    Scalar,
    Vectorised,
}

pub(crate) fn rust(data: &Arc<Data>, how: How) -> Box<dyn Machine> {
    let work = match how {
        How::Scalar => data.step.scalar,
        How::Vectorised => data.step.vectorised,
    };
    Box::new(Rust { data: data.clone(), work, output: vec![0; data.places.output.len()] })
}

pub(crate) fn kernels(data: &Arc<Data>) -> Option<Box<dyn Machine>> {
    let work = data.step.kernels?;
    Some(Box::new(Arrow { data: data.clone(), work, output: vec![0; data.places.output.len()] }))
}

struct Rust {
    data: Arc<Data>,
    work: Native,
    output: Vec<u8>,
}

impl Machine for Rust {
    fn run(&mut self) -> Result<u64> {
        if self.data.is_accumulated() {
            self.output.fill(0);
        }
        Ok((self.work)(&self.data.whole, &mut self.output))
    }

    fn output(&mut self) -> Vec<u8> {
        self.output.clone()
    }
}

struct Arrow {
    data: Arc<Data>,
    work: Kernels,
    output: Vec<u8>,
}

impl Machine for Arrow {
    fn run(&mut self) -> Result<u64> {
        let Self { data, work, output } = self;
        if data.is_accumulated() {
            output.fill(0);
        }
        data.batches.iter().enumerate().try_fold(0_u64, |sum, (index, batch)| {
            Ok(sum.wrapping_add(work(batch, &mut output[data.output_of(index * data.step.batch_rows, data.step.batch_rows)])?))
        })
    }

    fn output(&mut self) -> Vec<u8> {
        self.output.clone()
    }
}
