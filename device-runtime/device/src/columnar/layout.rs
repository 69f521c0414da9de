//! Where everything is in the cage of a program.
//!
//! Region 0 is read-only: context, address tables, selection, parameters, validity bitmaps, column values. Region 1 is read-write: result,
//! group ids, outputs, scratch. Each accumulator is a read-write region of its own, reserved for as many groups as there may be.
//! An unmapped unit lies between any two regions.

use nearside_engine::{Access, REGION_UNIT, Region};
use nearside_programs::abi::columnar::{self, BATCH_ROWS_MAX, BITMAP_LEN, COLUMN_LEN, CONTEXT_LEN};
use nearside_programs::manifest::{Manifest, Output, OutputSource};
use nearside_programs::{Parameters, ValueType};

use crate::DeviceError;

/// Index of the region that the program only reads.
pub(super) const INPUT: usize = 0;

/// Index of the region for results.
pub(super) const WORK: usize = 1;

/// Index of the first accumulator's region.
pub(super) const ACCUMULATORS: usize = 2;

/// Bytes of a cage's regions, reserved, that a program may have.
const RESERVED_MAX: u64 = 3 << 30;

/// Arrays begin at cache lines, and not all at the same place of a page: copies would evict each other.
const STAGGER: u32 = 128;

/// A place in region [`INPUT`] or [`WORK`]: offset in the region and cage address.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    pub(super) offset: usize,
    pub(super) address: u32,
    pub(super) len: usize,
}

impl Place {
    /// The bytes of this place in its region.
    pub(super) fn of(self, region: &[u8]) -> &[u8] {
        &region[self.offset..][..self.len]
    }

    /// As [`Self::of`], to write.
    pub(super) fn of_mut(self, region: &mut [u8]) -> &mut [u8] {
        &mut region[self.offset..][..self.len]
    }
}

/// Values and validity of a column.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ColumnPlace {
    /// Empty if no entry point loads the column.
    pub(super) values: Place,
    pub(super) validity: Place,
}

/// An accumulator's array.
#[derive(Clone, Copy, Debug)]
pub(super) struct AccumulatorPlace {
    pub(super) address: u32,
    /// Bytes of an element: 8 or 16.
    pub(super) width: usize,
    /// What a new group starts with.
    pub(super) initial: i128,
}

/// Places of everything, for one program and one bound on groups.
pub(super) struct Layout {
    pub(super) regions: Vec<Region>,
    pub(super) context: Place,
    /// A table of all columns for each entry point, and one for all of them in one call.
    column_tables: Place,
    pub(super) output_table: Place,
    pub(super) accumulator_table: Place,
    pub(super) selection: Place,
    pub(super) parameters: Place,
    pub(super) columns: Vec<ColumnPlace>,
    pub(super) result: Place,
    pub(super) group_ids: Place,
    pub(super) scratch: Place,
    pub(super) outputs: Vec<ColumnPlace>,
    pub(super) accumulators: Vec<AccumulatorPlace>,
}

/// Hands out the bytes of one region.
struct Cursor {
    start: u32,
    used: u64,
}

impl Cursor {
    fn take(&mut self, len: u64) -> Result<Place, DeviceError> {
        let offset = self.used;
        self.used = (offset + len).next_multiple_of(64) + u64::from(STAGGER);
        bounded(self.used)?;
        Ok(Place { offset: offset as usize, address: self.start + offset as u32, len: len as usize })
    }

    fn region(&self, access: Access) -> Region {
        let len = self.used.next_multiple_of(u64::from(REGION_UNIT)) as u32;
        Region { start: self.start, len, reserved: len, access }
    }
}

fn bounded(given: u64) -> Result<(), DeviceError> {
    if given > RESERVED_MAX {
        return Err(DeviceError::Limit { what: "a program's memory in bytes".into(), given, limit: RESERVED_MAX });
    }
    Ok(())
}

impl Layout {
    /// Lays out a checked manifest's memory for at most `groups_max` groups.
    ///
    /// # Errors
    /// [`DeviceError::Limit`] if it does not fit into a cage.
    pub(super) fn new(manifest: &Manifest, groups_max: usize) -> Result<Self, DeviceError> {
        let computed = computed_types(manifest);
        let accumulators: &[_] = match &manifest.output {
            Output::Aggregate { accumulators, .. } => accumulators,
            Output::Project(_) => &[],
        };
        let table = |elements: usize, len: u32| elements as u64 * u64::from(len);
        let bitmap = u64::from(BITMAP_LEN);

        let mut input = Cursor { start: REGION_UNIT, used: 0 };
        let context = input.take(u64::from(CONTEXT_LEN))?;
        let column_tables = input.take(table(manifest.columns.len() * (manifest.entry_points().count() + 1), COLUMN_LEN))?;
        let output_table = input.take(table(computed.len(), COLUMN_LEN))?;
        let accumulator_table = input.take(table(accumulators.len(), 4))?;
        let selection = input.take(bitmap)?;
        let parameters = input.take(table(manifest.parameters.len(), Parameters::SLOT_LEN as u32))?;
        let mut columns = Vec::with_capacity(manifest.columns.len());
        for (index, column) in manifest.columns.iter().enumerate() {
            let validity = input.take(bitmap)?;
            let values = if is_loaded(manifest, index) { input.take(values_len(column.value_type))? } else { Place::default() };
            columns.push(ColumnPlace { values, validity });
        }
        let input = input.region(Access::ReadOnly);

        let mut work = Cursor { start: input.start + input.reserved + REGION_UNIT, used: 0 };
        let result = work.take(bitmap)?;
        let group_ids = work.take(table(BATCH_ROWS_MAX as usize, 4))?;
        let scratch = work.take(table(scratch_bitmaps(manifest) as usize, BITMAP_LEN))?;
        let mut outputs = Vec::with_capacity(computed.len());
        for value_type in computed {
            outputs.push(ColumnPlace { validity: work.take(bitmap)?, values: work.take(values_len(value_type))? });
        }
        let work = work.region(Access::ReadWrite);

        let mut regions = vec![input, work];
        let mut places = Vec::with_capacity(accumulators.len());
        let mut start = u64::from(work.start) + u64::from(work.reserved) + u64::from(REGION_UNIT);
        for accumulator in accumulators {
            let unit = u64::from(REGION_UNIT);
            let reserved = (groups_max as u64).saturating_mul(u64::from(accumulator.width)).max(1);
            bounded(reserved)?;
            let reserved = reserved.next_multiple_of(unit);
            bounded(start + reserved)?;
            places.push(AccumulatorPlace {
                address: start as u32,
                width: accumulator.width as usize,
                initial: accumulator.initial,
            });
            let (start32, reserved32) = (start as u32, reserved as u32);
            regions.push(Region { start: start32, len: REGION_UNIT, reserved: reserved32, access: Access::ReadWrite });
            start += reserved + unit;
        }
        Ok(Self {
            regions,
            context,
            column_tables,
            output_table,
            accumulator_table,
            selection,
            parameters,
            columns,
            result,
            group_ids,
            scratch,
            outputs,
            accumulators: places,
        })
    }

    /// Writes what no call changes: parameters and the addresses of columns, outputs and accumulators.
    pub(super) fn write_constants(&self, manifest: &Manifest, parameters: &Parameters, input: &mut [u8]) {
        for (slot, out) in parameters.slots.iter().zip(self.parameters.of_mut(input).chunks_exact_mut(Parameters::SLOT_LEN)) {
            out.copy_from_slice(&slot.0.to_le_bytes());
        }
        for (index, entry) in manifest.entry_points().enumerate() {
            self.write_columns(index, &entry.handles, &entry.loads, input);
            self.write_columns(manifest.entry_points().count(), &entry.handles, &[], input);
        }
        let table = self.output_table.of_mut(input).chunks_exact_mut(COLUMN_LEN as usize);
        for (output, out) in self.outputs.iter().zip(table) {
            write_pair(output.values.address, output.validity.address, out);
        }
        let table = self.accumulator_table.of_mut(input).chunks_exact_mut(4);
        for (accumulator, out) in self.accumulators.iter().zip(table) {
            out.copy_from_slice(&accumulator.address.to_le_bytes());
        }
    }

    /// Writes the context of a call.
    pub(super) fn write_context(&self, call: &Call, input: &mut [u8]) {
        let context = self.context.of_mut(input);
        for (field, value) in [
            (columnar::ABI_VERSION, columnar::VERSION),
            (columnar::ROW_COUNT, call.row_count),
            (columnar::FIRST_ROW, call.first_row),
            (columnar::SELECTION, call.selection),
            (columnar::RESULT, self.result.address),
            (columnar::PARAMETERS, self.parameters.address),
            (columnar::COLUMNS, self.column_table(call.table).address),
            (columnar::OUTPUTS, self.output_table.address),
            (columnar::GROUP_IDS, self.group_ids.address),
            (columnar::ACCUMULATORS, self.accumulator_table.address),
            (columnar::SCRATCH, self.scratch.address),
            (columnar::GROUP_CAPACITY, call.group_capacity),
        ] {
            context[field as usize..][..4].copy_from_slice(&value.to_le_bytes());
        }
    }

    /// Writes columns' addresses into a table; what nothing names stays 0.
    fn write_columns(&self, table: usize, handles: &[u32], loads: &[u32], input: &mut [u8]) {
        let table = self.column_table(table).of_mut(input).as_chunks_mut::<{ COLUMN_LEN as usize }>().0;
        for &column in handles {
            write_pair(0, self.columns[column as usize].validity.address, &mut table[column as usize]);
        }
        for &column in loads {
            let place = self.columns[column as usize];
            write_pair(place.values.address, place.validity.address, &mut table[column as usize]);
        }
    }

    fn column_table(&self, index: usize) -> Place {
        let Place { offset, address, .. } = self.column_tables;
        let len = self.columns.len() * COLUMN_LEN as usize;
        Place { offset: offset + index * len, address: address + (index * len) as u32, len }
    }

    /// Groups that all accumulators have room for in a cage whose accumulators have `len` bytes each.
    pub(super) fn capacity(&self, len: impl Fn(usize) -> usize) -> usize {
        let rooms = self.accumulators.iter().enumerate().map(|(index, place)| len(ACCUMULATORS + index) / place.width);
        rooms.min().unwrap_or(usize::MAX)
    }
}

/// What the context of one call says beside addresses that never change.
pub(super) struct Call {
    /// Number of the table of columns.
    pub(super) table: usize,
    /// Address of the bitmap with the rows to look at.
    pub(super) selection: u32,
    pub(super) row_count: u32,
    pub(super) first_row: u32,
    pub(super) group_capacity: u32,
}

fn write_pair(values: u32, validity: u32, out: &mut [u8]) {
    out[..4].copy_from_slice(&values.to_le_bytes());
    out[4..8].copy_from_slice(&validity.to_le_bytes());
}

/// Bytes of a values array.
fn values_len(value_type: ValueType) -> u64 {
    value_type.byte_width().map_or(u64::from(BITMAP_LEN), |width| u64::from(width) * u64::from(BATCH_ROWS_MAX))
}

/// The types of the computed columns, by their index in the context's output array. A gap is as good as a byte.
fn computed_types(manifest: &Manifest) -> Vec<ValueType> {
    let (Output::Project(columns) | Output::Aggregate { keys: columns, .. }) = &manifest.output;
    let mut types = Vec::new();
    for column in columns {
        if let OutputSource::Computed(index) = column.source {
            let index = index as usize;
            types.resize(types.len().max(index + 1), ValueType::UInt8);
            types[index] = column.value_type;
        }
    }
    types
}

fn is_loaded(manifest: &Manifest, column: usize) -> bool {
    manifest.entry_points().any(|entry| entry.loads.contains(&(column as u32)))
}

fn scratch_bitmaps(manifest: &Manifest) -> u32 {
    manifest.entry_points().map(|entry| entry.scratch_bitmaps).max().unwrap_or(0)
}
