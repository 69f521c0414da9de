//! Expressions to [nodes](super::node): casts and rescales made explicit, literals moved to parameters, the unsupported refused.

use std::collections::BTreeSet;

use nearside_programs::abi::helper::{F64_ADD, F64_MUL, F64_SUB, I128_MUL};
use nearside_programs::manifest::{total_order_key, total_order_key_f32};
use nearside_programs::{Parameters, Scalar, ValueType};

use super::node::{BitSet, Known, Number, NumberKind, Truth};
use crate::capabilities::Capabilities;
use crate::fragment::{ArithmeticOp, Column, CompareOp, DECIMAL_DIGITS_MAX, Expr, is_float};
use crate::refusal::Refusal;

/// Most different values of an `IN` list over numbers: each is a parameter, and an object has a bounded number of them.
pub const IN_LIST_MAX: usize = 2048;

/// Most items that are compared one by one; more are searched.
const COMPARED_MAX: usize = 4;

/// Most integers that are searched where their set would be small enough: a search of so many takes about as long.
const SEARCHED_MAX: usize = 8;

/// Largest set of integers, slots: a quarter million of them side by side, whose bits stay in a processor's first cache.
const BIT_SET_MAX: usize = 2048;

/// Bit sets are lengthened to multiples of that many slots, so that programs are the same for lists of about the same range.
const BIT_SET_STEP: usize = 16;

/// The type of a slot of bits: all 128 of them.
const BIT_SET_SLOT: ValueType = ValueType::Decimal128 { precision: DECIMAL_DIGITS_MAX, scale: 0 };

/// Most slots that bit sets may fill of a program's [parameters](nearside_programs::manifest::PARAMETERS_MAX).
const BIT_SETS_MAX: usize = 3584;

/// The literals of a fragment, each once.
#[derive(Default)]
pub(super) struct Literals {
    pub(super) parameters: Parameters,
    /// First slots of sorted lists, by their values.
    sorted_lists: Vec<(ValueType, Vec<i128>, u32)>,
    bit_sets: Vec<(BTreeSet<i128>, BitSet)>,
    text_lists: Vec<(Vec<String>, u32)>,
    single_texts: Vec<(String, u32)>,
}

impl Literals {
    fn value(&mut self, value_type: ValueType, value: i128) -> u32 {
        let same = |slot: &u32| {
            self.parameters.types[*slot as usize] == value_type
                && self.parameters.slots[*slot as usize].0 == value
                && value_type != ValueType::Utf8
        };
        let known = (0..self.parameters.slots.len() as u32).find(same);
        known.unwrap_or_else(|| self.parameters.push(value_type, value))
    }

    pub(super) fn text(&mut self, text: &str) -> u32 {
        if let Some((_, slot)) = self.single_texts.iter().find(|(known, _)| known == text) {
            return *slot;
        }
        let slot = self.parameters.push_text(text);
        self.single_texts.push((text.to_owned(), slot));
        slot
    }

    /// The slot of the texts of an `IN` list, NULLs left out.
    pub(super) fn texts(&mut self, list: &[Scalar]) -> u32 {
        let items: Vec<&str> =
            list.iter().filter_map(|item| if let Scalar::Utf8(text) = item { Some(text.as_str()) } else { None }).collect();
        if let Some((_, slot)) = self.text_lists.iter().find(|(known, _)| *known == items) {
            return *slot;
        }
        let slot = self.parameters.push_texts(items.iter().copied());
        self.text_lists.push((items.iter().map(|item| (*item).to_owned()).collect(), slot));
        slot
    }

    /// The slot of a fixed-width literal; `None` for NULL, truth values and text.
    pub(super) fn scalar(&mut self, scalar: &Scalar) -> Option<u32> {
        let value = fixed_width(scalar)?;
        Some(self.value(scalar.value_type(), value))
    }

    /// Integers as bits, if they are many and close enough for that.
    fn bit_set(&mut self, value_type: ValueType, values: &BTreeSet<i128>) -> Option<BitSet> {
        if let Some((_, bits)) = self.bit_sets.iter().find(|(known, _)| known == values) {
            return Some(*bits);
        }
        let (least, greatest) = (*values.first()?, *values.last()?);
        let slot_of = |value: i128| usize::try_from((value - least) / i128::from(BitSet::SLOT_BITS)).unwrap_or(usize::MAX);
        let slots = slot_of(greatest).saturating_add(1).checked_next_multiple_of(BIT_SET_STEP)?;
        let filled = self.bit_sets.iter().map(|(_, bits)| bits.slots as usize).sum::<usize>();
        if values.len() <= SEARCHED_MAX || slots > BIT_SET_MAX.min(BIT_SETS_MAX - filled) {
            return None;
        }
        let mut words = vec![0_i128; slots];
        for value in values {
            words[slot_of(*value)] |= 1 << ((value - least) % i128::from(BitSet::SLOT_BITS));
        }
        let least = self.value(value_type, least);
        let first = self.parameters.slots.len() as u32;
        for word in words {
            self.parameters.push(BIT_SET_SLOT, word);
        }
        let bits = BitSet { least, first, slots: slots as u32 };
        self.bit_sets.push((values.clone(), bits));
        Some(bits)
    }

    /// First slot and length of the items, ascending, NULLs left out. The greatest is repeated, so that programs are the same for lists of up to a
    /// power of two.
    fn sorted(&mut self, value_type: ValueType, items: &[Scalar]) -> (u32, u32) {
        let mut values: Vec<i128> = items.iter().filter_map(fixed_width).collect();
        values.sort_by_key(|value| order_key(value_type, *value));
        values.dedup();
        if let Some(greatest) = values.last().copied() {
            values.resize(values.len().next_power_of_two(), greatest);
        }
        let same = |known: &&(ValueType, Vec<i128>, u32)| known.0 == value_type && known.1 == values;
        let first = match self.sorted_lists.iter().find(same) {
            Some((.., first)) => *first,
            None => {
                let first = self.parameters.slots.len() as u32;
                for value in &values {
                    self.parameters.push(value_type, *value);
                }
                self.sorted_lists.push((value_type, values.clone(), first));
                first
            }
        };
        (first, values.len() as u32)
    }
}

/// What a slot holds of a literal; `None` for NULL, truth values and text.
fn fixed_width(scalar: &Scalar) -> Option<i128> {
    match scalar {
        Scalar::Int(_, value) | Scalar::Decimal { value, .. } => Some(*value),
        Scalar::Float32(bits) => Some(i128::from(*bits)),
        Scalar::Float64(bits) => Some(i128::from(*bits)),
        Scalar::Null(_) | Scalar::Bool(_) | Scalar::Utf8(_) => None,
    }
}

/// By what the values of slots of one type order.
fn order_key(value_type: ValueType, value: i128) -> i128 {
    match value_type {
        ValueType::Float32 => total_order_key_f32(value as u32 as i32).into(),
        ValueType::Float64 => total_order_key(value as u64 as i64).into(),
        _ => value,
    }
}

/// The least and the greatest of some literals of one type, NULLs left out.
pub(super) fn ends(items: &[Scalar]) -> Option<(&Scalar, &Scalar)> {
    let key = |item: &&Scalar| fixed_width(item).map(|value| order_key(item.value_type(), value));
    let values = || items.iter().filter(|item| key(item).is_some());
    Some((values().min_by_key(key)?, values().max_by_key(key)?))
}

/// A helper that writes a scratch bitmap before the loop over rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BitmapCall {
    pub(super) helper: u32,
    /// What precedes the bitmap's address.
    pub(super) arguments: Vec<i32>,
}

/// Resolves the expressions of one entry point.
pub(super) struct Resolver<'a> {
    pub(super) columns: &'a [Column],
    pub(super) capabilities: &'a Capabilities,
    pub(super) literals: &'a mut Literals,
    /// Bitmaps by scratch index.
    pub(super) bitmaps: Vec<BitmapCall>,
}

impl Resolver<'_> {
    pub(super) fn truth(&mut self, expr: &Expr) -> Result<Truth, Refusal> {
        Ok(match expr {
            Expr::Column(index) => Truth::Column(*index as u32),
            Expr::Literal(Scalar::Bool(value)) => Truth::Constant(Some(*value)),
            Expr::Literal(_) => Truth::Constant(None),
            Expr::Compare { op, left, right } => self.compare(*op, left, right)?,
            Expr::And(left, right) => self.truth(left)?.and(self.truth(right)?),
            Expr::Or(left, right) => self.truth(left)?.or(self.truth(right)?),
            Expr::Not(inner) => self.truth(inner)?.not(),
            Expr::IsNull(inner) => self.is_known(inner)?.not(),
            Expr::IsNotNull(inner) => self.is_known(inner)?,
            Expr::InList { expr, list, negated } => negate_if(*negated, self.in_list(expr, list)?),
            Expr::Like { expr, pattern, negated, case_insensitive } => {
                negate_if(*negated, self.like(expr, pattern, *case_insensitive)?)
            }
            Expr::Case { arms, otherwise } => {
                let resolve =
                    |this: &mut Self, (condition, value): &(Expr, Expr)| Ok((this.truth(condition)?, this.truth(value)?));
                let arms = arms.iter().map(|arm| resolve(self, arm)).collect::<Result<_, Refusal>>()?;
                let otherwise = otherwise.as_ref().map_or(Ok(Truth::Constant(None)), |otherwise| self.truth(otherwise))?;
                Truth::Case { arms, otherwise: Box::new(otherwise) }
            }
            // Only `bool` to `bool` is a cast to `bool`.
            Expr::Cast { expr, .. } => self.truth(expr)?,
            Expr::Arithmetic { op, value_type, .. } => {
                return Err(Refusal::Operator { operator: op.symbol(), value_type: *value_type });
            }
        })
    }

    pub(super) fn number(&mut self, expr: &Expr) -> Result<Number, Refusal> {
        let value_type = self.type_of(expr)?;
        if value_type.byte_width().is_none() {
            return Err(Refusal::Operator { operator: "computing", value_type });
        }
        let kind = match expr {
            Expr::Column(index) => NumberKind::Column(*index as u32),
            Expr::Literal(literal) => self.literals.scalar(literal).map_or(NumberKind::Null, NumberKind::Parameter),
            Expr::Arithmetic { op, left, right, .. } => return self.arithmetic(*op, left, right, value_type),
            Expr::Cast { expr, .. } => return self.cast(expr, value_type),
            Expr::Case { arms, otherwise } => {
                let resolve =
                    |this: &mut Self, (condition, value): &(Expr, Expr)| Ok((this.truth(condition)?, this.number(value)?));
                let arms = arms.iter().map(|arm| resolve(self, arm)).collect::<Result<_, Refusal>>()?;
                let null = Number { kind: NumberKind::Null, value_type };
                let otherwise = otherwise.as_ref().map_or(Ok(null), |otherwise| self.number(otherwise))?;
                NumberKind::Case { arms, otherwise: Box::new(otherwise) }
            }
            _ => return Err(Refusal::Operator { operator: "computing", value_type }),
        };
        Ok(Number { kind, value_type })
    }

    /// Whether an expression of any type is not NULL. What cannot be NULL is computed all the same if that may fail.
    pub(super) fn is_known(&mut self, expr: &Expr) -> Result<Truth, Refusal> {
        if let Expr::Column(index) = expr {
            return Ok(self.column_is_known(*index));
        }
        let nullable = expr.nullable(self.columns);
        let known = match self.type_of(expr)? {
            ValueType::Utf8 => return self.text_is_known(expr),
            ValueType::Bool => {
                let truth = self.truth(expr)?;
                (nullable || truth.can_fail()).then(|| Known::Truth(Box::new(truth)))
            }
            _ => {
                let number = self.number(expr)?;
                (nullable || number.can_fail()).then(|| Known::Number(Box::new(number)))
            }
        };
        Ok(known.map_or(Truth::Constant(Some(true)), Truth::IsKnown))
    }

    pub(super) fn type_of(&self, expr: &Expr) -> Result<ValueType, Refusal> {
        Ok(expr.value_type(self.columns)?)
    }

    pub(super) fn column_is_known(&self, index: usize) -> Truth {
        match self.columns[index].nullable {
            true => Truth::IsKnown(Known::Column(index as u32)),
            false => Truth::Constant(Some(true)),
        }
    }

    fn compare(&mut self, op: CompareOp, left: &Expr, right: &Expr) -> Result<Truth, Refusal> {
        match self.type_of(left)? {
            ValueType::Utf8 => self.compare_text(op, left, right),
            ValueType::Bool => {
                let (left, right) = (Box::new(self.truth(left)?), Box::new(self.truth(right)?));
                Ok(Truth::CompareTruths { op, left, right })
            }
            _ => Ok(Truth::Compare { op, left: Box::new(self.number(left)?), right: Box::new(self.number(right)?) }),
        }
    }

    fn in_list(&mut self, expr: &Expr, list: &[Scalar]) -> Result<Truth, Refusal> {
        let found = match self.type_of(expr)? {
            ValueType::Utf8 => self.in_texts(expr, list)?,
            ValueType::Bool => self.in_truths(expr, list)?,
            _ => self.in_numbers(expr, list)?,
        };
        Ok(if list.iter().any(is_null) { found.or(Truth::Constant(None)) } else { found })
    }

    fn in_truths(&mut self, expr: &Expr, list: &[Scalar]) -> Result<Truth, Refusal> {
        let truth = self.truth(expr)?;
        let equal = |item: Option<bool>| {
            let (left, right) = (Box::new(truth.clone()), Box::new(Truth::Constant(item)));
            Truth::CompareTruths { op: CompareOp::Eq, left, right }
        };
        let items = [true, false].into_iter().filter(|value| list.contains(&Scalar::Bool(*value)));
        Ok(items.map(|item| equal(Some(item))).reduce(Truth::or).unwrap_or_else(|| equal(None)))
    }

    fn in_numbers(&mut self, expr: &Expr, list: &[Scalar]) -> Result<Truth, Refusal> {
        let distinct: BTreeSet<i128> = list.iter().filter_map(fixed_width).collect();
        if distinct.len() > IN_LIST_MAX {
            return Err(Refusal::TooComplex { what: "values of an IN list", given: distinct.len(), limit: IN_LIST_MAX });
        }
        let number = self.number(expr)?;
        let value_type = number.value_type;
        if value_type.is_integer()
            && let Some(bits) = self.literals.bit_set(value_type, &distinct)
        {
            return Ok(Truth::InBits { number: Box::new(number), bits });
        }
        // `=` does not tell zeros apart, a list does.
        if (list.len() > COMPARED_MAX || is_float(value_type)) && !distinct.is_empty() {
            let (first, count) = self.literals.sorted(value_type, list);
            return Ok(Truth::InSorted { number: Box::new(number), first, count });
        }
        let equal = |kind| Truth::Compare {
            op: CompareOp::Eq,
            left: Box::new(number.clone()),
            right: Box::new(Number { kind, value_type }),
        };
        let items = list.iter().filter_map(|item| self.literals.scalar(item)).map(|slot| equal(NumberKind::Parameter(slot)));
        // `x IN (NULL)` is unknown, but `x` is computed.
        Ok(items.reduce(Truth::or).unwrap_or_else(|| equal(NumberKind::Null)))
    }

    pub(super) fn bitmap(&mut self, helper: u32, arguments: Vec<i32>, columns: &[usize]) -> Result<Truth, Refusal> {
        self.capabilities.need(helper)?;
        let call = BitmapCall { helper, arguments };
        let scratch = self.bitmaps.iter().position(|known| *known == call).unwrap_or_else(|| {
            self.bitmaps.push(call);
            self.bitmaps.len() - 1
        });
        Ok(Truth::Bitmap { scratch: scratch as u32, columns: columns.iter().map(|column| *column as u32).collect() })
    }

    fn arithmetic(&mut self, op: ArithmeticOp, left: &Expr, right: &Expr, value_type: ValueType) -> Result<Number, Refusal> {
        let (mut left, mut right) = (self.number(left)?, self.number(right)?);
        let mut computed = value_type;
        match value_type {
            ValueType::Decimal128 { .. } if op == ArithmeticOp::Mul => self.capabilities.need(I128_MUL)?,
            ValueType::Decimal128 { scale, .. } => {
                left = self.rescaled(left, scale)?;
                right = self.rescaled(right, scale)?;
            }
            ValueType::Float64 => self.capabilities.need(float_helper(op))?,
            // In binary64, then rounded once more: with 53 digits for 24, that changes nothing (Figueroa, "When is double rounding innocuous?", 1995).
            ValueType::Float32 => {
                self.capabilities.need(float_helper(op))?;
                left = self.widened(left)?;
                right = self.widened(right)?;
                computed = ValueType::Float64;
            }
            _ => {}
        }
        let kind = NumberKind::Arithmetic { op, left: Box::new(left), right: Box::new(right) };
        let number = Number { kind, value_type: computed };
        if computed == value_type { Ok(number) } else { self.narrowed(number) }
    }
}

/// The operator's number in the helpers that compare.
pub(super) fn compare_op(op: CompareOp) -> i32 {
    match op {
        CompareOp::Eq => 0,
        CompareOp::Ne => 1,
        CompareOp::Lt => 2,
        CompareOp::Le => 3,
        CompareOp::Gt => 4,
        CompareOp::Ge => 5,
    }
}

fn negate_if(negated: bool, truth: Truth) -> Truth {
    if negated { truth.not() } else { truth }
}

fn is_null(item: &Scalar) -> bool {
    matches!(item, Scalar::Null(_))
}

fn float_helper(op: ArithmeticOp) -> u32 {
    match op {
        ArithmeticOp::Add => F64_ADD,
        ArithmeticOp::Sub => F64_SUB,
        ArithmeticOp::Mul => F64_MUL,
    }
}
