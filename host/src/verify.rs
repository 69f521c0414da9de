//! `SET nearside.verify = true`: the device's rows against the host's.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, concat_batches, lexsort_to_indices, take_record_batch};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{DataFusionError, Result};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::execution::TaskContext;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::{ExecutionPlan, collect};

use crate::offload::Offload;

/// How far floating-point sums may be apart, relative to the larger: the order of additions differs, in DataFusion itself as well.
const FLOAT_TOLERANCE: f64 = 1e-12;

/// What a difference may come from that is nobody's fault.
const EXCEPTIONS: &str = "if it is about NaNs or sums of floats, see the exceptions under \"What is offloaded\" in docs/sql.md";

/// Compares the rows of one partition, in any order; partial aggregates after merging them.
///
/// # Errors
/// An error that names device and program if the rows differ.
pub(crate) async fn compare(
    offload: &Offload,
    plan: &Arc<dyn ExecutionPlan>,
    device: &[RecordBatch],
    host: &[RecordBatch],
    context: &Arc<TaskContext>,
) -> Result<()> {
    let (device, host) = (merged(plan, device, context).await?, merged(plan, host, context).await?);
    // Which rows a limit takes is nobody's promise.
    let outcome = if offload.shape.fetch.is_some() { same_count(&device, &host) } else { same_rows(&device, &host)? };
    outcome.map_err(|difference| {
        let (url, program) = (&offload.connection.url, offload.program.short_digest());
        DataFusionError::Execution(format!("nearside.verify: device {url}, program {program}: {difference}; {EXCEPTIONS}"))
    })
}

/// One batch of all rows, the partials of each group merged.
async fn merged(plan: &Arc<dyn ExecutionPlan>, batches: &[RecordBatch], context: &Arc<TaskContext>) -> Result<RecordBatch> {
    let schema = plan.schema();
    let Some(partial) = plan.downcast_ref::<AggregateExec>() else {
        return Ok(concat_batches(&schema, batches)?);
    };
    let rows = MemorySourceConfig::try_new_exec(&[batches.to_vec()], schema, None)?;
    let calls = partial.aggr_expr().to_vec();
    let filters = vec![None; calls.len()];
    let whole = AggregateExec::try_new(
        AggregateMode::Final,
        partial.group_expr().as_final(),
        calls,
        filters,
        rows,
        partial.input_schema(),
    )?;
    let schema = whole.schema();
    Ok(concat_batches(&schema, &collect(Arc::new(whole), Arc::clone(context)).await?)?)
}

fn same_count(device: &RecordBatch, host: &RecordBatch) -> Result<(), String> {
    let (given, expected) = (device.num_rows(), host.num_rows());
    if given == expected { Ok(()) } else { Err(format!("{given} rows instead of {expected}")) }
}

fn same_rows(device: &RecordBatch, host: &RecordBatch) -> Result<Result<(), String>> {
    if let Err(difference) = same_count(device, host) {
        return Ok(Err(difference));
    }
    let (device, host) = (sorted(device)?, sorted(host)?);
    for (index, field) in host.schema().fields().iter().enumerate() {
        if let Some(row) = first_difference(device.column(index), host.column(index)) {
            return Ok(Err(format!("column {} differs in row {row} of {} sorted rows", field.name(), host.num_rows())));
        }
    }
    Ok(Ok(()))
}

/// Floats last: where they differ a little, the rows still stand in the same places.
fn sorted(batch: &RecordBatch) -> Result<RecordBatch> {
    let (floats, others): (Vec<_>, Vec<_>) = batch.columns().iter().cloned().partition(|column| column.data_type().is_floating());
    let sortable = |column: &ArrayRef| !column.data_type().is_nested();
    let columns: Vec<_> =
        others.into_iter().chain(floats).filter(sortable).map(|values| SortColumn { values, options: None }).collect();
    if columns.is_empty() {
        return Ok(batch.clone());
    }
    let order: UInt32Array = lexsort_to_indices(&columns, None)?;
    Ok(take_record_batch(batch, &order)?)
}

fn first_difference(left: &ArrayRef, right: &ArrayRef) -> Option<usize> {
    let close: Box<dyn Fn(usize) -> bool> = match left.data_type() {
        DataType::Float64 if right.data_type() == left.data_type() => {
            let (left, right) = (left.as_primitive::<Float64Type>(), right.as_primitive::<Float64Type>());
            Box::new(move |row| is_close(left.value(row), right.value(row)))
        }
        DataType::Float32 if right.data_type() == left.data_type() => {
            let (left, right) = (left.as_primitive::<Float32Type>(), right.as_primitive::<Float32Type>());
            Box::new(move |row| is_close(left.value(row).into(), right.value(row).into()))
        }
        _ => Box::new(|row| left.slice(row, 1) == right.slice(row, 1)),
    };
    (0..left.len()).find(|row| left.is_null(*row) != right.is_null(*row) || (left.is_valid(*row) && !close(*row)))
}

fn is_close(left: f64, right: f64) -> bool {
    left.total_cmp(&right).is_eq() || (left - right).abs() <= FLOAT_TOLERANCE * left.abs().max(right.abs())
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, Int32Array};

    use super::*;

    fn batch(keys: Vec<i32>, sums: Vec<Option<f64>>) -> RecordBatch {
        let columns =
            [("k", Arc::new(Int32Array::from(keys)) as ArrayRef), ("s", Arc::new(Float64Array::from(sums)) as ArrayRef)];
        RecordBatch::try_from_iter(columns).unwrap()
    }

    /// Order does not count, values do, floats almost.
    #[test]
    fn rows_are_compared_as_a_multiset() {
        let host = batch(vec![1, 2, 3], vec![Some(0.1), None, Some(-0.0)]);
        let same = |device: RecordBatch| same_rows(&device, &host).unwrap();
        assert_eq!(same(batch(vec![3, 2, 1], vec![Some(-0.0), None, Some(0.1 + 1e-17)])), Ok(()));
        assert!(same(batch(vec![1, 2], vec![Some(0.1), None])).unwrap_err().contains("2 rows instead of 3"));
        assert!(same(batch(vec![1, 2, 4], vec![Some(0.1), None, Some(-0.0)])).unwrap_err().contains("column k"));
        assert!(same(batch(vec![1, 2, 3], vec![Some(0.2), None, Some(-0.0)])).unwrap_err().contains("column s"));
        assert!(same(batch(vec![1, 2, 3], vec![Some(0.1), Some(0.0), Some(-0.0)])).unwrap_err().contains("column s"));
    }
}
