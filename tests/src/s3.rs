//! An S3-compatible server on loopback: [s3s](https://crates.io/crates/s3s), in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::target_folder;

const KEY: &str = "nearside";
const SECRET: &str = "beside the data";

/// A running server with one bucket, `lake`; killed when it goes out of scope.
#[derive(Debug)]
pub struct S3 {
    child: Child,
    folder: TempDir,
    address: String,
}

impl S3 {
    /// Builds the server if that was not done before, and starts it.
    ///
    /// # Panics
    /// If it cannot be built (the message is cargo's) or does not start.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir(folder.path().join("lake")).expect("a bucket");
        let mut child = Command::new(server())
            .arg(folder.path())
            .args([KEY, SECRET])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("one line");
        let address = line.trim_end().strip_prefix("listening on ").expect("the server's address").to_owned();
        Self { child, folder, address }
    }

    /// The bucket's files.
    pub fn bucket(&self) -> PathBuf {
        self.folder.path().join("lake")
    }

    /// Tells a command where the server is, as users do.
    pub fn configure<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.envs([
            ("AWS_ENDPOINT", format!("http://{}", self.address).as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", KEY),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
        ])
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server's binary. It is no part of the workspace: `tests/s3/Cargo.toml` says why.
fn server() -> PathBuf {
    let target = target_folder().join("s3");
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("s3/Cargo.toml");
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .status()
        .expect("cargo runs");
    assert!(built.success(), "the S3 server of tests/s3 could not be built: {built}");
    target.join("debug/nearside-test-s3")
}
