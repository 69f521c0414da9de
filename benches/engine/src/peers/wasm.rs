//! `wasmtime`: the step as WebAssembly. Linear memory is the sandbox, checked by guard pages as our cage is; as many rows at a time are copied into it.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use wasmtime::{Config, Engine, Instance, Memory, Module, Store, TypedFunc};

use crate::data::{Data, Places};
use crate::machine::Machine;
use crate::steps::Step;

/// Bytes of a page of linear memory.
const PAGE: usize = 65_536;

pub(super) fn machine(data: &Arc<Data>, fuel: bool) -> Result<Box<dyn Machine>> {
    let places = Places::new(data.step, data.copied_rows());
    let engine = engine(fuel)?;
    let module = Module::new(&engine, wat::parse_str(text(&places, data.step))?).map_err(plain)?;
    let mut store = Store::new(&engine, ());
    let instance = Instance::new(&mut store, &module, &[]).map_err(plain)?;
    let run = instance.get_typed_func(&mut store, "run").map_err(plain)?;
    let memory = instance.get_memory(&mut store, "memory").ok_or_else(|| anyhow!("no memory"))?;
    places.begin(data.step, memory.data_mut(&mut store));
    Ok(Box::new(Wasm { data: data.clone(), places, store, memory, run, fuel, output: vec![0; data.places.output.len()] }))
}

/// Compiles by an engine that is there already.
pub(super) fn compiler(step: &'static Step) -> Box<dyn FnMut() -> Result<()>> {
    let mut ready = None;
    Box::new(move || {
        let (engine, wasm) = match &mut ready {
            Some(ready) => ready,
            None => ready.insert((engine(false)?, wat::parse_str(text(&Places::new(step, step.batch_rows), step))?)),
        };
        Module::new(engine, &*wasm).map_err(plain)?;
        Ok(())
    })
}

fn engine(fuel: bool) -> Result<Engine> {
    let mut config = Config::new();
    config.consume_fuel(fuel);
    Engine::new(&config).map_err(plain)
}

/// The step's module, with memory for these places.
fn text(places: &Places, step: &Step) -> String {
    let pages = places.len.div_ceil(PAGE);
    format!("(module (memory (export \"memory\") {pages}) (func (export \"run\") (param $h i32) (result i64) {}))", step.wat)
}

fn plain(error: wasmtime::Error) -> anyhow::Error {
    anyhow!("{error:#}")
}

struct Wasm {
    data: Arc<Data>,
    places: Places,
    store: Store<()>,
    memory: Memory,
    run: TypedFunc<u32, u64>,
    fuel: bool,
    output: Vec<u8>,
}

impl Machine for Wasm {
    fn run(&mut self) -> Result<u64> {
        let Self { data, places, store, memory, run, fuel, output } = self;
        if *fuel {
            store.set_fuel(u64::MAX / 2).map_err(plain)?;
        }
        places.clear(memory.data_mut(&mut *store));
        let mut sum = 0_u64;
        for first in (0..data.places.rows).step_by(places.rows) {
            let bytes = memory.data_mut(&mut *store);
            for (column, place) in places.columns.iter().enumerate() {
                bytes[place.clone()].copy_from_slice(data.values(column, first, places.rows));
            }
            data.fetch(first + places.rows);
            sum = sum.wrapping_add(run.call(&mut *store, 0).map_err(plain)?);
            output[data.output_of(first, places.rows)].copy_from_slice(&memory.data(&*store)[places.output.clone()]);
        }
        Ok(sum)
    }

    fn output(&mut self) -> Vec<u8> {
        self.output.clone()
    }
}
