//! Conjuncts over whole columns: comparisons that a vector helper makes for all selected rows of the batch, before the loop.
//!
//! A bitmap has no other rows, so what is made of it by `NOT`, or by asking whether it is known, says nothing of those: whoever uses a truth leaves them out.
//! A conjunct is taken whole or stays byte code: where single rows are looked at anyway, a comparison more is cheaper there. What joins the bitmaps (`AND`,
//! `OR`, `NOT`, tests for NULL, boolean columns) is byte code all the same, 64 rows an instruction, so that three-valued logic is written once, in
//! [`truth`](super::truth); but there is no loop where nothing is left but comparisons joined by `AND`, each of which takes rows out of the
//! result, or bitmaps joined by `OR`, which a helper joins. Decimals need no proof here: a helper reads all 128 bits.

use nearside_programs::abi::helper::{BITMAP_COMBINE, COLUMN_BETWEEN, COLUMN_COMPARE, COLUMN_COMPARE_COLUMNS};

use super::node::{Known, Number, NumberKind, Truth};
use super::resolve::{BitmapCall, compare_op};
use crate::capabilities::Capabilities;
use crate::fragment::CompareOp;

/// Most helper calls of a conjunct, each with a bitmap of its own; beyond, it stays byte code.
const CALLS_MAX: usize = 32;

/// The conjunct and its helper calls, those it had (`bitmaps`) first; `None` if some of it needs single rows, or no comparison is gained.
pub(super) fn whole_columns(
    truth: &Truth,
    bitmaps: &[BitmapCall],
    capabilities: &Capabilities,
) -> Option<(Truth, Vec<BitmapCall>)> {
    let mut columns = WholeColumns { calls: bitmaps.to_vec(), capabilities };
    let truth = columns.truth(truth)?;
    let gained = columns.calls.len() > bitmaps.len();
    gained.then_some((truth, columns.calls))
}

/// A conjunct that is nothing but helpers' bitmaps joined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Joined {
    /// All of them by `AND`.
    ByAnd,
    /// So many by `OR`.
    ByOr(u32),
}

/// How a conjunct joins all of its `count` bitmaps, if it does nothing else and the device can. A bitmap has zeros where it is unknown or not selected, and so has what
/// joins them.
pub(super) fn joined_bitmaps(truth: &Truth, count: usize, capabilities: &Capabilities) -> Option<Joined> {
    let is_or = matches!(truth, Truth::Or(..));
    let mut scratch = Vec::new();
    if !gather(truth, is_or, &mut scratch) {
        return None;
    }
    scratch.sort_unstable();
    scratch.dedup();
    let count = count as u32;
    // Where each takes rows out of the result, there must be none that nobody joins.
    match scratch.into_iter().eq(0..count) {
        true if !is_or => Some(Joined::ByAnd),
        true if count > 1 && capabilities.helpers.contains(&BITMAP_COMBINE) => Some(Joined::ByOr(count)),
        _ => None,
    }
}

/// Gathers the bitmaps that `OR`, or `AND`, joins; `false` if there is anything else.
fn gather(truth: &Truth, is_or: bool, scratch: &mut Vec<u32>) -> bool {
    match truth {
        Truth::Bitmap { scratch: bitmap, .. } => {
            scratch.push(*bitmap);
            true
        }
        Truth::Or(left, right) if is_or => gather(left, is_or, scratch) && gather(right, is_or, scratch),
        Truth::And(left, right) if !is_or => gather(left, is_or, scratch) && gather(right, is_or, scratch),
        _ => false,
    }
}

struct WholeColumns<'a> {
    calls: Vec<BitmapCall>,
    capabilities: &'a Capabilities,
}

/// A comparison of a column with a parameter.
#[derive(Clone, Copy, PartialEq)]
struct Bounded {
    column: u32,
    op: CompareOp,
    slot: u32,
}

impl WholeColumns<'_> {
    fn truth(&mut self, truth: &Truth) -> Option<Truth> {
        Some(match truth {
            Truth::Constant(_) | Truth::Column(_) | Truth::Bitmap { .. } | Truth::IsKnown(Known::Column(_)) => truth.clone(),
            Truth::Compare { op, left, right } => self.compare(*op, left, right)?,
            Truth::CompareTruths { op, left, right } => {
                Truth::CompareTruths { op: *op, left: Box::new(self.truth(left)?), right: Box::new(self.truth(right)?) }
            }
            Truth::And(..) => self.all(truth)?,
            Truth::Or(left, right) => self.truth(left)?.or(self.truth(right)?),
            Truth::Not(inner) => self.truth(inner)?.not(),
            Truth::IsKnown(Known::Truth(inner)) => Truth::IsKnown(Known::Truth(Box::new(self.truth(inner)?))),
            Truth::IsKnown(Known::Number(_)) | Truth::InSorted { .. } | Truth::InBits { .. } | Truth::Case { .. } => return None,
        })
    }

    /// What `AND` joins; two bounds of one column are one pass over it.
    fn all(&mut self, truth: &Truth) -> Option<Truth> {
        let mut operands = Vec::new();
        split(truth, &mut operands);
        let mut joined: Option<Truth> = None;
        while !operands.is_empty() {
            let operand = operands.remove(0);
            let other = bounded(operand).and_then(|bound| {
                let closes = |other: &&Truth| bounded(other).is_some_and(|other| range(bound, other).is_some());
                operands.iter().position(closes)
            });
            let truth = match other {
                Some(index) => self.between(range(bounded(operand)?, bounded(operands.remove(index))?)?)?,
                None => self.truth(operand)?,
            };
            joined = Some(match joined {
                Some(joined) => joined.and(truth),
                None => truth,
            });
        }
        joined
    }

    fn compare(&mut self, op: CompareOp, left: &Number, right: &Number) -> Option<Truth> {
        if let Some(Bounded { column, op, slot }) = column_and_slot(op, left, right) {
            return self.call(COLUMN_COMPARE, vec![column as i32, compare_op(op), slot as i32], vec![column]);
        }
        match (&left.kind, &right.kind) {
            (NumberKind::Column(left), NumberKind::Column(right)) => {
                self.call(COLUMN_COMPARE_COLUMNS, vec![*left as i32, compare_op(op), *right as i32], vec![*left, *right])
            }
            _ => None,
        }
    }

    fn between(&mut self, (low, high): (Bounded, Bounded)) -> Option<Truth> {
        let flags = i32::from(low.op == CompareOp::Gt) | i32::from(high.op == CompareOp::Lt) << 1;
        let arguments = vec![low.column as i32, flags, low.slot as i32, high.slot as i32];
        self.call(COLUMN_BETWEEN, arguments, vec![low.column])
    }

    fn call(&mut self, helper: u32, arguments: Vec<i32>, columns: Vec<u32>) -> Option<Truth> {
        if !self.capabilities.helpers.contains(&helper) {
            return None;
        }
        let call = BitmapCall { helper, arguments };
        let scratch = match self.calls.iter().position(|known| *known == call) {
            Some(known) => known,
            None if self.calls.len() >= CALLS_MAX => return None,
            None => {
                self.calls.push(call);
                self.calls.len() - 1
            }
        };
        Some(Truth::Bitmap { scratch: scratch as u32, columns })
    }
}

/// The operands of nested `AND`s.
fn split<'t>(truth: &'t Truth, into: &mut Vec<&'t Truth>) {
    match truth {
        Truth::And(left, right) => {
            split(left, into);
            split(right, into);
        }
        truth => into.push(truth),
    }
}

fn bounded(truth: &Truth) -> Option<Bounded> {
    match truth {
        Truth::Compare { op, left, right } => column_and_slot(*op, left, right),
        _ => None,
    }
}

fn column_and_slot(op: CompareOp, left: &Number, right: &Number) -> Option<Bounded> {
    match (&left.kind, &right.kind) {
        (NumberKind::Column(column), NumberKind::Parameter(slot)) => Some(Bounded { column: *column, op, slot: *slot }),
        (NumberKind::Parameter(slot), NumberKind::Column(column)) => {
            Some(Bounded { column: *column, op: op.mirrored(), slot: *slot })
        }
        _ => None,
    }
}

/// The lower and the upper of two bounds of one column.
fn range(a: Bounded, b: Bounded) -> Option<(Bounded, Bounded)> {
    let is_low = |bound: Bounded| matches!(bound.op, CompareOp::Gt | CompareOp::Ge);
    let is_high = |bound: Bounded| matches!(bound.op, CompareOp::Lt | CompareOp::Le);
    match a.column == b.column {
        true if is_low(a) && is_high(b) => Some((a, b)),
        true if is_low(b) && is_high(a) => Some((b, a)),
        _ => None,
    }
}
