//! A query's fragment: Q6 of TPC-H as the planner compiles it, called for a batch.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, ArrayRef, AsArray, Date32Array, Decimal128Array, Int64Array};
use arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, Schema, SchemaRef};
use nearside_device::Options;
use nearside_device::columnar::{Instance, Program};
use nearside_planner::{Capabilities, Fragment, compile};
use nearside_programs::Parameters;

use super::subject::Subject;

/// Rows of the batch.
const ROWS: i64 = 1024;

/// A fragment and the type of its numbers.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    name: &'static str,
    fragment: &'static str,
    is_decimal: bool,
}

pub(super) const INTEGERS: Kind = Kind {
    name: "Q6, integers",
    fragment: "scan (quantity: i64, price: i64, discount: i64, shipdate: date) | filter shipdate >= date '1994-01-01' and shipdate < date '1995-01-01' \
               | filter discount >= 5 and discount <= 7 | filter quantity < 2400 | aggregate revenue: sum(price * discount)",
    is_decimal: false,
};

pub(super) const DECIMALS: Kind = Kind {
    name: "Q6, decimals",
    fragment: "scan (quantity: decimal(15,2), price: decimal(15,2), discount: decimal(15,2), shipdate: date) \
               | filter shipdate >= date '1994-01-01' and shipdate < date '1995-01-01' | filter discount >= 0.05d(15,2) and discount <= 0.07d(15,2) \
               | filter quantity < 24.00d(15,2) | aggregate revenue: sum(price * discount)",
    is_decimal: true,
};

pub(super) struct Query {
    kind: Kind,
    object: Vec<u8>,
    parameters: Arc<Parameters>,
    schema: SchemaRef,
    columns: Vec<Option<ArrayRef>>,
    once: u64,
}

impl Query {
    pub(super) fn new(kind: Kind) -> Result<Self> {
        let fragment: Fragment = kind.fragment.parse()?;
        let compiled = compile(&fragment, &Capabilities::all())?;
        let rows = 0..ROWS;
        let quantities: Vec<i64> = rows.clone().map(|row| (1 + row * 7 % 50) * 100).collect();
        let prices: Vec<i64> = rows.clone().map(|row| 90_000 + row * 9_973 % 1_000_000).collect();
        let discounts: Vec<i64> = rows.clone().map(|row| row * 5 % 11).collect();
        let dates: Vec<i32> = rows.map(|row| 8_036 + (row * 37 % 2_526) as i32).collect();
        let passes =
            |row: usize| (8_766..9_131).contains(&dates[row]) && (5..=7).contains(&discounts[row]) && quantities[row] < 2_400;
        let once = (0..ROWS as usize).filter(|row| passes(*row)).map(|row| (prices[row] * discounts[row]) as u64).sum();
        ensure!(once > 0, "no row passes");
        let mut arrays: Vec<ArrayRef> = Vec::new();
        for values in [quantities, prices, discounts] {
            arrays.push(numbers(values, kind.is_decimal)?);
        }
        arrays.push(Arc::new(Date32Array::from(dates)));
        let names = ["quantity", "price", "discount", "shipdate"];
        let fields: Vec<Field> =
            names.iter().zip(&arrays).map(|(name, array)| Field::new(*name, array.data_type().clone(), false)).collect();
        Ok(Self {
            kind,
            object: compiled.object.write(),
            parameters: Arc::new(compiled.parameters),
            schema: Arc::new(Schema::new(fields)),
            columns: arrays.into_iter().map(Some).collect(),
            once,
        })
    }
}

fn numbers(values: Vec<i64>, is_decimal: bool) -> Result<ArrayRef> {
    if !is_decimal {
        return Ok(Arc::new(Int64Array::from(values)));
    }
    let values = Decimal128Array::from_iter_values(values.into_iter().map(i128::from));
    Ok(Arc::new(values.with_precision_and_scale(15, 2)?))
}

impl Subject for Query {
    type Program = Arc<Program>;
    type Instance = Instance;
    /// A program's cages are in its own pool.
    type Worker = ();

    fn name(&self) -> &'static str {
        self.kind.name
    }

    fn load(&self) -> Result<Arc<Program>> {
        let program = Program::load(&self.object)?;
        // The process remembers compiled code by digest.
        program.deactivate();
        program.activate()?;
        Ok(Arc::new(program))
    }

    fn worker(&self) -> Result<()> {
        Ok(())
    }

    fn instance(&self, program: &Arc<Program>) -> Result<Instance> {
        Ok(Instance::new(program.clone(), &self.schema, self.parameters.clone(), &Options::default(), 1 << 16)?)
    }

    fn call(&self, program: &Arc<Program>, (): &mut (), instance: Instance) -> Result<Instance> {
        let mut worker = instance.bind()?;
        let conjuncts: Vec<usize> = (0..program.manifest().selects.len()).collect();
        let selected = worker.select(&conjuncts, &self.columns, ROWS as usize, None)?;
        worker.aggregate(&self.columns, ROWS as usize, Some(&selected), &mut |_| ())?;
        Ok(worker.unbind())
    }

    fn result(&self, instance: Instance) -> Result<u64> {
        let partials = instance.bind()?.finish()?.context("no partials")?;
        let sum = partials.column(0);
        Ok(match sum.data_type() {
            DataType::Int64 => sum.as_primitive::<Int64Type>().value(0) as u64,
            _ => sum.as_primitive::<Decimal128Type>().value(0) as u64,
        })
    }

    fn once(&self) -> u64 {
        self.once
    }
}
