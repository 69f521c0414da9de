//! The settings: `SET nearside.… = …`, `SHOW nearside.…`.

use std::any::Any;
use std::fmt;
use std::str::FromStr;

use datafusion::common::config::{ConfigEntry, ConfigExtension, ConfigField, ConfigOptions, ExtensionOptions, Visit};
use datafusion::common::{DataFusionError, Result, config_namespace};

use crate::location::LocationMap;
use crate::reason::{external, innermost};

config_namespace! {
    /// Settings of Nearside, `nearside.*`.
    pub struct NearsideOptions {
        /// Which scans go to a device: `auto` (what is estimated to pay), `always` (whatever a device can take), `never`.
        pub offload: Offload, default = Offload::Auto
        /// Which device answers for which prefix: `s3://lake/=nearside://dpu1:4774, file:///data/=embedded`. The longest prefix wins. Tables at `nearside://host:port/` need no entry.
        pub devices: LocationMap, default = LocationMap::default()
        /// Run every fragment on the device and on the host, and fail the query if the answers differ.
        pub verify: bool, default = false
        /// Run byte code by the plain interpreter instead of the JIT.
        pub interpreter: bool, default = false
        /// Compare columns by the device's vector helpers, where it has them; byte code otherwise. `false` is for measuring what they gain.
        pub vector_helpers: bool, default = true
        /// Floating-point SUM and AVG depend on the order of batches, in DataFusion as on a device: `offload` them with that guarantee, or keep them on the host to be as `exact` as DataFusion.
        pub float_sum: FloatSum, default = FloatSum::Offload
        /// LZ4-compress results on the wire.
        pub compress: bool, default = true
        /// Functions and operators that stay on the host, by name as EXPLAIN prints them, separated by commas: `avg, like`.
        pub deny_functions: String, default = String::new()
        /// Arrow types that stay on the host, separated by commas: `Float64, Utf8View`.
        pub deny_types: String, default = String::new()
        /// Devices that get no work, by URL, separated by commas.
        pub deny_devices: String, default = String::new()
    }
}

impl ConfigExtension for NearsideOptions {
    const PREFIX: &'static str = "nearside";
}

/// By hand, because DataFusion's own macro for extensions leaves the prefix out of the names, and `SHOW` does not find them.
impl ExtensionOptions for NearsideOptions {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }

    fn cloned(&self) -> Box<dyn ExtensionOptions> {
        Box::new(self.clone())
    }

    fn set(&mut self, key: &str, value: &str) -> Result<()> {
        let name = format!("{}.{key}", Self::PREFIX);
        let names: Vec<_> = self.entries().into_iter().map(|entry| entry.key).collect();
        if !names.contains(&name) {
            return Err(DataFusionError::Configuration(format!("there is no setting {name}; there are {}", names.join(", "))));
        }
        let refused = |error| DataFusionError::Configuration(format!("{name} = '{value}': {}", innermost(&error)));
        ConfigField::set(self, key, value).map_err(refused)
    }

    fn entries(&self) -> Vec<ConfigEntry> {
        let mut entries = Entries(Vec::new());
        self.visit(&mut entries, Self::PREFIX, "");
        entries.0
    }
}

/// Gathers settings.
struct Entries(Vec<ConfigEntry>);

impl Visit for Entries {
    fn some<V: fmt::Display>(&mut self, key: &str, value: V, description: &'static str) {
        self.0.push(ConfigEntry { key: key.to_owned(), value: Some(value.to_string()), description });
    }

    fn none(&mut self, key: &str, description: &'static str) {
        self.0.push(ConfigEntry { key: key.to_owned(), value: None, description });
    }
}

impl NearsideOptions {
    /// The settings of a session that [`crate::extend`] has seen; the defaults otherwise.
    pub(crate) fn of(config: &ConfigOptions) -> Self {
        config.extensions.get::<Self>().cloned().unwrap_or_default()
    }

    pub(crate) fn denies_function(&self, name: &str) -> bool {
        lists(&self.deny_functions, name)
    }

    pub(crate) fn denies_type(&self, name: &str) -> bool {
        lists(&self.deny_types, name)
    }

    pub(crate) fn denies_device(&self, url: &str) -> bool {
        lists(&self.deny_devices, url.trim_end_matches('/'))
    }
}

/// Whether a list of names, separated by commas, has this one, in any case.
fn lists(list: &str, name: &str) -> bool {
    list.split(',').any(|item| item.trim().trim_end_matches('/').eq_ignore_ascii_case(name))
}

/// A word that a setting does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{given:?} is none of {words}")]
pub struct NoSuchWord {
    /// What was given, in lower case.
    pub given: String,
    /// What there is.
    pub words: String,
}

/// A setting with a fixed set of words.
macro_rules! word_setting {
    ($(#[$meta:meta])* $name:ident { $($(#[$word_meta:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub enum $name { $($(#[$word_meta])* $variant,)* }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word,)* })
            }
        }

        impl FromStr for $name {
            type Err = NoSuchWord;

            fn from_str(text: &str) -> Result<Self, NoSuchWord> {
                match text.trim().to_ascii_lowercase().as_str() {
                    $($word => Ok(Self::$variant),)*
                    other => Err(NoSuchWord { given: other.to_owned(), words: [$($word),*].join(", ") }),
                }
            }
        }

        impl ConfigField for $name {
            fn visit<V: Visit>(&self, visitor: &mut V, key: &str, description: &'static str) {
                visitor.some(key, self, description);
            }

            fn set(&mut self, _key: &str, value: &str) -> Result<()> {
                *self = value.parse().map_err(external)?;
                Ok(())
            }
        }
    };
}

word_setting! {
    /// Which scans go to a device.
    Offload {
        /// What is estimated to pay.
        #[default]
        Auto = "auto",
        /// Whatever a device can take.
        Always = "always",
        /// Nothing: plans are untouched.
        Never = "never",
    }
}

word_setting! {
    /// What becomes of floating-point sums.
    FloatSum {
        /// Offloaded; equal to DataFusion's up to the order of additions.
        #[default]
        Offload = "offload",
        /// Kept on the host.
        Exact = "exact",
    }
}

impl ConfigField for LocationMap {
    fn visit<V: Visit>(&self, visitor: &mut V, key: &str, description: &'static str) {
        visitor.some(key, self, description);
    }

    fn set(&mut self, _key: &str, value: &str) -> Result<()> {
        *self = value.parse().map_err(external)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Settings go through DataFusion's own `SET`, and a wrong word names the right ones.
    #[test]
    fn settings_are_set_by_name() {
        let mut options = ConfigOptions::default();
        options.extensions.insert(NearsideOptions::default());
        options.set("nearside.offload", "ALWAYS").unwrap();
        options.set("nearside.deny_functions", "avg, Like").unwrap();
        options.set("nearside.verify", "true").unwrap();
        let settings = NearsideOptions::of(&options);
        assert_eq!(settings.offload, Offload::Always);
        assert!(settings.verify && settings.denies_function("LIKE") && !settings.denies_function("sum"));
        let error = options.set("nearside.offload", "sometimes").unwrap_err().to_string();
        assert!(error.contains("nearside.offload = 'sometimes': \"sometimes\" is none of auto, always, never"), "{error}");
        let error = options.set("nearside.verify", "ja").unwrap_err().to_string();
        assert!(error.contains("nearside.verify = 'ja': provided string was not `true` or `false`"), "{error}");
        options.set("nearside.devices", "s3://lake=nearside://dpu1, file:///=embedded").unwrap();
        let devices = NearsideOptions::of(&options).devices.to_string();
        assert_eq!(devices, "s3://lake/=nearside://dpu1:4774, file:///=embedded");
        let error = options.set("nearside.offlod", "never").unwrap_err().to_string();
        assert!(error.contains("no setting nearside.offlod; there are nearside.offload, "), "{error}");
        let shown = |entry: ConfigEntry| (entry.key == "nearside.offload").then_some(entry.value);
        assert_eq!(options.entries().into_iter().find_map(shown), Some(Some("always".to_owned())));
        let error = options.set("nearside.devices", "s3://lake/=dpu1").unwrap_err().to_string();
        assert!(error.contains("nearside.devices = ") && error.contains("nearside://host:4774"), "{error}");
    }

    /// Every setting is listed with what it does.
    #[test]
    fn settings_are_documented() {
        assert!(NearsideOptions::default().entries().iter().all(|entry| entry.description.len() > 20));
    }
}
