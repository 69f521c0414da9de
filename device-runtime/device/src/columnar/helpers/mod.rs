//! The vector helpers: one function each, and the table that names them.
//!
//! A helper checks every argument, charges for the rows and bytes it will touch, and only then works. Comparisons of text are arrow-rs's kernels, so
//! that they mean what they mean in DataFusion; those of numbers are [`super::vector`]'s.

mod combine;
mod compare;
mod extreme;
mod group_ids;
mod grouped;
mod reduce;
mod text;

use nearside_engine::{Fuel, HelperFault, Helpers, Memory};
use nearside_programs::ValueType;
use nearside_programs::abi::helper;
use nearside_programs::manifest::Manifest;

pub(super) use extreme::TextExtreme;
pub(super) use text::Predicates;

use super::Counters;
use super::batch::Batch;
use super::bitmap;
use super::groups::GroupTable;
use super::layout::Layout;
use super::load::{self, Plain};
use super::program::Entry;
use super::stopwatch::Stopwatch;
use super::text::TextColumn;
use crate::DeviceError;

/// What a helper charges for looking at one row.
const FUEL_PER_ROW: u64 = 4;

/// Bytes of text that cost one unit.
const TEXT_BYTES_PER_FUEL: u64 = 8;

/// What stands for no column where a helper would leave out its NULLs.
const NO_COLUMN: u64 = u64::MAX;

type Helper = fn(&mut BatchHelpers<'_>, [u64; 5], &mut Memory<'_>, &mut Fuel) -> Result<u64, HelperFault>;

const TABLE: &[(u32, Helper)] = &[
    (helper::GROUP_IDS, group_ids::group_ids),
    (helper::TEXT_COMPARE, text::text_compare),
    (helper::TEXT_COMPARE_COLUMNS, text::text_compare_columns),
    (helper::TEXT_LIKE, text::text_like),
    (helper::TEXT_IN, text::text_in),
    (helper::TEXT_MIN, extreme::text_min),
    (helper::TEXT_MAX, extreme::text_max),
    (helper::COLUMN_COMPARE, compare::column_compare),
    (helper::COLUMN_BETWEEN, compare::column_between),
    (helper::COLUMN_COMPARE_COLUMNS, compare::column_compare_columns),
    (helper::BITMAP_COMBINE, combine::bitmap_combine),
    (helper::BITMAP_NEGATE, combine::bitmap_negate),
    (helper::BITMAP_COUNT, combine::bitmap_count),
    (helper::COLUMN_SUM, reduce::column_sum),
    (helper::COLUMN_MIN, reduce::column_min),
    (helper::COLUMN_MAX, reduce::column_max),
    (helper::COLUMN_GATHER, reduce::column_gather),
    (helper::GROUP_COUNT, grouped::group_count),
    (helper::GROUP_SUM, grouped::group_sum),
    (helper::GROUP_SUM_PRODUCTS, grouped::group_sum_products),
    (helper::GROUP_MIN, grouped::group_min),
    (helper::GROUP_MAX, grouped::group_max),
];

/// Numbers of the vector helpers this device has, ascending.
pub fn vector_helpers() -> impl Iterator<Item = u32> {
    TABLE.iter().map(|(number, _)| *number)
}

/// What helpers keep between the calls of one worker.
pub(super) struct State {
    pub(super) groups: GroupTable,
    /// Most groups before the partials are emitted.
    pub(super) groups_max: usize,
    pub(super) extremes: Vec<TextExtreme>,
    pub(super) predicates: Predicates,
}

/// The helpers during one call of an entry point.
pub(super) struct BatchHelpers<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) entry: &'a Entry,
    pub(super) layout: &'a Layout,
    pub(super) batch: &'a Batch<'a>,
    pub(super) state: &'a mut State,
    pub(super) counters: &'a mut Counters,
    /// First row of the call.
    pub(super) first: usize,
    /// Elements of every accumulator.
    pub(super) capacity: usize,
    /// Address of the bitmap with the rows to look at.
    pub(super) selection: u32,
    /// What `group_ids` returned, if it was called.
    pub(super) mapped: Option<usize>,
    pub(super) stopwatch: Stopwatch,
    /// Why a helper failed, where that says more than its fault.
    pub(super) error: Option<DeviceError>,
}

impl Helpers for BatchHelpers<'_> {
    fn call(&mut self, number: u32, arguments: [u64; 5], memory: &mut Memory<'_>, fuel: &mut Fuel) -> Result<u64, HelperFault> {
        let (_, helper) = TABLE.iter().find(|(known, _)| *known == number).ok_or(HelperFault::Missing)?;
        let begin = self.stopwatch.begin();
        let result = helper(self, arguments, memory, fuel);
        self.counters.helper_calls += 1;
        self.counters.helper_ns += self.stopwatch.end(begin);
        result
    }
}

impl<'a> BatchHelpers<'a> {
    /// The text column that argument `index` is a handle of.
    fn text(&self, arguments: &[u64; 5], index: u8) -> Result<(u32, &'a TextColumn), HelperFault> {
        let value = arguments[usize::from(index) - 1];
        let column = u32::try_from(value).ok().filter(|column| self.entry.named.contains(column));
        let text = column.and_then(|column| Some((column, self.batch.text(column)?)));
        text.ok_or(HelperFault::Argument { index, value })
    }

    /// The slot that argument `index` names, of type text.
    fn text_parameter(&self, arguments: &[u64; 5], index: u8) -> Result<u32, HelperFault> {
        let value = arguments[usize::from(index) - 1];
        let slot = u32::try_from(value).ok();
        let is_text = |slot: &u32| self.manifest.parameters.get(*slot as usize) == Some(&ValueType::Utf8);
        slot.filter(is_text).ok_or(HelperFault::Argument { index, value })
    }

    /// The column of fixed width, or of booleans, that argument `index` is a handle of, and its type.
    fn column(&self, arguments: &[u64; 5], index: u8) -> Result<(u32, ValueType), HelperFault> {
        let value = arguments[usize::from(index) - 1];
        let column = u32::try_from(value).ok().filter(|column| self.entry.named.contains(column));
        let typed = column.and_then(|column| Some((column, self.manifest.columns.get(column as usize)?.value_type)));
        let is_fixed = |value_type: ValueType| value_type == ValueType::Bool || value_type.byte_width().is_some();
        typed.filter(|(_, value_type)| is_fixed(*value_type)).ok_or(HelperFault::Argument { index, value })
    }

    /// The values of such a column, its dictionary resolved. To be charged for before.
    fn array(&mut self, column: u32) -> Result<Plain<'a>, HelperFault> {
        self.batch.array(column).and_then(load::plain).map_err(|error| self.internal(error))
    }

    /// Keeps an error for whoever called the program.
    fn internal(&mut self, error: DeviceError) -> HelperFault {
        self.error = Some(error);
        HelperFault::Missing
    }

    /// Keeps the reason for the trap that the fault becomes.
    fn failed(&mut self, reason: String) -> HelperFault {
        self.error = Some(DeviceError::Trap { reason });
        HelperFault::Missing
    }

    /// Words of a bitmap that hold the batch's rows.
    fn words(&self) -> usize {
        self.batch.rows.div_ceil(64)
    }

    /// Charges for `bitmaps` looks at as many words.
    fn charge_words(&self, bitmaps: usize, fuel: &mut Fuel) -> Result<(), HelperFault> {
        Ok(fuel.charge((self.words() as u64 + 1) * FUEL_PER_ROW * bitmaps as u64)?)
    }

    /// Charges for `columns` looks at the batch's rows and for bytes of text.
    fn charge(&self, columns: usize, text_bytes: u64, fuel: &mut Fuel) -> Result<(), HelperFault> {
        let rows = (self.batch.rows as u64 + 1) * FUEL_PER_ROW * columns as u64;
        Ok(fuel.charge(rows + text_bytes / TEXT_BYTES_PER_FUEL)?)
    }
}
