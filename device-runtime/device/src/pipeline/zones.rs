//! Pruning: which row groups and pages cannot hold a row that satisfies the program's bounds.
//!
//! A bound is compared with what a writer said of a *zone* (a row group, a page). In doubt a zone is kept: no statistics, an order
//! the format left undefined, another type, NaN. Truncated text statistics are bounds too, only wider.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use nearside_programs::manifest::{Bound, BoundOp, Manifest};
use nearside_programs::{Parameters, ValueType};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::basic::{ColumnOrder, Type as PhysicalType};
use parquet::bloom_filter::Sbbf;
use parquet::errors::ParquetError;
use parquet::file::metadata::ParquetMetaData;

use super::casts::is_exact;
use super::columns::{Column, Columns, exact_cast};
use super::footer::Footer;
use super::guarded;
use crate::error::DeviceError;
use crate::media::Object;

/// Larger bloom filters are not read: they would cost what they are to spare.
const BLOOM_BYTES_MAX: u64 = 1 << 20;

/// A value of a statistic or a literal, in the table's type.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    /// Integers, dates, booleans, unscaled decimals.
    Int(i128),
    Float(f64),
    Text(Vec<u8>),
}

/// A bound of the program with its literals filled in.
#[derive(Clone, Debug)]
pub(super) struct Test {
    column: usize,
    op: BoundOp,
    /// One; several for a list; none for the NULL tests.
    literals: Vec<Value>,
}

/// What is known of some rows of a column.
#[derive(Clone, Debug)]
struct Zone {
    min: Option<Value>,
    max: Option<Value>,
    nulls: Option<u64>,
    rows: u64,
}

/// The bounds of a program that can be tested.
pub(super) fn tests(manifest: &Manifest, parameters: &Parameters) -> Vec<Test> {
    manifest.bounds.iter().filter_map(|bound| Test::resolve(bound, manifest, parameters)).collect()
}

impl Test {
    fn resolve(bound: &Bound, manifest: &Manifest, parameters: &Parameters) -> Option<Self> {
        let column = bound.column as usize;
        let value_type = manifest.columns.get(column)?.value_type;
        let literals = match bound.op {
            BoundOp::IsNull | BoundOp::IsNotNull => Vec::new(),
            BoundOp::In if value_type == ValueType::Utf8 => {
                parameters.texts(bound.parameter)?.into_iter().map(|text| Value::Text(text.as_bytes().to_vec())).collect()
            }
            BoundOp::In => return None,
            _ => vec![literal(value_type, bound.parameter, parameters)?],
        };
        Some(Self { column, op: bound.op, literals })
    }

    /// Whether a row of the zone may satisfy the bound.
    fn may_hold(&self, zone: &Zone) -> bool {
        match self.op {
            BoundOp::IsNull => return zone.nulls != Some(0),
            _ if zone.nulls == Some(zone.rows) => return false,
            BoundOp::IsNotNull => return true,
            _ => {}
        }
        self.literals.iter().any(|literal| match self.op {
            BoundOp::Eq | BoundOp::In => {
                !is(&zone.min, literal, &[Ordering::Greater]) && !is(&zone.max, literal, &[Ordering::Less])
            }
            // NaNs are in no statistics, and in total order they lie beyond all numbers, on either side.
            _ if matches!(literal, Value::Float(_)) => true,
            BoundOp::Lt => !is(&zone.min, literal, &[Ordering::Greater, Ordering::Equal]),
            BoundOp::Le => !is(&zone.min, literal, &[Ordering::Greater]),
            BoundOp::Gt => !is(&zone.max, literal, &[Ordering::Less, Ordering::Equal]),
            BoundOp::Ge => !is(&zone.max, literal, &[Ordering::Less]),
            BoundOp::IsNull | BoundOp::IsNotNull => true,
        })
    }
}

/// Whether a known statistic stands in one of these relations to a literal.
fn is(statistic: &Option<Value>, literal: &Value, relations: &[Ordering]) -> bool {
    let ordering = match (statistic, literal) {
        (Some(Value::Int(a)), Value::Int(b)) => Some(a.cmp(b)),
        (Some(Value::Text(a)), Value::Text(b)) => Some(a.cmp(b)),
        // Equal zeros, unordered NaNs: both keep the zone.
        (Some(Value::Float(a)), Value::Float(b)) => a.partial_cmp(b),
        _ => None,
    };
    ordering.is_some_and(|ordering| relations.contains(&ordering))
}

fn literal(value_type: ValueType, slot: u32, parameters: &Parameters) -> Option<Value> {
    let given = *parameters.types.get(slot as usize)?;
    let value = parameters.value(slot)?;
    match (value_type, given) {
        (ValueType::Utf8, ValueType::Utf8) => Some(Value::Text(parameters.text(slot)?.as_bytes().to_vec())),
        (ValueType::Float32, ValueType::Float32) => Some(Value::Float(f32::from_bits(value as u32).into())),
        (ValueType::Float64, ValueType::Float64) => Some(Value::Float(f64::from_bits(value as u64))),
        (ValueType::Decimal128 { scale: a, .. }, ValueType::Decimal128 { scale: b, .. }) if a == b => Some(Value::Int(value)),
        (ValueType::Bool, ValueType::Bool) => Some(Value::Int(value)),
        (a, b) if a.is_integer() && b.is_integer() => Some(Value::Int(value)),
        _ => None,
    }
}

/// One file's statistics, seen through the program's columns.
pub(super) struct Statistics<'a> {
    pub(super) path: &'a str,
    pub(super) footer: &'a Footer,
    pub(super) columns: &'a Columns,
}

impl Statistics<'_> {
    /// Whether a row group may hold a row that satisfies all tests.
    pub(super) fn row_group_may_hold(&self, row_group: usize, tests: &[Test]) -> bool {
        let may_hold = |test: &Test| {
            let zones = guarded(self.path, || self.row_group_zone(self.columns.get(test.column), row_group));
            !matches!(zones, Ok(Some(zone)) if !test.may_hold(&zone))
        };
        tests.iter().all(may_hold)
    }

    /// The rows of a row group whose pages may hold a row that satisfies all tests; `None`: all rows.
    pub(super) fn pages_that_may_hold(&self, row_group: usize, tests: &[Test]) -> Option<RowSelection> {
        let mut selection: Option<RowSelection> = None;
        for test in tests {
            let zones = guarded(self.path, || self.page_zones(self.columns.get(test.column), row_group));
            let Ok(Some(zones)) = zones else { continue };
            let keep = |zone: &Zone| {
                let rows = zone.rows as usize;
                if test.may_hold(zone) { RowSelector::select(rows) } else { RowSelector::skip(rows) }
            };
            let pages = RowSelection::from(zones.iter().map(keep).collect::<Vec<_>>());
            selection = Some(match selection {
                Some(selection) => selection.intersection(&pages),
                None => pages,
            });
        }
        selection.filter(|selection| selection.skipped_row_count() > 0)
    }

    /// Whether the row group's bloom filters leave room for all tests; and the bytes of the filters that were read.
    pub(super) fn blooms_may_hold(&self, object: &Object, row_group: usize, tests: &[Test]) -> Result<(bool, u64), DeviceError> {
        let mut read = 0;
        for test in tests.iter().filter(|test| matches!(test.op, BoundOp::Eq | BoundOp::In)) {
            let column = self.columns.get(test.column);
            let Some((leaf, physical, file_type)) = self.leaf(column) else { continue };
            let chunk = self.metadata().row_group(row_group).column(leaf);
            let (Some(offset), Some(len)) = (chunk.bloom_filter_offset(), chunk.bloom_filter_length()) else { continue };
            let (Ok(offset), Ok(len)) = (u64::try_from(offset), u64::try_from(len)) else { continue };
            if len > BLOOM_BYTES_MAX || !bloom_hashes(file_type) {
                continue;
            }
            let (bytes, len) = object.read_one(offset..offset.saturating_add(len))?;
            read += len;
            let absent = guarded(self.path, || {
                let filter = Sbbf::from_bytes(&bytes)?;
                Ok(test.literals.iter().all(|literal| is_absent(&filter, physical, literal)))
            });
            // A filter that cannot be read excludes nothing.
            if absent.unwrap_or(false) {
                return Ok((false, read));
            }
        }
        Ok((true, read))
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.footer.metadata()
    }

    /// The Parquet column, its physical type, and the Arrow type the file gives it; `None` if it is nested.
    fn leaf(&self, column: &Column) -> Option<(usize, PhysicalType, &DataType)> {
        let [leaf] = column.leaves[..] else { return None };
        let descriptor = self.metadata().file_metadata().schema_descr().column(leaf);
        let top_level = descriptor.path().parts().len() == 1 && descriptor.max_rep_level() == 0;
        let file_type = self.footer.reader.schema().field(column.root).data_type();
        top_level.then_some((leaf, descriptor.physical_type(), file_type))
    }

    fn converter(&self, column: &Column) -> Result<Option<(usize, StatisticsConverter<'_>)>, ParquetError> {
        let Some((leaf, _, _)) = self.leaf(column) else { return Ok(None) };
        let field = self.footer.reader.schema().field(column.root);
        let schema = self.metadata().file_metadata().schema_descr();
        let converter = StatisticsConverter::from_column_index(leaf, field, schema)?;
        Ok(Some((leaf, converter.with_missing_null_counts_as_zero(false))))
    }

    fn row_group_zone(&self, column: &Column, row_group: usize) -> Result<Option<Zone>, ParquetError> {
        let Some((leaf, converter)) = self.converter(column)? else { return Ok(None) };
        let row_group = self.metadata().row_group(row_group);
        let Some(statistics) = row_group.column(leaf).statistics() else { return Ok(None) };
        // Before min_value and max_value there were min and max, in an order that readers disagree about.
        let ordered = self.is_ordered(leaf) && !statistics.is_min_max_deprecated();
        let (mins, maxes) = if ordered {
            let mins = values(&converter.row_group_mins([row_group])?, &column.data_type);
            (mins, values(&converter.row_group_maxes([row_group])?, &column.data_type))
        } else {
            (vec![None], vec![None])
        };
        let rows = row_group.num_rows() as u64;
        Ok(zones(mins, maxes, &converter.row_group_null_counts([row_group])?, &[rows]).and_then(|zones| zones.into_iter().next()))
    }

    fn page_zones(&self, column: &Column, row_group: usize) -> Result<Option<Vec<Zone>>, ParquetError> {
        let Some((leaf, converter)) = self.converter(column)? else { return Ok(None) };
        let (Some(column_index), Some(offset_index)) = (self.metadata().column_index(), self.metadata().offset_index()) else {
            return Ok(None);
        };
        let Some(rows) = page_rows(self.metadata(), row_group, leaf).filter(|_| self.is_ordered(leaf)) else { return Ok(None) };
        let mins = values(&converter.data_page_mins(column_index, offset_index, &[row_group])?, &column.data_type);
        let maxes = values(&converter.data_page_maxes(column_index, offset_index, &[row_group])?, &column.data_type);
        let nulls = converter.data_page_null_counts(column_index, offset_index, &[row_group])?;
        Ok(zones(mins, maxes, &nulls, &rows))
    }

    fn is_ordered(&self, leaf: usize) -> bool {
        matches!(self.metadata().file_metadata().column_order(leaf), ColumnOrder::TYPE_DEFINED_ORDER(_))
    }
}

/// Rows of each page; `None` if the offset index is missing or does not make sense.
fn page_rows(metadata: &ParquetMetaData, row_group: usize, leaf: usize) -> Option<Vec<u64>> {
    let rows = metadata.row_group(row_group).num_rows();
    let locations = metadata.offset_index()?.get(row_group)?.get(leaf)?.page_locations();
    let mut bounds: Vec<i64> = locations.iter().map(|page| page.first_row_index).collect();
    bounds.push(rows);
    if bounds[0] != 0 {
        return None;
    }
    bounds.windows(2).map(|pair| u64::try_from(pair[1].checked_sub(pair[0])?).ok()).collect()
}

fn zones(mins: Vec<Option<Value>>, maxes: Vec<Option<Value>>, nulls: &UInt64Array, rows: &[u64]) -> Option<Vec<Zone>> {
    if mins.len() != rows.len() || maxes.len() != rows.len() || nulls.len() != rows.len() {
        return None;
    }
    let zones = mins.into_iter().zip(maxes).zip(rows.iter().zip(nulls));
    Some(zones.map(|((min, max), (&rows, nulls))| Zone { min, max, nulls, rows }).collect())
}

/// Statistics, in the file's Arrow type, as values of the table's type; unknown ones, and all of a type that is not tested, are `None`.
fn values(array: &ArrayRef, table: &DataType) -> Vec<Option<Value>> {
    let unknown = || vec![None; array.len()];
    let plain = match table {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    if !is_exact(array.data_type(), plain) {
        return unknown();
    }
    let wide = match plain {
        DataType::Boolean => return array.as_boolean().iter().map(|value| Some(Value::Int(value?.into()))).collect(),
        DataType::Date32 => exact_cast(array, &DataType::Int32).and_then(|days| exact_cast(&days, &DataType::Int64)),
        plain if plain.is_signed_integer() => exact_cast(array, &DataType::Int64),
        plain if plain.is_unsigned_integer() => exact_cast(array, &DataType::UInt64),
        DataType::Decimal128(..) => exact_cast(array, plain),
        DataType::Float32 | DataType::Float64 => exact_cast(array, &DataType::Float64),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => exact_cast(array, &DataType::Utf8View),
        _ => return unknown(),
    };
    wide.map_or_else(|_| unknown(), |wide| wide_values(&wide))
}

fn wide_values(array: &ArrayRef) -> Vec<Option<Value>> {
    match array.data_type() {
        DataType::Int64 => array.as_primitive::<Int64Type>().iter().map(|value| Some(Value::Int(value?.into()))).collect(),
        DataType::UInt64 => array.as_primitive::<UInt64Type>().iter().map(|value| Some(Value::Int(value?.into()))).collect(),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().iter().map(|value| value.map(Value::Int)).collect(),
        DataType::Float64 => array.as_primitive::<Float64Type>().iter().map(|value| value.map(Value::Float)).collect(),
        DataType::Utf8View => array.as_string_view().iter().map(|text| Some(Value::Text(text?.as_bytes().to_vec()))).collect(),
        _ => vec![None; array.len()],
    }
}

/// Types whose bloom filters hash the value that [`is_absent`] asks for.
fn bloom_hashes(file_type: &DataType) -> bool {
    let plain = match file_type {
        DataType::Dictionary(_, values) => values,
        other => other,
    };
    plain.is_integer() || matches!(plain, DataType::Date32 | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

/// Whether no row has this value. Unsigned integers are hashed as the signed ones of the same bits.
fn is_absent(filter: &Sbbf, physical: PhysicalType, literal: &Value) -> bool {
    match (physical, literal) {
        (PhysicalType::INT32, &Value::Int(value)) => {
            let bits = i32::try_from(value).ok().or_else(|| u32::try_from(value).ok().map(u32::cast_signed));
            bits.is_some_and(|bits| !filter.check(&bits))
        }
        (PhysicalType::INT64, &Value::Int(value)) => {
            let bits = i64::try_from(value).ok().or_else(|| u64::try_from(value).ok().map(u64::cast_signed));
            bits.is_some_and(|bits| !filter.check(&bits))
        }
        (PhysicalType::BYTE_ARRAY, Value::Text(text)) => !filter.check(text.as_slice()),
        _ => false,
    }
}
