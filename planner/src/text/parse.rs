//! Text into a fragment, by precedence climbing.
//!
//! Two bounds keep the stack and every later recursion safe: how deep the parser itself recurses, and how deep the trees are that it makes.

use std::str::FromStr;

use nearside_programs::{Scalar, ValueType};

use super::lex::{Spanned, Token, error_at, lex};
use super::literal::{float_bits, number};
use super::write::{Precedence, arithmetic_precedence};
use super::{ParseError, Problem, RESERVED, date};
use crate::check::{TypeError, check_condition, check_key, check_type};
use crate::fragment::{
    Aggregate, ArithmeticOp, Column, CompareOp, DEPTH_MAX, Expr, Fragment, Function, Named, Output, decimal_result, is_decimal,
    state_type,
};

/// How deep the parser recurses: parentheses that make no level of the tree count too.
const NESTING_MAX: usize = 2 * DEPTH_MAX;

impl FromStr for Fragment {
    type Err = ParseError;

    /// Reads the text form. What it returns [checks](Fragment::check).
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let mut parser = Parser { text, tokens: lex(text)?, position: 0, columns: Vec::new(), nesting: 0 };
        parser.fragment()
    }
}

struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Spanned<'a>>,
    position: usize,
    columns: Vec<Column>,
    nesting: usize,
}

/// An expression and how many levels it has.
struct Tree {
    expr: Expr,
    depth: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Parser<'a> {
    fn fragment(&mut self) -> Parsed<Fragment> {
        self.keyword("scan")?;
        self.symbol("(")?;
        if !self.accept(")") {
            self.columns = self.list(Self::column)?;
            self.symbol(")")?;
        }
        let mut filter = Vec::new();
        self.symbol("|")?;
        while self.accept("filter") {
            filter.push(self.condition()?);
            self.symbol("|")?;
        }
        let output = self.output()?;
        if *self.peek() != Token::End {
            return Err(self.expected("the end"));
        }
        Ok(Fragment { columns: std::mem::take(&mut self.columns), filter, output })
    }

    fn output(&mut self) -> Parsed<Output> {
        if self.accept("emit") {
            return Ok(Output::Project(if *self.peek() == Token::End { Vec::new() } else { self.list(Self::named)? }));
        }
        let mut keys = Vec::new();
        if self.accept("group") {
            self.keyword("by")?;
            keys = self.list(Self::key)?;
            self.symbol("|")?;
        }
        if !self.accept("aggregate") {
            return Err(self.expected("filter, emit, group by or aggregate"));
        }
        let aggregates = if *self.peek() == Token::End { Vec::new() } else { self.list(Self::aggregate)? };
        Ok(Output::Aggregate { keys, aggregates })
    }

    fn column(&mut self) -> Parsed<Column> {
        let name = self.name()?;
        self.symbol(":")?;
        let value_type = self.value_type()?;
        Ok(Column { name, value_type, nullable: self.accept("null") })
    }

    fn value_type(&mut self) -> Parsed<ValueType> {
        let start = self.start();
        let Token::Word(word) = *self.peek() else { return Err(self.expected("a type")) };
        let value_type = match word {
            "decimal" => {
                self.position += 1;
                return self.decimal_type(start);
            }
            word => type_of_name(word).ok_or_else(|| self.expected("a type"))?,
        };
        self.position += 1;
        Ok(value_type)
    }

    /// `(precision,scale)`
    fn decimal_type(&mut self, start: usize) -> Parsed<ValueType> {
        self.symbol("(")?;
        let precision = self.small("a precision")?;
        self.symbol(",")?;
        let scale = self.small("a scale")?;
        self.symbol(")")?;
        let value_type = ValueType::Decimal128 { precision, scale };
        check_type(value_type).map_err(|error| self.error(start, error.into()))?;
        Ok(value_type)
    }

    fn small<T: FromStr>(&mut self, expected: &'static str) -> Parsed<T> {
        let start = self.start();
        let sign = if self.accept("-") { "-" } else { "" };
        if let Token::Number { value, suffix: "" } = *self.peek()
            && let Ok(small) = format!("{sign}{value}").parse()
        {
            self.position += 1;
            return Ok(small);
        }
        Err(self.error(start, Problem::Expected { expected, found: self.found() }))
    }

    /// `name: expr`, or a column that keeps its name.
    fn named(&mut self) -> Parsed<Named> {
        let named_by_itself = self.tokens.get(self.position + 1).is_none_or(|next| next.token != Token::Symbol(":"));
        let name = if named_by_itself { None } else { Some(self.name()?) };
        if name.is_some() {
            self.symbol(":")?;
        }
        let start = self.start();
        let expr = self.expr(start, |expr, columns| expr.value_type(columns).map(drop))?;
        match (name, &expr) {
            (Some(name), _) => Ok(Named { name, expr }),
            (None, Expr::Column(index)) => Ok(Named { name: self.columns[*index].name.clone(), expr }),
            (None, _) => {
                Err(self
                    .error(start, Problem::Expected { expected: "a name: only a column has one", found: "an expression".into() }))
            }
        }
    }

    fn key(&mut self) -> Parsed<Named> {
        let start = self.start();
        let key = self.named()?;
        check_key(&key.expr, &self.columns).map_err(|error| self.error(start, error.into()))?;
        Ok(key)
    }

    fn aggregate(&mut self) -> Parsed<Aggregate> {
        let name = self.name()?;
        self.symbol(":")?;
        let start = self.start();
        let function = self.function()?;
        self.symbol("(")?;
        let argument = if self.accept("*") { None } else { Some(self.checked_expr()?) };
        self.symbol(")")?;
        let value_type =
            if self.accept("as") { self.value_type()? } else { self.state_type(start, function, argument.as_ref())? };
        let mut filter = None;
        if self.accept("filter") {
            self.symbol("(")?;
            self.keyword("where")?;
            filter = Some(self.condition()?);
            self.symbol(")")?;
        }
        let aggregate = Aggregate { name, function, argument, filter, value_type };
        aggregate.check(&self.columns).map_err(|error| self.error(start, error.into()))?;
        Ok(aggregate)
    }

    fn function(&mut self) -> Parsed<Function> {
        let functions = [Function::Count, Function::Sum, Function::Min, Function::Max];
        let found = functions.into_iter().find(|function| self.accept(function.name()));
        found.ok_or_else(|| self.expected("count, sum, min or max"))
    }

    fn state_type(&self, start: usize, function: Function, argument: Option<&Expr>) -> Parsed<ValueType> {
        let argument = argument.map(|argument| argument.value_type(&self.columns)).transpose();
        let argument = argument.map_err(|error| self.error(start, error.into()))?;
        state_type(function, argument).ok_or_else(|| {
            let error = argument.map_or(TypeError::Argument, |given| TypeError::Operand { place: "the argument of SUM", given });
            self.error(start, error.into())
        })
    }

    fn condition(&mut self) -> Parsed<Expr> {
        let start = self.start();
        self.expr(start, check_condition)
    }

    fn checked_expr(&mut self) -> Parsed<Expr> {
        let start = self.start();
        self.expr(start, |expr, columns| expr.value_type(columns).map(drop))
    }

    /// A whole expression, which satisfies a check.
    fn expr(&mut self, start: usize, check: impl Fn(&Expr, &[Column]) -> Result<(), TypeError>) -> Parsed<Expr> {
        let expr = self.tree(Precedence::Or)?.expr;
        check(&expr, &self.columns).map_err(|error| self.error(start, error.into()))?;
        Ok(expr)
    }

    /// An expression whose operators bind at least that tightly.
    fn tree(&mut self, min: Precedence) -> Parsed<Tree> {
        if self.nesting == NESTING_MAX {
            return Err(self.error(self.start(), Problem::TooDeep));
        }
        self.nesting += 1;
        let mut left = self.prefix()?;
        // A predicate takes no predicate as its left operand.
        let mut predicate_allowed = true;
        while let Some(operator) = self.operator(min, predicate_allowed) {
            predicate_allowed = operator != Operator::Predicate && predicate_allowed;
            left = self.infix(left, operator)?;
        }
        self.nesting -= 1;
        Ok(left)
    }

    /// The operator that comes next, if it binds tightly enough; `Predicate` stays for [`Self::predicate`] to read.
    fn operator(&mut self, min: Precedence, predicate_allowed: bool) -> Option<Operator> {
        let operator = match *self.peek() {
            Token::Word("or") => Operator::Or,
            Token::Word("and") => Operator::And,
            Token::Symbol("+") => Operator::Arithmetic(ArithmeticOp::Add),
            Token::Symbol("-") => Operator::Arithmetic(ArithmeticOp::Sub),
            Token::Symbol("*") => Operator::Arithmetic(ArithmeticOp::Mul),
            Token::Symbol("=" | "<>" | "<" | "<=" | ">" | ">=") | Token::Word("is" | "in" | "like" | "ilike" | "not") => {
                Operator::Predicate
            }
            _ => return None,
        };
        let allowed = operator.precedence() >= min && (operator != Operator::Predicate || predicate_allowed);
        allowed.then_some(operator)
    }

    fn infix(&mut self, left: Tree, operator: Operator) -> Parsed<Tree> {
        let start = self.start();
        if operator == Operator::Predicate {
            return self.predicate(left);
        }
        self.position += 1;
        let right = self.tree(operator.right())?;
        let depth = left.depth.max(right.depth);
        let expr = match operator {
            Operator::Or => Expr::Or(left.expr.into(), right.expr.into()),
            Operator::And => Expr::And(left.expr.into(), right.expr.into()),
            Operator::Arithmetic(op) => self.arithmetic(start, op, left.expr, right.expr)?,
            Operator::Predicate => unreachable!("handled above"),
        };
        self.above(depth, expr)
    }

    fn arithmetic(&self, start: usize, op: ArithmeticOp, left: Expr, right: Expr) -> Parsed<Expr> {
        let types = left.value_type(&self.columns).and_then(|l| right.value_type(&self.columns).map(|r| (l, r)));
        let (l, r) = types.map_err(|error| self.error(start, error.into()))?;
        let result = if is_decimal(l) && is_decimal(r) { decimal_result(op, l, r) } else { Some(l) };
        let undefined = TypeError::Operands { op: op.symbol(), left: l, right: r };
        let value_type = result.ok_or_else(|| self.error(start, undefined.into()))?;
        Ok(Expr::Arithmetic { op, left: left.into(), right: right.into(), value_type })
    }

    /// What follows a comparison's left operand.
    fn predicate(&mut self, left: Tree) -> Parsed<Tree> {
        if let Some(op) = self.comparison() {
            let right = self.tree(Precedence::Sum)?;
            let depth = left.depth.max(right.depth);
            return self.above(depth, Expr::Compare { op, left: left.expr.into(), right: right.expr.into() });
        }
        let depth = left.depth;
        let expr: Box<Expr> = left.expr.into();
        if self.accept("is") {
            let negated = self.accept("not");
            self.keyword("null")?;
            return self.above(depth, if negated { Expr::IsNotNull(expr) } else { Expr::IsNull(expr) });
        }
        let negated = self.accept("not");
        if self.accept("in") {
            self.symbol("(")?;
            let list = self.list(Self::literal)?;
            self.symbol(")")?;
            return self.above(depth, Expr::InList { expr, list, negated });
        }
        let case_insensitive = self.accept("ilike");
        if !case_insensitive && !self.accept("like") {
            return Err(self.expected("in, like or ilike"));
        }
        let pattern = self.quoted()?;
        self.above(depth, Expr::Like { expr, pattern, negated, case_insensitive })
    }

    fn comparison(&mut self) -> Option<CompareOp> {
        use CompareOp::*;
        [Eq, Ne, Lt, Le, Gt, Ge].into_iter().find(|op| self.accept(op.symbol()))
    }

    fn prefix(&mut self) -> Parsed<Tree> {
        if self.accept("not") {
            let operand = self.tree(Precedence::Not)?;
            return self.above(operand.depth, Expr::Not(operand.expr.into()));
        }
        if self.accept("(") {
            let tree = self.tree(Precedence::Or)?;
            self.symbol(")")?;
            return Ok(tree);
        }
        if self.accept("case") {
            return self.case();
        }
        if self.accept("cast") {
            self.symbol("(")?;
            let operand = self.tree(Precedence::Or)?;
            self.keyword("as")?;
            let to = self.value_type()?;
            self.symbol(")")?;
            return self.above(operand.depth, Expr::Cast { expr: operand.expr.into(), to });
        }
        let expr = if self.is_column() { self.column_reference()? } else { Expr::Literal(self.literal()?) };
        Ok(Tree { expr, depth: 1 })
    }

    fn case(&mut self) -> Parsed<Tree> {
        let (mut arms, mut depth) = (Vec::new(), 0);
        while self.accept("when") {
            let condition = self.tree(Precedence::Or)?;
            self.keyword("then")?;
            let value = self.tree(Precedence::Or)?;
            depth = depth.max(condition.depth).max(value.depth);
            arms.push((condition.expr, value.expr));
        }
        let mut otherwise = None;
        if self.accept("else") {
            let value = self.tree(Precedence::Or)?;
            depth = depth.max(value.depth);
            otherwise = Some(value.expr.into());
        }
        self.keyword("end")?;
        self.above(depth, Expr::Case { arms, otherwise })
    }

    fn above(&self, depth: usize, expr: Expr) -> Parsed<Tree> {
        if depth == DEPTH_MAX {
            return Err(self.error(self.start(), Problem::TooDeep));
        }
        Ok(Tree { expr, depth: depth + 1 })
    }

    fn is_column(&self) -> bool {
        match self.peek() {
            Token::Name(_) | Token::Symbol("#") => true,
            Token::Word(word) => !RESERVED.contains(word),
            _ => false,
        }
    }

    fn column_reference(&mut self) -> Parsed<Expr> {
        let start = self.start();
        if self.accept("#") {
            return self.small("a column's index").map(Expr::Column);
        }
        let name = self.name()?;
        let index = self.columns.iter().position(|column| column.name == name);
        index.map(Expr::Column).ok_or_else(|| self.error(start, Problem::UnknownColumn(name)))
    }

    fn literal(&mut self) -> Parsed<Scalar> {
        let start = self.start();
        if self.accept("null") {
            return self.value_type().map(Scalar::Null);
        }
        if self.accept("date") {
            let text = self.quoted()?;
            let days = date::to_days(&text).ok_or_else(|| self.error(start, Problem::Literal(ValueType::Date32)))?;
            return Ok(Scalar::Int(ValueType::Date32, days));
        }
        for (word, value_type) in [("f32", ValueType::Float32), ("f64", ValueType::Float64)] {
            if self.accept(word) {
                return self.bits(start, value_type);
            }
        }
        let negative = self.accept("-");
        let literal = match self.peek().clone() {
            Token::Number { value, suffix } => return self.number(start, value, suffix, negative),
            Token::Text(text) if !negative => Scalar::Utf8(text),
            Token::Word(word @ ("true" | "false")) if !negative => Scalar::Bool(word == "true"),
            _ => return Err(self.expected("an expression")),
        };
        self.position += 1;
        Ok(literal)
    }

    fn bits(&mut self, start: usize, value_type: ValueType) -> Parsed<Scalar> {
        let Token::Number { value, suffix: "" } = *self.peek() else { return Err(self.expected("the bits of a float")) };
        self.position += 1;
        float_bits(value, value_type).ok_or_else(|| self.error(start, Problem::Literal(value_type)))
    }

    fn number(&mut self, start: usize, value: &str, suffix: &str, negative: bool) -> Parsed<Scalar> {
        let suffix_start = self.start();
        self.position += 1;
        let value_type = match suffix {
            "" if value.contains(['.', 'e']) => ValueType::Float64,
            "" => ValueType::Int64,
            "d" => self.decimal_type(suffix_start)?,
            suffix => type_of_name(suffix).ok_or_else(|| {
                self.error(
                    suffix_start,
                    Problem::Expected { expected: "a number with its type", found: format!("{value}{suffix}") },
                )
            })?,
        };
        number(value, negative, value_type).ok_or_else(|| self.error(start, Problem::Literal(value_type)))
    }

    fn quoted(&mut self) -> Parsed<String> {
        let Token::Text(text) = self.peek().clone() else { return Err(self.expected("a text in quotes")) };
        self.position += 1;
        Ok(text)
    }

    fn name(&mut self) -> Parsed<String> {
        let name = match self.peek() {
            Token::Word(word) if !RESERVED.contains(word) => (*word).to_owned(),
            Token::Name(name) => name.clone(),
            _ => return Err(self.expected("a name")),
        };
        self.position += 1;
        Ok(name)
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.accept(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    fn peek(&self) -> &Token<'a> {
        &self.tokens[self.position].token
    }

    fn start(&self) -> usize {
        self.tokens[self.position].start
    }

    /// Takes a word or symbol if it is next.
    fn accept(&mut self, wanted: &str) -> bool {
        let next = matches!(self.peek(), Token::Word(given) | Token::Symbol(given) if *given == wanted);
        self.position += usize::from(next);
        next
    }

    fn keyword(&mut self, keyword: &'static str) -> Parsed<()> {
        if self.accept(keyword) { Ok(()) } else { Err(self.expected(keyword)) }
    }

    fn symbol(&mut self, symbol: &'static str) -> Parsed<()> {
        self.keyword(symbol)
    }

    fn expected(&self, expected: &'static str) -> ParseError {
        self.error(self.start(), Problem::Expected { expected, found: self.found() })
    }

    /// The next token as people see it, shortened.
    fn found(&self) -> String {
        const SHOWN_MAX: usize = 24;
        let end = self.tokens.get(self.position + 1).map_or(self.text.len(), |next| next.start);
        let found = self.text[self.start()..end].trim();
        match found.char_indices().nth(SHOWN_MAX) {
            _ if found.is_empty() => "the end".to_owned(),
            Some((cut, _)) => format!("{:?}…", &found[..cut]),
            None => format!("{found:?}"),
        }
    }

    fn error(&self, start: usize, problem: Problem) -> ParseError {
        error_at(self.text, start, problem)
    }
}

/// What comes after a left operand.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operator {
    Or,
    And,
    Predicate,
    Arithmetic(ArithmeticOp),
}

impl Operator {
    fn precedence(self) -> Precedence {
        match self {
            Self::Or => Precedence::Or,
            Self::And => Precedence::And,
            Self::Predicate => Precedence::Predicate,
            Self::Arithmetic(op) => arithmetic_precedence(op),
        }
    }

    /// How tightly the right operand's operators must bind.
    fn right(self) -> Precedence {
        match self {
            Self::Or => Precedence::And,
            Self::And => Precedence::Not,
            Self::Predicate => Precedence::Sum,
            Self::Arithmetic(ArithmeticOp::Mul) => Precedence::Atom,
            Self::Arithmetic(_) => Precedence::Product,
        }
    }
}

/// Types of one word.
fn type_of_name(name: &str) -> Option<ValueType> {
    use ValueType::*;
    [Bool, Int8, Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64, Float32, Float64, Date32, Utf8, Opaque]
        .into_iter()
        .find(|value_type| value_type.to_string() == name)
}
