use std::fs;
use std::os::unix::fs::symlink;

use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;

/// `root/` with a file, a folder, links that stay and links that leave.
fn tree() -> (TempDir, std::path::PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(outer.path().join("secret"), "secret").unwrap();
    fs::write(root.join("one"), "0123456789").unwrap();
    fs::write(root.join("a/two"), "two").unwrap();
    fs::write(root.join("a/b/three"), "three").unwrap();
    symlink("../one", root.join("a/inside")).unwrap();
    symlink("../../secret", root.join("a/outside")).unwrap();
    symlink(outer.path().join("secret"), root.join("absolute")).unwrap();
    symlink("/proc/self/exe", root.join("magic")).unwrap();
    symlink("..", root.join("up")).unwrap();
    symlink(".", root.join("a/loop")).unwrap();
    (outer, root)
}

fn open(root: &Path, path: &str) -> Result<Object, DeviceError> {
    let runtime = Runtime::new().unwrap();
    Medium::directory(root).unwrap().open(path, runtime.handle())
}

/// Whatever a path or a link says, nothing outside the root opens, and the refusal says why.
#[test]
fn nothing_leads_out_of_the_root() {
    let (outer, root) = tree();
    let secret = outer.path().join("secret");
    let refused = [
        "../secret",
        "a/../../secret",
        secret.to_str().unwrap(),
        "a/outside",
        "absolute",
        "magic",
        "up/secret",
        "a",
        "missing",
        "one/x",
    ];
    for path in refused {
        match open(&root, path) {
            Err(DeviceError::NotFound { path: named, reason }) => assert!(named == path && !reason.is_empty()),
            other => panic!("{path}: {other:?}"),
        }
    }
    assert_eq!(open(&root, "a/inside").unwrap().version.size, 10);
    assert_eq!(open(&root, "a/loop/loop/two").unwrap().version.size, 3);
}

/// A FIFO is refused at once; opening it for reading would wait for a writer.
#[test]
fn a_fifo_is_not_an_object() {
    let (_outer, root) = tree();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo"), rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
    assert!(matches!(open(&root, "fifo"), Err(DeviceError::NotFound { .. })));
}

/// Ranges come back in the caller's order, overlapping ones are read once, and none may pass the end.
#[test]
fn ranges() {
    let (_outer, root) = tree();
    let object = open(&root, "one").unwrap();
    let (parts, read) = object.read(&[4..6, 0..2, 2..2, 1..3]).unwrap();
    assert_eq!(parts, [&b"45"[..], b"01", b"", b"12"]);
    assert_eq!(read, 5);
    #[expect(clippy::reversed_empty_ranges, reason = "a hostile footer may say so")]
    for bad in [9..11, 5..4, 0..u64::MAX] {
        assert!(matches!(object.read_one(bad), Err(DeviceError::BadObject { .. })));
    }
}

/// A file that shrank after it was opened is an error, not zeros.
#[test]
fn a_file_that_shrinks() {
    let (_outer, root) = tree();
    let object = open(&root, "one").unwrap();
    fs::write(root.join("one"), "012").unwrap();
    assert!(matches!(object.read_one(0..10), Err(DeviceError::BadObject { .. })));
}

/// The same answers as `object_store`'s own file system, ETags included, minus what leaves the root.
#[tokio::test]
async fn objects_agree_with_the_local_file_system() {
    let (_outer, root) = tree();
    for link in ["a/loop", "up", "magic", "absolute", "a/outside"] {
        fs::remove_file(root.join(link)).unwrap();
    }
    let local = LocalFileSystem::new_with_prefix(&root).unwrap();
    let ours = Medium::directory(&root).unwrap().objects();
    for prefix in [None, Some("a"), Some("a/b"), Some("none")] {
        let prefix = prefix.map(ObjectPath::from);
        let mut expected: Vec<_> = local.list(prefix.as_ref()).try_collect().await.unwrap();
        expected.sort_by(|a, b| a.location.cmp(&b.location));
        let mut found: Vec<_> = ours.list(prefix.as_ref()).try_collect().await.unwrap();
        found.sort_by(|a, b| a.location.cmp(&b.location));
        let key = |meta: &object_store::ObjectMeta| (meta.location.clone(), meta.size, meta.e_tag.clone());
        assert_eq!(found.iter().map(key).collect::<Vec<_>>(), expected.iter().map(key).collect::<Vec<_>>());
    }
    let level = ours.list_with_delimiter(Some(&ObjectPath::from("a"))).await.unwrap();
    assert_eq!(level.common_prefixes, [ObjectPath::from("a/b")]);
    assert_eq!(level.objects.len(), 2);
    let one = ObjectPath::from("one");
    assert_eq!(ours.get(&one).await.unwrap().bytes().await.unwrap(), "0123456789");
    assert_eq!(ours.get_range(&one, 3..5).await.unwrap(), "34");
    assert_eq!(ours.get_ranges(&one, &[0..1, 8..20]).await.unwrap(), [&b"0"[..], b"89"]);
    assert!(matches!(ours.head(&ObjectPath::from("two")).await, Err(object_store::Error::NotFound { .. })));
    let stale = GetOptions { if_match: Some("other".to_owned()), ..GetOptions::default() };
    assert!(matches!(ours.get_opts(&one, stale).await, Err(object_store::Error::Precondition { .. })));
    assert!(matches!(ours.put(&one, "x".into()).await, Err(object_store::Error::NotSupported { .. })));
    assert!(matches!(ours.delete(&one).await, Err(object_store::Error::NotSupported { .. })));
}

/// A listing ends even where links form a cycle, and shows nothing from outside.
#[tokio::test]
async fn a_listing_stays_inside_and_ends() {
    let (_outer, root) = tree();
    let ours = Medium::directory(&root).unwrap().objects();
    let found: Vec<_> = ours.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    assert_eq!(found, ["one", "a/inside", "a/two", "a/b/three"]);
}

/// A store's object is one version: replaced between two reads, the second says so.
#[test]
fn a_store_object_that_is_replaced() {
    let runtime = Runtime::new().unwrap();
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let put = |text: &'static str| runtime.block_on(store.put(&ObjectPath::from("lake/t"), text.into())).unwrap();
    put("0123456789");
    let medium = Medium::store(Arc::clone(&store), ObjectPath::from("lake"));
    let object = medium.open("t", runtime.handle()).unwrap();
    assert_eq!(object.read(&[2..4, 8..10]).unwrap().0, [&b"23"[..], b"89"]);
    put("9876543210");
    assert!(matches!(object.read_one(2..4), Err(DeviceError::Changed { .. })));
    assert!(matches!(medium.open("u", runtime.handle()), Err(DeviceError::NotFound { .. })));
}
