//! Fragments and rows from a seed, for tests that compare implementations.
//!
//! The same seed gives the same fragment and the same rows on every machine. Fragments [check](Fragment::check); rows are of their table, with NULLs, both ends of
//! every type, signed zeros and NaNs, empty and long texts, and the characters that `LIKE` treats as special. Start at [`Generator::fragment`]. Not
//! here: what to do with them.

mod expression;
mod random;
mod value;

use nearside_programs::{Scalar, ValueType};

use crate::fragment::{Aggregate, Column, Expr, Fragment, Function, Named, Output, is_decimal, state_type};

use random::Random;

/// Makes fragments and rows.
#[derive(Clone, Debug)]
pub struct Generator {
    random: Random,
    columns: Vec<Column>,
    /// Whether the fragment may have what programs do not: so few have that refusals are tested, and everything else is more.
    exotic: bool,
}

/// How deep a generated expression is at most, casts that make types meet not counted.
const DEPTH: usize = 3;

impl Generator {
    /// Everything that follows from one seed.
    pub fn new(seed: u64) -> Self {
        Self { random: Random::new(seed), columns: Vec::new(), exotic: false }
    }

    /// The next fragment.
    pub fn fragment(&mut self) -> Fragment {
        self.exotic = self.random.chance(1, 8);
        let count = self.random.between(1, 6);
        self.columns = (0..count).map(|index| self.column(index)).collect();
        let conjuncts = self.random.below(4);
        let filter = (0..conjuncts).map(|_| self.expr(ValueType::Bool, DEPTH)).collect();
        let output = if self.random.chance(1, 2) { self.projection() } else { self.aggregation() };
        Fragment { columns: self.columns.clone(), filter, output }
    }

    /// Rows of a fragment's table: none, one, or about a few 64-bit words of bitmaps. Half of the tables are tame: small values, on which less overflows.
    pub fn rows(&mut self, columns: &[Column]) -> Vec<Vec<Scalar>> {
        let count = *self.random.pick(&[0, 1, 2, 5, 20, 63, 64, 65, 130]);
        let tame = self.random.chance(1, 2);
        (0..count).map(|_| columns.iter().map(|column| self.cell(column, tame)).collect()).collect()
    }

    fn cell(&mut self, column: &Column, tame: bool) -> Scalar {
        if column.nullable && self.random.chance(1, 5) {
            return Scalar::Null(column.value_type);
        }
        if tame { value::tame(&mut self.random, column.value_type) } else { value::any(&mut self.random, column.value_type) }
    }

    fn column(&mut self, index: usize) -> Column {
        Column { name: format!("c{index}"), value_type: self.value_type(), nullable: self.random.chance(1, 2) }
    }

    fn value_type(&mut self) -> ValueType {
        use ValueType::*;
        if self.random.chance(1, 4) {
            return self.decimal_type();
        }
        *self
            .random
            .pick(&[Bool, Int8, Int16, Int32, Int64, Int64, UInt8, UInt16, UInt32, UInt64, Float32, Float64, Date32, Utf8, Utf8])
    }

    fn decimal_type(&mut self) -> ValueType {
        let (precision, scale) =
            *self.random.pick(&[(15, 2), (15, 2), (9, 4), (3, 0), (18, 0), (19, 6), (38, 0), (38, 10), (5, 5), (4, -2)]);
        ValueType::Decimal128 { precision, scale }
    }

    fn projection(&mut self) -> Output {
        let count = self.random.between(1, 4);
        Output::Project((0..count).map(|index| self.named("x", index)).collect())
    }

    fn aggregation(&mut self) -> Output {
        let keys = self.random.below(4);
        let aggregates = self.random.between(usize::from(keys == 0), 4);
        Output::Aggregate {
            keys: (0..keys).map(|index| self.named("k", index)).collect(),
            aggregates: (0..aggregates).map(|index| self.aggregate(index)).collect(),
        }
    }

    /// A column half of the time.
    fn named(&mut self, prefix: &str, index: usize) -> Named {
        let name = format!("{prefix}{index}");
        let value_type = self.value_type();
        let computes = self.exotic || value_type != ValueType::Utf8;
        let expr = if computes && self.random.chance(1, 2) { self.any_expr(value_type, DEPTH) } else { self.any_column() };
        Named { name, expr }
    }

    fn aggregate(&mut self, index: usize) -> Aggregate {
        let argument = self.argument();
        let argument_type = self.type_of(&argument);
        let function = *self.random.pick(&[Function::Count, Function::Sum, Function::Sum, Function::Min, Function::Max]);
        let is_computed_text = argument_type == ValueType::Utf8 && !matches!(argument, Expr::Column(_));
        // What has no sum is counted.
        let (function, value_type) = match state_type(function, Some(argument_type)) {
            Some(state) if self.exotic || !is_computed_text => (function, state),
            _ => (Function::Count, ValueType::Int64),
        };
        let value_type = match value_type {
            ValueType::Int64 if function == Function::Count && self.random.chance(1, 2) => ValueType::UInt64,
            ValueType::Decimal128 { scale, .. } if function == Function::Sum && self.random.chance(1, 2) => {
                ValueType::Decimal128 { precision: 38, scale }
            }
            value_type => value_type,
        };
        let counts_rows = function == Function::Count && self.random.chance(1, 2);
        let filters = self.exotic || argument_type != ValueType::Utf8 || function == Function::Count;
        let filter = (filters && self.random.chance(1, 4)).then(|| self.expr(ValueType::Bool, 1));
        Aggregate { name: format!("a{index}"), function, argument: (!counts_rows).then_some(argument), filter, value_type }
    }

    fn argument(&mut self) -> Expr {
        if self.random.chance(1, 2) {
            return self.any_column();
        }
        let value_type = self.value_type();
        self.any_expr(value_type, DEPTH - 1)
    }

    fn any_column(&mut self) -> Expr {
        Expr::Column(self.random.below(self.columns.len()))
    }

    fn type_of(&self, expr: &Expr) -> ValueType {
        expr.value_type(&self.columns).unwrap_or_else(|error| panic!("generated an expression that does not check: {error}"))
    }

    /// An expression of this type; for a decimal, of any decimal type.
    fn any_expr(&mut self, value_type: ValueType, depth: usize) -> Expr {
        if is_decimal(value_type) { self.decimal_expr(depth) } else { self.expr(value_type, depth) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fragments are well typed, survive their text form, and follow from the seed alone; together they use the whole language.
    #[test]
    fn fragments_check_and_round_trip() {
        let mut all = String::new();
        for seed in 0..2_000 {
            let fragment = Generator::new(seed).fragment();
            fragment.check().unwrap_or_else(|error| panic!("seed {seed}: {error}: {fragment}"));
            let text = fragment.to_string();
            assert_eq!(text.parse(), Ok(fragment), "seed {seed}");
            assert_eq!(Generator::new(seed).fragment().to_string(), text, "seed {seed}");
            all.push_str(&text);
        }
        for part in [
            "group by",
            "count(*)",
            "sum(",
            "min(",
            "max(",
            "filter (where",
            " and ",
            " or ",
            "not ",
            "is null",
            "is not null",
            " in (",
        ]
        .into_iter()
        .chain([
            " like ",
            " ilike ",
            "not like",
            "not in",
            "case when",
            " else ",
            "cast(",
            " + ",
            " - ",
            " * ",
            " <> ",
            "null i64",
            "f64 0x7ff8",
        ]) {
            assert!(all.contains(part), "never generated: {part}");
        }
    }

    /// The evaluator takes the rows, fails on some and has results for most.
    #[test]
    fn rows_are_of_the_table() {
        let (mut results, mut faults) = (0, 0);
        for seed in 0..500 {
            let mut generator = Generator::new(seed);
            let fragment = generator.fragment();
            let rows = generator.rows(&fragment.columns);
            match crate::evaluate(&fragment, &rows) {
                Ok(_) => results += 1,
                Err(crate::EvaluationError::Fault { .. }) => faults += 1,
                Err(error) => panic!("seed {seed}: {error}: {fragment}"),
            }
        }
        assert!(faults > 10 && results > 300, "{faults} faults, {results} results");
    }
}
