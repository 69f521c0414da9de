//! The profiles that ship are readable, and a wrong one is refused in one line.

use std::fs;
use std::path::Path;

use nearside_sim::Profile;

/// Every TOML file in `profiles/` is a profile.
#[test]
fn shipped_profiles_are_valid() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            Profile::read(&path).unwrap();
            count += 1;
        }
    }
    assert!(count > 0);
}

/// A rate of zero would make time infinite; a misspelt field would be a silent default.
#[test]
fn wrong_profiles_are_named() {
    let good = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles/zn540-dpu.toml")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [("count = 2", "count = 0"), ("latency_ns", "latency_us"), ("[link]", "[lnk]")] {
        let path = folder.path().join("wrong.toml");
        fs::write(&path, good.replacen(from, to, 1)).unwrap();
        let message = Profile::read(&path).unwrap_err().to_string();
        assert!(message.contains("wrong.toml") && !message.contains('\n'), "{message}");
    }
}
