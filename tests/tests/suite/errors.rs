//! What people get wrong, and what breaks under them: each time one line that says what, where and the way out, and the exit code that scripts expect.

use std::convert::Infallible;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::thread;

use datafusion::arrow::datatypes::Schema;
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::reader::{FileReader, SerializedFileReader};
use datafusion::physical_plan::collect;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use nearside_device::{Device, DeviceError};
use nearside_programs::abi::columnar;
use nearside_protocol::RemoteDevice;
use nearside_tests::{Daemon, Outcome, Streams, Tables, Terminal, finish, nearside, run};
use tempfile::TempDir;

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::generate(0.01, 8192));

/// Of a query that can be offloaded.
const SQL: &str = "SELECT count(*), sum(s_acctbal) FROM supplier WHERE s_acctbal > 0";

/// A command line, its exit code, and what its one line says.
struct Case<'a> {
    arguments: Vec<&'a str>,
    code: i32,
    says: Vec<&'a str>,
}

fn case<'a>(arguments: &[&'a str], code: i32, says: &[&'a str]) -> Case<'a> {
    Case { arguments: arguments.to_vec(), code, says: says.to_vec() }
}

fn check(cases: &[Case<'_>]) {
    for Case { arguments, code, says } in cases {
        assert_says(&format!("nearside {}", arguments.join(" ")), &run(arguments), *code, says);
    }
}

fn assert_says(what: &str, outcome: &Outcome, code: i32, says: &[&str]) {
    let Outcome { code: exit, stdout, stderr } = outcome;
    assert_eq!((*exit, stdout.as_str(), stderr.lines().count()), (Some(code), "", 1), "{what}: {stderr}");
    assert!(stderr.starts_with("error: ") || stderr.starts_with("nearsided: "), "{what}: {stderr}");
    for part in says {
        assert!(stderr.contains(part), "{what} does not say {part:?}: {stderr}");
    }
}

/// A folder with one file, `supplier.parquet`, of these bytes.
struct Broken {
    folder: TempDir,
}

impl Broken {
    fn new(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("supplier.parquet"), bytes).expect("a file");
        Self { folder }
    }

    fn file(&self) -> String {
        self.folder.path().join("supplier.parquet").display().to_string()
    }
}

fn whole() -> Vec<u8> {
    fs::read(TABLES.path().join("supplier.parquet")).expect("a table")
}

/// The pages of `s_acctbal` are something else.
fn with_broken_pages() -> Vec<u8> {
    let mut bytes = whole();
    let file = File::open(TABLES.path().join("supplier.parquet")).expect("a table");
    let footer = SerializedFileReader::new(file).expect("a footer");
    let column = footer.metadata().row_group(0).columns().iter().find(|column| column.column_path().string() == "s_acctbal");
    let (start, len) = column.expect("a column").byte_range();
    // Headers stay: pages that are none would be another case.
    bytes[(start + len / 2) as usize..(start + len) as usize].iter_mut().for_each(|byte| *byte ^= 0x5a);
    bytes
}

/// Files that are no Parquet files, or not any more: by path, in a folder of tables, and over a daemon.
#[test]
fn broken_files_are_named() {
    let bytes = whole();
    let mut footer = bytes.clone();
    let len = footer.len();
    footer[len - 200..len - 8].iter_mut().for_each(|byte| *byte ^= 0x5a);
    let broken: [(&[u8], &str); 5] = [
        (&bytes[..bytes.len() / 2], "not a whole Parquet file"),
        (&footer, "not a whole Parquet file"),
        (b"name,price\n", "not a whole Parquet file"),
        (b"", "empty (0 bytes)"),
        (&with_broken_pages(), "copy the file again, or remove it"),
    ];
    for (bytes, reason) in broken {
        let broken = Broken::new(bytes);
        let file = broken.file();
        let by_path = SQL.replace("supplier", &format!("'{file}'"));
        let create = format!("CREATE EXTERNAL TABLE supplier STORED AS PARQUET LOCATION '{file}'; {SQL}");
        check(&[
            case(&["sql", "-c", &by_path], 1, &[&file, reason]),
            case(&["sql", "--offload", "always", "-c", &by_path], 1, &[&file, reason]),
            case(&["sql", "--offload", "never", "-c", &by_path], 1, &[&file, reason]),
            case(&["sql", "--data", &file, "-c", SQL], 1, &[&file, reason]),
            case(&["sql", "-c", &create], 1, &[&file, reason]),
        ]);
        if !bytes.is_empty() {
            let daemon = Daemon::start(broken.folder.path(), &[]);
            let url = format!("{}/supplier.parquet", daemon.url);
            check(&[case(&["sql", "--device", &daemon.url, "--offload", "always", "-c", SQL], 1, &[&url, reason])]);
        }
    }
}

/// What cannot be a table leaves the others usable: it is left out, which is said at once, and again to a query that names it.
#[test]
fn a_broken_file_beside_others_is_left_out() {
    let two_schemas = |folder: &Path| {
        fs::create_dir(folder.join("supplier")).expect("a folder");
        for (table, column) in [("nation", "n_name"), ("region", "r_regionkey")] {
            let from = format!("SELECT {column} AS x FROM '{}/{table}.parquet'", TABLES.text());
            let sql = format!("COPY ({from}) TO '{}/{table}.parquet'", folder.join("supplier").display());
            assert_eq!(run(["sql", "-c", &sql]).code, Some(0));
        }
        fs::remove_file(folder.join("supplier.parquet")).expect("a file");
    };
    let two_forms = |folder: &Path| {
        fs::create_dir(folder.join("supplier")).expect("a folder");
        fs::write(folder.join("supplier/part.parquet"), whole()).expect("a file");
    };
    let nothing_more = |_: &Path| {};
    type Spoil<'a> = &'a dyn Fn(&Path);
    let cases: [(&[u8], Spoil<'_>, &str); 4] = [
        (b"", &nothing_more, "supplier.parquet: the file is empty (0 bytes)"),
        (b"name,price\n", &nothing_more, "supplier.parquet: not a whole Parquet file"),
        (b"", &two_schemas, "supplier/: column x is "),
        (&whole(), &two_forms, "are of one name; rename one, or remove it"),
    ];
    for (bytes, more, reason) in cases {
        let broken = Broken::new(bytes);
        let folder = broken.folder.path();
        more(folder);
        fs::copy(TABLES.path().join("nation.parquet"), folder.join("nation.parquet")).expect("a copy");
        let ask = |sql| run(["sql", "--data", &folder.display().to_string(), "--format", "csv", "-c", sql]);
        let outcome = ask("SELECT count(*) AS n FROM nation");
        assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), "n\n25\n"));
        let warning = format!("warning: table supplier is left out: {}/supplier", folder.display());
        assert!(outcome.stderr.starts_with(&warning) && outcome.stderr.contains(reason), "{reason}: {outcome:?}");
        let outcome = ask(SQL);
        let error = format!("error: table supplier is left out: {}/supplier", folder.display());
        assert!(
            outcome.code == Some(1) && outcome.stderr.lines().nth(1).is_some_and(|line| line.starts_with(&error)),
            "{outcome:?}"
        );
    }
}

fn write_no_columns(path: &Path) {
    let schema = Arc::new(Schema::empty());
    ArrowWriter::try_new(File::create(path).expect("a file"), schema, None).and_then(ArrowWriter::close).expect("a Parquet file");
}

/// What is not there, or not a table, or not SQL.
#[test]
fn what_is_not_there_is_named() {
    let nothing = tempfile::tempdir().expect("a folder");
    let nothing = nothing.path().display().to_string();
    let data = TABLES.text();
    let other = tempfile::tempdir().expect("a folder");
    let no_columns = other.path().join("no_columns.parquet");
    write_no_columns(&no_columns);
    check(&[
        case(&["sql", "--data", "/no/such/folder", "-c", "SELECT 1"], 2, &["--data /no/such/folder"]),
        case(&["sql", "--data", &nothing, "-c", "SELECT 1"], 2, &[&nothing, "no Parquet file there"]),
        case(&["sql", "-c", "SELECT * FROM '/no/such/x.parquet'"], 1, &["/no/such/x.parquet", "no such file"]),
        case(&["sql", "-c", &format!("SELECT * FROM '{nothing}/'")], 1, &[&nothing, "no Parquet file there"]),
        case(&["sql", "-c", &format!("SELECT * FROM '{}'", no_columns.display())], 1, &["no columns", "write it again"]),
        case(&["sql", "-f", "/no/such.sql"], 2, &["-f /no/such.sql"]),
        case(&["sql", "--data", &data, "-c", "SELEKT 1"], 1, &["SQL", "SELEKT", "Line: 1"]),
        case(&["sql", "--data", &data, "-c", "SELECT * FROM nations"], 1, &["no table nations", "nation, orders"]),
        case(&["sql", "-c", "SELECT * FROM nations"], 1, &["no table nations", "--data", ".parquet"]),
        case(&["sql", "--data", &data, "-c", "SELECT name FROM nation"], 1, &["name", "n_name"]),
        case(
            &["sql", "-c", "SELECT * FROM 'ftp://x/y.parquet'"],
            1,
            &["ftp://x/y.parquet", "s3://, http://, https:// or nearside://"],
        ),
        case(&["sql", "-c", "SET nearside.bogus = 1"], 1, &["nearside.bogus", "nearside.offload, nearside.devices"]),
        case(&["sql", "-c", "SET nearside.offload = 'sometimes'"], 1, &["nearside.offload = 'sometimes'", "auto, always, never"]),
        case(&["sql", "-c", "SET nearside.verify = 'ja'"], 1, &["nearside.verify = 'ja'", "`true` or `false`"]),
        case(&["sql", "--device", "/no/such/folder=embedded", "-c", "SELECT 1"], 2, &["--device /no/such/folder=embedded: No"]),
        case(
            &["tpch", "run", "--data", &format!("{data}/nation.parquet"), "--queries", "1"],
            1,
            &["query 1", "no table lineitem"],
        ),
        case(&["tpch", "run", "--data", &data, "--queries", "23"], 2, &["--queries 23", "1 to 22"]),
        case(&["tpch", "generate", "--scale", "0", "--output", &nothing], 2, &["scale 0"]),
    ]);
}

/// A folder of tables in another number of files is not written into: its rows would be read twice.
#[test]
fn files_of_another_run_are_not_mixed_in() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().display().to_string();
    let generate = |files: &str| run(["tpch", "generate", "--scale", "0.001", "--output", &output, "--files", files]);
    assert_eq!(generate("3").code, Some(0));
    assert_eq!(generate("3").code, Some(0));
    for files in ["1", "2"] {
        let Outcome { code, stderr, .. } = generate(files);
        assert!(code == Some(1) && stderr.contains("is from another run") && stderr.contains("remove it"), "{stderr}");
    }
    assert!(!folder.path().join("customer.parquet").exists());
}

/// What cannot be written is said before the work.
#[test]
fn what_cannot_be_written_is_named() {
    let data = TABLES.text();
    let count = "SELECT count(*) FROM supplier WHERE s_acctbal > 0";
    check(&[
        case(
            &["sql", "--data", &data, "--ledger", "/no/such/x", "-c", "SELECT 1"],
            2,
            &["--ledger /no/such/x", "cannot be written"],
        ),
        case(&["tpch", "run", "--data", &data, "--json", "/no/such/x"], 2, &["--json /no/such/x", "cannot be written"]),
        case(
            &["compile", "--data", &data, "--target", "columnar", "-c", count, "-o", "/no/such/x.o"],
            2,
            &["-o /no/such/x.o", "cannot be written"],
        ),
        case(&["tpch", "generate", "--scale", "0.01", "--output", "/proc/no"], 2, &["cannot write /proc/no"]),
    ]);
}

/// Devices that are none, are not there, or cannot be used so.
#[test]
fn devices_that_cannot_be_used_are_named() {
    let data = TABLES.text();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let gone = format!("nearside://{free}");
    let file = format!("SELECT * FROM '{gone}/x.parquet'");
    let says = [gone.as_str(), "refused", "is nearsided running there?"];
    check(&[
        case(&["sql", "--data", &data, "--device", "dpu1", "-c", "SELECT 1"], 2, &["--device dpu1", "nearside://host:4774"]),
        case(&["sql", "--data", &data, "--device", "http://dpu1", "-c", "SELECT 1"], 2, &["--device http://dpu1", "nearside://"]),
        case(&["sql", "--device", "embedded", "-c", "SELECT 1"], 2, &["--device embedded", "PREFIX=", "--data"]),
        case(&["sql", "--device", &gone, "-c", "SELECT 1"], 1, &says),
        case(&["sql", "-c", &file], 1, &says),
        case(&["sql", "--data", &gone, "-c", "SELECT 1"], 1, &says),
        case(
            &["sql", "--device", "nearside://no.such.host.invalid", "-c", "SELECT 1"],
            1,
            &["nearside://no.such.host.invalid:4774"],
        ),
    ]);
    // Where the files can be read without it, it is a note.
    let outcome = run(["sql", "--data", &data, "--device", &gone, "--offload", "always", "--format", "csv", "-c", SQL]);
    let expected = run(["sql", "--data", &data, "--offload", "never", "--format", "csv", "-c", SQL]);
    assert_eq!((outcome.code, &outcome.stdout), (Some(0), &expected.stdout));
    assert!(outcome.stderr.starts_with("note: device ") && outcome.stderr.contains(&gone), "{}", outcome.stderr);
}

/// A server that answers every call with a header of its own; its address.
async fn peer(version: Option<&'static str>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let answer = move |_: Request<_>| async move {
        let response = Response::builder().header("content-type", "application/grpc").header("grpc-status", "0");
        let response = version.into_iter().fold(response, |response, version| response.header("nearside-protocol", version));
        Ok::<_, Infallible>(response.body(String::new()).expect("a response"))
    };
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            let serving = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(serving.serve_connection(TokioIo::new(connection), service_fn(answer)));
        }
    });
    format!("nearside://{address}")
}

/// A link out of a daemon's folder is not there, and said so once.
#[test]
fn a_link_out_of_the_root_is_not_there() {
    let folder = tempfile::tempdir().expect("a folder");
    symlink(TABLES.path().join("nation.parquet"), folder.path().join("l.parquet")).expect("a link");
    let daemon = Daemon::start(folder.path(), &[]);
    let file = format!("{}/l.parquet", daemon.url);
    let Outcome { code, stderr, .. } = run(["sql", "-c", &format!("SELECT * FROM '{file}'")]);
    assert!(code == Some(1) && stderr.contains(&file) && stderr.matches("not found").count() < 2, "{stderr}");
}

/// A row that a program leaves to the host is nobody's fault: the answer is the host's, and nothing is said of programs.
#[test]
fn rows_of_the_host_are_no_failures() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = "(VALUES (1, arrow_cast('NaN', 'Float64')), (1, 2.5), (2, 1.0)) AS t(k, x)";
    let copy = format!("COPY (SELECT * FROM {rows}) TO '{}/t.parquet'", folder.path().display());
    assert_eq!(run(["sql", "-c", &copy]).code, Some(0));
    let daemon = Daemon::start(folder.path(), &[]);
    let sql = "SELECT k, max(x) FROM t GROUP BY k ORDER BY k;".repeat(5);
    let ask = |more: &[&str]| run([&["sql", "--format", "csv", "-c", sql.as_str()], more].concat());
    let data = folder.path().display().to_string();
    let expected = ask(&["--data", &data, "--offload", "never"]);
    for more in [&["--device", daemon.url.as_str()][..], &["--data", &data, "--device", &daemon.url], &["--data", &data]] {
        let outcome = ask(&[more, &["--offload", "always"]].concat());
        assert_eq!((outcome.code, outcome.stderr.as_str(), &outcome.stdout), (Some(0), "", &expected.stdout), "{more:?}");
    }
}

/// A difference that has a documented reason points to it.
#[test]
fn verify_names_its_exceptions() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().display().to_string();
    let copy = format!("COPY (SELECT * FROM (VALUES (arrow_cast('NaN', 'Float64')), (0.5)) AS t(x)) TO '{data}/t.parquet'");
    assert_eq!(run(["sql", "-c", &copy]).code, Some(0));
    let sql = "SET nearside.verify = true; SELECT count(*) FROM t WHERE x > 1";
    check(&[case(&["sql", "--data", &data, "--offload", "always", "-c", sql], 1, &["nearside.verify", "NaN", "docs/sql.md"])]);
}

/// `.PARQUET` is as good as `.parquet`; a folder with both would be read by half, so it is refused.
#[test]
fn extensions_of_any_case() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, several) = (folder.path().display().to_string(), folder.path().join("several"));
    fs::create_dir(&several).expect("a folder");
    for path in [folder.path().join("t.PARQUET"), several.join("a.PARQUET")] {
        fs::copy(TABLES.path().join("nation.parquet"), path).expect("a copy");
    }
    let count =
        |table: &str| run(["sql", "--data", &data, "--format", "csv", "-c", &format!("SELECT count(*) AS n FROM {table}")]);
    for table in ["t", "several", &format!("'{data}/t.PARQUET'"), &format!("'{data}/several/'")] {
        assert_eq!(count(table).stdout, "n\n25\n", "{table}");
    }
    fs::copy(TABLES.path().join("nation.parquet"), several.join("b.parquet")).expect("a copy");
    for table in ["several", &format!("'{data}/several/'")] {
        let outcome = count(table);
        assert!(outcome.code == Some(1) && outcome.stderr.contains("end in .PARQUET and in .parquet; rename"), "{outcome:?}");
    }
}

/// A web server that knows whole files and nothing else; its URL.
fn web_server(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let (url, folder) = (format!("http://{}", listener.local_addr().expect("an address")), folder.to_owned());
    thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = BufReader::new(connection.expect("a connection"));
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && connection.read_until(b'\n', &mut head).is_ok_and(|len| len > 0) {}
            let head = String::from_utf8_lossy(&head);
            let mut words = head.split_whitespace();
            let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let (status, body) = match fs::read(folder.join(path.trim_start_matches('/'))) {
                _ if method == "PROPFIND" => ("405 Method Not Allowed", b"<!DOCTYPE HTML>\n<p>no\n".to_vec()),
                Ok(file) => ("200 OK", file),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let len = body.len();
            let head = format!(
                "HTTP/1.1 {status}\r\nContent-Length: {len}\r\nLast-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\nConnection: close\r\n\r\n"
            );
            let body = if method == "HEAD" { &[] } else { body.as_slice() };
            // Who asks for a range may have heard enough.
            let _ = connection.get_mut().write_all(&[head.as_bytes(), body].concat());
        }
    });
    url
}

/// What a web server cannot do is no fault of its files, and no page of HTML.
#[test]
fn servers_that_cannot_do_it_are_named() {
    let url = web_server(TABLES.path());
    let (file, none) = (format!("{url}/supplier.parquet"), format!("{url}/none.parquet"));
    let by_url = |url: &str| SQL.replace("supplier", &format!("'{url}'"));
    let (data, no_listing) = (format!("--data {url}"), "does not list (WebDAV's PROPFIND: 405 Method Not Allowed); name a file");
    check(&[
        case(&["sql", "-c", &by_url(&file)], 1, &[&file, "does not answer range requests"]),
        case(&["sql", "--data", &file, "-c", SQL], 1, &[&file, "does not answer range requests"]),
        case(&["sql", "-c", &by_url(&none)], 1, &[&none, "no such file, or a folder", no_listing]),
        case(&["sql", "--data", &url, "-c", SQL], 1, &[&data, no_listing]),
    ]);
}

/// Another version's device is told from one that is none, both by name, and neither is a reason to hang.
#[tokio::test(flavor = "multi_thread")]
async fn other_versions_and_strangers_are_told_apart() {
    let (other, stranger) = (peer(Some("9")).await, peer(None).await);
    // Speaks, but not HTTP/2.
    let talker = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let text_only = format!("nearside://{}", talker.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = talker.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut connection, b"220 mail.example ESMTP\r\n").await;
        }
    });
    tokio::task::block_in_place(|| {
        check(&[
            case(&["sql", "--device", &other, "-c", "SELECT 1"], 1, &[&other, "protocol 9", "this host 1", "same release"]),
            case(&["sql", "--device", &stranger, "-c", "SELECT 1"], 1, &[&stranger, "not a Nearside device"]),
            case(&["sql", "--device", &text_only, "-c", "SELECT 1"], 1, &[&text_only]),
        ]);
    });
}

/// Objects that are no programs, or for another ABI: to `disasm`, and to a device.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_programs_are_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let good = path("good.o");
    let compiled = run(["compile", "--data", &TABLES.text(), "--target", "columnar", "-c", SQL, "-o", &good]);
    assert_eq!(compiled.code, Some(0), "{compiled:?}");
    let bytes = fs::read(&good).expect("an object");
    let ours = format!("\"abi_version\":{},", columnar::VERSION);
    let other_abi = replaced(&bytes, ours.as_bytes(), b"\"abi_version\":9,");
    let mut other_machine = bytes.clone();
    other_machine[18] = 62; // e_machine: x86-64
    let wrong: [(&str, &[u8], &str); 4] = [
        ("text.o", b"not an object", "ELF"),
        ("half.o", &bytes[..bytes.len() / 2], "ELF"),
        ("machine.o", &other_machine, "eBPF"),
        ("abi.o", &other_abi, "ABI 9"),
    ];
    let daemon = Daemon::start(TABLES.path(), &[]);
    let device = RemoteDevice::connect(&daemon.url).expect("a URL");
    device.load(bytes.clone().into()).await.expect("a program");
    for (name, bytes, reason) in wrong {
        let file = path(name);
        fs::write(&file, bytes).expect("a file");
        check(&[case(&["disasm", &file], 1, &[&file, reason])]);
        let refused = device.load(bytes.to_vec().into()).await.expect_err(name);
        assert!(matches!(&refused, DeviceError::BadProgram { reason: said } if said.contains(reason)), "{name}: {refused}");
    }
    check(&[case(&["disasm", "/no/such.o"], 2, &["/no/such.o"])]);
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).position(|window| window == from).expect("what is replaced");
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

/// What keeps `nearsided` from starting.
#[test]
fn daemons_that_cannot_start_say_why() {
    let root = TABLES.text();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("an address").to_string();
    let cases: [(&str, &[&str], i32, &[&str]); 4] = [
        (&root, &["--listen", &taken], 1, &[&taken, "in use", "port 0 takes a free one"]),
        ("/no/such/folder", &[], 2, &["--root /no/such/folder", "folder of this machine"]),
        (&root, &["--listen", "0.0.0.0:0"], 2, &["--listen 0.0.0.0:0", "ssh -L", "--insecure"]),
        (&root, &["--listen", "somewhere"], 2, &["--listen somewhere", "ADDRESS:PORT"]),
    ];
    for (root, arguments, code, says) in cases {
        let outcome = finish(Daemon::command(root, arguments).spawn().expect("nearsided runs"));
        assert_says(&format!("nearsided {arguments:?}"), &outcome, code, says);
    }
}

async fn session(devices: &str) -> SessionContext {
    let context = nearside::extend(SessionContext::new()).expect("Nearside");
    for (name, value) in [("devices", devices), ("offload", "always")] {
        context.sql(&format!("SET nearside.{name} = '{value}'")).await.expect("a setting");
    }
    context
}

fn copy_with_other_contents(folder: &Path) {
    let target = folder.join("supplier.parquet");
    let sql = format!("COPY (SELECT * FROM '{}/supplier.parquet' LIMIT 50) TO '{}.parquet'", TABLES.text(), target.display());
    assert_eq!(run(["sql", "-c", &sql]).code, Some(0));
    fs::rename(folder.join("supplier.parquet.parquet"), target).expect("a replaced file");
}

/// A file replaced between planning and running: no answer over half of the one and half of the other, but the file's name and what to do.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_changed_under_a_plan_is_named() {
    for own in [false, true] {
        let table = Broken::new(&whole());
        let daemon = Daemon::start(table.folder.path(), &[]);
        let folder = format!("file://{}", table.folder.path().display());
        let base = if own { daemon.url.clone() } else { folder.clone() };
        let context = session(&format!("{folder}/={}", daemon.url)).await;
        let url = format!("{base}/supplier.parquet");
        context.register_parquet("supplier", url, ParquetReadOptions::default()).await.expect("a table");
        let frame = context.sql(SQL).await.expect("a query");
        let task = Arc::new(frame.task_ctx());
        let plan = frame.create_physical_plan().await.expect("a plan");
        tokio::task::block_in_place(|| copy_with_other_contents(table.folder.path()));
        let error = collect(plan, task).await.expect_err("another file").to_string();
        for part in ["supplier.parquet changed", "register the table again"] {
            assert!(error.contains(part), "{base}: {error}");
        }
    }
}

/// A file that is gone, or is no Parquet file any more, in the middle of a session of the shell: no answer as if the table were empty, but the file's name.
#[test]
fn a_file_gone_under_the_shell_is_named() {
    for offload in ["never", "always"] {
        let table = Broken::new(&whole());
        let folder = table.folder.path().display().to_string();
        let mut command = nearside(["sql", "--data", &folder, "--offload", offload]);
        command.env("XDG_STATE_HOME", &folder);
        let mut shell = Terminal::start(command, Streams::All);
        shell.wait_for("nearside> ", 1);
        fs::remove_file(table.file()).expect("a file");
        for (times, sql) in ["SELECT count(*) FROM supplier;", SQL].into_iter().enumerate() {
            shell.type_line(&format!("{};", sql.trim_end_matches(';')));
            shell.wait_for("supplier.parquet: the table's files are gone; put them back", times + 1);
        }
        fs::write(table.file(), b"name,price\n").expect("a file");
        shell.type_line(&format!("{SQL};"));
        shell.wait_for("supplier.parquet: not a whole Parquet file", 1);
        shell.type_line("\\q");
        assert_eq!(shell.end(), Some(0));
    }
}

/// A file replaced in the middle of a session of the shell: the next query reads the new one.
#[test]
fn a_file_replaced_under_the_shell_is_read_anew() {
    let table = Broken::new(&whole());
    let folder = table.folder.path().display().to_string();
    let mut command = nearside(["sql", "--data", &folder, "--offload", "always", "--format", "csv"]);
    command.env("XDG_STATE_HOME", &folder);
    let mut shell = Terminal::start(command, Streams::All);
    shell.wait_for("nearside> ", 1);
    shell.type_line("SELECT count(*) + 1000000 FROM supplier WHERE s_suppkey > 0;");
    shell.wait_for("1000100", 1);
    copy_with_other_contents(table.folder.path());
    shell.type_line("SELECT count(*) + 1000000 FROM supplier WHERE s_suppkey > 0;");
    shell.wait_for("1000050", 1);
    shell.type_line("\\q");
    assert_eq!(shell.end(), Some(0));
}
