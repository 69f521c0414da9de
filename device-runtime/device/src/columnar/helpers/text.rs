//! Predicates on text: comparisons, `LIKE`, `IN`.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Datum, LargeStringArray, Scalar, StringArray, StringViewArray};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp;
use arrow::compute::{cast, ilike, like};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use hashbrown::{HashMap, HashSet};
use nearside_engine::{Fuel, HelperFault, Memory};
use nearside_programs::Parameters;

use super::super::text::{TextColumn, Texts, truths};
use super::{BatchHelpers, combine};

/// Lists so short that comparing with each item is faster than hashing the row.
const SHORT_LIST_LEN: usize = 4;

/// Predicates over dictionaries that are remembered; more begin anew.
const REMEMBERED_MAX: usize = 64;

type Comparison = fn(&dyn Datum, &dyn Datum) -> Result<BooleanArray, ArrowError>;

/// By the helper's `op` argument.
const COMPARISONS: [Comparison; 6] = [cmp::eq, cmp::neq, cmp::lt, cmp::lt_eq, cmp::gt, cmp::gt_eq];

/// What text predicates keep between calls: literals made ready, and the truths over the last dictionary each one saw.
pub(in super::super) struct Predicates {
    parameters: Arc<Parameters>,
    lists: HashMap<u32, HashSet<Box<[u8]>>>,
    remembered: HashMap<Predicate, (ArrayRef, BooleanBuffer)>,
}

/// A predicate on one column with one parameter.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Predicate {
    column: u32,
    operator: Operator,
    parameter: u32,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Operator {
    Compare(usize),
    Like { case_insensitive: bool },
    In,
}

impl Predicates {
    pub(in super::super) fn new(parameters: Arc<Parameters>) -> Self {
        Self { parameters, lists: HashMap::new(), remembered: HashMap::new() }
    }

    /// The literals.
    pub(super) fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    /// The rows of a column for which a predicate is true.
    fn rows(&mut self, predicate: Predicate, column: &TextColumn) -> Result<BooleanBuffer, String> {
        if !column.is_dictionary() {
            return Ok(column.spread(&self.evaluate(predicate, column.values())?));
        }
        match self.remembered.get(&predicate) {
            Some((dictionary, truths)) if Arc::ptr_eq(dictionary, column.values()) => Ok(column.spread(truths)),
            _ => {
                let truths = self.evaluate(predicate, column.values())?;
                if self.remembered.len() >= REMEMBERED_MAX {
                    self.remembered.clear();
                }
                let rows = column.spread(&truths);
                self.remembered.insert(predicate, (column.values().clone(), truths));
                Ok(rows)
            }
        }
    }

    fn evaluate(&mut self, predicate: Predicate, values: &ArrayRef) -> Result<BooleanBuffer, String> {
        let kernel: Comparison = match predicate.operator {
            Operator::Compare(op) => COMPARISONS[op],
            Operator::Like { case_insensitive: false } => like,
            Operator::Like { case_insensitive: true } => ilike,
            Operator::In => return self.is_in(predicate.parameter, values),
        };
        let literal = self.parameters.text(predicate.parameter).ok_or("a text parameter is not valid")?;
        let literal = scalar(literal, values.data_type());
        Ok(truths(&kernel(values, &literal).map_err(|error| error.to_string())?))
    }

    fn is_in(&mut self, parameter: u32, values: &ArrayRef) -> Result<BooleanBuffer, String> {
        if !self.lists.contains_key(&parameter) {
            let items = self.parameters.texts(parameter).ok_or("a list parameter is not valid")?;
            if items.len() <= SHORT_LIST_LEN {
                return is_one_of(&items, values);
            }
            self.lists.insert(parameter, items.into_iter().map(|item| item.as_bytes().into()).collect());
        }
        let list = &self.lists[&parameter];
        let texts = Texts::new(values).ok_or("not a text column")?;
        let found = |row: usize| values.is_valid(row) && list.contains(texts.bytes(row));
        Ok(BooleanBuffer::collect_bool(values.len(), found))
    }
}

fn is_one_of(items: &[&str], values: &ArrayRef) -> Result<BooleanBuffer, String> {
    let mut found = BooleanBuffer::new_unset(values.len());
    for item in items {
        let equal = cmp::eq(values, &scalar(item, values.data_type())).map_err(|error| error.to_string())?;
        found = &found | &truths(&equal);
    }
    Ok(found)
}

/// The literal in the layout of what it is compared with.
fn scalar(text: &str, data_type: &DataType) -> Scalar<ArrayRef> {
    Scalar::new(match data_type {
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from(vec![text])) as ArrayRef,
        DataType::Utf8View => Arc::new(StringViewArray::from(vec![text])),
        _ => Arc::new(StringArray::from(vec![text])),
    })
}

fn comparison(value: u64) -> Result<usize, HelperFault> {
    usize::try_from(value).ok().filter(|op| *op < COMPARISONS.len()).ok_or(HelperFault::Argument { index: 2, value })
}

/// See [`nearside_programs::abi::helper::TEXT_COMPARE`].
pub(super) fn text_compare(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let operator = Operator::Compare(comparison(arguments[1])?);
    predicate(call, &arguments, (operator, 3), memory, fuel)
}

/// See [`nearside_programs::abi::helper::TEXT_LIKE`].
pub(super) fn text_like(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let case_insensitive = match arguments[1] {
        0 => false,
        1 => true,
        value => return Err(HelperFault::Argument { index: 2, value }),
    };
    predicate(call, &arguments, (Operator::Like { case_insensitive }, 3), memory, fuel)
}

/// See [`nearside_programs::abi::helper::TEXT_IN`].
pub(super) fn text_in(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    predicate(call, &arguments, (Operator::In, 2), memory, fuel)
}

/// Argument 1 is the column, `at` the parameter, the one behind it the bitmap.
fn predicate(
    call: &mut BatchHelpers<'_>,
    arguments: &[u64; 5],
    (operator, at): (Operator, u8),
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let (column, text) = call.text(arguments, 1)?;
    let parameter = call.text_parameter(arguments, at)?;
    call.charge(1, text.total_bytes(), fuel)?;
    match call.state.predicates.rows(Predicate { column, operator, parameter }, text) {
        Ok(truths) => write_selected(call, &truths, arguments[usize::from(at)], memory),
        Err(reason) => Err(call.failed(reason)),
    }
}

/// See [`nearside_programs::abi::helper::TEXT_COMPARE_COLUMNS`].
pub(super) fn text_compare_columns(
    call: &mut BatchHelpers<'_>,
    arguments: [u64; 5],
    memory: &mut Memory<'_>,
    fuel: &mut Fuel,
) -> Result<u64, HelperFault> {
    let (_, left) = call.text(&arguments, 1)?;
    let kernel = COMPARISONS[comparison(arguments[1])?];
    let (_, right) = call.text(&arguments, 3)?;
    call.charge(2, left.total_bytes() + right.total_bytes(), fuel)?;
    match compare_columns(kernel, left, right) {
        Ok(result) => write_selected(call, &truths(&result), arguments[3], memory),
        Err(error) => Err(call.failed(error.to_string())),
    }
}

/// Writes the selected rows that are true to the bitmap at an address.
fn write_selected(
    call: &BatchHelpers<'_>,
    truths: &BooleanBuffer,
    address: u64,
    memory: &mut Memory<'_>,
) -> Result<u64, HelperFault> {
    combine::keep(combine::selected_rows(call, address, memory)?, truths.bit_chunks().iter_padded());
    Ok(0)
}

/// The kernels look through dictionaries, but want one layout on both sides.
fn compare_columns(kernel: Comparison, left: &TextColumn, right: &TextColumn) -> Result<BooleanArray, ArrowError> {
    if left.values().data_type() == right.values().data_type() {
        return kernel(left.array(), right.array());
    }
    kernel(&cast(left.array(), &DataType::Utf8View)?, &cast(right.array(), &DataType::Utf8View)?)
}
