//! What the tests of both engines share: a cage with a known layout, and runs that must end alike.

use std::cell::RefCell;
use std::sync::LazyLock;

use nearside_engine::{Access, Backend, Cage, Code, Fuel, HelperFault, Helpers, Memory, Module, Region, Trap};
use nearside_programs::isa::Slot;
use nearside_programs::manifest::Target;
use nearside_programs::{Assembled, Builder, assemble};

/// One unit, read-only.
pub(crate) const READ_ONLY: u32 = 0x1_0000;
/// One unit, read-write, adjacent to [`READ_ONLY`].
pub(crate) const READ_WRITE: u32 = 0x2_0000;
/// One unit of two, read-write; the other can be grown to.
pub(crate) const GROWING: u32 = 0x10_0000;
/// One unit, read-write, adjacent to what is reserved for [`GROWING`].
pub(crate) const NEIGHBOUR: u32 = 0x12_0000;

pub(crate) const REGIONS: [Region; 4] = [
    Region { start: READ_ONLY, len: 0x1_0000, reserved: 0x1_0000, access: Access::ReadOnly },
    Region { start: READ_WRITE, len: 0x1_0000, reserved: 0x1_0000, access: Access::ReadWrite },
    Region { start: GROWING, len: 0x1_0000, reserved: 0x2_0000, access: Access::ReadWrite },
    Region { start: NEIGHBOUR, len: 0x1_0000, reserved: 0x1_0000, access: Access::ReadWrite },
];

/// Plenty for every test that is not about fuel.
pub(crate) const FUEL: u64 = 1_000_000;

/// A cage without any pattern in its bytes.
pub(crate) fn cage() -> Cage {
    static CONTENTS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let byte =
            |region: usize, position: u32| position.wrapping_mul(0x9e37_79b1).wrapping_add(region as u32 * 77).to_le_bytes()[3];
        let contents = |(region, size): (usize, &Region)| (0..size.len).map(|position| byte(region, position)).collect();
        REGIONS.iter().enumerate().map(contents).collect()
    });
    let mut cage = Cage::new(&REGIONS).unwrap();
    for (index, contents) in CONTENTS.iter().enumerate() {
        cage.region_mut(index).copy_from_slice(contents);
    }
    cage
}

/// All that can be seen of a run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) result: Result<u64, Trap>,
    pub(crate) fuel: u64,
    pub(crate) memory: Vec<Vec<u8>>,
}

/// A helper of the target that returns the sum of its arguments, charges r1, writes 8 bytes at r2 if it is not 0, and panics if r3
/// is not 0.
pub(crate) struct Summing;

impl Helpers for Summing {
    fn call(&mut self, _: u32, arguments: [u64; 5], memory: &mut Memory<'_>, fuel: &mut Fuel) -> Result<u64, HelperFault> {
        let sum = arguments.iter().fold(0_u64, |sum, value| sum.wrapping_add(*value));
        fuel.charge(arguments[0])?;
        if arguments[1] != 0 {
            memory.write(arguments[1], 8)?.copy_from_slice(&sum.to_le_bytes());
        }
        assert_eq!(arguments[2], 0, "this panic is part of a test");
        Ok(sum)
    }
}

pub(crate) fn module(slots: &[Slot], backend: Backend) -> Module {
    let code = Code { slots, entries: &[0], maps: &[], target: Target::Columnar };
    let module = Module::compile(code, backend).unwrap();
    assert_eq!(module.backend(), backend, "{:?}", module.fallback());
    module
}

pub(crate) fn run_on(module: &Module, cage: &mut Cage, arguments: [u64; 5], fuel: u64) -> Outcome {
    let mut fuel = Fuel(fuel);
    let result = module.run(cage, 0, arguments, &mut fuel, &mut Summing);
    let memory = (0..REGIONS.len()).map(|index| cage.region(index).to_vec()).collect();
    Outcome { result, fuel: fuel.0, memory }
}

/// A program in both engines.
pub(crate) struct Both {
    interpreter: Module,
    jit: Module,
}

impl Both {
    pub(crate) fn new(slots: &[Slot]) -> Self {
        Self { interpreter: module(slots, Backend::Interpreter), jit: module(slots, Backend::Jit) }
    }

    pub(crate) fn build(build: impl FnOnce(&mut Builder)) -> Self {
        let mut builder = Builder::new();
        build(&mut builder);
        Self::new(&builder.finish().unwrap().code)
    }

    pub(crate) fn text(text: &str) -> Self {
        Self::new(&text_code(text).code)
    }

    /// Runs both in cages of the same contents; they must agree on everything, except on fuel after a memory trap.
    pub(crate) fn run_with(&self, arguments: [u64; 5], fuel: u64) -> Outcome {
        let interpreted = run_on(&self.interpreter, &mut cage(), arguments, fuel);
        let mut translated = run_on(&self.jit, &mut cage(), arguments, fuel);
        if let Err(Trap::Memory { address, .. }) = interpreted.result {
            assert!(translated.fuel >= interpreted.fuel);
            translated.fuel = interpreted.fuel;
            emulated(&mut translated.result, address);
        }
        assert_eq!(interpreted.result, translated.result, "result, for arguments {arguments:x?}");
        assert_eq!(interpreted.fuel, translated.fuel, "fuel, for arguments {arguments:x?}");
        assert!(interpreted.memory == translated.memory, "memory, for arguments {arguments:x?}");
        interpreted
    }

    /// As [`Both::run`], for programs that touch no memory but their stack: faster.
    pub(crate) fn compute(&self, arguments: [u64; 5]) -> Result<u64, Trap> {
        thread_local!(static CAGE: RefCell<Cage> = RefCell::new(Cage::new(&[]).unwrap()));
        CAGE.with_borrow_mut(|cage| {
            let mut run = |module: &Module| {
                let mut fuel = Fuel(FUEL);
                (module.run(cage, 0, arguments, &mut fuel, &mut Summing), fuel)
            };
            let interpreted = run(&self.interpreter);
            assert_eq!(interpreted, run(&self.jit), "result and fuel, for arguments {arguments:x?}");
            interpreted.0
        })
    }

    pub(crate) fn run(&self, arguments: [u64; 5]) -> Result<u64, Trap> {
        self.run_with(arguments, FUEL).result
    }
}

/// QEMU reports the fault of an unaligned access at the multiple of 8 before it, where an aarch64 processor reports the byte.
pub(crate) fn emulated<T>(result: &mut Result<T, Trap>, exact: u32) {
    if let Err(Trap::Memory { address, .. }) = result
        && cfg!(target_arch = "aarch64")
        && exact.wrapping_sub(*address) < 8
    {
        *address = exact;
    }
}

pub(crate) fn text_code(text: &str) -> Assembled {
    assemble(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
