//! Why something was not offloaded: one type for the plan's recogniser, the planner's refusals and what happens at run time.

use std::error::Error;

use datafusion::common::DataFusionError;
use nearside_device::DeviceError;
use nearside_planner::Refusal;

/// A reason that `EXPLAIN`, the metrics and the log show.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Reason {
    // Where the data is.
    /// Nobody answers for the files.
    #[error("no device for {url}")]
    NoDevice {
        /// The first file that has none.
        url: String,
    },
    /// One fragment runs on one device.
    #[error("files are on several devices")]
    SeveralDevices,
    /// The device cannot be used as it is written.
    #[error("{0}")]
    BadDevice(String),
    /// `nearside.deny_devices`.
    #[error("device {device} is denied")]
    DeniedDevice {
        /// Which.
        device: String,
    },

    // What the scan is.
    /// Devices read Parquet.
    #[error("format {format} is not Parquet")]
    Format {
        /// What it is.
        format: String,
    },
    /// A property of the scan that no device knows.
    #[error("scan with {0}")]
    Scan(&'static str),

    // What is computed.
    /// An operator above the scan that is not part of any fragment.
    #[error("{operator} is not offloaded")]
    Operator {
        /// Its name.
        operator: String,
    },
    /// A kind of expression that no fragment has.
    #[error("expression {expression}")]
    Expression {
        /// As DataFusion prints it.
        expression: String,
    },
    /// A function without offloaded form, or a volatile one.
    #[error("function {function}")]
    Function {
        /// Its name.
        function: String,
    },
    /// A type that fragments do not compute with.
    #[error("type {data_type}")]
    Type {
        /// As Arrow prints it.
        data_type: String,
    },
    /// An aggregate without offloaded form.
    #[error("aggregate {aggregate}: {why}")]
    Aggregate {
        /// As DataFusion prints it.
        aggregate: String,
        /// What is special about it.
        why: &'static str,
    },
    /// Partition columns are not in the files.
    #[error("partition column {column}")]
    PartitionColumn {
        /// Its name.
        column: String,
    },
    /// `nearside.deny_functions`.
    #[error("function {function} is denied")]
    DeniedFunction {
        /// Which.
        function: String,
    },
    /// `nearside.deny_types`.
    #[error("type {data_type} is denied")]
    DeniedType {
        /// Which.
        data_type: String,
    },
    /// `nearside.float_sum = 'exact'`.
    #[error("floating-point sum with nearside.float_sum = 'exact'")]
    FloatSum,
    /// The aggregate promises an order that partials do not have.
    #[error("aggregate over sorted input keeps its order")]
    Ordered,
    /// A value that is only known while the query runs, and is not known now.
    #[error("value of {0} is not known yet")]
    Unresolved(String),
    /// The planner refused.
    #[error("{0}")]
    Planner(String),
    /// DataFusion has an error for the plan with the fragment in it, and none for its own.
    #[error("DataFusion cannot plan it apart: {0}")]
    Unplannable(String),

    // Whether it pays.
    /// Nothing is filtered or aggregated.
    #[error("bare scan: reading the Parquet bytes moves less")]
    BareScan,
    /// The result is estimated to be no smaller than what it spares.
    #[error("estimated to return {returned} bytes to spare {spared}")]
    Cost {
        /// Estimated bytes of the result.
        returned: u64,
        /// Estimated bytes that stay on the device.
        spared: u64,
    },

    /// The result was no smaller than what it spared when the fragment last ran.
    #[error("it returned {returned} bytes to spare {spared} when it last ran")]
    Experience {
        /// Bytes of the result.
        returned: u64,
        /// Bytes that stayed on the device.
        spared: u64,
    },

    // What happened at run time.
    /// The device gave an error; the host ran what was missing.
    #[error("{0}")]
    Device(#[from] DeviceError),
    /// The program was stopped too often lately.
    #[error("program {program} is quarantined on {device}: it keeps stopping there")]
    Quarantined {
        /// First digits of its digest.
        program: String,
        /// Where.
        device: String,
    },
    /// The plan under an offloaded scan was replaced by one of another shape.
    #[error("plan was changed after offload")]
    Replanned,
}

impl Reason {
    /// Whether it is that it does not pay, as the device or an estimate has it: nothing has failed.
    pub fn is_cost(&self) -> bool {
        matches!(
            self,
            Self::BareScan | Self::Cost { .. } | Self::Experience { .. } | Self::Device(DeviceError::Unselective { .. })
        )
    }
}

impl From<DataFusionError> for Reason {
    fn from(error: DataFusionError) -> Self {
        Self::Unplannable(error.strip_backtrace())
    }
}

impl From<Refusal> for Reason {
    fn from(refusal: Refusal) -> Self {
        Self::Planner(refusal.to_string())
    }
}

/// What is at the bottom of an error, without the names of the layers it came through.
pub(crate) fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    error.source().map_or(error, innermost)
}

/// An error of ours as DataFusion's.
pub(crate) fn external(error: impl Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}
