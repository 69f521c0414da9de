//! A fragment as text: as few parentheses as its meaning allows.

use std::fmt::{self, Display, Formatter};

use nearside_programs::Scalar;

use super::is_plain_name;
use super::literal::{write_literal, write_text};
use crate::fragment::{Aggregate, ArithmeticOp, Column, Expr, Fragment, Function, Named, Output, state_type};

impl Display for Fragment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("scan (")?;
        list(f, &self.columns, |f, column| {
            write!(f, "{}: {}{}", Name(&column.name), column.value_type, if column.nullable { " null" } else { "" })
        })?;
        f.write_str(")")?;
        for conjunct in &self.filter {
            write!(f, " | filter {}", self.expr(conjunct))?;
        }
        match &self.output {
            Output::Project(outputs) => {
                f.write_str(" | emit")?;
                stage(f, outputs, |f, named| self.named(f, named))
            }
            Output::Aggregate { keys, aggregates } => {
                if !keys.is_empty() {
                    f.write_str(" | group by")?;
                    stage(f, keys, |f, named| self.named(f, named))?;
                }
                f.write_str(" | aggregate")?;
                stage(f, aggregates, |f, aggregate| self.aggregate(f, aggregate))
            }
        }
    }
}

impl Fragment {
    fn expr<'a>(&'a self, expr: &'a Expr) -> Written<'a> {
        Written { expr, columns: &self.columns, around: Precedence::Or }
    }

    fn named(&self, f: &mut Formatter<'_>, named: &Named) -> fmt::Result {
        match &named.expr {
            Expr::Column(index) if self.columns.get(*index).is_some_and(|column| column.name == named.name) => {}
            _ => write!(f, "{}: ", Name(&named.name))?,
        }
        write!(f, "{}", self.expr(&named.expr))
    }

    fn aggregate(&self, f: &mut Formatter<'_>, aggregate: &Aggregate) -> fmt::Result {
        write!(f, "{}: {}(", Name(&aggregate.name), aggregate.function.name())?;
        match &aggregate.argument {
            Some(argument) => write!(f, "{}", self.expr(argument))?,
            None => f.write_str("*")?,
        }
        f.write_str(")")?;
        let argument = aggregate.argument.as_ref().and_then(|argument| argument.value_type(&self.columns).ok());
        if state_type(aggregate.function, argument) != Some(aggregate.value_type) {
            write!(f, " as {}", aggregate.value_type)?;
        }
        match &aggregate.filter {
            Some(filter) => write!(f, " filter (where {})", self.expr(filter)),
            None => Ok(()),
        }
    }
}

impl Expr {
    /// Writes this expression as the text form of a fragment with these columns does.
    pub fn display<'a>(&'a self, columns: &'a [Column]) -> impl Display + 'a {
        Written { expr: self, columns, around: Precedence::Or }
    }
}

impl Function {
    /// As the text form writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Sum => "sum",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

/// How tightly an operator binds, from loose to tight.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Precedence {
    Or,
    And,
    Not,
    Predicate,
    Sum,
    Product,
    Atom,
}

/// An expression where only this precedence or a tighter one can stand without parentheses.
#[derive(Clone, Copy)]
struct Written<'a> {
    expr: &'a Expr,
    columns: &'a [Column],
    around: Precedence,
}

impl<'a> Written<'a> {
    fn inner(self, expr: &'a Expr, around: Precedence) -> Self {
        Self { expr, around, ..self }
    }

    fn precedence(self) -> Precedence {
        match self.expr {
            Expr::Column(_) | Expr::Literal(_) | Expr::Case { .. } | Expr::Cast { .. } => Precedence::Atom,
            Expr::Arithmetic { op, .. } => arithmetic_precedence(*op),
            Expr::Compare { .. } | Expr::IsNull(_) | Expr::IsNotNull(_) | Expr::InList { .. } | Expr::Like { .. } => {
                Precedence::Predicate
            }
            Expr::And(..) => Precedence::And,
            Expr::Or(..) => Precedence::Or,
            Expr::Not(_) => Precedence::Not,
        }
    }

    /// `left op right`, which associates to the left.
    fn binary(self, f: &mut Formatter<'_>, left: &'a Expr, op: &str, right: &'a Expr) -> fmt::Result {
        let own = self.precedence();
        let tighter = match own {
            Precedence::Or => Precedence::And,
            Precedence::And => Precedence::Not,
            Precedence::Sum => Precedence::Product,
            Precedence::Product => Precedence::Atom,
            // Comparisons do not associate.
            _ => return write!(f, "{} {op} {}", self.inner(left, Precedence::Sum), self.inner(right, Precedence::Sum)),
        };
        write!(f, "{} {op} {}", self.inner(left, own), self.inner(right, tighter))
    }

    fn column(self, f: &mut Formatter<'_>, index: usize) -> fmt::Result {
        match self.columns.get(index) {
            Some(column) if self.columns.iter().position(|other| other.name == column.name) == Some(index) => {
                write!(f, "{}", Name(&column.name))
            }
            _ => write!(f, "#{index}"),
        }
    }

    fn in_list(self, f: &mut Formatter<'_>, expr: &'a Expr, items: &[Scalar], negated: bool) -> fmt::Result {
        write!(f, "{}{} in (", self.inner(expr, Precedence::Sum), negation(negated))?;
        list(f, items, write_literal)?;
        f.write_str(")")
    }

    fn case(self, f: &mut Formatter<'_>, arms: &'a [(Expr, Expr)], otherwise: Option<&'a Expr>) -> fmt::Result {
        f.write_str("case")?;
        for (condition, value) in arms {
            write!(f, " when {} then {}", self.inner(condition, Precedence::Or), self.inner(value, Precedence::Or))?;
        }
        if let Some(otherwise) = otherwise {
            write!(f, " else {}", self.inner(otherwise, Precedence::Or))?;
        }
        f.write_str(" end")
    }

    fn write(self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.expr {
            Expr::Column(index) => self.column(f, *index),
            Expr::Literal(literal) => write_literal(f, literal),
            Expr::Arithmetic { op, left, right, .. } => self.binary(f, left, op.symbol(), right),
            Expr::Compare { op, left, right } => self.binary(f, left, op.symbol(), right),
            Expr::And(left, right) => self.binary(f, left, "and", right),
            Expr::Or(left, right) => self.binary(f, left, "or", right),
            Expr::Not(expr) => write!(f, "not {}", self.inner(expr, Precedence::Not)),
            Expr::IsNull(expr) => write!(f, "{} is null", self.inner(expr, Precedence::Sum)),
            Expr::IsNotNull(expr) => write!(f, "{} is not null", self.inner(expr, Precedence::Sum)),
            Expr::InList { expr, list, negated } => self.in_list(f, expr, list, *negated),
            Expr::Like { expr, pattern, negated, case_insensitive } => {
                let like = if *case_insensitive { "ilike" } else { "like" };
                write!(f, "{}{} {like} ", self.inner(expr, Precedence::Sum), negation(*negated))?;
                write_text(f, pattern)
            }
            Expr::Case { arms, otherwise } => self.case(f, arms, otherwise.as_deref()),
            Expr::Cast { expr, to } => write!(f, "cast({} as {to})", self.inner(expr, Precedence::Or)),
        }
    }
}

impl Display for Written<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.precedence() >= self.around {
            return self.write(f);
        }
        f.write_str("(")?;
        self.write(f)?;
        f.write_str(")")
    }
}

pub(super) fn arithmetic_precedence(op: ArithmeticOp) -> Precedence {
    match op {
        ArithmeticOp::Add | ArithmeticOp::Sub => Precedence::Sum,
        ArithmeticOp::Mul => Precedence::Product,
    }
}

fn negation(negated: bool) -> &'static str {
    if negated { " not" } else { "" }
}

/// A list after its keyword; nothing if it is empty.
fn stage<T>(f: &mut Formatter<'_>, items: &[T], write: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result) -> fmt::Result {
    f.write_str(if items.is_empty() { "" } else { " " })?;
    list(f, items, write)
}

fn list<T>(f: &mut Formatter<'_>, items: &[T], write: impl Fn(&mut Formatter<'_>, &T) -> fmt::Result) -> fmt::Result {
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            f.write_str(", ")?;
        }
        write(f, item)?;
    }
    Ok(())
}

/// A name, quoted where it must be.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if is_plain_name(self.0) { f.write_str(self.0) } else { write!(f, "\"{}\"", self.0.replace('"', "\"\"")) }
    }
}
