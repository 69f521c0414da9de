//! `nearside compile` and `nearside disasm`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use nearside::{OffloadExec, Reason};
use nearside_programs::Object;

use super::failure::Failure;
use super::output::NewFile;
use super::session::{self, SessionArguments};

/// Compiles what a device could take of a query.
#[derive(Debug, clap::Args)]
pub(crate) struct CompileArguments {
    #[command(flatten)]
    session: SessionArguments,
    /// Which kind of data the program runs over.
    #[arg(long, value_enum)]
    target: Target,
    /// The query.
    #[arg(short, value_name = "SQL")]
    command: String,
    /// Object to write; a query with several fragments writes FILE.o, FILE-2.o, … Without it the programs are printed.
    #[arg(short, value_name = "FILE.o")]
    output: Option<PathBuf>,
}

/// Targets of the compiler.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Target {
    /// Batches of decoded columns.
    Columnar,
}

/// Prints an object's instructions.
#[derive(Debug, clap::Args)]
pub(crate) struct DisasmArguments {
    /// An ELF64 eBPF object of ours.
    object: PathBuf,
}

/// Compiles a query's fragments.
pub(crate) async fn compile(mut arguments: CompileArguments) -> Result<(), Failure> {
    let Target::Columnar = arguments.target;
    arguments.session.offload = nearside::Offload::Always;
    let context = session::open(&arguments.session).await?.context;
    let plan = context.sql(&arguments.command).await?.create_physical_plan().await?;
    let mut found = Found::default();
    found.search(&plan);
    for reason in &found.declined {
        eprintln!("not compiled: {reason}");
    }
    if found.objects.is_empty() {
        return Err(Failure::query("no fragment of this query can be compiled; EXPLAIN shows its plan"));
    }
    for (index, object) in found.objects.iter().enumerate() {
        match &arguments.output {
            Some(path) => write(&numbered(path, index), object)?,
            None => write!(io::stdout().lock(), "{}", object.disassemble().with_comments())?,
        }
    }
    Ok(())
}

/// Prints an object as text.
pub(crate) fn disasm(arguments: &DisasmArguments) -> Result<(), Failure> {
    let name = arguments.object.display();
    let bytes = fs::read(&arguments.object).map_err(|error| Failure::usage(format!("{name}: {error}")))?;
    let object = Object::read(&bytes).map_err(|error| Failure::query(format!("{name}: {error}")))?;
    write!(io::stdout().lock(), "{}", object.disassemble().with_comments())?;
    Ok(())
}

/// What a plan says about its scans.
#[derive(Default)]
struct Found {
    objects: Vec<Object>,
    declined: Vec<Reason>,
}

impl Found {
    fn search(&mut self, plan: &Arc<dyn ExecutionPlan>) {
        if let Some(offload) = plan.downcast_ref::<OffloadExec>() {
            self.objects.extend(offload.object().cloned());
            self.declined.extend(offload.declined_reason().cloned());
        }
        plan.children().into_iter().for_each(|child| self.search(child));
    }
}

fn write(path: &Path, object: &Object) -> Result<(), Failure> {
    NewFile::create("-o", path)?.write(&object.write())?;
    eprintln!("{}: {} instruction slots", path.display(), object.code.len());
    Ok(())
}

fn numbered(path: &Path, index: usize) -> PathBuf {
    if index == 0 {
        return path.to_owned();
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let extension = path.extension().map_or(String::new(), |extension| format!(".{}", extension.to_string_lossy()));
    path.with_file_name(format!("{stem}-{}{extension}", index + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first keeps its name.
    #[test]
    fn further_objects_are_numbered() {
        assert_eq!(numbered(Path::new("a/q.o"), 0), Path::new("a/q.o"));
        assert_eq!(numbered(Path::new("a/q.o"), 1), Path::new("a/q-2.o"));
        assert_eq!(numbered(Path::new("q"), 2), Path::new("q-3"));
    }
}
