//! Nearside in an application that uses DataFusion: three lines more than it had.
//!
//! Run with `cargo run --release -p nearside --example embed`.

use datafusion::prelude::{ParquetReadOptions, SessionContext};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let data = directory.path().display().to_string();
    nearside::tpch::generate(directory.path(), 0.01, &nearside::tpch::Options::default())?;

    // What the application did before.
    let context = SessionContext::new();

    // The three lines: Nearside, which device answers for which files, and (here, where all is small) that everything goes there.
    let context = nearside::extend(context)?;
    context.sql(&format!("SET nearside.devices = 'file://{data}/=embedded'")).await?;
    context.sql("SET nearside.offload = 'always'").await?;

    // And what it did after.
    context.register_parquet("lineitem", format!("{data}/lineitem.parquet"), ParquetReadOptions::default()).await?;
    let query = nearside::tpch::query(6);
    context.sql(&format!("EXPLAIN {query}")).await?.show().await?;
    context.sql(query).await?.show().await?;
    Ok(())
}
