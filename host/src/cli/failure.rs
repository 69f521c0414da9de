//! Why a command ends with another code than 0, in one line.

use std::fmt::Display;
use std::process::ExitCode;

use datafusion::common::DataFusionError;

/// A failed command.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line cannot be carried out as it is: exit code 2.
    Usage(String),
    /// Something that was tried has failed: exit code 1.
    Query(String),
    /// Whoever reads our output has heard enough: exit code 0, nothing to say.
    OutputClosed,
}

impl Failure {
    /// A wrong command line.
    pub(crate) fn usage(message: impl Display) -> Self {
        Self::Usage(one_line(&message.to_string()))
    }

    /// A failure with any error.
    pub(crate) fn query(error: impl Display) -> Self {
        Self::Query(one_line(&error.to_string()))
    }

    /// Says it on standard error and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(message) => {
                eprintln!("error: {message}");
                ExitCode::from(2)
            }
            Self::Query(message) => {
                eprintln!("error: {message}");
                ExitCode::FAILURE
            }
            Self::OutputClosed => ExitCode::SUCCESS,
        }
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        Self::query(error.strip_backtrace())
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Self::OutputClosed } else { Self::query(error) }
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}
