//! A batch in a cage, and the helpers that look at it.

use std::cmp::Ordering;

use nearside_engine::{Access, Cage, Fuel, HelperFault, Memory, REGION_UNIT, Region};
use nearside_planner::Compiled;
use nearside_planner::evaluate::like;
use nearside_programs::abi::columnar::{
    ABI_VERSION, ACCUMULATORS, BATCH_ROWS_MAX, BITMAP_LEN, COLUMN_LEN, COLUMNS, CONTEXT_LEN, FIRST_ROW, GROUP_CAPACITY,
    GROUP_IDS, OUTPUTS, PARAMETERS, RESULT, ROW_COUNT, SCRATCH, SELECTION, VERSION,
};
use nearside_programs::abi::helper;
use nearside_programs::manifest::{EntryPoint, Output, OutputColumn, OutputSource};
use nearside_programs::{Manifest, Parameters, Scalar, ValueType};

use super::groups::{Groups, order};

const READ: usize = 0;
const WRITE: usize = 1;
const START: [u32; 2] = [0x10_0000, 0x4000_0000];
const LEN: [u32; 2] = [64 * REGION_UNIT, 64 * REGION_UNIT];
const SCRATCH_COUNT: u32 = 64;

/// Hands out addresses.
struct Bump {
    next: u32,
}

impl Bump {
    fn take(&mut self, len: u32) -> u32 {
        let address = self.next;
        self.next += len.next_multiple_of(64);
        address
    }
}

/// A batch of rows, laid out as the ABI says.
pub(crate) struct Batch<'a> {
    pub(crate) rows: &'a [Vec<Scalar>],
    manifest: &'a Manifest,
    cage: Cage,
    columns: Vec<[u32; 2]>,
    outputs: Vec<[u32; 2]>,
    accumulators: Vec<u32>,
    selection: u32,
    result: u32,
    /// Whether a conjunct runs.
    is_selecting: bool,
    group_ids: u32,
    first_row: usize,
}

impl<'a> Batch<'a> {
    pub(crate) fn new(manifest: &'a Manifest, compiled: &Compiled, rows: &'a [Vec<Scalar>], groups_max: usize) -> Self {
        let region = |index: usize, access| Region { start: START[index], len: LEN[index], reserved: LEN[index], access };
        let cage = Cage::new(&[region(READ, Access::ReadOnly), region(WRITE, Access::ReadWrite)]).unwrap();
        let mut read = Bump { next: START[READ] };
        let mut write = Bump { next: START[WRITE] };
        read.take(CONTEXT_LEN);
        let array = |bump: &mut Bump| [bump.take(BATCH_ROWS_MAX * 16), bump.take(BITMAP_LEN)];
        let columns: Vec<_> = manifest.columns.iter().map(|_| array(&mut read)).collect();
        let outputs: Vec<_> = (0..computed(manifest).len()).map(|_| array(&mut write)).collect();
        let accumulator_count =
            if let Output::Aggregate { accumulators, .. } = &manifest.output { accumulators.len() } else { 0 };
        let accumulators: Vec<_> = (0..accumulator_count).map(|_| write.take(groups_max as u32 * 16)).collect();
        let (selection, result) = (read.take(BITMAP_LEN), write.take(BITMAP_LEN));
        let group_ids = write.take(BATCH_ROWS_MAX * 4);
        let scratch = write.take(SCRATCH_COUNT * BITMAP_LEN);
        let mut batch = Self {
            rows,
            manifest,
            cage,
            columns,
            outputs,
            accumulators,
            selection,
            result,
            group_ids,
            first_row: 0,
            is_selecting: false,
        };
        let parameters = read.take(compiled.parameters.slots.len() as u32 * 16);
        for (index, slot) in compiled.parameters.slots.iter().enumerate() {
            batch.put(parameters + index as u32 * 16, &slot.0.to_le_bytes());
        }
        let column_array = batch.put_pairs(&mut read, &batch.columns.clone());
        let output_array = batch.put_pairs(&mut read, &batch.outputs.clone());
        let accumulator_array = read.take(4 * accumulator_count as u32);
        for (index, address) in batch.accumulators.clone().iter().enumerate() {
            batch.put(accumulator_array + 4 * index as u32, &address.to_le_bytes());
        }
        for (field, value) in [
            (ABI_VERSION, VERSION),
            (ROW_COUNT, rows.len() as u32),
            (SELECTION, selection),
            (RESULT, result),
            (PARAMETERS, parameters),
            (COLUMNS, column_array),
            (OUTPUTS, output_array),
            (GROUP_IDS, group_ids),
            (ACCUMULATORS, accumulator_array),
            (SCRATCH, scratch),
            (GROUP_CAPACITY, groups_max as u32),
        ] {
            batch.put(START[READ] + field as u32, &value.to_le_bytes());
        }
        for row in 0..rows.len() {
            batch.set_bit(selection, row);
        }
        for (index, column) in manifest.columns.iter().enumerate() {
            let [_, validity] = batch.columns[index];
            for (row, values) in rows.iter().enumerate() {
                if column.nullable && !matches!(values[index], Scalar::Null(_)) {
                    batch.set_bit(validity, row);
                }
            }
        }
        batch
    }

    pub(crate) fn cage(&mut self) -> &mut Cage {
        &mut self.cage
    }

    pub(crate) fn context(&self) -> u64 {
        u64::from(START[READ])
    }

    pub(crate) fn view(&self, compiled: &Compiled) -> View<'a> {
        View {
            rows: self.rows,
            manifest: self.manifest,
            parameters: compiled.parameters.clone(),
            outputs: self.outputs.clone(),
            selection: if self.is_selecting { self.result } else { self.selection },
            group_ids: self.group_ids,
            first_row: self.first_row,
        }
    }

    /// Rows before `first` are done: neither worked on nor selected.
    pub(crate) fn begin_at(&mut self, first: usize) {
        self.first_row = first;
        self.put(START[READ] + FIRST_ROW as u32, &(first as u32).to_le_bytes());
        for row in 0..first {
            self.byte(self.selection + row as u32 / 8, |byte| *byte &= !(1 << (row % 8)));
        }
    }

    pub(crate) fn is_selected(&self, row: usize) -> bool {
        bit(&self.get(self.selection, BITMAP_LEN), row)
    }

    /// Has a conjunct read what it writes.
    pub(crate) fn begin_select(&mut self) {
        self.put(self.result, &self.get(self.selection, BITMAP_LEN));
        self.put(START[READ] + SELECTION as u32, &self.result.to_le_bytes());
        self.is_selecting = true;
    }

    pub(crate) fn end_select(&mut self) {
        let result = self.get(self.result, BITMAP_LEN);
        let before = self.get(self.selection, BITMAP_LEN);
        assert!(result.iter().zip(&before).all(|(after, before)| after & !before == 0), "select only takes rows away");
        self.put(self.selection, &result);
        self.put(START[READ] + SELECTION as u32, &self.selection.to_le_bytes());
        self.is_selecting = false;
        // A program must not rely on what a result held before.
        self.put(self.result, &[0xa5; BITMAP_LEN as usize]);
    }

    /// Loads what an entry point needs, and takes away what it does not.
    pub(crate) fn load(&mut self, entry: &EntryPoint, narrow: bool) {
        for index in 0..self.columns.len() {
            let [values, _] = self.columns[index];
            self.put(values, &[0xee; 16 * BATCH_ROWS_MAX as usize][..16 * self.rows.len()]);
            if entry.loads.contains(&(index as u32)) {
                for row in 0..self.rows.len() {
                    self.put_value(values, row, index, narrow);
                }
            }
        }
    }

    fn put_value(&mut self, values: u32, row: usize, index: usize, narrow: bool) {
        let value_type = self.manifest.columns[index].value_type;
        let width = value_width(value_type, narrow);
        let value = match &self.rows[row][index] {
            // Unspecified, and nasty.
            Scalar::Null(_) => 0x8765_4321_fedc_ba98_8765_4321_fedc_ba98_u128 as i128,
            Scalar::Bool(value) => {
                let at = values + row as u32 / 8;
                return self.byte(at, |byte| *byte = *byte & !(1 << (row % 8)) | (u8::from(*value) << (row % 8)));
            }
            Scalar::Int(_, value) | Scalar::Decimal { value, .. } => *value,
            Scalar::Float32(bits) => i128::from(*bits),
            Scalar::Float64(bits) => i128::from(*bits),
            Scalar::Utf8(_) => panic!("text is never loaded"),
        };
        if let Some(width) = width {
            self.put(values + row as u32 * width, &value.to_le_bytes()[..width as usize]);
        }
    }

    pub(crate) fn load_accumulators(&mut self, groups: &Groups<'_>) {
        for (index, address) in self.accumulators.clone().into_iter().enumerate() {
            self.put(address, &groups.arrays[index]);
        }
    }

    pub(crate) fn store_accumulators(&self, groups: &mut Groups<'_>) {
        for (index, address) in self.accumulators.iter().enumerate() {
            groups.arrays[index] = self.get(*address, groups.arrays[index].len() as u32);
        }
    }

    /// An element of a computed column.
    pub(crate) fn computed(&self, index: u32, column: &OutputColumn, row: usize) -> Scalar {
        let [values, validity] = self.outputs[index as usize];
        let read = |address, len| self.get(address, len);
        computed_value(&read, [values, validity], column, row)
    }

    fn put_pairs(&mut self, bump: &mut Bump, pairs: &[[u32; 2]]) -> u32 {
        let array = bump.take(COLUMN_LEN * pairs.len() as u32);
        for (index, [values, validity]) in pairs.iter().enumerate() {
            self.put(array + COLUMN_LEN * index as u32, &values.to_le_bytes());
            self.put(array + COLUMN_LEN * index as u32 + 4, &validity.to_le_bytes());
        }
        array
    }

    fn put(&mut self, address: u32, bytes: &[u8]) {
        let (region, at) = place(address);
        self.cage.region_mut(region)[at..at + bytes.len()].copy_from_slice(bytes);
    }

    fn get(&self, address: u32, len: u32) -> Vec<u8> {
        let (region, at) = place(address);
        self.cage.region(region)[at..at + len as usize].to_vec()
    }

    fn byte(&mut self, address: u32, change: impl FnOnce(&mut u8)) {
        let (region, at) = place(address);
        change(&mut self.cage.region_mut(region)[at]);
    }

    fn set_bit(&mut self, bitmap: u32, row: usize) {
        self.byte(bitmap + row as u32 / 8, |byte| *byte |= 1 << (row % 8));
    }
}

fn place(address: u32) -> (usize, usize) {
    let region = if address >= START[WRITE] { WRITE } else { READ };
    (region, (address - START[region]) as usize)
}

pub(super) fn bit(bitmap: &[u8], row: usize) -> bool {
    bitmap[row / 8] >> (row % 8) & 1 == 1
}

/// The columns that `main` computes.
fn computed(manifest: &Manifest) -> Vec<&OutputColumn> {
    let columns = match &manifest.output {
        Output::Project(columns) => columns,
        Output::Aggregate { keys, .. } => keys,
    };
    columns.iter().filter(|column| matches!(column.source, OutputSource::Computed(_))).collect()
}

fn value_width(value_type: ValueType, narrow: bool) -> Option<u32> {
    match value_type {
        ValueType::Decimal128 { .. } if narrow => Some(8),
        value_type => value_type.byte_width(),
    }
}

fn computed_value(read: &dyn Fn(u32, u32) -> Vec<u8>, [values, validity]: [u32; 2], column: &OutputColumn, row: usize) -> Scalar {
    if column.nullable && !bit(&read(validity, BITMAP_LEN), row) {
        return Scalar::Null(column.value_type);
    }
    match value_width(column.value_type, false) {
        None => Scalar::Bool(bit(&read(values, BITMAP_LEN), row)),
        Some(width) => scalar(column.value_type, &read(values + row as u32 * width, width)),
    }
}

/// A fixed-width value from its bytes.
pub(crate) fn scalar(value_type: ValueType, bytes: &[u8]) -> Scalar {
    let width = value_type.byte_width().expect("a fixed width") as usize;
    let mut wide = [0; 16];
    wide[..width].copy_from_slice(&bytes[..width]);
    let unsigned = i128::from_le_bytes(wide);
    let shift = 128 - 8 * width as u32;
    let signed = unsigned << shift >> shift;
    match value_type {
        ValueType::Float32 => Scalar::Float32(unsigned as u32),
        ValueType::Float64 => Scalar::Float64(unsigned as u64),
        ValueType::Decimal128 { precision, scale } => Scalar::Decimal { value: signed, precision, scale },
        ValueType::UInt8 | ValueType::UInt16 | ValueType::UInt32 | ValueType::UInt64 => Scalar::Int(value_type, unsigned),
        value_type => Scalar::Int(value_type, signed),
    }
}

/// What the helpers see of a batch.
pub(crate) struct View<'a> {
    rows: &'a [Vec<Scalar>],
    pub(super) manifest: &'a Manifest,
    parameters: Parameters,
    outputs: Vec<[u32; 2]>,
    selection: u32,
    group_ids: u32,
    pub(super) first_row: usize,
}

/// The vector helpers, a row at a time.
pub(crate) struct Helpers<'a, 'g> {
    pub(crate) view: View<'a>,
    pub(crate) groups: &'a mut Groups<'g>,
}

impl nearside_engine::Helpers for Helpers<'_, '_> {
    fn call(&mut self, number: u32, arguments: [u64; 5], memory: &mut Memory<'_>, _: &mut Fuel) -> Result<u64, HelperFault> {
        if let Some(result) = self.reduce(number, arguments, memory) {
            return result;
        }
        let [a, b, c, d, e] = arguments.map(|argument| argument as usize);
        let view = &self.view;
        match number {
            helper::GROUP_IDS => return self.group_ids(memory),
            helper::TEXT_COMPARE => {
                let literal = view.parameters.text(c as u32).unwrap();
                view.write_bitmap(memory, d as u64, |row| view.text(row, a).map(|text| compares(text, b, literal)))?;
            }
            helper::TEXT_COMPARE_COLUMNS => {
                view.write_bitmap(memory, d as u64, |row| Some(compares(view.text(row, a)?, b, view.text(row, c)?)))?;
            }
            helper::TEXT_LIKE => {
                let pattern = view.parameters.text(c as u32).unwrap();
                view.write_bitmap(memory, d as u64, |row| view.text(row, a).map(|text| like(text, pattern, b == 1)))?;
            }
            helper::TEXT_IN => {
                let list = view.parameters.texts(b as u32).unwrap();
                view.write_bitmap(memory, c as u64, |row| view.text(row, a).map(|text| list.contains(&text)))?;
            }
            helper::COLUMN_COMPARE => {
                let literal = view.literal(c);
                view.write_bitmap(memory, d as u64, |row| Some(holds(b, order(view.value(row, a)?, &literal))))?;
            }
            helper::COLUMN_BETWEEN => {
                let (low, high) = (view.literal(c), view.literal(d));
                view.write_bitmap(memory, e as u64, |row| {
                    let value = view.value(row, a)?;
                    let (above, below) = (order(value, &low), order(value, &high));
                    Some((above.is_gt() || b & 1 == 0 && above.is_eq()) && (below.is_lt() || b & 2 == 0 && below.is_eq()))
                })?;
            }
            helper::COLUMN_COMPARE_COLUMNS => {
                view.write_bitmap(memory, d as u64, |row| Some(holds(b, order(view.value(row, a)?, view.value(row, c)?))))?;
            }
            helper::TEXT_MIN | helper::TEXT_MAX => self.text_extreme(memory, number == helper::TEXT_MIN, a, b, c)?,
            _ => return Err(HelperFault::Missing),
        }
        Ok(0)
    }
}

impl Helpers<'_, '_> {
    fn group_ids(&mut self, memory: &mut Memory<'_>) -> Result<u64, HelperFault> {
        for row in self.view.first_row..self.view.rows.len() {
            let mut id = 0;
            if self.view.is_selected(memory, row)? {
                let key = self.view.key(memory, row);
                match self.groups.id(key) {
                    Some(found) => id = found as u32,
                    None => return Ok(row as u64),
                }
            }
            memory.write(u64::from(self.view.group_ids) + 4 * row as u64, 4)?.copy_from_slice(&id.to_le_bytes());
        }
        Ok(self.view.rows.len() as u64)
    }

    fn text_extreme(
        &mut self,
        memory: &Memory<'_>,
        min: bool,
        state: usize,
        column: usize,
        end: usize,
    ) -> Result<(), HelperFault> {
        for row in self.view.first_row..end {
            let Some(text) = self.view.text(row, column) else { continue };
            if self.view.is_selected(memory, row)? {
                let group = self.group(memory, row)?;
                self.groups.update_text(state, group, text, min);
            }
        }
        Ok(())
    }

    /// The group of a row that has one.
    pub(super) fn group(&self, memory: &Memory<'_>, row: usize) -> Result<usize, HelperFault> {
        if !self.groups.is_grouped() {
            return Ok(0);
        }
        let id = memory.read(u64::from(self.view.group_ids) + 4 * row as u64, 4)?;
        Ok(id.try_into().map(u32::from_le_bytes).unwrap() as usize)
    }
}

impl View<'_> {
    fn text(&self, row: usize, column: usize) -> Option<&str> {
        match &self.rows[row][column] {
            Scalar::Utf8(text) => Some(text),
            Scalar::Null(_) => None,
            other => panic!("{other:?} is no text"),
        }
    }

    pub(super) fn value(&self, row: usize, column: usize) -> Option<&Scalar> {
        Some(&self.rows[row][column]).filter(|value| !matches!(value, Scalar::Null(_)))
    }

    fn literal(&self, slot: usize) -> Scalar {
        scalar(self.parameters.types[slot], &self.parameters.slots[slot].0.to_le_bytes())
    }

    fn is_selected(&self, memory: &Memory<'_>, row: usize) -> Result<bool, HelperFault> {
        Ok(bit(memory.read(u64::from(self.selection), BITMAP_LEN as usize)?, row))
    }

    fn key(&self, memory: &Memory<'_>, row: usize) -> Vec<Scalar> {
        let Output::Aggregate { keys, .. } = &self.manifest.output else { panic!("only aggregates have groups") };
        let read = |address: u32, len: u32| memory.read(u64::from(address), len as usize).unwrap().to_vec();
        let value = |key: &OutputColumn| match key.source {
            OutputSource::Column(index) => self.rows[row][index as usize].clone(),
            OutputSource::Computed(index) => computed_value(&read, self.outputs[index as usize], key, row),
        };
        keys.iter().map(value).collect()
    }

    fn write_bitmap(
        &self,
        memory: &mut Memory<'_>,
        address: u64,
        holds: impl Fn(usize) -> Option<bool>,
    ) -> Result<(), HelperFault> {
        let mut bitmap = memory.read(u64::from(self.selection), BITMAP_LEN as usize)?.to_vec();
        for row in (0..self.rows.len()).filter(|row| holds(*row) != Some(true)) {
            bitmap[row / 8] &= !(1 << (row % 8));
        }
        memory.write(address, BITMAP_LEN as usize)?.copy_from_slice(&bitmap);
        Ok(())
    }
}

fn compares(left: &str, op: usize, right: &str) -> bool {
    holds(op, left.cmp(right))
}

fn holds(op: usize, order: Ordering) -> bool {
    [order.is_eq(), order.is_ne(), order.is_lt(), order.is_le(), order.is_gt(), order.is_ge()][op]
}
