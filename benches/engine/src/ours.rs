//! `nearside-engine` on the steps' own byte code: a few rows at a time are copied into a region of the cage.

use std::sync::Arc;

use anyhow::{Result, ensure};
use nearside_engine::{Access, Backend, Cage, Code, Fuel, Module, NoHelpers, REGION_UNIT, Region};
use nearside_programs::manifest::Target;

use crate::data::{Data, Places};
use crate::machine::Machine;

/// Where the region begins.
const START: u32 = REGION_UNIT;

/// How it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Interpreter,
    /// Cage and fuel: what a device has.
    Jit,
    /// As [`Kind::Jit`], over columns that are all in the cage already.
    JitInCage,
    /// Cage, no fuel.
    #[cfg(nearside_unchecked)]
    JitWithoutFuel,
    /// No cage and no fuel; the same copies.
    #[cfg(nearside_unchecked)]
    JitUnchecked,
    /// No cage and no fuel, over columns where they are.
    #[cfg(nearside_unchecked)]
    JitUncheckedInPlace,
}

/// By the names of the report.
pub(crate) const KINDS: &[(&str, Kind)] = &[
    ("ours", Kind::Jit),
    ("ours in cage", Kind::JitInCage),
    #[cfg(nearside_unchecked)]
    ("ours without fuel", Kind::JitWithoutFuel),
    #[cfg(nearside_unchecked)]
    ("ours unchecked", Kind::JitUnchecked),
    #[cfg(nearside_unchecked)]
    ("ours unchecked in place", Kind::JitUncheckedInPlace),
    ("ours interpreter", Kind::Interpreter),
];

pub(crate) fn machine(data: &Arc<Data>, kind: Kind) -> Result<Option<Box<dyn Machine>>> {
    let code = Code { slots: &data.step.code, entries: &[0], maps: &[], target: Target::Columnar };
    let module = compile(code, kind)?;
    let interpreted = kind == Kind::Interpreter;
    ensure!((module.backend() == Backend::Interpreter) == interpreted, "{:?}", module.fallback());
    Ok(Some(match kind {
        Kind::JitInCage => Box::new(InCage::new(data, module)?),
        #[cfg(nearside_unchecked)]
        Kind::JitUncheckedInPlace => Box::new(InPlace { data: data.clone(), module, cage: Cage::new(&[])? }),
        _ => Box::new(Batches::new(data, module, kind)?),
    }))
}

/// The module of a kind.
pub(crate) fn compile(code: Code<'_>, kind: Kind) -> Result<Module> {
    Ok(match kind {
        Kind::Interpreter => Module::compile(code, Backend::Interpreter)?,
        Kind::Jit | Kind::JitInCage => Module::compile(code, Backend::Jit)?,
        #[cfg(nearside_unchecked)]
        Kind::JitWithoutFuel => without(code, nearside_engine::Without::Fuel)?,
        #[cfg(nearside_unchecked)]
        Kind::JitUnchecked | Kind::JitUncheckedInPlace => without(code, nearside_engine::Without::FuelAndCage)?,
    })
}

#[cfg(nearside_unchecked)]
fn without(code: Code<'_>, without: nearside_engine::Without) -> Result<Module> {
    // SAFETY: the steps' programs end after the rows their header says, and stay in the memory it describes: checked engines run them on the same.
    Ok(unsafe { Module::compile_without(code, without) }?)
}

fn cage(len: usize) -> Result<Cage> {
    let len = u32::try_from(len)?.next_multiple_of(REGION_UNIT);
    Ok(Cage::new(&[Region { start: START, len, reserved: len, access: Access::ReadWrite }])?)
}

fn call(module: &Module, cage: &mut Cage, address: u64) -> Result<u64> {
    Ok(module.run(cage, 0, [address, 0, 0, 0, 0], &mut Fuel(u64::MAX), &mut NoHelpers)?)
}

/// Copies some rows in and their output out.
struct Batches {
    data: Arc<Data>,
    module: Module,
    cage: Cage,
    places: Places,
    /// r1.
    address: u64,
    output: Vec<u8>,
}

impl Batches {
    fn new(data: &Arc<Data>, module: Module, kind: Kind) -> Result<Self> {
        let places = Places::new(data.step, data.copied_rows());
        let mut cage = cage(places.len)?;
        places.begin(data.step, cage.region_mut(0));
        let address = match kind {
            Kind::Interpreter | Kind::Jit | Kind::JitInCage => START.into(),
            #[cfg(nearside_unchecked)]
            Kind::JitWithoutFuel => START.into(),
            #[cfg(nearside_unchecked)]
            Kind::JitUnchecked | Kind::JitUncheckedInPlace => cage.region_mut(0).as_mut_ptr() as u64,
        };
        Ok(Self { data: data.clone(), module, cage, places, address, output: vec![0; data.places.output.len()] })
    }
}

impl Machine for Batches {
    fn run(&mut self) -> Result<u64> {
        let Self { data, module, cage, places, address, output } = self;
        places.clear(cage.region_mut(0));
        let mut sum = 0_u64;
        for first in (0..data.places.rows).step_by(places.rows) {
            let memory = cage.region_mut(0);
            for (column, place) in places.columns.iter().enumerate() {
                memory[place.clone()].copy_from_slice(data.values(column, first, places.rows));
            }
            data.fetch(first + places.rows);
            sum = sum.wrapping_add(call(module, cage, *address)?);
            output[data.output_of(first, places.rows)].copy_from_slice(&cage.region(0)[places.output.clone()]);
        }
        Ok(sum)
    }

    fn output(&mut self) -> Vec<u8> {
        self.output.clone()
    }
}

/// Everything is in the cage.
struct InCage {
    data: Arc<Data>,
    module: Module,
    cage: Cage,
}

impl InCage {
    fn new(data: &Arc<Data>, module: Module) -> Result<Self> {
        let mut cage = cage(data.places.len)?;
        cage.region_mut(0)[..data.places.len].copy_from_slice(data.arena.bytes());
        Ok(Self { data: data.clone(), module, cage })
    }
}

impl Machine for InCage {
    fn run(&mut self) -> Result<u64> {
        if self.data.is_accumulated() {
            self.data.places.clear(self.cage.region_mut(0));
        }
        call(&self.module, &mut self.cage, START.into())
    }

    fn output(&mut self) -> Vec<u8> {
        self.cage.region(0)[self.data.places.output.clone()].to_vec()
    }
}

/// In the arena; the cage is empty.
#[cfg(nearside_unchecked)]
struct InPlace {
    data: Arc<Data>,
    module: Module,
    cage: Cage,
}

#[cfg(nearside_unchecked)]
impl Machine for InPlace {
    fn run(&mut self) -> Result<u64> {
        self.data.clear();
        call(&self.module, &mut self.cage, self.data.arena.address())
    }

    fn output(&mut self) -> Vec<u8> {
        self.data.output()
    }
}
