//! Entry points: the functions of one, general and narrow, and what the manifest says of it.

use nearside_programs::Builder;
use nearside_programs::manifest::{Bound, EntryPoint, Narrow};

use super::bounds::bounds;
use super::function::{Body, Signature, append};
use super::node::{Reads, Truth};
use super::proof::Proof;
use super::resolve::{BitmapCall, Literals, Resolver};
use super::select;
use super::vector::{self, Joined};
use crate::capabilities::Capabilities;
use crate::fragment::{Column, Expr};
use crate::refusal::Refusal;

/// What the functions of an object are written with.
pub(super) struct Context<'a> {
    pub(super) columns: &'a [Column],
    pub(super) capabilities: &'a Capabilities,
    pub(super) literals: Literals,
    pub(super) builder: Builder,
}

/// A conjunct, resolved.
struct Conjunct {
    truth: Truth,
    reads: Reads,
    bitmaps: Vec<BitmapCall>,
    /// Whether vector helpers make all of its comparisons.
    is_whole: bool,
    note: String,
}

/// What is known of an entry point before its code is written.
pub(super) struct Outline<'a> {
    pub(super) symbol: &'a str,
    pub(super) note: &'a str,
    pub(super) reads: Reads,
    pub(super) bitmaps: &'a [BitmapCall],
    /// See [`Signature::is_in_place`].
    pub(super) is_in_place: bool,
    pub(super) proof: Proof,
}

impl<'a> Context<'a> {
    pub(super) fn new(columns: &'a [Column], capabilities: &'a Capabilities) -> Self {
        Self { columns, capabilities, literals: Literals::default(), builder: Builder::new() }
    }

    pub(super) fn resolver(&mut self) -> Resolver<'_> {
        Resolver { columns: self.columns, capabilities: self.capabilities, literals: &mut self.literals, bitmaps: Vec::new() }
    }

    /// Entry points of the filter's conjuncts, the cheap ones first, and the bounds they imply.
    pub(super) fn filter(&mut self, filter: &[Expr]) -> Result<(Vec<EntryPoint>, Vec<Bound>), Refusal> {
        let mut split = Vec::new();
        filter.iter().for_each(|conjunct| split_and(conjunct, &mut split));
        let mut conjuncts: Vec<Conjunct> = Vec::new();
        for expr in &split {
            let conjunct = self.conjunct(expr)?;
            match conjuncts.iter_mut().find(|other| other.shares_its_column_with(&conjunct)) {
                Some(other) => other.join(conjunct),
                None => conjuncts.push(conjunct),
            }
        }
        conjuncts.sort_by_key(|conjunct| (!conjunct.bitmaps.is_empty(), !conjunct.is_whole));
        let selects = (0..).zip(conjuncts).map(|(index, conjunct)| self.select(index, conjunct)).collect::<Result<_, _>>()?;
        Ok((selects, bounds(&split, self.columns, &mut self.literals)))
    }

    /// Writes the functions of an entry point: the general one, and the narrow one if decimals are involved and it can be proven.
    pub(super) fn entry_point(
        &mut self,
        outline: Outline<'_>,
        lower: impl Fn(&mut Body<'_>) -> Result<(), Refusal>,
    ) -> Result<EntryPoint, Refusal> {
        let Outline { symbol, note, reads, bitmaps, is_in_place, proof } = outline;
        let signature = Signature { columns: self.columns, narrow: false, bitmaps, is_in_place };
        append(&mut self.builder, symbol, note, signature, &lower)?;
        let proof = if reads.decimals { proof.finish() } else { None };
        let narrow = proof.map(|proof| Narrow { symbol: format!("{symbol}_narrow"), proof });
        if let Some(narrow) = &narrow {
            append(&mut self.builder, &narrow.symbol, note, Signature { narrow: true, ..signature }, &lower)?;
        }
        Ok(EntryPoint {
            general: symbol.to_owned(),
            narrow,
            loads: reads.loads.iter().copied().collect(),
            handles: reads.handles_only(),
            scratch_bitmaps: if is_in_place { 0 } else { bitmaps.len() as u32 },
        })
    }

    fn conjunct(&mut self, expr: &Expr) -> Result<Conjunct, Refusal> {
        let mut resolver = self.resolver();
        let truth = resolver.truth(expr)?;
        let bitmaps = resolver.bitmaps;
        let mut reads = Reads::default();
        reads.truth(&truth);
        let is_whole = vector::whole_columns(&truth, &bitmaps, self.capabilities).is_some();
        Ok(Conjunct { truth, reads, bitmaps, is_whole, note: expr.display(self.columns).to_string() })
    }

    fn select(&mut self, index: usize, conjunct: Conjunct) -> Result<EntryPoint, Refusal> {
        let Conjunct { mut truth, mut reads, mut bitmaps, note, .. } = conjunct;
        if let Some(whole) = vector::whole_columns(&truth, &bitmaps, self.capabilities) {
            (truth, bitmaps) = whole;
            reads = Reads::default();
            reads.truth(&truth);
        }
        let mut proof = Proof::default();
        proof.truth(&truth);
        let joined = vector::joined_bitmaps(&truth, bitmaps.len(), self.capabilities);
        let symbol = &format!("select_{index}");
        let is_in_place = joined == Some(Joined::ByAnd);
        let outline = Outline { symbol, note: &note, reads, bitmaps: &bitmaps, is_in_place, proof };
        self.entry_point(outline, |body| match joined {
            Some(joined) => {
                select::lower_joined(body, joined);
                Ok(())
            }
            None => select::lower(body, &truth),
        })
    }
}

impl Conjunct {
    /// Two conjuncts over one and the same column are one pass over it: `k >= 1 and k < 5`. Not if only one of them needs single rows.
    fn shares_its_column_with(&self, other: &Self) -> bool {
        let only =
            |conjunct: &Self| conjunct.reads.loads.len() == 1 && conjunct.bitmaps.is_empty() && conjunct.reads.handles.is_empty();
        self.is_whole == other.is_whole && only(self) && only(other) && self.reads.loads == other.reads.loads
    }

    fn join(&mut self, other: Self) {
        let truth = std::mem::replace(&mut self.truth, Truth::Constant(None));
        self.truth = truth.and(other.truth);
        self.reads.decimals |= other.reads.decimals;
        self.note = format!("{} and {}", self.note, other.note);
    }
}

/// The operands of nested `AND`s.
fn split_and<'a>(expr: &'a Expr, into: &mut Vec<&'a Expr>) {
    match expr {
        Expr::And(left, right) => {
            split_and(left, into);
            split_and(right, into);
        }
        expr => into.push(expr),
    }
}
