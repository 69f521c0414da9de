//! `Manifest::check`: each part that does not describe its object is refused by name.

mod samples;

use std::collections::BTreeMap;

use nearside_programs::abi::packet;
use nearside_programs::manifest::{
    Accumulator, BoundOp, EntryPoint, Narrow, Output, OutputColumn, OutputSource, RangeStep, State, StateSource, Target,
};
use nearside_programs::{Manifest, ValueType};
use samples::{DECIMAL, aggregate, column, object, output, projection};

fn refusal(manifest: Manifest, change: impl FnOnce(&mut Manifest)) -> String {
    let mut changed = manifest;
    change(&mut changed);
    changed.check(&object()).unwrap_err().to_string()
}

/// The samples that the other tests spoil are right.
#[test]
fn coherent_manifests_pass() {
    aggregate().check(&object()).unwrap();
    projection().check(&object()).unwrap();
    let plain = vec![output(OutputSource::Column(0), ValueType::Int64)];
    Manifest { main: None, output: Output::Project(plain), ..aggregate() }.check(&object()).unwrap();
}

/// JSON keeps all of a manifest, 128-bit integers included.
#[test]
fn json_keeps_everything() {
    for manifest in [aggregate(), projection()] {
        assert_eq!(Manifest::from_json(&manifest.to_json()).unwrap(), manifest);
    }
}

#[test]
fn tables_are_checked() {
    let check = |change: fn(&mut Manifest), message: &str| assert_eq!(refusal(aggregate(), change), message);
    check(|m| m.abi_version = 7, "object is for columnar ABI 7, this build runs 3");
    check(
        |m| (m.target, m.abi_version) = (Target::Packet, packet::VERSION),
        "object is for target packet, which does not run here",
    );
    check(|m| m.target = Target::Block, "object is for target block, which does not run here");
    check(|m| m.columns[1].name = "k".into(), "manifest: column 1 has another column's name");
    check(
        |m| m.columns[1].value_type = ValueType::Decimal128 { precision: 39, scale: 0 },
        "manifest: column 1: type decimal(39,0) has more digits than 38, or none",
    );
    check(|m| m.parameters[0] = ValueType::Opaque, "manifest: parameter 0: type opaque has no literals");
    check(|m| m.parameters = vec![DECIMAL; 4097], "manifest: 4097 parameters; the limit is 4096");
    check(|m| m.columns = vec![column("k", DECIMAL); 1025], "manifest: 1025 columns; the limit is 1024");
    check(|m| m.bounds[0].column = 4, "manifest: bound 0: column 4 of 4");
    check(|m| m.bounds[0].parameter = 3, "manifest: bound 0: parameter 3 of 3");
    check(|m| m.bounds[0].parameter = 1, &format!("manifest: bound 0: type {DECIMAL} is not the column's type"));
    check(|m| m.bounds[0].op = BoundOp::In, "manifest: bound 0: type i64 has no list parameters");
    check(|m| m.bounds[0].column = 3, "manifest: bound 0: type opaque is not compared");
    check(|m| m.bounds = vec![m.bounds[0]; 257], "manifest: 257 bounds; the limit is 256");
    check(|m| m.notes = BTreeMap::from([(2, String::new())]), "manifest: notes: instruction 2 of 2");
}

#[test]
fn entry_points_are_checked() {
    let check = |change: fn(&mut EntryPoint), message: &str| {
        assert_eq!(refusal(aggregate(), |m| change(&mut m.selects[0])), format!("manifest: {message}"));
        let message = message.replace("select 0", "main");
        assert_eq!(refusal(aggregate(), |m| change(m.main.as_mut().unwrap())), format!("manifest: {message}"));
    };
    check(|e| e.general = "h".into(), "select 0: no function is named `h`");
    check(|e| e.loads = vec![4], "select 0: column 4 of 4");
    check(|e| e.handles = vec![u32::MAX], "select 0: column 4294967295 of 4");
    check(|e| e.loads = vec![1, 1], "select 0: column 1 is there twice");
    check(|e| e.handles = vec![0], "select 0: column 0 is there twice");
    check(|e| (e.loads, e.handles) = (vec![2], vec![]), "select 0: type utf8 is never loaded, only passed by handle");
    check(|e| e.loads = vec![3], "select 0: type opaque is never loaded, only passed by handle");
    check(|e| e.scratch_bitmaps = 65, "65 scratch bitmaps; the limit is 64");
    let narrow = |proof| Some(Narrow { symbol: "g".into(), proof });
    assert_eq!(
        refusal(aggregate(), |m| m.selects[0].narrow = Some(Narrow { symbol: "h".into(), proof: vec![] })),
        "manifest: select 0: no function is named `h`"
    );
    let proof = |proof, message: &str| {
        assert_eq!(refusal(aggregate(), |m| m.selects[0].narrow = narrow(proof)), format!("manifest: {message}"));
    };
    proof(vec![RangeStep::Add], "select 0: step 0 of the proof pops from an empty stack");
    proof(vec![RangeStep::Constant(1), RangeStep::Union], "select 0: step 1 of the proof pops from an empty stack");
    proof(
        vec![RangeStep::Constant(1), RangeStep::Drop, RangeStep::Drop],
        "select 0: step 2 of the proof pops from an empty stack",
    );
    proof(vec![RangeStep::Column(4)], "select 0: column 4 of 4");
    proof(vec![RangeStep::Column(2)], "select 0: type utf8 has no place in a proof");
    proof(vec![RangeStep::Parameter(3)], "select 0: parameter 3 of 3");
    proof(vec![RangeStep::Constant(0); 1025], "1025 steps of a proof; the limit is 1024");
}

#[test]
fn outputs_are_checked() {
    let check = |columns: Vec<OutputColumn>, message: &str| {
        assert_eq!(refusal(projection(), |m| m.output = Output::Project(columns)), format!("manifest: {message}"));
    };
    let computed = |element| output(OutputSource::Computed(element), ValueType::Int64);
    check(vec![output(OutputSource::Column(4), DECIMAL), computed(0)], "output 0: column 4 of 4");
    check(vec![output(OutputSource::Column(0), ValueType::Int32)], "output 0: type i32 is not the column's type");
    check(vec![output(OutputSource::Computed(0), ValueType::Utf8)], "output 0: type utf8 cannot be computed");
    check(vec![computed(0), computed(0)], "output 1: computed column 0 is there twice");
    check(vec![computed(0), computed(2)], "output 1: computed column 2 of 2");
    check(vec![output(OutputSource::Column(3), ValueType::Opaque)], "main computes nothing");
    check(vec![computed(0); 1025], "1025 output columns; the limit is 1024");
    assert_eq!(refusal(projection(), |m| m.main = None), "manifest: main is missing; an output is computed");
}

#[test]
fn aggregates_are_checked() {
    type Parts<'a> = (&'a mut Vec<OutputColumn>, &'a mut Vec<Accumulator>, &'a mut Vec<State>);
    let check = |change: fn(Parts<'_>), message: &str| {
        let refusal = refusal(aggregate(), |m| match &mut m.output {
            Output::Aggregate { keys, accumulators, states } => change((keys, accumulators, states)),
            Output::Project(_) => unreachable!("the sample aggregates"),
        });
        assert_eq!(refusal, format!("manifest: {message}"));
    };
    assert_eq!(refusal(aggregate(), |m| m.main = None), "manifest: main is missing; an aggregate has one");
    check(
        |(keys, ..)| keys[1] = output(OutputSource::Column(3), ValueType::Opaque),
        "key 1: type opaque is not compared, so no key",
    );
    check(|(keys, ..)| keys[0].source = OutputSource::Computed(0), "key 2: computed column 0 is there twice");
    check(|(keys, ..)| *keys = vec![keys[1].clone(); 65], "65 keys; the limit is 64");
    check(|(_, a, _)| a[0].width = 4, "accumulator 0 is neither 8 nor 16 bytes wide");
    check(|(_, a, _)| a[0].initial = 1 << 64, "accumulator 0 begins with more than its 8 bytes hold");
    check(|(_, a, _)| *a = vec![a[0]; 257], "257 accumulators; the limit is 256");
    check(|(.., s)| s[0].seen = Some(2), "state 0: accumulator 2 of 2");
    check(|(.., s)| s[0].source = StateSource::Accumulator(2), "state 0: accumulator 2 of 2");
    check(|(.., s)| s[0].source = StateSource::Accumulator(0), "state 0: type decimal(15,2) does not fit its accumulator");
    check(|(.., s)| s[0].value_type = ValueType::Utf8, "state 0: type utf8 does not fit its accumulator");
    check(|(.., s)| s[1].value_type = ValueType::Int64, "state 1: type i64 has no total order key");
    check(|(.., s)| s[2].value_type = ValueType::Int64, "state 2: type i64 is not text");
    check(|(.., s)| s[2].source = StateSource::Text(1), "state 2: text state 1 of 1");
    check(|(.., s)| s.push(s[2].clone()), "state 3: text state 0 is there twice");
    check(|(.., s)| *s = vec![s[0].clone(); 257], "257 states; the limit is 256");
}
