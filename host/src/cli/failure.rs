//! Why a command ends with another code than 0, in one line.

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;

use datafusion::common::DataFusionError;
use datafusion::sql::sqlparser::parser::ParserError;
use nearside_device::DeviceError;

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

    /// The same failure, of something that has a name.
    pub(crate) fn of(self, name: impl Display) -> Self {
        match self {
            Self::Usage(message) => Self::Usage(format!("{name}: {message}")),
            Self::Query(message) => Self::Query(format!("{name}: {message}")),
            Self::OutputClosed => Self::OutputClosed,
        }
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
        Self::query(message(&error))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe { Self::OutputClosed } else { Self::query(error) }
    }
}

/// An error's own words, without the names of the layers it came through.
pub(crate) fn message(error: &DataFusionError) -> String {
    if let Some(text) = unreachable(error) {
        return text;
    }
    let text = match error {
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => format!("SQL: {text}"),
            other => other.to_string(),
        },
        DataFusionError::Plan(text) | DataFusionError::Execution(text) | DataFusionError::Configuration(text) => text.clone(),
        DataFusionError::SchemaError(error, _) => error.to_string(),
        DataFusionError::ObjectStore(error) => error.to_string(),
        DataFusionError::ParquetError(error) => error.to_string(),
        DataFusionError::External(error) => match error.downcast_ref() {
            Some(inner) => message(inner),
            None => error.to_string(),
        },
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => message(inner),
        DataFusionError::Shared(inner) => message(inner),
        DataFusionError::Collection(errors) if !errors.is_empty() => message(&errors[0]),
        other => other.strip_backtrace(),
    };
    if text.contains(INSTANCE_METADATA) { format!("S3: {NO_CREDENTIALS}") } else { one_line(&text) }
}

/// Whom the S3 client asks for credentials when it has been given none: the machine's own service, where there is one.
const INSTANCE_METADATA: &str = "169.254.169.254";

const NO_CREDENTIALS: &str = "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION, AWS_ENDPOINT), or \
                              AWS_SKIP_SIGNATURE=true for a public bucket";

/// The message about a device that cannot be reached, if that is what is behind an error, however many libraries it came through.
pub(crate) fn unreachable(error: &(dyn Error + 'static)) -> Option<String> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(device @ DeviceError::Unreachable { .. }) = error.downcast_ref() {
            return Some(format!("{device}; is nearsided running there?"));
        }
        cause = error.source();
    }
    None
}

fn one_line(text: &str) -> String {
    let mut line = String::new();
    for part in text.lines().map(str::trim).filter(|part| !part.is_empty()) {
        if !line.is_empty() {
            line.push_str(if line.ends_with(['.', '?', '!', ':']) { " " } else { "; " });
        }
        line.push_str(part);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines become clauses; a sentence stays one.
    #[test]
    fn failures_are_one_line() {
        assert_eq!(one_line("a\n\n  b.\nc"), "a; b. c");
        let Failure::Query(text) = Failure::query("x\ny").of("query 1") else { panic!("another kind") };
        assert_eq!(text, "query 1: x; y");
    }

    /// What matters is said, and the layers around it are not.
    #[test]
    fn layers_are_left_out() {
        let gone = || DeviceError::Unreachable { url: "nearside://a:1".into(), reason: "Connection refused".into() };
        let store = object_store::Error::Generic { store: "nearside", source: Box::new(gone()) };
        let error = DataFusionError::ObjectStore(Box::new(store)).context("reading");
        assert_eq!(message(&error), "device nearside://a:1: Connection refused; is nearsided running there?");
        let error = DataFusionError::SQL(Box::new(ParserError::ParserError("Expected: x".into())), None);
        assert_eq!(message(&error), "SQL: Expected: x");
        assert_eq!(message(&DataFusionError::Plan("no".into()).context("a")), "no");
    }
}
