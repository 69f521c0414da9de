//! What is run: byte code, memory, and the same in Rust.
//!
//! A program gets the address of its memory in r1 and returns a number in r0. It uses only what all machines have: 64-bit instructions without `lddw`,
//! calls or the stack.

use nearside_programs::builder::{Builder, Label};
use nearside_programs::isa::{JumpOp, Reg, Size, Slot};

/// A program over rows.
pub struct Workload {
    /// For people.
    pub name: &'static str,
    /// Rows that one run goes through.
    pub rows: usize,
    pub(crate) code: Vec<Slot>,
    pub(crate) memory: Memory,
    pub(crate) native: fn(&mut Memory) -> u64,
}

/// Rows whose columns fit into the second-level cache of any processor of the last years: 448 KiB.
pub(crate) const ROWS_CACHED: usize = 16 << 10;
/// Rows whose columns do not fit into any cache: 112 MiB.
const ROWS_MANY: usize = 4 << 20;

/// Q6 of TPC-H with branches and without, and small programs that each stress one thing.
pub fn workloads() -> Vec<Workload> {
    let q6 = |name, rows, code: fn(&mut Builder)| Workload::new(name, rows, code, |memory| memory.q6());
    vec![
        q6("Q6, branch-free, in cache", ROWS_CACHED, q6_branch_free),
        q6("Q6, branch-free, in memory", ROWS_MANY, q6_branch_free),
        q6("Q6, branches, in cache", ROWS_CACHED, q6_branches),
        q6("Q6, branches, in memory", ROWS_MANY, q6_branches),
        Workload::new("hash, no memory", ROWS_CACHED, hash, |memory| memory.hash()),
        Workload::new("load, add, store", ROWS_CACHED, increment, |memory| memory.increment()),
        Workload::new("sum of bytes above 127", ROWS_CACHED, count, |memory| memory.count()),
    ]
}

impl Workload {
    fn new(name: &'static str, rows: usize, code: fn(&mut Builder), native: fn(&mut Memory) -> u64) -> Self {
        let mut builder = Builder::new();
        code(&mut builder);
        let code = builder.finish().expect("the programs here assemble").code;
        Self { name, rows, code, memory: Memory::new(rows), native }
    }
}

/// Row count, offsets of four columns, the columns: quantity, price, discount (8 bytes), shipping date (4 bytes).
#[derive(Clone)]
pub(crate) struct Memory(Vec<u64>);

/// Words before the first column.
const HEADER_WORDS: usize = 8;
const DATES: std::ops::Range<u64> = 8_766..9_131;
const DISCOUNTS: std::ops::RangeInclusive<u64> = 5..=7;
const QUANTITY_END: u64 = 2_400;

impl Memory {
    /// The distributions of TPC-H, so that Q6 selects 1.9 % of the rows. Even counts only: dates are stored in pairs.
    fn new(rows: usize) -> Self {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut below = |limit: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % limit
        };
        let starts = (0..4).map(|column| (HEADER_WORDS + column * rows) as u64 * 8);
        let mut words: Vec<u64> = std::iter::once(rows as u64).chain(starts).collect();
        words.resize(HEADER_WORDS, 0);
        words.extend((0..rows).map(|_| (1 + below(50)) * 100));
        words.extend((0..rows).map(|_| 90_000 + below(10_000_000)));
        words.extend((0..rows).map(|_| below(11)));
        words.extend((0..rows / 2).map(|_| (8_036 + below(2_526)) | (8_036 + below(2_526)) << 32));
        Self(words)
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: words are initialised bytes, 8 each; a byte needs no alignment.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * 8) }
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and any bytes are words.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * 8) }
    }

    fn rows(&self) -> usize {
        self.0[0] as usize
    }

    fn column(&self, column: usize) -> &[u64] {
        &self.0[HEADER_WORDS + column * self.rows()..][..self.rows()]
    }

    fn q6(&self) -> u64 {
        let dates = self.0[HEADER_WORDS + 3 * self.rows()..].iter().flat_map(|pair| [pair & 0xffff_ffff, pair >> 32]);
        let columns = self.column(0).iter().zip(self.column(1)).zip(self.column(2)).zip(dates);
        let selected = columns.map(|(((quantity, price), discount), date)| {
            let selected = DATES.contains(&date) & DISCOUNTS.contains(discount) & (*quantity < QUANTITY_END);
            (price * discount) & u64::from(selected).wrapping_neg()
        });
        selected.sum()
    }

    fn hash(&self) -> u64 {
        (0..self.rows()).fold(1, |hash: u64, _| {
            let hash = hash.wrapping_mul(0x0100_0193) ^ (hash >> 29);
            (hash.wrapping_add(0x5bd1) ^ (hash << 7)) | 1
        })
    }

    fn increment(&mut self) -> u64 {
        let rows = self.rows();
        self.0[HEADER_WORDS..][..rows].iter_mut().for_each(|word| *word = word.wrapping_add(3));
        0
    }

    fn count(&self) -> u64 {
        let first = 8 * (HEADER_WORDS + self.rows());
        self.bytes()[first..][..self.rows()].iter().filter(|byte| **byte > 127).map(|byte| u64::from(*byte)).sum()
    }
}

const QUANTITY: Reg = Reg::R3;
const PRICE: Reg = Reg::R4;
const DISCOUNT: Reg = Reg::R5;
const DATE: Reg = Reg::R6;

/// r0 = 0, r2 = rows, pointers to the columns; r1 is free after that.
fn columns(b: &mut Builder) {
    b.mov(Reg::R0, 0).load(Size::D, Reg::R2, Reg::R1, 0);
    for (index, pointer) in [QUANTITY, PRICE, DISCOUNT, DATE].into_iter().enumerate() {
        b.load(Size::D, pointer, Reg::R1, 8 + 8 * index as i16).add(pointer, Reg::R1);
    }
}

/// Goes to the next row, if there is one, and ends otherwise.
fn next_row(b: &mut Builder, again: Label) {
    b.add(QUANTITY, 8).add(PRICE, 8).add(DISCOUNT, 8).add(DATE, 4);
    b.sub(Reg::R2, 1).branch(JumpOp::Ne, Reg::R2, 0, again).exit();
}

/// A row is selected if none of five differences is negative: their signs are gathered in r8.
fn q6_branch_free(b: &mut Builder) {
    columns(b);
    let row = b.label();
    b.bind(row).load(Size::W, Reg::R7, DATE, 0);
    b.mov(Reg::R8, Reg::R7).sub(Reg::R8, DATES.start as i32);
    b.mov(Reg::R9, DATES.end as i32 - 1).sub(Reg::R9, Reg::R7).or(Reg::R8, Reg::R9);
    b.load(Size::D, Reg::R7, DISCOUNT, 0);
    b.mov(Reg::R9, Reg::R7).sub(Reg::R9, *DISCOUNTS.start() as i32).or(Reg::R8, Reg::R9);
    b.mov(Reg::R9, *DISCOUNTS.end() as i32).sub(Reg::R9, Reg::R7).or(Reg::R8, Reg::R9);
    b.load(Size::D, Reg::R1, QUANTITY, 0);
    b.mov(Reg::R9, QUANTITY_END as i32 - 1).sub(Reg::R9, Reg::R1).or(Reg::R8, Reg::R9);
    b.load(Size::D, Reg::R9, PRICE, 0).mul(Reg::R9, Reg::R7);
    b.arsh(Reg::R8, 63).xor(Reg::R8, -1).and(Reg::R9, Reg::R8).add(Reg::R0, Reg::R9);
    next_row(b, row);
}

/// As clang compiles the loop: one conjunct after the other, away at the first that fails.
fn q6_branches(b: &mut Builder) {
    columns(b);
    let (row, next) = (b.label(), b.label());
    b.bind(row).load(Size::W, Reg::R7, DATE, 0);
    b.branch(JumpOp::Lt, Reg::R7, DATES.start as i32, next).branch(JumpOp::Ge, Reg::R7, DATES.end as i32, next);
    b.load(Size::D, Reg::R7, DISCOUNT, 0);
    b.branch(JumpOp::Lt, Reg::R7, *DISCOUNTS.start() as i32, next).branch(JumpOp::Gt, Reg::R7, *DISCOUNTS.end() as i32, next);
    b.load(Size::D, Reg::R8, QUANTITY, 0).branch(JumpOp::Ge, Reg::R8, QUANTITY_END as i32, next);
    b.load(Size::D, Reg::R9, PRICE, 0).mul(Reg::R9, Reg::R7).add(Reg::R0, Reg::R9);
    b.bind(next);
    next_row(b, row);
}

fn hash(b: &mut Builder) {
    let row = b.label();
    b.load(Size::D, Reg::R2, Reg::R1, 0).mov(Reg::R0, 1);
    b.bind(row).mov(Reg::R3, Reg::R0).rsh(Reg::R3, 29).mul(Reg::R0, 0x0100_0193).xor(Reg::R0, Reg::R3);
    b.mov(Reg::R3, Reg::R0).lsh(Reg::R3, 7).add(Reg::R0, 0x5bd1).xor(Reg::R0, Reg::R3).or(Reg::R0, 1);
    b.sub(Reg::R2, 1).branch(JumpOp::Ne, Reg::R2, 0, row).exit();
}

fn increment(b: &mut Builder) {
    let row = b.label();
    b.mov(Reg::R0, 0).load(Size::D, Reg::R2, Reg::R1, 0).load(Size::D, Reg::R3, Reg::R1, 8).add(Reg::R3, Reg::R1);
    b.bind(row).load(Size::D, Reg::R4, Reg::R3, 0).add(Reg::R4, 3).store(Size::D, Reg::R3, 0, Reg::R4).add(Reg::R3, 8);
    b.sub(Reg::R2, 1).branch(JumpOp::Ne, Reg::R2, 0, row).exit();
}

/// Over the bytes of the price column, whose low ones are random.
fn count(b: &mut Builder) {
    let (row, next) = (b.label(), b.label());
    b.mov(Reg::R0, 0).load(Size::D, Reg::R2, Reg::R1, 0).load(Size::D, Reg::R3, Reg::R1, 16).add(Reg::R3, Reg::R1);
    b.bind(row).load(Size::B, Reg::R4, Reg::R3, 0).branch(JumpOp::Le, Reg::R4, 127, next).add(Reg::R0, Reg::R4);
    b.bind(next).add(Reg::R3, 1).sub(Reg::R2, 1).branch(JumpOp::Ne, Reg::R2, 0, row).exit();
}
