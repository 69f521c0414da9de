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
    if let Some(text) = of_store(error) {
        return text;
    }
    let text = match error {
        DataFusionError::SQL(error, _) => match error.as_ref() {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => format!("SQL: {text}"),
            other => other.to_string(),
        },
        DataFusionError::Plan(text) | DataFusionError::Execution(text) | DataFusionError::Configuration(text) => text.clone(),
        DataFusionError::SchemaError(error, _) => error.to_string(),
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
    one_line(&text)
}

/// What a device or an object store says, if that is behind an error, however many libraries it came through: no file is to blame then.
pub(crate) fn of_store(error: &(dyn Error + 'static)) -> Option<String> {
    unreachable(error).or_else(|| {
        let said = causes(error).find(|cause| cause.is::<object_store::Error>()).map(ToString::to_string);
        said.or_else(|| kept(error, "Object Store error: ")).map(|said| with_way_out(&said))
    })
}

/// The message about a device that cannot be reached, if that is what is behind an error.
pub(crate) fn unreachable(error: &(dyn Error + 'static)) -> Option<String> {
    let is_lost = |cause: &&(dyn Error + 'static)| matches!(cause.downcast_ref(), Some(DeviceError::Unreachable { .. }));
    let lost = causes(error).find(is_lost).map(ToString::to_string);
    let lost = lost.or_else(|| kept(error, "Generic nearside error: ").filter(|text| text.starts_with("device nearside://")))?;
    Some(one_line(&format!("{lost}; is nearsided running there?")))
}

/// An error and what is behind it.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// The words of an error of which a library has kept nothing else: DataFusion's reader does that with what fails in a footer.
fn kept(error: &(dyn Error + 'static), name: &str) -> Option<String> {
    error.to_string().rsplit_once(name).map(|(_, text)| text.to_owned())
}

/// A store's words in one line; where they do not show the way out, others.
fn with_way_out(said: &str) -> String {
    if said.contains(INSTANCE_METADATA) {
        format!("S3: {NO_CREDENTIALS}")
    } else if said.contains("Range request not supported") {
        NO_RANGES.to_owned()
    } else if let Some((_, status)) = said.split_once("PROPFIND").and_then(|(_, text)| text.split_once("status code: ")) {
        no_folders(status.split(':').next().unwrap_or_default())
    } else if said.starts_with("Generic HTTP error: ") {
        // What follows is a page for people with a browser.
        said.lines().next().unwrap_or_default().chars().take(HTTP_CHARS).collect()
    } else {
        one_line(said)
    }
}

/// Most characters of what an HTTP server says.
const HTTP_CHARS: usize = 300;

const NO_RANGES: &str =
    "the server does not answer range requests, and a Parquet file is read in ranges; serve it by one that does, or copy it here";

fn no_folders(status: &str) -> String {
    format!("no such file, or a folder, which this server does not list (WebDAV's PROPFIND: {status}); name a file that it has")
}

/// Whom the S3 client asks for credentials when it has been given none: the machine's own service, where there is one.
const INSTANCE_METADATA: &str = "169.254.169.254";

const NO_CREDENTIALS: &str = "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and AWS_REGION, AWS_ENDPOINT), or \
                              AWS_SKIP_SIGNATURE=true for a public bucket";

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
    use parquet::errors::ParquetError;

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
        let text =
            "Failed to fetch metadata for file x: Object Store error: Generic nearside error: device nearside://a:1: closed";
        let error = DataFusionError::ParquetError(Box::new(ParquetError::General(text.into())));
        assert_eq!(message(&error), "device nearside://a:1: closed; is nearsided running there?");
    }

    /// What a store says is told from what is wrong with a file, and shows the way out.
    #[test]
    fn stores_are_told_from_files() {
        let http = |said: &str| object_store::Error::Generic { store: "HTTP", source: said.into() };
        let read = |error| DataFusionError::ParquetError(Box::new(ParquetError::External(Box::new(error))));
        let ranges = object_store::Error::NotSupported { source: "Range request not supported by t.parquet".into() };
        assert_eq!(of_store(&read(ranges)).as_deref(), Some(NO_RANGES));
        let page =
            "Error performing PROPFIND http://a/t in 2s  - Server returned non-2xx status code: 501 Not Implemented: <html>\n<p>";
        assert_eq!(message(&read(http(page))), no_folders("501 Not Implemented"));
        let page = format!("Error performing GET http://a/t: 503\n{}", "<p>".repeat(1_000));
        assert_eq!(message(&read(http(&page))), "Generic HTTP error: Error performing GET http://a/t: 503");
        let broken = DataFusionError::ParquetError(Box::new(ParquetError::EOF("footer".into())));
        assert_eq!(of_store(&broken), None);
    }
}
