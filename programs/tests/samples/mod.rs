//! Manifests that use every part, and the object they describe.

use std::collections::BTreeMap;

use nearside_programs::abi::columnar;
use nearside_programs::manifest::{
    Accumulator, Bound, BoundOp, ColumnSpec, EntryPoint, Narrow, Output, OutputColumn, OutputSource, RangeStep, State,
    StateSource, Target,
};
use nearside_programs::{Builder, Manifest, Object, ValueType};

pub(crate) const DECIMAL: ValueType = ValueType::Decimal128 { precision: 15, scale: 2 };

pub(crate) fn column(name: &str, value_type: ValueType) -> ColumnSpec {
    ColumnSpec { name: name.into(), value_type, nullable: true }
}

pub(crate) fn output(source: OutputSource, value_type: ValueType) -> OutputColumn {
    OutputColumn { name: "o".into(), source, value_type, nullable: true }
}

pub(crate) fn state(source: StateSource, value_type: ValueType) -> State {
    State { name: "s".into(), value_type, source, seen: None }
}

fn entry_point(general: &str) -> EntryPoint {
    EntryPoint { general: general.into(), narrow: None, loads: vec![0], handles: vec![2], scratch_bitmaps: 2 }
}

/// Columns 0: i64, 1: decimal, 2: text, 3: opaque; a select and an aggregate that use everything.
pub(crate) fn aggregate() -> Manifest {
    let proof = vec![RangeStep::Column(1), RangeStep::Parameter(1), RangeStep::Mul, RangeStep::Drop];
    Manifest {
        target: Target::Columnar,
        abi_version: columnar::VERSION,
        columns: vec![
            column("k", ValueType::Int64),
            column("d", DECIMAL),
            column("t", ValueType::Utf8),
            column("x", ValueType::Opaque),
        ],
        parameters: vec![ValueType::Int64, DECIMAL, ValueType::Utf8],
        bounds: vec![
            Bound { column: 0, op: BoundOp::Lt, parameter: 0 },
            Bound { column: 2, op: BoundOp::In, parameter: 2 },
            Bound { column: 3, op: BoundOp::IsNotNull, parameter: 99 },
        ],
        selects: vec![entry_point("f")],
        main: Some(EntryPoint { narrow: Some(Narrow { symbol: "g".into(), proof }), ..entry_point("f") }),
        output: Output::Aggregate {
            keys: vec![
                output(OutputSource::Computed(1), ValueType::Bool),
                output(OutputSource::Column(2), ValueType::Utf8),
                output(OutputSource::Computed(0), ValueType::Int32),
            ],
            accumulators: vec![Accumulator { width: 8, initial: -1 }, Accumulator { width: 16, initial: i128::MAX }],
            states: vec![
                State { seen: Some(0), ..state(StateSource::Accumulator(1), DECIMAL) },
                state(StateSource::TotalOrderKey(0), ValueType::Float32),
                state(StateSource::Text(0), ValueType::Utf8),
            ],
        },
        notes: BTreeMap::from([(1, "last".into())]),
    }
}

pub(crate) fn projection() -> Manifest {
    let columns = vec![output(OutputSource::Column(3), ValueType::Opaque), output(OutputSource::Computed(0), ValueType::Int64)];
    Manifest { output: Output::Project(columns), ..aggregate() }
}

pub(crate) fn object() -> Object {
    let mut b = Builder::new();
    b.function("f").exit().function("g").exit();
    Object::new(b.finish().unwrap(), aggregate())
}
