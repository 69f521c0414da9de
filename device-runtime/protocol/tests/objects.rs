//! The remote object store: whatever a local store answers, it answers too.

mod common;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use common::*;
use futures::TryStreamExt;
use nearside_device::Device;
use nearside_protocol::server;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use rand::rngs::StdRng;
use rand::{Rng, RngCore, SeedableRng};

/// Larger than what a server reads ahead, no multiple of anything.
const BIG: usize = (20 << 20) + 12_345;

struct Stores {
    local: Arc<dyn ObjectStore>,
    remote: Arc<dyn ObjectStore>,
    _served: Served,
}

async fn stores(local: Arc<dyn ObjectStore>) -> Stores {
    let device = Fake::beside(Arc::clone(&local), |_| Ok(execution(int_schema(), vec![])));
    let served = serve_fake(device, server::Options::default()).await;
    Stores { local, remote: served.client().objects(), _served: served }
}

async fn filled(local: Arc<dyn ObjectStore>) -> Stores {
    let mut big = vec![0; BIG];
    StdRng::seed_from_u64(1).fill_bytes(&mut big);
    for (path, bytes) in
        [("big", big), ("t/a.parquet", b"0123456789".to_vec()), ("t/empty", vec![]), ("t/ü x=1/b", b"b".to_vec())]
    {
        local.put(&Path::from(path), bytes.into()).await.unwrap();
    }
    stores(local).await
}

async fn both() -> Vec<(Stores, Option<tempfile::TempDir>)> {
    let directory = tempfile::tempdir().unwrap();
    let files = LocalFileSystem::new_with_prefix(directory.path()).unwrap();
    vec![(filled(Arc::new(files)).await, Some(directory)), (filled(Arc::new(InMemory::new())).await, None)]
}

/// What a test compares of an error: its kind, not its words.
fn kind<T>(result: Result<T, Error>) -> Result<T, &'static str> {
    result.map_err(|error| match error {
        Error::NotFound { .. } => "not found",
        Error::Precondition { .. } => "precondition",
        Error::NotModified { .. } => "not modified",
        Error::NotSupported { .. } => "not supported",
        _ => "failed",
    })
}

type Got = (ObjectMeta, Range<u64>, Bytes);

async fn get(store: &dyn ObjectStore, path: &str, options: GetOptions) -> Result<Got, &'static str> {
    let result = kind(store.get_opts(&Path::from(path), options).await)?;
    Ok((result.meta.clone(), result.range.clone(), kind(result.bytes().await)?))
}

/// Whole objects, every form of range, conditions met and not, objects that are not there.
#[tokio::test]
async fn gets_are_those_of_the_store() {
    for (Stores { local, remote, _served }, _directory) in both().await {
        let meta = local.head(&Path::from("t/a.parquet")).await.unwrap();
        let range = |range: GetRange| GetOptions::new().with_range(Some(range));
        let cases = [
            ("big", GetOptions::new()),
            ("big", range(GetRange::Offset(BIG as u64 - 300_000))),
            ("big", range(GetRange::Bounded(1_000_000..9_000_001))),
            ("t/empty", GetOptions::new()),
            ("t/ü x=1/b", GetOptions::new()),
            ("t/missing", GetOptions::new()),
            ("t", GetOptions::new()),
            ("t/a.parquet", range(GetRange::Bounded(2..5))),
            ("t/a.parquet", range(GetRange::Bounded(8..100))),
            ("t/a.parquet", range(GetRange::Bounded(10..11))),
            ("t/a.parquet", range(GetRange::Suffix(3))),
            ("t/a.parquet", range(GetRange::Suffix(30))),
            ("t/a.parquet", range(GetRange::Offset(9))),
            ("t/a.parquet", range(GetRange::Offset(10))),
            ("t/a.parquet", GetOptions::new().with_if_match(meta.e_tag.clone())),
            ("t/a.parquet", GetOptions::new().with_if_match(Some("other"))),
            ("t/a.parquet", GetOptions::new().with_if_none_match(meta.e_tag.clone())),
            ("t/a.parquet", GetOptions::new().with_if_none_match(Some("other"))),
            ("t/a.parquet", GetOptions::new().with_if_modified_since(Some(meta.last_modified))),
            ("t/a.parquet", GetOptions::new().with_if_unmodified_since(Some(meta.last_modified))),
        ];
        for (path, options) in cases {
            let expected = get(&*local, path, options.clone()).await;
            assert_eq!(get(&*remote, path, options.clone()).await, expected, "{path} {options:?}");
        }
        for path in ["t/a.parquet", "big", "t/empty", "missing"] {
            let path = Path::from(path);
            assert_eq!(kind(remote.head(&path).await), kind(local.head(&path).await), "{path}");
        }
        let head = GetOptions::new().with_head(true).with_if_match(Some("other"));
        assert_eq!(kind(remote.get_opts(&Path::from("t/a.parquet"), head).await.map(drop)), Err("precondition"));
    }
}

/// Any ranges in any order, overlapping, empty and large ones among them.
#[tokio::test]
async fn ranges_are_those_of_the_store() {
    for (Stores { local, remote, _served }, _directory) in both().await {
        let path = Path::from("big");
        let mut random = StdRng::seed_from_u64(7);
        let mut any = |len_max: u64| {
            let start = random.random_range(0..BIG as u64 - len_max);
            start..start + random.random_range(1..=len_max)
        };
        let small: Vec<_> = (0..5_000).map(|_| any(200)).collect();
        let large: Vec<_> = (0..8).map(|_| any(12 << 20)).collect();
        let whole = std::iter::once(0..BIG as u64).collect();
        for ranges in [small, large, whole, vec![5..6, 0..1, 0..1]] {
            let expected = local.get_ranges(&path, &ranges).await.unwrap();
            assert!(remote.get_ranges(&path, &ranges).await.unwrap() == expected, "{} ranges", ranges.len());
        }
        assert_eq!(remote.get_ranges(&path, &[3..3, 0..1]).await.unwrap().iter().map(Bytes::len).collect::<Vec<_>>(), [0, 1]);
        let end = BIG as u64;
        for beyond in [end - 1..end + 1, end..end + 1, 0..u64::MAX, u64::MAX - 1..u64::MAX] {
            assert_eq!(kind(remote.get_ranges(&path, std::slice::from_ref(&beyond)).await), Err("failed"), "{beyond:?}");
        }
        let reversed = Range { start: 5, end: 3 };
        assert_eq!(kind(remote.get_ranges(&path, &[reversed]).await), Err("failed"));
        assert_eq!(kind(remote.get_ranges(&Path::from("missing"), &[0..1, 2..3]).await), Err("not found"));
    }
}

/// Lists of several pages, below a prefix, after an offset, by levels.
#[tokio::test]
async fn lists_are_those_of_the_store() {
    let memory = Arc::new(InMemory::new());
    for index in 0..2_500 {
        memory.put(&Path::from(format!("t/{index:04}")), Bytes::from(format!("{index}")).into()).await.unwrap();
        memory.put(&Path::from(format!("u/k={index:04}/x")), Bytes::new().into()).await.unwrap();
    }
    let Stores { local, remote, _served } = stores(memory).await;
    for prefix in [None, Some("t"), Some("u"), Some("u/k=0003"), Some("none")] {
        let prefix = prefix.map(Path::from);
        let list = async |store: &dyn ObjectStore| store.list(prefix.as_ref()).try_collect::<Vec<_>>().await.unwrap();
        assert_eq!(list(&*remote).await, list(&*local).await);
        let after = Path::from("t/2000");
        let list = async |store: &dyn ObjectStore| {
            store.list_with_offset(prefix.as_ref(), &after).try_collect::<Vec<_>>().await.unwrap()
        };
        assert_eq!(list(&*remote).await, list(&*local).await);
        let level = async |store: &dyn ObjectStore| store.list_with_delimiter(prefix.as_ref()).await.unwrap();
        let (remote, local) = (level(&*remote).await, level(&*local).await);
        assert_eq!((remote.objects, remote.common_prefixes), (local.objects, local.common_prefixes));
    }
}

/// Nothing can be written, and nothing of the device's changes.
#[tokio::test]
async fn it_is_read_only() {
    let Stores { local, remote, _served } = filled(Arc::new(InMemory::new())).await;
    let (path, other) = (Path::from("t/a.parquet"), Path::from("t/b"));
    let refused = Err("not supported");
    assert_eq!(kind(remote.put(&path, Bytes::new().into()).await.map(drop)), refused);
    assert_eq!(kind(remote.put_multipart(&path).await.map(drop)), refused);
    assert_eq!(kind(remote.delete(&path).await), refused);
    assert_eq!(kind(remote.copy(&path, &other).await), refused);
    assert_eq!(kind(remote.rename(&path, &other).await), refused);
    assert_eq!(local.get(&path).await.unwrap().bytes().await.unwrap(), "0123456789");
}
