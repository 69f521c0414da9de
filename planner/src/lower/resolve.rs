//! Expressions to [nodes](super::node): casts and rescales made explicit, literals moved to parameters, the unsupported refused.

use nearside_programs::abi::helper::{
    F64_ADD, F64_FROM_F32, F64_FROM_I64, F64_MUL, F64_SUB, I128_MUL, TEXT_COMPARE, TEXT_COMPARE_COLUMNS, TEXT_IN, TEXT_LIKE,
};
use nearside_programs::{Parameters, Scalar, ValueType};

use super::node::{Known, Number, NumberKind, Truth};
use crate::capabilities::Capabilities;
use crate::fragment::{ArithmeticOp, Column, CompareOp, Expr, integer_range};
use crate::refusal::Refusal;

/// Most items of an `IN` list over numbers: each is code.
pub(super) const IN_LIST_MAX: usize = 32;

/// The literals of a fragment, each once.
#[derive(Default)]
pub(super) struct Literals {
    pub(super) parameters: Parameters,
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
        let value = match scalar {
            Scalar::Int(_, value) | Scalar::Decimal { value, .. } => *value,
            Scalar::Float32(bits) => i128::from(*bits),
            Scalar::Float64(bits) => i128::from(*bits),
            Scalar::Null(_) | Scalar::Bool(_) | Scalar::Utf8(_) => return None,
        };
        Some(self.value(scalar.value_type(), value))
    }
}

/// A helper that writes a scratch bitmap before the loop over rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct TextCall {
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
    pub(super) texts: Vec<TextCall>,
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
            ValueType::Bool => {
                let truth = self.truth(expr)?;
                (nullable || truth.can_fail()).then(|| Known::Truth(Box::new(truth)))
            }
            ValueType::Utf8 if !nullable => None,
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

    fn column_is_known(&self, index: usize) -> Truth {
        match self.columns[index].nullable {
            true => Truth::IsKnown(Known::Column(index as u32)),
            false => Truth::Constant(Some(true)),
        }
    }

    fn compare(&mut self, op: CompareOp, left: &Expr, right: &Expr) -> Result<Truth, Refusal> {
        match self.type_of(left)? {
            ValueType::Utf8 => self.compare_text(op, left, right),
            value_type @ ValueType::Bool => {
                let both = Truth::Equal(Box::new(self.truth(left)?), Box::new(self.truth(right)?));
                match op {
                    CompareOp::Eq => Ok(both),
                    CompareOp::Ne => Ok(both.not()),
                    _ => Err(Refusal::Operator { operator: op.symbol(), value_type }),
                }
            }
            _ => Ok(Truth::Compare { op, left: Box::new(self.number(left)?), right: Box::new(self.number(right)?) }),
        }
    }

    fn compare_text(&mut self, op: CompareOp, left: &Expr, right: &Expr) -> Result<Truth, Refusal> {
        match (left, right) {
            (_, Expr::Literal(Scalar::Null(_))) | (Expr::Literal(Scalar::Null(_)), _) => Ok(Truth::Constant(None)),
            (Expr::Column(column), Expr::Literal(Scalar::Utf8(text))) => {
                let slot = self.literals.text(text);
                self.bitmap(TEXT_COMPARE, vec![*column as i32, text_op(op), slot as i32], &[*column])
            }
            (Expr::Literal(_), Expr::Column(_)) => self.compare_text(mirrored(op), right, left),
            (Expr::Column(left), Expr::Column(right)) => {
                self.bitmap(TEXT_COMPARE_COLUMNS, vec![*left as i32, text_op(op), *right as i32], &[*left, *right])
            }
            _ => Err(Refusal::ComputedText { place: "an operand of a comparison of text" }),
        }
    }

    fn like(&mut self, expr: &Expr, pattern: &str, case_insensitive: bool) -> Result<Truth, Refusal> {
        let Expr::Column(column) = expr else {
            return Err(Refusal::ComputedText { place: "the operand of LIKE" });
        };
        let slot = self.literals.text(pattern);
        self.bitmap(TEXT_LIKE, vec![*column as i32, i32::from(case_insensitive), slot as i32], &[*column])
    }

    fn in_list(&mut self, expr: &Expr, list: &[Scalar]) -> Result<Truth, Refusal> {
        let value_type = self.type_of(expr)?;
        let is_null = |item: &Scalar| matches!(item, Scalar::Null(_));
        if list.iter().all(is_null) && !matches!(expr, Expr::Column(_)) {
            // No comparison would be left to compute the operand, which may fail.
            return Err(Refusal::Operator { operator: "IN of NULLs", value_type });
        }
        let found = match value_type {
            ValueType::Utf8 => self.in_texts(expr, list)?,
            ValueType::Bool => {
                let one_of = |value: bool| list.contains(&Scalar::Bool(value)).then_some(value);
                let items: Vec<bool> = [one_of(true), one_of(false)].into_iter().flatten().collect();
                let equal = |this: &mut Self, value| {
                    Ok(Truth::Equal(Box::new(this.truth(expr)?), Box::new(Truth::Constant(Some(value)))))
                };
                items.into_iter().map(|value| equal(self, value)).reduce(either).unwrap_or(Ok(Truth::Constant(Some(false))))?
            }
            _ => self.in_numbers(expr, list)?,
        };
        Ok(if list.iter().any(is_null) { found.or(Truth::Constant(None)) } else { found })
    }

    fn in_texts(&mut self, expr: &Expr, list: &[Scalar]) -> Result<Truth, Refusal> {
        let Expr::Column(column) = expr else {
            return Err(Refusal::ComputedText { place: "the operand of IN" });
        };
        let slot = self.literals.texts(list);
        self.bitmap(TEXT_IN, vec![*column as i32, slot as i32], &[*column])
    }

    fn in_numbers(&mut self, expr: &Expr, list: &[Scalar]) -> Result<Truth, Refusal> {
        if list.len() > IN_LIST_MAX {
            return Err(Refusal::TooComplex { what: "items of an IN list", given: list.len(), limit: IN_LIST_MAX });
        }
        let number = self.number(expr)?;
        let value_type = number.value_type;
        let equal = |slot| Truth::Compare {
            op: CompareOp::Eq,
            left: Box::new(number.clone()),
            right: Box::new(Number { kind: NumberKind::Parameter(slot), value_type }),
        };
        let items = list.iter().filter_map(|item| self.literals.scalar(item)).map(equal);
        // `NULL IN (NULL)` must still be unknown, not false.
        Ok(items.reduce(Truth::or).unwrap_or(Truth::Constant(None)))
    }

    fn bitmap(&mut self, helper: u32, arguments: Vec<i32>, columns: &[usize]) -> Result<Truth, Refusal> {
        self.capabilities.need(helper)?;
        let call = TextCall { helper, arguments };
        let scratch = self.texts.iter().position(|known| *known == call).unwrap_or_else(|| {
            self.texts.push(call);
            self.texts.len() - 1
        });
        Ok(Truth::Bitmap { scratch: scratch as u32, columns: columns.iter().map(|column| *column as u32).collect() })
    }

    fn arithmetic(&mut self, op: ArithmeticOp, left: &Expr, right: &Expr, value_type: ValueType) -> Result<Number, Refusal> {
        let (mut left, mut right) = (self.number(left)?, self.number(right)?);
        match value_type {
            ValueType::Decimal128 { .. } if op == ArithmeticOp::Mul => self.capabilities.need(I128_MUL)?,
            ValueType::Decimal128 { scale, .. } => {
                left = self.rescaled(left, scale)?;
                right = self.rescaled(right, scale)?;
            }
            ValueType::Float64 => self.capabilities.need(match op {
                ArithmeticOp::Add => F64_ADD,
                ArithmeticOp::Sub => F64_SUB,
                ArithmeticOp::Mul => F64_MUL,
            })?,
            ValueType::Float32 => return Err(Refusal::Operator { operator: op.symbol(), value_type }),
            _ => {}
        }
        Ok(Number { kind: NumberKind::Arithmetic { op, left: Box::new(left), right: Box::new(right) }, value_type })
    }

    /// An operand of decimal `+` or `-` at the result's scale, unchecked but for 128 bits.
    fn rescaled(&self, number: Number, to_scale: i8) -> Result<Number, Refusal> {
        let ValueType::Decimal128 { precision, scale } = number.value_type else {
            return Ok(number);
        };
        let exponent = u32::from(to_scale.abs_diff(scale));
        if exponent == 0 {
            return Ok(number);
        }
        self.capabilities.need(I128_MUL)?;
        let value_type = ValueType::Decimal128 { precision, scale: to_scale };
        Ok(Number { kind: NumberKind::Scale { inner: Box::new(number), factor: 10i128.pow(exponent), limit: None }, value_type })
    }

    /// A cast to a decimal that multiplies a number of at most `digits` digits by `10^exponent`.
    fn scaled(&self, inner: Number, exponent: i16, digits: i16, to: ValueType) -> Result<Number, Refusal> {
        let refused = Refusal::Cast { from: inner.value_type, to };
        let ValueType::Decimal128 { precision, .. } = to else {
            return Err(refused);
        };
        // Fewer digits after the point would take a division with rounding.
        let Some(power) = u32::try_from(exponent).ok().and_then(|exponent| 10i128.checked_pow(exponent)) else {
            return Err(refused);
        };
        if power != 1 {
            self.capabilities.need(I128_MUL)?;
        }
        let never_fails = digits + exponent <= i16::from(precision);
        let limit = (!never_fails).then(|| 10i128.pow(u32::from(precision)) - 1);
        Ok(Number { kind: NumberKind::Scale { inner: Box::new(inner), factor: power, limit }, value_type: to })
    }

    fn cast(&mut self, expr: &Expr, to: ValueType) -> Result<Number, Refusal> {
        let inner = self.number(expr)?;
        let from = inner.value_type;
        let refused = Refusal::Cast { from, to };
        let kind = match (from, to) {
            _ if from == to => return Ok(inner),
            (ValueType::Decimal128 { precision, scale }, ValueType::Decimal128 { scale: to_scale, .. }) => {
                return self.scaled(inner, i16::from(to_scale) - i16::from(scale), i16::from(precision), to);
            }
            (_, ValueType::Decimal128 { scale, .. }) if from.is_integer() => {
                // arrow-rs always checks the digits; a type whose every value passes needs no code for it.
                let digits = integer_range(from).map_or(0, |range| digits(*range.end())) as i16;
                return self.scaled(inner, i16::from(scale), digits, to);
            }
            _ if from.is_integer() && to.is_integer() => {
                let (from, to) = (integer_range(from), integer_range(to));
                let always_fits = from.zip(to).is_some_and(|(from, to)| to.contains(from.start()) && to.contains(from.end()));
                if always_fits { NumberKind::Same(Box::new(inner)) } else { NumberKind::Fit(Box::new(inner)) }
            }
            (ValueType::UInt64, ValueType::Float64) => return Err(refused),
            (_, ValueType::Float64) if from.is_integer() => {
                self.capabilities.need(F64_FROM_I64)?;
                NumberKind::FloatFromInteger(Box::new(inner))
            }
            (ValueType::Float32, ValueType::Float64) => {
                self.capabilities.need(F64_FROM_F32)?;
                NumberKind::FloatFromFloat32(Box::new(inner))
            }
            _ => return Err(refused),
        };
        Ok(Number { kind, value_type: to })
    }
}

fn digits(value: i128) -> u32 {
    value.checked_ilog10().map_or(1, |log| log + 1)
}

fn negate_if(negated: bool, truth: Truth) -> Truth {
    if negated { truth.not() } else { truth }
}

fn either(left: Result<Truth, Refusal>, right: Result<Truth, Refusal>) -> Result<Truth, Refusal> {
    Ok(left?.or(right?))
}

/// The operator with its operands exchanged.
pub(super) fn mirrored(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Eq => CompareOp::Eq,
        CompareOp::Ne => CompareOp::Ne,
        CompareOp::Lt => CompareOp::Gt,
        CompareOp::Le => CompareOp::Ge,
        CompareOp::Gt => CompareOp::Lt,
        CompareOp::Ge => CompareOp::Le,
    }
}

/// The operator's number in the text helpers.
fn text_op(op: CompareOp) -> i32 {
    match op {
        CompareOp::Eq => 0,
        CompareOp::Ne => 1,
        CompareOp::Lt => 2,
        CompareOp::Le => 3,
        CompareOp::Gt => 4,
        CompareOp::Ge => 5,
    }
}
