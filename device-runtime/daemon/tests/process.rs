//! The binary: how it starts, says so, ends, and what it says when it cannot.

mod common;

use std::net::TcpListener;
use std::process::Output;

use common::{Nearsided, fail};
use nearside_device::{Device, DeviceError};
use nearside_protocol::RemoteDevice;
use nix::sys::signal::Signal;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

/// Ready after one line; serves the files, and only those; ends with 0 on either signal.
#[tokio::test]
async fn it_serves_until_it_is_told_to_stop() {
    let root = tempfile::tempdir().unwrap();
    std::fs::create_dir(root.path().join("t")).unwrap();
    std::fs::write(root.path().join("t/a.parquet"), "0123456789").unwrap();
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let daemon = Nearsided::start(root.path().as_os_str(), &["--workers", "3"]);
        let device = RemoteDevice::connect(&daemon.url).unwrap();
        let description = device.describe().await.unwrap();
        assert_eq!((description.name.as_str(), description.workers), (concat!("nearsided ", env!("CARGO_PKG_VERSION")), 3));
        let store = device.objects();
        assert_eq!(store.get(&Path::from("t/a.parquet")).await.unwrap().bytes().await.unwrap(), "0123456789");
        assert_eq!(store.list_with_delimiter(None).await.unwrap().common_prefixes, [Path::from("t")]);
        daemon.signal(signal);
        assert_eq!(daemon.end().await, (Some(0), String::new()));
        assert!(matches!(device.describe().await, Err(DeviceError::Unreachable { .. })));
    }
}

fn complaint(output: &Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

/// One line that names the thing and the place; 2 where other arguments help, 1 where not.
#[test]
fn what_cannot_start_says_why() {
    let root = tempfile::tempdir().unwrap();
    let root = root.path().to_str().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let cases: [(&[&str], i32, &[&str]); 4] = [
        (&["--root", "/nonexistent/x"], 2, &["--root /nonexistent/x: not a folder of this machine: No such file"]),
        (&["--root", root, "--listen", &taken], 1, &[&taken, "in use"]),
        (&["--root", root, "--listen", "0.0.0.0:0"], 2, &["0.0.0.0:0", "TLS", "ssh -L", "--insecure"]),
        (&["--root", root, "--listen", "4774"], 2, &["--listen 4774", "ADDRESS:PORT", "127.0.0.1:4774"]),
    ];
    for (arguments, code, parts) in cases {
        let (exit, text) = complaint(&fail(arguments));
        assert_eq!((exit, text.lines().count()), (Some(code), 1), "{arguments:?}: {text}");
        assert!(text.starts_with("nearsided: ") && parts.iter().all(|part| text.contains(part)), "{arguments:?}: {text}");
    }
    for arguments in [&["--root", "ftp://x/y"][..], &["--root", "s3://"], &["--root", root, "--workers", "0"], &[]] {
        let (exit, text) = complaint(&fail(arguments));
        assert_eq!(exit, Some(2), "{arguments:?}: {text}");
    }
}

/// With `--insecure` it listens to everybody.
#[tokio::test]
async fn insecure_is_a_decision() {
    let root = tempfile::tempdir().unwrap();
    let daemon = Nearsided::start(root.path().as_os_str(), &["--insecure", "--listen", "0.0.0.0:0"]);
    let url = daemon.url.replace("0.0.0.0", "127.0.0.1");
    RemoteDevice::connect(&url).unwrap().describe().await.unwrap();
}
