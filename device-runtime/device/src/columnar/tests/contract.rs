//! What hostile programs and wrong requests get: a typed error, and never more.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, DictionaryArray, Int8Array, Int64Array, StringArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use nearside_programs::abi::columnar::{self, CONTEXT_LEN, FAULT_ARITHMETIC, RESULT, SELECTION};
use nearside_programs::abi::helper;
use nearside_programs::isa::{JumpOp, Reg, Size};
use nearside_programs::manifest::{
    Accumulator, ColumnSpec, EntryPoint, Manifest, Output, OutputColumn, OutputSource, State, StateSource, Target,
};
use nearside_programs::{Builder, Object, Parameters, ValueType};

use super::{Loaded, engines, only};
use crate::columnar::Program;
use crate::{DeviceError, Options};

/// The table of these tests: `s` text, `v` integers.
fn sample() -> RecordBatch {
    let schema = Schema::new(vec![Field::new("s", DataType::Utf8, true), Field::new("v", DataType::Int64, true)]);
    let texts: ArrayRef = Arc::new(StringArray::from(vec![Some("a"), None, Some("b"), Some("a")]));
    RecordBatch::try_new(Arc::new(schema), vec![texts, Arc::new(Int64Array::from(vec![Some(1), Some(2), None, Some(4)]))])
        .unwrap()
}

fn entry() -> EntryPoint {
    EntryPoint { general: "run".into(), narrow: None, loads: vec![1], handles: vec![0], scratch_bitmaps: 1 }
}

fn manifest(selects: Vec<EntryPoint>, main: Option<EntryPoint>, output: Output) -> Manifest {
    let column = |name: &str, value_type| ColumnSpec { name: name.into(), value_type, nullable: true };
    Manifest {
        target: Target::Columnar,
        abi_version: columnar::VERSION,
        columns: vec![column("s", ValueType::Utf8), column("v", ValueType::Int64)],
        parameters: vec![ValueType::Utf8, ValueType::Int64],
        bounds: Vec::new(),
        selects,
        main,
        output,
        notes: Default::default(),
    }
}

fn project(source: OutputSource) -> Output {
    Output::Project(vec![OutputColumn { name: "x".into(), source, value_type: ValueType::Int64, nullable: true }])
}

fn count_by_text() -> Output {
    let key = OutputColumn { name: "s".into(), source: OutputSource::Column(0), value_type: ValueType::Utf8, nullable: true };
    let state = |name: &str, value_type, source| State { name: name.into(), value_type, source, seen: None };
    Output::Aggregate {
        keys: vec![key],
        accumulators: vec![Accumulator { width: 8, initial: 42 }],
        states: vec![
            state("n", ValueType::Int64, StateSource::Accumulator(0)),
            state("m", ValueType::Utf8, StateSource::Text(0)),
        ],
    }
}

fn loaded(manifest: Manifest, code: impl FnOnce(&mut Builder)) -> Loaded {
    let mut builder = Builder::new();
    builder.function("run");
    code(&mut builder);
    let mut parameters = Parameters::default();
    parameters.push_text("a");
    parameters.push(ValueType::Int64, 7);
    Loaded::new(&Object::new(builder.finish().unwrap(), manifest), parameters)
}

fn select_with(code: impl FnOnce(&mut Builder)) -> Loaded {
    loaded(manifest(vec![entry()], None, project(OutputSource::Column(1))), code)
}

fn aggregate_with(code: impl FnOnce(&mut Builder)) -> Loaded {
    loaded(manifest(Vec::new(), Some(entry()), count_by_text()), code)
}

/// The program must be stopped on both engines, for a reason that contains these words.
fn check_trap(loaded: &Loaded, words: &str) {
    for options in engines() {
        match loaded.run(&sample(), &options, 8) {
            Err(DeviceError::Trap { reason }) => assert!(reason.contains(words), "{reason}"),
            other => panic!("{words}: {other:?}"),
        }
    }
}

/// A program copies `selection` to `result` by hand: what the cage holds is what the ABI says.
#[test]
fn a_program_by_hand() {
    let loaded = select_with(|code| {
        code.load(Size::W, Reg::R2, Reg::R1, SELECTION).load(Size::W, Reg::R3, Reg::R1, RESULT);
        code.load(Size::D, Reg::R4, Reg::R2, 0).store(Size::D, Reg::R3, 0, Reg::R4);
        code.load(Size::W, Reg::R0, Reg::R1, columnar::ROW_COUNT).exit();
    });
    for options in engines() {
        let batches = loaded.run(&sample(), &options, 8).unwrap();
        assert_eq!(batches[0].column(0), sample().column(1));
    }
}

/// Predicates are about selected rows, and a result is no more than the selection, whatever the program writes.
#[test]
fn other_rows_are_left_out() {
    let selection = BooleanBuffer::from(vec![true, true, true, false]);
    let columns = only(&sample(), &[0, 1]);
    for (helper, column, op, parameter, count) in [(helper::TEXT_COMPARE, 0, 0, 0, 1), (helper::COLUMN_COMPARE, 1, 2, 1, 2)] {
        let loaded = select_with(|code| {
            let wrong = code.label();
            code.mov(Reg::R6, Reg::R1).load(Size::W, Reg::R7, Reg::R1, RESULT).mov(Reg::R4, Reg::R7);
            code.mov(Reg::R1, column).mov(Reg::R2, op).mov(Reg::R3, parameter).call_helper(helper);
            code.mov(Reg::R1, Reg::R7).call_helper(helper::BITMAP_COUNT).mov(Reg::R1, Reg::R0).mov(Reg::R0, 0);
            code.branch(JumpOp::Ne, Reg::R1, count, wrong);
            code.store(Size::D, Reg::R7, 0, -1).load(Size::W, Reg::R0, Reg::R6, columnar::ROW_COUNT);
            code.bind(wrong).exit();
        });
        for options in engines() {
            let mut worker = loaded.worker(&sample().schema(), &options, 8).unwrap();
            assert_eq!(worker.select(&[0], &columns, 4, Some(&selection)).unwrap(), selection);
        }
    }
}

/// A batch of more rows than a call takes, selected here and there.
#[test]
fn long_batches_are_cut() {
    let rows = 5 * i64::from(columnar::BATCH_ROWS_MAX) / 2;
    let table = RecordBatch::try_new(
        sample().schema(),
        vec![
            Arc::new(StringArray::from_iter_values((0..rows).map(|row| if row % 5 == 0 { "a" } else { "b" }))),
            Arc::new(Int64Array::from_iter_values(0..rows)),
        ],
    );
    let columns = only(&table.unwrap(), &[0, 1]);
    let loaded = select_with(|code| {
        code.mov(Reg::R6, Reg::R1).load(Size::W, Reg::R4, Reg::R1, RESULT).mov(Reg::R1, 0).mov(Reg::R2, 0).mov(Reg::R3, 0);
        code.call_helper(helper::TEXT_COMPARE).load(Size::W, Reg::R0, Reg::R6, columnar::ROW_COUNT).exit();
    });
    let rows = rows as usize;
    for options in engines() {
        let mut worker = loaded.worker(&sample().schema(), &options, 8).unwrap();
        let selection = BooleanBuffer::collect_bool(rows, |row| row % 3 == 0);
        let selected = worker.select(&[0], &columns, rows, Some(&selection)).unwrap();
        assert_eq!(selected, BooleanBuffer::collect_bool(rows, |row| row % 15 == 0));
        assert_eq!(worker.select(&[0], &columns, rows, None).unwrap(), BooleanBuffer::collect_bool(rows, |row| row % 5 == 0));
    }
}

/// What an execution leaves in its cage, also on the stack below its frames, the next one does not find.
#[test]
fn executions_leave_nothing() {
    let loaded = select_with(|code| {
        let clean = code.label();
        code.mov(Reg::R2, Reg::R10).sub(Reg::R2, 0x8000).load(Size::D, Reg::R3, Reg::R2, 0);
        code.mov(Reg::R0, 0).branch(JumpOp::Eq, Reg::R3, 0, clean).exit();
        code.bind(clean).store(Size::D, Reg::R2, 0, 7).load(Size::W, Reg::R0, Reg::R1, columnar::ROW_COUNT).exit();
    });
    for options in engines() {
        for _ in 0..3 {
            loaded.run(&sample(), &options, 8).unwrap();
        }
    }
}

/// Counting runs the same and says how often each block ran.
#[test]
fn instructions_are_counted() {
    let loaded = select_with(|code| {
        let again = code.label();
        code.load(Size::W, Reg::R2, Reg::R1, columnar::ROW_COUNT).mov(Reg::R0, 0);
        code.bind(again).add(Reg::R0, 1).branch(JumpOp::Lt, Reg::R0, Reg::R2, again).exit();
    });
    let columns = only(&sample(), &[0, 1]);
    let options = Options { count_instructions: true, ..Options::default() };
    let mut worker = loaded.worker(&sample().schema(), &options, 8).unwrap();
    for _ in 0..2 {
        worker.select(&[0], &columns, 4, None).unwrap();
    }
    assert_eq!(worker.take_blocks(), [(0, 2, 2), (2, 8, 2), (4, 2, 1)]);
    assert_eq!(worker.take_blocks(), []);
}

/// Text predicates by hand, with a parameter, on a dictionary with NULLs in keys and values.
#[test]
fn a_helper_by_hand() {
    let loaded = select_with(|code| {
        code.mov(Reg::R6, Reg::R1).load(Size::W, Reg::R4, Reg::R1, RESULT).mov(Reg::R1, 0).mov(Reg::R2, 1).mov(Reg::R3, 0);
        code.call_helper(helper::TEXT_COMPARE).load(Size::W, Reg::R0, Reg::R6, columnar::ROW_COUNT).exit();
    });
    let keys = Int8Array::from(vec![Some(0), Some(1), None, Some(2)]);
    let dictionary = DictionaryArray::new(keys, Arc::new(StringArray::from(vec![Some("a"), None, Some("b")])));
    let schema = Schema::new(vec![Field::new("s", dictionary.data_type().clone(), true), Field::new("v", DataType::Int64, true)]);
    let table = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(dictionary), sample().column(1).clone()]).unwrap();
    for options in engines() {
        let batches = loaded.run(&table, &options, 8).unwrap();
        assert_eq!(batches[0].column(0).as_ref(), &Int64Array::from(vec![4]) as &dyn Array);
    }
}

/// r0 is the end of the rows consumed, or the program is not to be trusted with the rest.
#[test]
fn lies_about_the_end() {
    for end in [0, 3, 5, i32::MAX] {
        check_trap(
            &select_with(|code| {
                code.mov(Reg::R0, end).exit();
            }),
            "as the end of its rows",
        );
        check_trap(
            &aggregate_with(|code| {
                code.call_helper(helper::GROUP_IDS).mov(Reg::R0, end).exit();
            }),
            "as the end",
        );
    }
    check_trap(
        &aggregate_with(|code| {
            code.mov(Reg::R0, 4).exit();
        }),
        "did not call group_ids",
    );
    check_trap(
        &select_with(|code| {
            code.constant(Reg::R0, FAULT_ARITHMETIC as i64).exit();
        }),
        "arithmetic overflow",
    );
}

/// Where conjuncts and `main` are one call, each of them has to get to the end, and what `main` writes into its selection does not count.
#[test]
fn one_call_of_all() {
    let at_once = |ends: [i32; 3]| {
        let part = |general: &str| EntryPoint { general: general.into(), loads: Vec::new(), ..entry() };
        let output = Output::Aggregate {
            keys: Vec::new(),
            accumulators: vec![Accumulator { width: 8, initial: 0 }],
            states: vec![State {
                name: "n".into(),
                value_type: ValueType::Int64,
                source: StateSource::Accumulator(0),
                seen: None,
            }],
        };
        let loaded = loaded(manifest(vec![part("run"), part("then")], Some(part("main")), output), |code| {
            code.load(Size::W, Reg::R2, Reg::R1, RESULT).store(Size::B, Reg::R2, 0, 0b0110).mov(Reg::R0, ends[0]).exit();
            code.function("then").mov(Reg::R0, ends[1]).exit();
            code.function("main").load(Size::W, Reg::R2, Reg::R1, SELECTION).load(Size::B, Reg::R3, Reg::R2, 0);
            code.store(Size::D, Reg::R2, 0, -1).load(Size::W, Reg::R4, Reg::R1, columnar::ACCUMULATORS);
            code.load(Size::W, Reg::R4, Reg::R4, 0).store(Size::D, Reg::R4, 0, Reg::R3).mov(Reg::R0, ends[2]).exit();
        });
        assert!(loaded.program.filter_main.is_some());
        let results = engines().map(|options| {
            let mut worker = loaded.worker(&sample().schema(), &options, 8)?;
            loaded.aggregate_at_once(&mut worker, &sample(), Some(&BooleanBuffer::from(vec![true, true, false, true])))
        });
        Vec::from_iter(results)
    };
    for result in at_once([4; 3]) {
        let (batches, passed) = result.unwrap();
        assert_eq!(batches[0].column(0).as_ref(), &Int64Array::from(vec![0b0110]) as &dyn Array);
        assert_eq!(passed, 3, "no more than was asked about");
    }
    for ends in [[3, 4, 4], [4, 5, 4], [4, 4, 0]] {
        for result in at_once(ends) {
            let Err(DeviceError::Trap { reason }) = result else { panic!("{ends:?}: {result:?}") };
            assert!(reason.contains("as the end of its rows"), "{reason}");
        }
    }
}

/// Helpers look at every argument before they work.
#[test]
fn helpers_check_their_arguments() {
    let call = |number: u32, arguments: [i64; 4]| {
        select_with(move |code| {
            for (register, value) in [Reg::R1, Reg::R2, Reg::R3, Reg::R4].into_iter().zip(arguments) {
                code.constant(register, value);
            }
            code.call_helper(number).mov(Reg::R0, 4).exit();
        })
    };
    // The context is mapped, but read-only.
    let read_only = 0x1_0000;
    for (number, arguments, words) in [
        (helper::TEXT_COMPARE, [1, 0, 0, 0], "argument 1"),
        (helper::TEXT_COMPARE, [2, 0, 0, 0], "argument 1"),
        (helper::TEXT_COMPARE, [1 << 32, 0, 0, 0], "argument 1"),
        (helper::TEXT_COMPARE, [0, 6, 0, 0], "argument 2"),
        (helper::TEXT_COMPARE, [0, -1, 0, 0], "argument 2"),
        (helper::TEXT_COMPARE, [0, 0, 1, 0], "argument 3"),
        (helper::TEXT_COMPARE, [0, 0, 2, 0], "argument 3"),
        (helper::TEXT_COMPARE, [0, 0, 0, 0], "store"),
        (helper::TEXT_COMPARE, [0, 0, 0, read_only], "store"),
        (helper::TEXT_LIKE, [0, 2, 0, 0], "argument 2"),
        (helper::TEXT_COMPARE_COLUMNS, [0, 0, 1, 0], "argument 3"),
        (helper::TEXT_IN, [0, 7, 0, 0], "argument 2"),
        // "a" is no list.
        (helper::TEXT_IN, [0, 0, read_only, 0], "list parameter"),
        (helper::TEXT_MIN, [0, 0, 4, 0], "argument 1"),
        (helper::GROUP_IDS, [0; 4], "without groups"),
    ] {
        check_trap(&call(number, arguments), words);
    }
}

/// `text_min` only sees rows that have a group, and states that exist.
#[test]
fn text_states_check_their_arguments() {
    let update = |state: i32, end: i32| {
        aggregate_with(move |code| {
            code.call_helper(helper::GROUP_IDS).mov(Reg::R6, Reg::R0);
            code.mov(Reg::R1, state).mov(Reg::R2, 0).mov(Reg::R3, end).call_helper(helper::TEXT_MIN).mov(Reg::R0, Reg::R6).exit();
        })
    };
    check_trap(&update(1, 4), "argument 1");
    check_trap(&update(0, 5), "argument 3");
    check_trap(&update(0, -1), "argument 3");
    for options in engines() {
        let batches = update(0, 4).run(&sample(), &options, 8).unwrap();
        let expected = Arc::new(StringArray::from(vec![Some("a"), None, Some("b")])) as ArrayRef;
        assert_eq!(batches[0].column(0), &expected);
        // The accumulator was never touched.
        assert_eq!(batches[0].column(1).as_ref(), &Int64Array::from(vec![42; 3]) as &dyn Array);
        assert_eq!(batches[0].column(2), &expected);
    }
}

/// A program that never ends, or reads what is not its own, is stopped.
#[test]
fn loops_and_wild_addresses() {
    check_trap(
        &select_with(|code| {
            let again = code.label();
            code.bind(again).jump(again);
        }),
        "fuel used up",
    );
    check_trap(
        &select_with(|code| {
            let again = code.label();
            code.mov(Reg::R6, Reg::R1).bind(again).load(Size::W, Reg::R4, Reg::R6, RESULT);
            code.mov(Reg::R1, 0).mov(Reg::R2, 1).mov(Reg::R3, 0).call_helper(helper::TEXT_COMPARE).jump(again);
        }),
        "fuel used up",
    );
    check_trap(
        &select_with(|code| {
            code.store(Size::W, Reg::R1, 0, 0).exit();
        }),
        "not mapped",
    );
    check_trap(
        &select_with(|code| {
            code.load(Size::D, Reg::R0, Reg::R1, -8).exit();
        }),
        "not mapped",
    );
    let beyond = CONTEXT_LEN as i16;
    // What follows the context is padding: zero, and the program's to read.
    let loaded = select_with(|code| {
        code.load(Size::D, Reg::R0, Reg::R1, beyond).exit();
    });
    check_trap(&loaded, "returned 0");
}

/// What is not a program of this device says so when it is loaded.
#[test]
fn what_is_no_program_is_refused() {
    let refused = |bytes: &[u8]| matches!(Program::load(bytes), Err(DeviceError::BadProgram { .. }));
    assert!(refused(b"not an object"));
    let good = manifest(vec![entry()], None, project(OutputSource::Column(1)));
    let object = |manifest: Manifest| {
        let mut builder = Builder::new();
        builder.function("run").mov(Reg::R0, 0).exit();
        Object::new(builder.finish().unwrap(), manifest).write()
    };
    assert!(!refused(&object(good.clone())));
    assert!(refused(&object(Manifest { abi_version: columnar::VERSION + 1, ..good.clone() })));
    assert!(refused(&object(Manifest { target: Target::Packet, ..good.clone() })));
    assert!(refused(&object(Manifest { selects: vec![EntryPoint { general: "gone".into(), ..entry() }], ..good.clone() })));
    assert!(refused(&object(Manifest { output: project(OutputSource::Column(9)), ..good })));
}

/// A request that does not fit its program is the caller's mistake, and is said so before anything runs.
#[test]
fn requests_are_checked() {
    let loaded = select_with(|code| {
        code.mov(Reg::R0, 4).exit();
    });
    let worker = |schema: SchemaRef, parameters: Parameters| {
        let loaded = Loaded { parameters: Arc::new(parameters), ..loaded.clone() };
        loaded.worker(&schema, &Options::default(), 8).map(drop)
    };
    let refused = |result: Result<(), DeviceError>| matches!(result, Err(DeviceError::BadRequest { .. }));
    let good = (*loaded.parameters).clone();
    assert!(worker(sample().schema(), good.clone()).is_ok());
    assert!(refused(worker(sample().schema(), Parameters::default())));
    let other = Schema::new(vec![Field::new("s", DataType::Utf8, true), Field::new("v", DataType::Int32, true)]);
    assert!(refused(worker(Arc::new(other), good.clone())));
    assert!(refused(worker(Arc::new(sample().schema().project(&[0]).unwrap()), good)));
    let mut worker = loaded.worker(&sample().schema(), &Options::default(), 8).unwrap();
    let missing = worker.select(&[0], &only(&sample(), &[0]), 4, None);
    assert!(matches!(missing, Err(DeviceError::Internal { .. })), "{missing:?}");
}
