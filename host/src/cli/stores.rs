//! Object stores by URL: S3 and compatible, HTTP, as their environment variables configure them (`AWS_ENDPOINT`, `AWS_REGION`, …).

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result};
use datafusion::execution::object_store::{DefaultObjectStoreRegistry, ObjectStoreRegistry};
use object_store::ObjectStore;
use url::Url;

/// Makes a store on the first use of its URL; the local file system is there from the start.
#[derive(Debug, Default)]
pub(crate) struct Stores(DefaultObjectStoreRegistry);

impl ObjectStoreRegistry for Stores {
    fn register_store(&self, url: &Url, store: Arc<dyn ObjectStore>) -> Option<Arc<dyn ObjectStore>> {
        self.0.register_store(url, store)
    }

    fn deregister_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.0.deregister_store(url)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        self.0.get_store(url).or_else(|_| {
            let store: Arc<dyn ObjectStore> = Arc::from(make(url)?);
            self.0.register_store(url, Arc::clone(&store));
            Ok(store)
        })
    }
}

/// A store of the URL's bucket or host; paths are below it.
fn make(url: &Url) -> Result<Box<dyn ObjectStore>> {
    if !matches!(url.scheme(), "s3" | "s3a" | "http" | "https") {
        let text =
            format!("{url}: no files at {}://; they are paths, or at s3://, http://, https:// or nearside://", url.scheme());
        return Err(DataFusionError::Plan(text));
    }
    let mut root = url.clone();
    root.set_path("/");
    // `object_store` takes the variables in lower case.
    let options = std::env::vars().filter(|(name, _)| name.starts_with("AWS_")).map(|(name, value)| (name.to_lowercase(), value));
    // Who writes `http` means it.
    let options = options.chain((url.scheme() == "http").then(|| ("allow_http".to_owned(), "true".to_owned())));
    let (store, _) =
        object_store::parse_url_opts(&root, options).map_err(|error| DataFusionError::ObjectStore(Box::new(error)))?;
    Ok(store)
}
