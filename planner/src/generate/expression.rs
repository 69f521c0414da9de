//! Expressions of a wanted type.

use nearside_programs::{Scalar, ValueType};

use super::{Generator, value};
use crate::fragment::{ArithmeticOp, Column, CompareOp, Expr, decimal_result, is_decimal};

impl Generator {
    /// An expression of exactly this type, at most that many levels above its leaves.
    pub(super) fn expr(&mut self, value_type: ValueType, depth: usize) -> Expr {
        if depth == 0 || self.random.chance(1, 6) {
            return self.leaf(value_type);
        }
        if self.random.chance(1, 8) {
            return self.case(value_type, depth);
        }
        match value_type {
            ValueType::Bool => self.predicate(depth),
            ValueType::Decimal128 { .. } => self.rescaled(value_type, depth),
            ValueType::Utf8 | ValueType::Opaque => self.leaf(value_type),
            ValueType::Date32 => self.date(depth),
            _ if self.random.chance(1, 4) => self.number_cast(value_type, depth),
            _ => self.arithmetic(value_type, depth),
        }
    }

    /// A column of this type if there is one, most of the time, else a literal.
    fn leaf(&mut self, value_type: ValueType) -> Expr {
        let columns: Vec<usize> = (0..self.columns.len()).filter(|index| self.columns[*index].value_type == value_type).collect();
        if !columns.is_empty() && self.random.chance(3, 4) {
            return Expr::Column(*self.random.pick(&columns));
        }
        Expr::Literal(self.literal(value_type))
    }

    fn literal(&mut self, value_type: ValueType) -> Scalar {
        match self.random.below(12) {
            0 => Scalar::Null(value_type),
            1..=3 => value::any(&mut self.random, value_type),
            _ => value::tame(&mut self.random, value_type),
        }
    }

    fn case(&mut self, value_type: ValueType, depth: usize) -> Expr {
        let count = self.random.between(1, 3);
        let arms = (0..count).map(|_| (self.expr(ValueType::Bool, depth - 1), self.expr(value_type, depth - 1))).collect();
        let otherwise = self.random.chance(2, 3).then(|| self.expr(value_type, depth - 1).into());
        Expr::Case { arms, otherwise }
    }

    fn predicate(&mut self, depth: usize) -> Expr {
        let inner = depth - 1;
        match self.random.below(10) {
            0 => Expr::And(self.expr(ValueType::Bool, inner).into(), self.expr(ValueType::Bool, inner).into()),
            1 => Expr::Or(self.expr(ValueType::Bool, inner).into(), self.expr(ValueType::Bool, inner).into()),
            2 => Expr::Not(self.expr(ValueType::Bool, inner).into()),
            3 => self.null_test(inner),
            4 => self.in_list(inner),
            5 => self.like(inner),
            _ => self.comparison(inner),
        }
    }

    /// Of a column's type: the others have no columns to work on.
    fn operand(&mut self, depth: usize) -> Expr {
        let column = self.any_column();
        let value_type = self.type_of(&column);
        if self.random.chance(1, 2) { column } else { self.any_expr(value_type, depth) }
    }

    fn comparison(&mut self, depth: usize) -> Expr {
        use CompareOp::*;
        let left = self.operand(depth);
        let value_type = self.type_of(&left);
        let right = if self.random.chance(1, 2) { Expr::Literal(self.literal(value_type)) } else { self.expr(value_type, depth) };
        Expr::Compare { op: *self.random.pick(&[Eq, Ne, Lt, Le, Gt, Ge]), left: left.into(), right: right.into() }
    }

    fn null_test(&mut self, depth: usize) -> Expr {
        let operand = self.operand(depth).into();
        if self.random.chance(1, 2) { Expr::IsNull(operand) } else { Expr::IsNotNull(operand) }
    }

    fn in_list(&mut self, depth: usize) -> Expr {
        let expr = self.operand(depth);
        let value_type = self.type_of(&expr);
        let count = match self.random.below(8) {
            0 => self.random.between(6, 40),
            1 => self.random.between(30, 300),
            _ => self.random.between(1, 5),
        };
        // Values near each other are looked up as bits, values far apart by search.
        let near = count > 5 && self.random.chance(1, 2);
        let item = |this: &mut Self| if near { value::tame(&mut this.random, value_type) } else { this.literal(value_type) };
        let list = (0..count).map(|_| item(self)).collect();
        Expr::InList { expr: expr.into(), list, negated: self.random.chance(1, 3) }
    }

    /// A comparison where there is no text to match.
    fn like(&mut self, depth: usize) -> Expr {
        let is_text = |column: &Column| column.value_type == ValueType::Utf8;
        if !self.columns.iter().any(is_text) && !self.random.chance(1, 8) {
            return self.comparison(depth);
        }
        let case_insensitive = self.random.chance(1, 3);
        let pattern = value::pattern(&mut self.random, case_insensitive);
        Expr::Like {
            expr: self.expr(ValueType::Utf8, depth).into(),
            pattern,
            negated: self.random.chance(1, 3),
            case_insensitive,
        }
    }

    fn operator(&mut self) -> ArithmeticOp {
        *self.random.pick(&[ArithmeticOp::Add, ArithmeticOp::Sub, ArithmeticOp::Mul])
    }

    fn arithmetic(&mut self, value_type: ValueType, depth: usize) -> Expr {
        let (left, right) = (self.expr(value_type, depth - 1).into(), self.expr(value_type, depth - 1).into());
        Expr::Arithmetic { op: self.operator(), left, right, value_type }
    }

    fn number_cast(&mut self, to: ValueType, depth: usize) -> Expr {
        use ValueType::*;
        let from = match to {
            _ if self.random.chance(1, 3) => self.decimal_type(),
            Float32 if !self.exotic => *self.random.pick(&[Int8, UInt16, Int32, UInt32, Float64]),
            Float32 | Float64 => *self.random.pick(&[Int8, Int32, Int64, UInt64, Float32, Float64]),
            _ => *self.random.pick(&[Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64]),
        };
        let expr = self.any_expr(from, depth - 1);
        let is_large = matches!(self.type_of(&expr), Decimal128 { scale, .. } if !(0..=22).contains(&scale));
        if is_large && matches!(to, Float32 | Float64) && !self.exotic {
            return self.leaf(to);
        }
        Expr::Cast { expr: expr.into(), to }
    }

    fn date(&mut self, depth: usize) -> Expr {
        let from = *self.random.pick(&[ValueType::Int32, ValueType::Int64, ValueType::Date32]);
        Expr::Cast { expr: self.expr(from, depth - 1).into(), to: ValueType::Date32 }
    }

    /// A decimal expression of whatever type comes out.
    pub(super) fn decimal_expr(&mut self, depth: usize) -> Expr {
        if depth == 0 || self.random.chance(1, 4) {
            return self.decimal_leaf(depth);
        }
        let (op, left, right) = (self.operator(), self.decimal_expr(depth - 1), self.decimal_expr(depth - 1));
        match decimal_result(op, self.type_of(&left), self.type_of(&right)) {
            Some(value_type) => Expr::Arithmetic { op, left: left.into(), right: right.into(), value_type },
            // The scales are too far apart, or their sum is too large.
            None => left,
        }
    }

    fn decimal_leaf(&mut self, depth: usize) -> Expr {
        let columns: Vec<usize> = (0..self.columns.len()).filter(|index| is_decimal(self.columns[*index].value_type)).collect();
        if !columns.is_empty() && self.random.chance(2, 3) {
            return Expr::Column(*self.random.pick(&columns));
        }
        let value_type = self.decimal_type();
        if depth > 0 && self.random.chance(1, 2) { self.rescaled(value_type, depth) } else { self.leaf(value_type) }
    }

    /// A number cast to a decimal type.
    fn rescaled(&mut self, to: ValueType, depth: usize) -> Expr {
        let from_integer = self.exotic || !matches!(to, ValueType::Decimal128 { scale: ..0, .. });
        let expr = if from_integer && self.random.chance(1, 3) {
            let from = *self.random.pick(&[ValueType::Int32, ValueType::Int64, ValueType::UInt8]);
            self.expr(from, depth - 1)
        } else {
            self.decimal_expr(depth - 1)
        };
        let cast = Expr::Cast { expr: expr.into(), to };
        // From a scale that is too far below, there is no cast.
        if cast.value_type(&self.columns).is_ok() { cast } else { self.leaf(to) }
    }
}
