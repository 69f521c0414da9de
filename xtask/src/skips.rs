//! Skipped tests: found in a test log, listed with their reasons, compared with `tests/skips.toml`.
//!
//! A test skips itself by printing `SKIP <name>: <reason>` on a line of its own; an `#[ignore = "reason"]` counts too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

/// A test that did not run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Skip {
    name: String,
    reason: String,
}

/// What `tests/skips.toml` says: `[skip]`, test name = why it may be skipped.
#[derive(Deserialize)]
struct Allowed {
    #[serde(default)]
    skip: BTreeMap<String, String>,
}

impl Allowed {
    /// Reads the list of this checkout.
    fn read() -> Result<Self> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/skips.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        toml::from_str(&text).with_context(|| format!("reading {}", path.display()))
    }

    /// Names of the skipped tests that the list does not have.
    fn forbidden(&self, skipped: &[Skip]) -> Vec<String> {
        skipped.iter().filter(|skip| !self.skip.contains_key(&skip.name)).map(|skip| skip.name.clone()).collect()
    }
}

/// Every skip in the output of `cargo test`, in its order.
pub(crate) fn find(log: &str) -> Vec<Skip> {
    log.lines().filter_map(|line| own_words(line).or_else(|| ignored(line))).collect()
}

/// Lists what the output of `cargo test` says was skipped.
///
/// # Errors
///
/// The list does not allow one of them.
pub(crate) fn check(log: &str) -> Result<()> {
    let skipped = find(log);
    report(&skipped);
    let forbidden = Allowed::read()?.forbidden(&skipped);
    ensure!(forbidden.is_empty(), "skipped, but tests/skips.toml does not allow it: {}", forbidden.join(", "));
    Ok(())
}

/// Prints one line a skip.
pub(crate) fn report(skipped: &[Skip]) {
    println!("{} skipped", skipped.len());
    for skip in skipped {
        println!("  {}: {}", skip.name, skip.reason);
    }
}

fn own_words(line: &str) -> Option<Skip> {
    let (name, reason) = line.strip_prefix("SKIP ")?.split_once(": ")?;
    Some(Skip { name: name.into(), reason: reason.into() })
}

/// `test name ... ignored, reason`; doc tests marked `ignore` included.
fn ignored(line: &str) -> Option<Skip> {
    let (name, rest) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    let reason = rest.strip_prefix(", ").unwrap_or("no reason given");
    Some(Skip { name: name.into(), reason: reason.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ways to skip are seen, and only they.
    #[test]
    fn skips_are_found() {
        let log = "test a ... ok\ntest b ... ignored, needs root\ntest c ... ignored\nSKIP d: no veth here\nnote: SKIP e: no\n";
        let skip = |name: &str, reason: &str| Skip { name: name.into(), reason: reason.into() };
        let expected = vec![skip("b", "needs root"), skip("c", "no reason given"), skip("d", "no veth here")];
        assert_eq!(find(log), expected);
    }

    /// What the list does not name is forbidden.
    #[test]
    fn only_the_list_allows() {
        let allowed: Allowed = toml::from_str("[skip]\nb = \"root\"").unwrap();
        assert_eq!(allowed.forbidden(&find("SKIP b: x\nSKIP c: y\n")), ["c"]);
    }
}
